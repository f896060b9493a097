"""Every kernel that takes a layer, counted in one simulated image: whether the compiler takes the quickest.

    .venv/bin/python benchmarks/choices.py --write                     # Cortex-M55, M4 and M0
    .venv/bin/python benchmarks/choices.py --boards mps2-an386 --layers linear_64_to_12

A model has each of these layers of the sweep several times, the first with the kernel of the lowest price,
the next with that of the next one. Prices (plan/specialize) and counted cycles are kept in
benchmarks/results/choices.json, where tests/host/test_choices.py looks for kernels that were quicker.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "mlperf_tiny"), str(HERE)]

from layers import measure  # noqa: E402
from sweep.shapes import Layer, layers  # noqa: E402

from mcu_build.board import find_board  # noqa: E402
from mcu_build.ir.plan import Optimize, Step  # noqa: E402
from mcu_build.kernels.context import Way  # noqa: E402

RESULTS = HERE / "results" / "choices.json"
WAYS = 3  # of a layer, the cheapest ones
LINEAR = ("linear_64_to_64", "linear_24_rows_of_64", "linear_8_rows_of_30", "linear_2_rows_of_64")
DEPTHWISE = ("depthwise3x3_3", "depthwise3x3_8", "depthwise3x3_16_times_2", "depthwise5x5_24_stride_1_of_7")
GROUPED = ("grouped1x1_32_of_4", "grouped3x3_32_of_2", "grouped3x3_32_of_16")
LAYERS: Mapping[str, Sequence[str]] = {
    "corstone-300": (
        *LINEAR,
        *DEPTHWISE,
        *GROUPED,
        "conv3x3_12_stride_2",
        "stem_1_to_8_of_3x3_stride_1",
        "pointwise_64_stride_2",
        "transposed2x2_16_stride_2",
    ),
    "mps2-an386": (
        *LINEAR,
        *DEPTHWISE,
        *GROUPED,
        "depthwise3x3_24_stride_2_of_12",
        "depthwise3x3_16_dilated",
        "conv3x3_16_dilated",
        "conv3x3_12_stride_2",
    ),
    "cortex-m0": (*LINEAR, *DEPTHWISE, *GROUPED[::2]),
}


class Forced:
    """In place of `specialize.choose`: for copy N of a layer the kernel of the Nth lowest price."""

    def __init__(self) -> None:
        self.prices: dict[str, float] = {}

    def __call__(self, steps: Sequence[Step], ways: Sequence[Sequence[Way]], _: Optimize) -> list[Step]:
        """The kernel of each step; its price is noted."""
        return [self._of(step, each).make() if each else step for step, each in zip(steps, ways, strict=True)]

    def _of(self, step: Step, ways: Sequence[Way]) -> Way:
        layer, _, number = step.name.rpartition("_way_")
        ordered = sorted(ways, key=lambda way: way.cycles)
        if not layer or int(number) >= len(ordered):
            return ordered[0]
        self.prices[step.name] = ordered[int(number)].cycles
        return ordered[int(number)]


def counted(board: str, chosen: Sequence[Layer], folder: Path) -> Mapping[str, list[dict[str, Any]]]:
    """For each layer the price and the cycles of every kernel that takes it."""
    copies = [replace(layer, name=f"{layer.name}_way_{n}", curve="") for layer in chosen for n in range(WAYS)]
    forced = Forced()
    with mock.patch("mcu_build.plan.specialize.choose", forced):
        rows = measure(board, copies, "arm-clang", folder)
    found: dict[str, list[dict[str, Any]]] = {layer.name: [] for layer in chosen}
    for name, price in forced.prices.items():
        layer = name.rpartition("_way_")[0]
        row = next(row for key, row in rows.items() if name.split(".")[-1] == key)
        kernels = [kernel for kernel in row["kernels"] if kernel not in ("permute", "copy")]
        found[layer.split(".")[-1]].append(
            {"kernel": kernels[0], "price": round(price), "cycles": row["cycles"]}
        )
    return {name: ways for name, ways in found.items() if ways}


def wrong(ways: Sequence[Mapping[str, Any]]) -> float:
    """How many times the cycles of the quickest kernel the one of the lowest price takes."""
    chosen = min(ways, key=lambda way: float(way["price"]))
    return float(chosen["cycles"] / min(way["cycles"] for way in ways))


def table(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """All layers of a core as text."""
    for name, ways in rows.items():
        times = wrong(ways)
        cells = "  ".join(f"{way['kernel']} {way['cycles']:,} ({way['price']:,})" for way in ways)
        yield f"{name:<38} {'' if times <= 1.0 else f'{times:.2f} '}{cells}"


def main() -> int:
    """Measure what was asked for."""
    options = _options()
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for board in options.boards:
        core = "cortex-m0" if board == "cortex-m0" else find_board(board).core
        names = options.layers or LAYERS[board]
        rows = counted(board, [layer for layer in layers() if layer.name in names], options.build_dir)
        print("\n".join(table(rows)), flush=True)
        kept[core] = {**kept.get(core, {}), **rows}
        if options.write:
            RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boards", nargs="+", default=list(LAYERS), choices=LAYERS, metavar="BOARD")
    parser.add_argument("--layers", nargs="+", metavar="LAYER")
    parser.add_argument("--build-dir", type=Path, default=Path("build/choices"))
    parser.add_argument("--write", action="store_true", help="keep the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
