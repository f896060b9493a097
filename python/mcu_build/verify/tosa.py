"""Does what Vela was given mean what the model means? TOSA in Arm's reference model against PyTorch.
And does what Vela made of it mean the same? The command streams in the NPU's model against TOSA, exactly.

TOSA and PyTorch compute in integers, TOSA with integer rescaling and PyTorch with float in between, so single
steps of the output's quantization are no mistake. What is far apart is.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_build.board import Board
from mcu_build.cache import Cache, hash_file, hash_text, own_code
from mcu_build.errors import McuError
from mcu_build.layer_names import output_name
from mcu_build.progress import Progress
from mcu_build.stages.lowered import Lowered
from mcu_build.stages.reference import expected_outputs
from mcu_build.vectors import npz
from mcu_build.vectors.npz import Array

if TYPE_CHECKING:
    from mcu_build.verify.command_streams import Exactness

_CODE = ("verify/tosa.py", "frontend/store.py")
# Steps of the output's quantization, on average over all elements, by its bytes. TOSA's multipliers for 16
# bits have 15: each layer is off by up to half a step. A step of 8 bits is 256 of these.
_MEAN_STEPS = {1: 1.0, 2: 16.0}


@dataclass(frozen=True)
class Agreement:
    """One output over all vectors: how many elements are equal, differences in steps of its quantization.

    `allowed_steps` is what the mean may be for its number of bits.
    """

    elements: int
    equal: int
    mean_steps: float
    largest_steps: float
    allowed_steps: float
    varies: bool

    @property
    def holds(self) -> bool:
        """Whether the two agree, and could have been seen not to."""
        return self.varies and self.mean_steps <= self.allowed_steps


@dataclass(frozen=True)
class Verdict:
    """Each output of the program, with the model's names for them, and each delegate's command stream."""

    outputs: tuple[Agreement, ...]
    delegates: tuple["Exactness", ...]
    names: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether everything holds."""
        outputs = all(output.holds for output in self.outputs)
        return outputs and all(delegate.holds for delegate in self.delegates)


def nothing_to_verify(name: str) -> McuError:
    """For a model that has no part on an NPU."""
    return McuError(
        f"{name}: no part of it is delegated to an NPU, there is nothing to verify",
        "Name a board with an NPU, such as -b corstone-300, and give a model.py or a .pt2.",
    )


def verify(
    lowered: Lowered, board: Board, limit: int | None, folder: Path, cache: Cache, progress: Progress
) -> Verdict:
    """Compare every output of the program with the quantized model in PyTorch, over the model's own vectors.

    McuError where nothing of the program is delegated, or an output has no quantization.
    """
    if not lowered.delegates or lowered.vectors is None or lowered.quantized is None:
        raise nothing_to_verify(lowered.name)
    inputs = [array[:limit] for array in npz.numbered(npz.load(lowered.vectors), "input")]
    chosen = folder / "vectors.npz"
    npz.save(chosen, {f"input_{index}": array for index, array in enumerate(inputs)})
    tosa = npz.numbered(npz.load(expected_outputs(lowered, chosen, cache, progress)), "output")
    torch = npz.numbered(
        npz.load(_evaluated_in_torch(lowered.quantized, chosen, lowered.key, cache, progress)), "output"
    )
    ports = _quantized_outputs(lowered, board)
    outputs = tuple(agreement(*pair) for pair in zip(tosa, torch, ports, strict=True))
    with progress.stage("npu"):
        from mcu_build.verify.command_streams import run_streams

        return Verdict(outputs, run_streams(lowered, chosen), lowered.outputs)


def _quantized_outputs(lowered: Lowered, board: Board) -> list[tuple[float, int]]:
    """Of each output, the size of one step, and the bytes of an element."""
    from mcu_build.ir.ports import quantized_port
    from mcu_build.stages.planning import plan_program

    plan = plan_program(lowered, lowered.name, board)
    outputs = []
    for index, id in enumerate(plan.outputs):
        tensor = quantized_port(plan, id)
        if tensor is None or tensor.quantization is None:
            output = output_name(index, lowered.outputs)
            raise McuError(
                f"{lowered.name}: {output} is float: it has no quantization to compare by",
                "Let the model end in an operator that is quantized.",
            )
        outputs.append((tensor.quantization.scale, tensor.dtype.size))
    return outputs


def agreement(tosa: Array, torch: Array, port: tuple[float, int]) -> Agreement:
    """How far arrays [vectors, ...] of one output are apart; `port` is its step and an element's bytes."""
    step, nbytes = port
    apart = np.abs(tosa.astype(np.float64) - torch.astype(np.float64)) / step
    whole = np.rint(apart)
    return Agreement(
        elements=int(apart.size),
        equal=int((whole == 0).sum()),
        mean_steps=float(apart.mean()),
        largest_steps=float(whole.max()),
        allowed_steps=_MEAN_STEPS[nbytes],
        varies=bool((tosa != tosa[:1]).any()),
    )


def _evaluated_in_torch(quantized: Path, vectors: Path, key: str, cache: Cache, progress: Progress) -> Path:
    """An archive of what the quantized model gives in PyTorch."""
    with progress.stage("pytorch") as mark:
        entry, mark.cached = cache.get(
            hash_text("in torch", key, hash_file(vectors), own_code(*_CODE)),
            lambda folder: in_pytorch(quantized, vectors, folder),
        )
    return entry / "outputs.npz"


def in_pytorch(quantized: Path, vectors: Path, folder: Path) -> None:
    """Write outputs.npz: what a quantized program gives in PyTorch."""
    import torch

    from mcu_build.frontend.store import load_quantized
    from mcu_build.lower.upstream.quiet import quiet

    with quiet(), torch.no_grad():
        module: Any = load_quantized(quantized).module(check_guards=False)
        inputs = npz.numbered(npz.load(vectors), "input")
        rows = [_flat(module(*_tensors(inputs, index))) for index in range(len(inputs[0]))]
    outputs = {f"output_{k}": np.stack([row[k] for row in rows]) for k in range(len(rows[0]))}
    npz.save(folder / "outputs.npz", outputs)


def _tensors(inputs: Sequence[Array], index: int) -> list[Any]:
    import torch

    from mcu_build.lower.layout import channels_last

    return [channels_last(torch.from_numpy(np.asarray(array[index]))) for array in inputs]


def _flat(result: Any) -> list[Array]:
    from torch.utils import _pytree

    return [leaf.contiguous().numpy() for leaf in _pytree.tree_leaves(result)]


def document(verdict: Verdict) -> dict[str, Any]:
    """The comparison as --json tells it."""
    return {**asdict(verdict), "agrees": verdict.agrees}


__all__ = ["Agreement", "Verdict", "document", "verify"]
