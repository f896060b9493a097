"""A model file run once: the float program with the data that came with it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.dependencies import Dependencies
from mcu_build.errors import McuError
from mcu_build.frontend import precision
from mcu_build.frontend.rounded import warn_saved
from mcu_build.vectors import npz

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram


# Vectors that are made up around the example inputs where there is neither evaluation nor calibration.
_MADE_UP = 16


Inputs = tuple["torch.Tensor", ...]


# A class, those of a recording's steps, or None.
Label = int | tuple[int | None, ...] | npz.Array | None


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


def capture_file(file: Path, wishes: Mapping[str, str] | None = None) -> Captured:
    """The float program of a model.py or .pt2, and its data; `wishes` stand for its `precision`."""
    return _capture_exported(file) if file.suffix == ".pt2" else _capture_model(file, wishes)


def _capture_model(file: Path, wishes: Mapping[str, str] | None) -> Captured:
    from mcu_build.frontend.model_file import load

    model = load(file)
    # In plain PyTorch, before executorch is imported: what is wrong with a model shows seconds earlier.
    from mcu_build.frontend.first_call import call_once
    from mcu_build.lower.upstream.quiet import quiet

    first = call_once(model)
    with quiet():
        from mcu_build.frontend.capture import capture
        from mcu_build.frontend.same_answers import check_answers
        from mcu_build.frontend.state import lift_state

    exported, state = lift_state(capture(model, first))
    if not state:
        check_answers(model, exported, _other(model.example_inputs, exported))
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
    from mcu_build.lower.upstream.quiet import quiet

    with quiet():
        from mcu_build.frontend.capture import load_exported, rounded_weights
        from mcu_build.frontend.state import lift_state
        from mcu_build.lower.annotate.given import has_scales

    loaded = load_exported(file)
    rounded = rounded_weights(loaded)
    exported, state = lift_state(loaded)
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
    warnings = [warning, *([warn_saved(file, rounded)] if rounded else [])]
    return Captured(
        exported, state, calibration, evaluation, warnings, lambda: Dependencies((file.resolve(),))
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
            varied = tuple(_like(original, made) for original, made in zip(example, varied, strict=True))
        yield varied, None


def _other(example: Inputs, exported: "ExportedProgram") -> Inputs:
    """Inputs that the model can take, unlike its example inputs."""
    return next(islice(_only_inputs(example, exported), 1, None))


def _is_special(tensor: "torch.Tensor") -> bool:
    """Whether not every number may be meant by it: integers, and floats that are never below zero."""
    return not tensor.dtype.is_floating_point or (bool(tensor.any()) and float(tensor.min()) >= 0)


def _like(original: "torch.Tensor", made: "torch.Tensor") -> "torch.Tensor":
    return made.clamp(original.min(), original.max()) if made.dtype.is_floating_point else original


def _takes(exported: "ExportedProgram") -> Callable[[Inputs], bool]:
    """Whether the model can be called with some inputs, in its initial state, and gives numbers."""
    import torch
    from torch.utils import _pytree

    module, examples = exported.module(check_guards=False), exported.example_inputs
    assert examples is not None

    def takes(inputs: Inputs) -> bool:
        try:
            with torch.no_grad():
                result = module(*inputs, *examples[0][len(inputs) :])
        except (IndexError, RuntimeError):
            return False
        floats = [leaf for leaf in _pytree.tree_leaves(result) if leaf.dtype.is_floating_point]
        return all(bool(value.isfinite().all()) for value in floats)

    return takes
