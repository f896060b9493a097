"""Run a model file once, and keep all that later stages need of it.

Everything that needs the user's objects happens here, in one process: capture, calibration, the float
model's outputs for the evaluation data. What comes after starts from files.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mcu_build import npz
from mcu_build.dependencies import Dependencies, without_folders
from mcu_build.errors import McuError, about
from mcu_build.frontend import op_library, precision
from mcu_build.frontend.labels import check_labels
from mcu_build.frontend.names import model_name
from mcu_build.quality import Quality, judge
from mcu_build.vectors import UNLABELLED, sequence_starts

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    from mcu_build.frontend.extract import Whole
    from mcu_build.frontend.quantize import Quantized
    from mcu_build.frontend.state import Stepper

# Vectors that are made up around the example inputs where there is neither evaluation nor calibration.
_MADE_UP = 16
# Vectors over which a build judges the int8 program: a large one, by what it computes, over fewer.
_JUDGED = 32
_FEWEST = 4
_MOST_ELEMENTS = 1 << 29

Inputs = tuple["torch.Tensor", ...]
# A class, those of a recording's steps, or None.
Label = int | tuple[int | None, ...] | npz.Array | None


class _Progress(Protocol):
    def stage(self, name: str) -> Any: ...
    def step(self, text: str) -> None: ...


@dataclass(frozen=True)
class Captured:
    """A float program with the data that came with it.

    Written buffers are among its inputs and outputs (state.py); `state` are their initial values.
    `calibration` and `vectors` consist of sequences of calls, the latter of (inputs, label or None) each; a
    model without state takes every call for itself. `dependencies` tells, once all data was iterated, what
    was read. `activation_bits` are those of activations on an NPU. `stream` are the axes of time of a model
    that is called step by step, by input. `place` names memories for layers.
    """

    exported: "ExportedProgram"
    state: Inputs
    calibration: Iterable[Sequence[Inputs]]
    vectors: Iterable[Sequence[tuple[Inputs, Label]]]
    warnings: list[str]
    dependencies: Callable[[], Dependencies]
    activation_bits: int = 8
    stream: Mapping[int, int] = field(default_factory=dict)
    latency: int = 0
    precision: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    place: tuple[str, ...] = ()


def run(
    file: Path,
    folder: Path,
    npu_kind: str | None,
    progress: _Progress,
    libraries: Sequence[Path] = (),
    wishes: Mapping[str, str] | None = None,
) -> Dependencies:
    """Write model.pt2, quantized.pt2, vectors.npz and info.json to `folder`.

    `npu_kind` ('ethos-u55', ...) is the NPU to quantize for, None the core alone. `libraries` define custom
    operators. `wishes` stand for `precision` of the model file.

    Returns what `file` depends on, itself included. No path of this machine is written.
    """
    with progress.stage("capture"):
        libraries_read = op_library.load(libraries)
        captured = capture_file(file, wishes)
        from mcu_build.frontend.capture import names_of_outputs

        if captured.stream:
            _check_stream(file, captured)
    with progress.stage("quantize"):
        vectors: dict[str, npz.Array] = {}
        labels: list[Label] = []

        def examples() -> "Iterable[Inputs]":
            # Evaluation data come after calibration data: a file may draw both from one generator.
            if not vectors:
                vectors.update(float_vectors(file, captured, labels))
            return first_inputs(captured, vectors)

        with about(file):
            quantized = _quantize(captured, npu_kind, examples, progress)
        observed = captured.dependencies().with_files([file.resolve(), *libraries_read])
        progress.step("comparing layers")
        for program in (captured.exported, quantized.program):
            _shorten_traces(program, file.resolve().parent)
        quality = _quality(captured, quantized.program, vectors)
        layers = quantized.layers()
        stream = None
        if captured.stream:
            progress.step("cutting into steps")
            stream, made, vectors = _streamed(file, captured, quantized.program, vectors, labels, folder)
        info = {
            "name": model_name(file),
            "warnings": captured.warnings,
            "outputs": names_of_outputs(captured.exported),
            "custom": op_library.custom_operators(captured.exported),
            "quality": [asdict(one) for one in quality],
            "layers": [asdict(one) for one in layers],
            "stream": stream,
            "place": captured.place,
        }
        kept = made if stream else (quantized.program, captured.state)
        _write(folder, captured.exported, *kept, vectors, info)
    return observed


def quantized_again(file: Path, npu_kind: str | None, progress: _Progress) -> "Quantized":
    """What `run` quantizes, with its graph and the float model's values; nothing is written."""
    captured = capture_file(file)
    vectors: dict[str, npz.Array] = {}

    def examples() -> "Iterable[Inputs]":
        vectors.update(float_vectors(file, captured, []))
        return first_inputs(captured, vectors)

    return _quantize(captured, npu_kind, examples, progress)


