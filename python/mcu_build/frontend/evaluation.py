"""What the float model and the int8 program make of the evaluation data."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcu_build.errors import McuError
from mcu_build.frontend.captured import Captured, Inputs, Label
from mcu_build.frontend.labels import check_labels
from mcu_build.layer_names import output_name
from mcu_build.quality.sqnr import LEAST_SQNR_DB, Quality, judge
from mcu_build.vectors import npz
from mcu_build.vectors.pack import UNLABELLED, sequence_starts

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    from mcu_build.frontend.state import Stepper


# Vectors over which a build judges the int8 program: a large one, by what it computes, over fewer.
_JUDGED = 32


_FEWEST = 4


_MOST_ELEMENTS = 1 << 29


def stepper_of(captured: Captured) -> "Stepper":
    """The float program with its state, call by call."""
    from mcu_build.frontend.state import Stepper

    return Stepper(captured.exported.module(check_guards=False), captured.state)


def float_vectors(file: Path, captured: Captured, labels: list[Label]) -> dict[str, npz.Array]:
    """input_0 ..., float_0 ... (what the float model gives) and, where every vector has one, labels.

    With state also `sequence`, the number of the sequence that each vector belongs to; the labels then may be
    of some calls only, the others are UNLABELLED. `labels` is filled with them as they are given.
    """
    import torch

    stepper = stepper_of(captured)
    inputs: list[list[npz.Array]] = []
    outputs: list[list[npz.Array]] = []
    numbers: list[int] = []
    with torch.no_grad():
        for number, sequence in enumerate(captured.vectors):
            stepper.reset()
            for item, label in sequence:
                inputs.append([numpy_of(tensor) for tensor in item])
                outputs.append([numpy_of(tensor) for tensor in stepper.step(item)])
                labels.append(label)
                numbers.append(number)
    if not inputs:
        raise McuError(
            f"{file}: evaluation: it holds no item", "Give (inputs, label) pairs, or leave it out."
        )
    check_outputs(file, outputs, captured, lambda: _nan_place(captured, inputs[0]))
    arrays = {f"input_{i}": np.stack([row[i] for row in inputs]) for i in range(len(inputs[0]))}
    arrays |= {f"float_{i}": np.stack([row[i] for row in outputs]) for i in range(len(outputs[0]))}
    if captured.state:
        arrays["sequence"] = np.array(numbers)
    if captured.metric:
        arrays |= _targets(file, captured.metric, labels)
    elif not captured.stream:
        check_labels(file, labels, outputs[0][0].size)
        known = sum(label is not None for label in labels)
        if known == len(labels) or (captured.state and known):
            arrays["labels"] = np.array([UNLABELLED if label is None else label for label in labels])
    return arrays


def _targets(file: Path, metric: str, labels: Sequence[Label]) -> dict[str, npz.Array]:
    """targets [vectors, ...], the numbers of the `target_vectors` that have labels, and the `metric`."""
    known = [index for index, label in enumerate(labels) if label is not None]
    arrays = [np.asarray(labels[index]) for index in known]
    if not arrays:
        raise McuError(
            f"{file}: metric: no item of `evaluation` has a label", "Add them, or leave metric out."
        )
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        sizes = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise McuError(f"{file}: evaluation: labels of shapes {sizes}", "Labels are of one shape.")
    return {"targets": np.stack(arrays), "target_vectors": np.array(known), "metric": np.array(metric)}


def _nan_place(captured: Captured, inputs: Sequence[npz.Array]) -> str:
    """The layer in which the first NaN appears, for one vector."""
    import torch

    from mcu_build.frontend.not_finite import first_not_finite

    module = captured.exported.module(check_guards=False)
    return first_not_finite(module, [*map(torch.from_numpy, inputs), *captured.state])


def steps_of(vectors: dict[str, npz.Array]) -> Iterator[tuple[bool, Inputs]]:
    """Whether a vector begins a sequence, and its inputs in the layout that the program takes."""
    import torch

    from mcu_build.lower.layout import channels_last

    arrays = npz.numbered(vectors, "input")
    begins = sequence_starts(vectors)
    for index in range(len(arrays[0])):
        yield (
            bool(begins[index]),
            tuple(channels_last(torch.from_numpy(np.asarray(array[index]))) for array in arrays),
        )


def first_inputs(captured: Captured, vectors: dict[str, npz.Array]) -> Iterator[Inputs]:
    """The inputs of one vector after the other, with the state that it meets."""
    stepper = stepper_of(captured)
    for begins, inputs in steps_of(vectors):
        if begins:
            stepper.reset()
        yield (*inputs, *stepper.state)
        stepper.advance(inputs)


def judged(program: "ExportedProgram") -> int:
    """Over how many vectors a program is judged: about as many as compute `_MOST_ELEMENTS` together."""
    values = (node.meta.get("val") for node in program.graph.nodes if node.op == "call_function")
    elements = sum(int(value.numel()) for value in values if hasattr(value, "numel"))
    return max(_FEWEST, min(_JUDGED, _MOST_ELEMENTS // max(elements, 1)))


def answers_of(
    captured: Captured, program: "ExportedProgram", vectors: dict[str, npz.Array]
) -> list[npz.Array]:
    """What a program gives for the first vectors, as many as it is judged by: an array an output."""
    return outputs_of(captured, program.module(check_guards=False), vectors, judged(program))


def quality_of(
    captured: Captured, answers: Sequence[npz.Array], vectors: dict[str, npz.Array]
) -> tuple[Quality, ...]:
    """The int8 program's answers against the float model's."""
    from mcu_build.frontend.capture import names_of_outputs

    floats = [array[: len(answers[0])] for array in npz.numbered(vectors, "float")]
    return judge(floats, answers, names_of_outputs(captured.exported))


def rounded_inputs_db(
    captured: Captured, vectors: dict[str, npz.Array], quality: Sequence[Quality]
) -> float | None:
    """What the float model's worst output keeps where the inputs alone are rounded to 8 bits; None where int8
    has ruined no output.
    """
    if all(value.integers or value.worst >= LEAST_SQNR_DB for value in quality):
        return None
    rounded = {
        name: _rounded(value) if name.startswith("input_") else value for name, value in vectors.items()
    }
    kept = quality_of(captured, answers_of(captured, captured.exported, rounded), rounded)
    return min(value.worst for value in kept if not value.integers)


def _rounded(array: npz.Array) -> npz.Array:
    """Real numbers in 127 steps to each side of zero; others as they are."""
    step = np.abs(array).max() / 127 if array.dtype.kind == "f" else 0
    return (np.round(array / step) * step).astype(array.dtype) if step else array


def outputs_of(
    captured: Captured, module: "torch.nn.Module", vectors: dict[str, npz.Array], count: int
) -> list[npz.Array]:
    """What a module that computes the captured program gives for the first vectors: an array an output."""
    import torch

    from mcu_build.frontend.state import Stepper
    from mcu_build.lower.upstream.quiet import quiet

    stepper = Stepper(module, captured.state)
    rows = []
    with quiet(), torch.no_grad():
        for begins, inputs in islice(steps_of(vectors), count):
            if begins:
                stepper.reset()
            rows.append([numpy_of(tensor) for tensor in stepper.step(inputs)])
    return [np.stack([row[index] for row in rows]) for index in range(len(rows[0]))]


def check_outputs(
    file: Path, outputs: list[list[npz.Array]], captured: Captured, nan_place: Callable[[], str]
) -> None:
    """McuError where an output is never a number, a warning where only some vectors give NaN."""
    from mcu_build.frontend.capture import names_of_outputs
    from mcu_build.frontend.eager_numbers import NAN_HINT

    names = names_of_outputs(captured.exported)
    for index in range(len(outputs[0])):
        which = output_name(index, names)
        rows = [row[index] for row in outputs]
        lost = sum(bool(np.isnan(row).any()) for row in rows if row.dtype.kind == "f")
        if lost == len(rows) and all(np.isnan(row).all() for row in rows):
            raise McuError(
                f"{file}: model: {which} is NaN for every input, in PyTorch already"
                f"{f', first in {where}' if (where := nan_place()) else ''}",
                NAN_HINT,
            )
        if lost:
            captured.warnings.append(f"{file}: model: {which} holds NaN for {lost} of {len(rows)} inputs.")


def numpy_of(tensor: "torch.Tensor") -> npz.Array:
    """A tensor as an array of its own."""
    # Not by ascontiguousarray, which gives a number without dimensions one.
    made: npz.Array = tensor.detach().contiguous().numpy()
    return made
