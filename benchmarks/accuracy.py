"""Decibels of int8 programs against the float model: ours beside XNNPACK's and Cortex-M's quantizers.

    .venv/bin/python benchmarks/accuracy.py                     # all models
    .venv/bin/python benchmarks/accuracy.py --models unet gem --write

All three quantize the same float program with the same calibration data, with their own rewrites and
observers. They are judged over the same evaluation vectors as converted PyTorch programs: an operator that a
quantizer leaves in float counts as float. Beside the decibels stands how many of the operators that
multiply (convolutions, linear layers, products of matrices, recurrent layers) read int8, of how many: a
quantizer that has fewer of them in int8 than ours makes no int8 program of the model, and is not compared
with. --write keeps the figures in benchmarks/results/accuracy.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from mcu_build.frontend.capture import capture
from mcu_build.frontend.model_file import Model, load
from mcu_build.frontend.quantize import Inputs, quantize
from mcu_build.lower.layout import channels_last
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.quality.sqnr import judge

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "accuracy.json"
_FOLDERS = (HERE.parent / "tests" / "models", HERE / "nets_models", HERE / "accuracy_models")
# One keeps state, which only our own front end takes.
_LEFT_OUT = frozenset({"half_on_npu"})
MODELS: Mapping[str, Path] = {
    file.stem: file
    for folder in _FOLDERS
    for file in sorted(folder.glob("*.py"))
    if not file.name.startswith("_") and file.stem not in _LEFT_OUT
}
_CALIBRATION, _EVALUATION = 64, 64


# Operators that multiply, by the starts of their names, and those that only move what they read.
_MULTIPLY = ("conv", "linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "lstm", "gru", "rnn")
_MOVE = frozenset(
    {"view", "reshape", "permute", "transpose", "expand", "clone", "contiguous", "t", "squeeze"}
)


@dataclass(frozen=True)
class Figure:
    """Decibels of the worst output; of the operators that multiply, how many read int8."""

    sqnr_db: float
    in_int8: int
    multiply: int

    def __str__(self) -> str:
        return f"{self.sqnr_db:.1f} {self.in_int8}/{self.multiply}"


def measure(file: Path) -> dict[str, Figure | None]:
    """A figure for each quantizer; None where it cannot take the model."""
    model = load(file)
    example = tuple(model.example_inputs)
    assert model.calibration is not None
    calibration = _calls(model.calibration(), _CALIBRATION)
    given = (item[0] for item in model.evaluation()) if model.evaluation else calibration
    evaluation = _mixed(_calls(given, _EVALUATION))
    floats = _outputs(model.model, evaluation)
    found: dict[str, Figure | None] = {}
    for name, make in _QUANTIZERS.items():
        try:
            with quiet():
                quantized = make(model, example, calibration)
                decibels = min(one.sqnr_db for one in judge(floats, _outputs(quantized, evaluation)))
            found[name] = Figure(decibels, *_counted(quantized))
        except Exception as error:  # whatever another's passes raise
            print(
                f"{file.stem}: {name}: {str(error).splitlines()[0] if str(error) else error!r}",
                file=sys.stderr,
            )
            found[name] = None
    return found


def _calls(items: Any, most: int) -> list[Inputs]:
    return [tuple(channels_last(tensor) for tensor in item) for item in islice(items, most)]


def _mixed(items: Sequence[Inputs]) -> list[Inputs]:
    """Enough inputs for a figure that is no accident: beside what is there, averages of two."""
    found = list(items)
    for distance in range(1, len(items)):
        for first, second in zip(items, [*items[distance:], *items[:distance]], strict=True):
            if len(found) < _EVALUATION and all(tensor.is_floating_point() for tensor in first):
                found.append(tuple(0.7 * a + 0.3 * b for a, b in zip(first, second, strict=True)))
    return found


def _outputs(model: torch.nn.Module, inputs: Sequence[Inputs]) -> list[np.ndarray[Any, Any]]:
    with torch.no_grad():
        rows = [torch.utils._pytree.tree_leaves(model(*item)) for item in inputs]
    return [np.stack([row[index].numpy() for row in rows]) for index in range(len(rows[0]))]


def _counted(module: Any) -> tuple[int, int]:
    """How many of the operators that multiply read int8, of how many."""
    multiply = [node for node in module.graph.nodes if _name(node).startswith(_MULTIPLY)]
    return sum(all(map(_is_int8, node.all_input_nodes[:2])) for node in multiply), len(multiply)


def _name(node: Node) -> str:
    """An operator's name without its overload."""
    return str(getattr(node.target, "_opname", "")) if node.op == "call_function" else ""


def _is_int8(node: Node) -> bool:
    while _name(node) in _MOVE:
        node = node.all_input_nodes[0]
    return _name(node).startswith("dequantize")


def _ours(model: Model, example: Inputs, calibration: Sequence[Inputs]) -> torch.nn.Module:
    del example
    return quantize(capture(model), calibration).module(check_guards=False)


def _cortex_m(model: Model, example: Inputs, calibration: Sequence[Inputs]) -> torch.nn.Module:
    from executorch.backends.cortex_m.quantizer.quantizer import CortexMQuantizer

    return _pt2e(model, example, calibration, CortexMQuantizer())


def _xnnpack(model: Model, example: Inputs, calibration: Sequence[Inputs]) -> torch.nn.Module:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    return _pt2e(model, example, calibration, quantizer)


def _pt2e(model: Model, example: Inputs, calibration: Sequence[Inputs], quantizer: Any) -> torch.nn.Module:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    inputs = tuple(channels_last(tensor) for tensor in example)
    prepared = prepare_pt2e(
        torch.export.export(model.model, inputs, strict=False).module(check_guards=False), quantizer
    )
    with torch.no_grad():
        for item in calibration:
            prepared(*item)
    converted: torch.nn.Module = convert_pt2e(prepared)
    return converted


_QUANTIZERS: Mapping[str, Callable[[Model, Inputs, Sequence[Inputs]], torch.nn.Module]] = {
    "ours": _ours,
    "xnnpack": _xnnpack,
    "cortex_m": _cortex_m,
}


def _is_behind(row: Mapping[str, Figure | None]) -> bool:
    """Whether another quantizer has over a decibel more, with as much in int8."""
    own = row["ours"]
    return own is not None and any(
        other and other.in_int8 >= own.in_int8 and other.sqnr_db > own.sqnr_db + 1 for other in row.values()
    )


def _as_json(figure: Figure) -> dict[str, float | str]:
    return {"sqnr_db": round(figure.sqnr_db, 1), "in_int8": f"{figure.in_int8}/{figure.multiply}"}


def main() -> int:
    """Measure what was asked for."""
    options = _options()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    print(f"{'model':<24}" + "".join(f"{name:>14}" for name in _QUANTIZERS))
    for name in options.models:
        start = time.monotonic()
        row = measure(MODELS[name])
        cells = "".join(f"{'-' if figure is None else str(figure):>14}" for figure in row.values())
        behind = "  behind" if _is_behind(row) else ""
        print(f"{name:<24}{cells}{behind}  {time.monotonic() - start:.0f} s", flush=True)
        kept[name] = {key: figure and _as_json(figure) for key, figure in row.items()}
        if options.write:
            RESULTS.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="MODEL")
    parser.add_argument("--write", action="store_true", help="keep the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