def whole(file: Path) -> "Whole":
    """The float program of a model, to take parts out of, with its first vectors."""
    from mcu_build.frontend.extract import Whole

    captured = capture_file(file)
    return Whole(captured.exported, first_inputs(captured, float_vectors(file, captured, [])))


def capture_file(file: Path, wishes: Mapping[str, str] | None = None) -> Captured:
    """The float program of a model.py or .pt2, and its data; `wishes` stand for its `precision`."""
    return _capture_exported(file) if file.suffix == ".pt2" else _capture_model(file, wishes)


def _write(
    folder: Path,
    exported: "ExportedProgram",
    quantized: "ExportedProgram",
    state: Inputs,
    vectors: dict[str, npz.Array],
    info: dict[str, Any],
) -> None:
    from mcu_build.frontend.store import save

    save(exported, folder / "model.pt2")
    save(quantized, folder / "quantized.pt2")
    npz.save(folder / "vectors.npz", vectors)
    npz.save(folder / "state.npz", {f"state_{i}": _numpy(value) for i, value in enumerate(state)})
    (folder / "info.json").write_text(json.dumps(info))


def _streamed(
    file: Path,
    captured: Captured,
    quantized: "ExportedProgram",
    vectors: dict[str, npz.Array],
    labels: Sequence[Any],
    folder: Path,
) -> tuple[dict[str, Any], tuple["ExportedProgram", Inputs], dict[str, npz.Array]]:
    """The quantized program step by step: what it is, the program with its first state, and its vectors.

    The program over whole recordings is kept as recording.pt2, to be compared with.
    """
    from mcu_build.frontend.store import save
    from mcu_build.frontend.stream import recordings, to_stream
    from mcu_build.lower.upstream import quiet

    save(quantized, folder / "recording.pt2")
    examples = [given for _, given in islice(_steps(vectors), 2)]
    if len(examples) == 1:
        examples.append(tuple(tensor.flip(0) + 1 for tensor in examples[0]))
    with about(file), quiet():
        made = to_stream(quantized, captured.stream, examples)
    cut = recordings.cut(file, vectors, labels, made, captured.stream)
    described = recordings.describe(made, captured.stream, captured.latency)
    return described, (made.program, made.state), cut


def _check_stream(file: Path, captured: Captured) -> None:
    """McuError where a model has no steps, before anything is calibrated."""
    from mcu_build.frontend.stream import check_stream
    from mcu_build.lower.upstream import quiet

    if captured.state:
        raise McuError(
            f"{file}: stream: the model keeps state itself, in buffers that `forward` writes",
            "A model that is trained on whole recordings has none: leave `stream` or the buffers out.",
        )
    with about(file), quiet():
        check_stream(captured.exported, captured.stream)


def _shorten_traces(program: "ExportedProgram", base: Path) -> None:
    """Stack traces without the place of the project: copies of it share what is kept."""
    import torch

    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                if trace := node.meta.get("stack_trace"):
                    node.meta["stack_trace"] = without_folders(trace, base)


def _quantize(
    captured: Captured,
    npu_kind: str | None,
    examples: "Callable[[], Iterable[Inputs]]",
    progress: _Progress,
) -> "Quantized":
    bits = captured.activation_bits
    calibration = _counted(calibration_calls(captured), progress)
    if npu_kind is None:
        from mcu_build.frontend.quantize import quantize_layers

        return quantize_layers(captured.exported, calibration, examples)
    from mcu_build.lower.given import is_marked
    from mcu_build.lower.upstream import quiet

    if is_marked(captured.exported):
        raise McuError(
            "the model is quantized already: its scales are kept by the kernels of the core only",
            "Give --npu none, or the float model.",
        )
    with quiet():
        from mcu_build.frontend.quantize_npu import quantize_for_npu

    return quantize_for_npu(captured.exported, calibration, npu_kind, bits, examples, progress.step)


def _counted(items: "Iterable[Inputs]", progress: _Progress) -> "Iterator[Inputs]":
    for number, item in enumerate(items, 1):
        progress.step(f"calibration item {number}")
        yield item
    progress.step("rounding")


def calibration_calls(captured: Captured) -> "Iterable[Inputs]":
    """The inputs of every call, with the state that it meets."""
    from mcu_build.frontend.state import with_state

    return with_state(captured.calibration, _stepper(captured))


def _stepper(captured: Captured) -> "Stepper":
    from mcu_build.frontend.state import Stepper

    return Stepper(captured.exported.module(check_guards=False), captured.state)


def _capture_model(file: Path, wishes: Mapping[str, str] | None) -> Captured:
    from mcu_build.frontend.model_file import load

    model = load(file)
    # In plain PyTorch, before executorch is imported: what is wrong with a model shows seconds earlier.
    from mcu_build.frontend.first_call import call_once
    from mcu_build.lower.upstream import quiet

    first = call_once(model)
    with quiet():
        from mcu_build.frontend.capture import capture
        from mcu_build.frontend.state import lift_state

    exported, state = lift_state(capture(model, first))
    usual = precision.INT16 if model.activation_bits == 16 else precision.INT8
    wishes = model.precision if wishes is None else wishes
    precision.apply(exported, wishes, file, usual)
    warnings = list(model.warnings)
    if model.calibration is None:
        warnings.append(
            f"{file}: no `calibration`: int8 ranges come from example_inputs and random variations of them, "
            "and accuracy will suffer. Add `calibration`, an iterable of typical inputs."
        )
    calibration = model.calibration() if model.calibration else _only_inputs(model.example_inputs, exported)
    evaluation: Iterator[Any]
    if model.evaluation is not None:
        evaluation = model.evaluation()
    elif model.calibration is not None:
        evaluation = (_unlabelled(item) for item in model.calibration())
    else:
        evaluation = _around(model.example_inputs, exported)
    return Captured(
        exported,
        state,
        _sequences(calibration),
        _sequences(evaluation),
        warnings,
        model.observed,
        model.activation_bits,
        model.stream,
        model.latency,
        wishes,
        model.metric,
        model.place,
    )


def _sequences(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists are sequences of calls as they are; calls that stand alone follow one another in a sequence."""
    for is_list, group in groupby(items, key=lambda item: isinstance(item, list)):
        if is_list:
            yield from group
        else:
            yield group  # type: ignore[misc]


def _unlabelled(item: Any) -> Any:
    return [(call, None) for call in item] if isinstance(item, list) else (item, None)


def _capture_exported(file: Path) -> Captured:
    from mcu_build.lower.upstream import quiet

    with quiet():
        from mcu_build.frontend.capture import load_exported
        from mcu_build.frontend.state import lift_state
        from mcu_build.lower.given import has_scales

    exported, state = lift_state(load_exported(file))
    example = exported.example_inputs
    if example is None:
        raise McuError(
            f"{file}: it holds no example inputs", "Save what torch.export.export returned, whole."
        )
    warning = f"{file}: a .pt2 has no calibration data: " + (
        "its scales are kept, and what it is tried on are random variations of its example inputs."
        if has_scales(exported)
        else "int8 ranges come from its example inputs and random variations of them, and accuracy will "
        "suffer. Give a model.py with `calibration` instead."
    )
    inputs: Inputs = example[0][: len(example[0]) - len(state)]
    calibration, evaluation = (
        _sequences(_only_inputs(inputs, exported)),
        _sequences(_around(inputs, exported)),
    )
    return Captured(
        exported, state, calibration, evaluation, [warning], lambda: Dependencies((file.resolve(),))
    )


def _only_inputs(example: Inputs, exported: "ExportedProgram") -> Iterator[Inputs]:
    """Stands in for calibration data. Example inputs alone are often zeros, which say nothing of ranges."""
    return (inputs for inputs, _ in _around(example, exported))


def _around(example: Inputs, exported: "ExportedProgram") -> Iterator[tuple[Inputs, None]]:
    """The example inputs, then seeded variations of them: floats scaled and shifted, integers shuffled.

    Where the model cannot take those (indices into tables of different lengths, roots of what is below zero),
    floats stay in the example's range, and integers as they are.
    """
    import torch

    dice = torch.Generator().manual_seed(0)

    def vary(tensor: "torch.Tensor") -> "torch.Tensor":
        if tensor.dtype.is_floating_point:
            spread = tensor.std().nan_to_num() if tensor.numel() > 1 else tensor.abs().mean()
            noise = torch.randn(tensor.shape, generator=dice).clone(memory_format=torch.preserve_format)
            return tensor + noise * (spread if spread > 0 else 1.0) * 0.5
        order = torch.randperm(tensor.numel(), generator=dice)
        return tensor.reshape(-1)[order].reshape(tensor.shape)

    yield example, None
    takes = _takes(exported) if any(map(_is_special, example)) else None
    for _ in range(_MADE_UP - 1):
        varied = tuple(vary(tensor) for tensor in example)
        if takes and not takes(varied):
            varied = tuple(_like(given, made) for given, made in zip(example, varied, strict=True))
        yield varied, None


def _is_special(tensor: "torch.Tensor") -> bool:
    """Whether not every number may be meant by it: integers, and floats that are never below zero."""
    return not tensor.dtype.is_floating_point or (bool(tensor.any()) and float(tensor.min()) >= 0)


def _like(given: "torch.Tensor", made: "torch.Tensor") -> "torch.Tensor":
    return made.clamp(given.min(), given.max()) if made.dtype.is_floating_point else given


def _takes(exported: "ExportedProgram") -> Callable[[Inputs], bool]:
    """Whether the model can be called with some inputs, in its initial state, and gives numbers."""
    import torch
    from torch.utils import _pytree

    module, given = exported.module(check_guards=False), exported.example_inputs
    assert given is not None

    def takes(inputs: Inputs) -> bool:
        try:
            with torch.no_grad():
                found = module(*inputs, *given[0][len(inputs) :])
        except (IndexError, RuntimeError):
            return False
        floats = [one for one in _pytree.tree_leaves(found) if one.dtype.is_floating_point]
        return all(bool(one.isfinite().all()) for one in floats)

    return takes


def float_vectors(file: Path, captured: Captured, labels: list[Label]) -> dict[str, npz.Array]:
    """input_0 ..., float_0 ... (what the float model gives) and, where every vector has one, labels.

    With state also `sequence`, the number of the sequence that each vector belongs to; the labels then may be
    of some calls only, the others are UNLABELLED. `labels` is filled with them as they are given.
    """
    import torch

    stepper = _stepper(captured)
    inputs: list[list[npz.Array]] = []
    outputs: list[list[npz.Array]] = []
    numbers: list[int] = []
    with torch.no_grad():
        for number, sequence in enumerate(captured.vectors):
            stepper.reset()
            for given, label in sequence:
                inputs.append([_numpy(tensor) for tensor in given])
                outputs.append([_numpy(tensor) for tensor in stepper.step(given)])
                labels.append(label)
                numbers.append(number)
    if not inputs:
        raise McuError(
            f"{file}: evaluation: it holds no item", "Give (inputs, label) pairs, or leave it out."
        )
    _check_outputs(file, outputs, captured.warnings, lambda: _nan_place(captured, inputs[0]))
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
    found = [np.asarray(labels[index]) for index in known]
    if not found:
        raise McuError(
            f"{file}: metric: no item of `evaluation` has a label", "Add them, or leave metric out."
        )
    shapes = {one.shape for one in found}
    if len(shapes) > 1:
        sizes = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise McuError(f"{file}: evaluation: labels of shapes {sizes}", "Labels are of one shape.")
    return {"targets": np.stack(found), "target_vectors": np.array(known), "metric": np.array(metric)}


def _nan_place(captured: Captured, inputs: Sequence[npz.Array]) -> str:
    """The layer in which the first NaN appears, for one vector."""
    import torch

    from mcu_build.frontend.not_finite import first_not_finite

    module = captured.exported.module(check_guards=False)
    return first_not_finite(module, [*map(torch.from_numpy, inputs), *captured.state])


def _steps(vectors: dict[str, npz.Array]) -> Iterator[tuple[bool, Inputs]]:
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
    stepper = _stepper(captured)
    for begins, given in _steps(vectors):
        if begins:
            stepper.reset()
        yield (*given, *stepper.state)
        stepper.advance(given)


def judged(program: "ExportedProgram") -> int:
    """Over how many vectors a program is judged: about as many as compute `_MOST_ELEMENTS` together."""
    values = (node.meta.get("val") for node in program.graph.nodes if node.op == "call_function")
    elements = sum(int(value.numel()) for value in values if hasattr(value, "numel"))
    return max(_FEWEST, min(_JUDGED, _MOST_ELEMENTS // max(elements, 1)))


def _quality(
    captured: Captured, quantized: "ExportedProgram", vectors: dict[str, npz.Array]
) -> tuple[Quality, ...]:
    """The int8 program against the float model, over the first vectors."""
    found = outputs_of(captured, quantized.module(check_guards=False), vectors, judged(quantized))
    return judge([array[: len(found[0])] for array in npz.numbered(vectors, "float")], found)


def outputs_of(
    captured: Captured, module: "torch.nn.Module", vectors: dict[str, npz.Array], count: int
) -> list[npz.Array]:
    """What a module that computes the captured program gives for the first vectors: an array an output."""
    import torch

    from mcu_build.frontend.state import Stepper
    from mcu_build.lower.upstream import quiet

    stepper = Stepper(module, captured.state)
    rows = []
    with quiet(), torch.no_grad():
        for begins, given in islice(_steps(vectors), count):
            if begins:
                stepper.reset()
            rows.append([_numpy(tensor) for tensor in stepper.step(given)])
    return [np.stack([row[index] for row in rows]) for index in range(len(rows[0]))]


def _check_outputs(
    file: Path, outputs: list[list[npz.Array]], warnings: list[str], nan_place: Callable[[], str]
) -> None:
    """McuError where an output is never a number, a warning where only some vectors give NaN."""
    for index in range(len(outputs[0])):
        rows = [row[index] for row in outputs]
        lost = sum(bool(np.isnan(row).any()) for row in rows if row.dtype.kind == "f")
        if lost == len(rows) and all(np.isnan(row).all() for row in rows):
            raise McuError(
                f"{file}: model: output {index} is NaN for every input, in PyTorch already"
                f"{f', first in {where}' if (where := nan_place()) else ''}",
                "Its operands there are finite: is it a logarithm, a root or a quotient?",
            )
        if lost:
            warnings.append(f"{file}: model: output {index} holds NaN for {lost} of {len(rows)} inputs.")


def _numpy(tensor: "torch.Tensor") -> npz.Array:
    # Not by ascontiguousarray, which gives a number without dimensions one.
    made: npz.Array = tensor.detach().contiguous().numpy()
    return made
