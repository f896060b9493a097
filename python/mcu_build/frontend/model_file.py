"""The user's model file: run it, find the model and its inputs in it, and check them.

docs/model-file.md is the contract. torch is imported by what needs it, not by importing this module.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcu_build.dependencies import Dependencies
from mcu_build.errors import McuError
from mcu_build.frontend import precision
from mcu_build.frontend.labels import labels_at_hand
from mcu_build.frontend.model_data import (
    Calls,
    Example,
    Inputs,
    LabelledCalls,
    calibration,
    check_numbers,
    evaluation,
)
from mcu_build.frontend.names import model_name, suffix_hint
from mcu_build.frontend.nested import Nested, fixed, leaves
from mcu_build.frontend.rounded import keep_rounded
from mcu_build.frontend.surroundings import Surroundings
from mcu_build.frontend.values import described, dtype_name, kind_of, not_dense
from mcu_build.frontend.weights import check_weights
from mcu_build.quality.metrics import NAMES, OWN

if TYPE_CHECKING:
    import torch

_MODEL_NAMES = ("model", "ModelUnderTest")
_INPUT_NAMES = ("example_inputs", "ModelInputs")
_CONTRACT = "docs/model-file.md describes a model file; `mcu-build new` writes one."
_INPUTS_HINT = (
    "Write, for example, `example_inputs = (torch.zeros(1, 1, 28, 28),)`; keyword arguments are a dictionary."
)
_NUMBER_HINT = (
    "A number that is the same in every call: leave it out, and give that argument of `forward` a default. "
    "One that changes: a tensor, as in `torch.tensor(0.5)`."
)
_MODEL_HINT = "A model is an nn.Module, or a function without arguments that returns one."
# Element types that firmware has; the names are torch's.
_DTYPES = ("float32", "uint8", "int8", "int16", "int32", "int64", "bool")


@dataclass(frozen=True)
class Model:
    """A model file that was run and checked.

    `model` is in evaluation mode. `calibration` and `evaluation` start the file's own from the beginning at
    every call. `path` is as it was given. `activation_bits`, 8 or 16, are for what an NPU takes, `precision`
    for layers by name (precision.py). `stream` are axes of time by the index of their input, empty where the
    model is called as it is; `latency` the samples of input by which its outputs may come later.
    `labels` are those of a list, known beforehand. `place` names memories for layers (plan/memory).
    """

    name: str
    path: Path
    model: "torch.nn.Module"
    example_inputs: Inputs
    calibration: Callable[[], Iterator[Calls]] | None
    evaluation: Callable[[], Iterator[LabelledCalls]] | None
    surroundings: Surroundings
    activation_bits: int = 8
    precision: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    stream: Mapping[int, int] = field(default_factory=dict)
    latency: int = 0
    labels: tuple[int | None, ...] = ()
    place: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def dependencies(self) -> tuple[Path, ...]:
        """What was read so far on the file's behalf, itself included; calibration may read more."""
        return self.surroundings.recorder.files

    def observed(self) -> Dependencies:
        """All that the file depended on so far. McuError where a source was changed since it was read."""
        return self.surroundings.recorder.dependencies


def load(path: Path) -> Model:
    """Run the model file `path` and check what is in it. McuError names the file, the key and the mistake."""
    if not path.exists():
        raise McuError(f"{path}: no such file", "`mcu-build new` writes a starter model.")
    if path.is_dir():
        raise McuError(
            f"{path}: a folder, not a model file", f"Give {path / 'model.py'} if that is the model."
        )
    if path.suffix != ".py":
        raise McuError(f"{path}: not a model file", suffix_hint(path))
    surroundings = Surroundings(path)
    names = vars(surroundings.run())
    model = _model(surroundings, names)
    example = _example_inputs(surroundings, names, model)
    warnings = keep_rounded(path, model)
    check_weights(path, model)
    metric = _metric(path, names)
    return Model(
        name=model_name(path),
        path=path,
        model=model,
        example_inputs=example.tensors,
        calibration=calibration(surroundings, names, example),
        evaluation=evaluation(surroundings, names, example, metric),
        stream=_stream(path, names, model, example.tensors),
        latency=_latency(path, names),
        labels=() if metric else labels_at_hand(names.get("evaluation")),
        surroundings=surroundings,
        activation_bits=_activation_bits(path, names),
        precision=precision.read(path, names),
        metric=metric,
        place=_place(path, names),
        warnings=warnings,
    )


def _place(path: Path, names: dict[str, Any]) -> tuple[str, ...]:
    """Memories for layers by name, as the command has them."""
    place = names.get("place", {})
    words = [word for pair in place.items() for word in pair] if isinstance(place, Mapping) else [None]
    if not all(isinstance(word, str) and word and "=" not in word for word in words):
        raise McuError(
            f"{path}: place: {place!r} is no dictionary of layers and memories",
            'Write, for example, `place = {"features.0": "dtcm"}` (docs/memory.md).',
        )
    return tuple(f"{layer}={memory}" for layer, memory in place.items())


def _activation_bits(path: Path, names: dict[str, Any]) -> int:
    bits = names.get("activation_bits", 8)
    if isinstance(bits, bool) or bits not in (8, 16):
        raise McuError(
            f"{path}: activation_bits: {bits!r}, not 8 or 16",
            "16 gives activations of 16 bits, on every core; 8 is usual.",
        )
    return int(bits)


def _metric(path: Path, names: dict[str, Any]) -> str | None:
    """The name of the metric, OWN for a function of the file's; None for the share of right classes."""
    metric = names.get("metric")
    hint = f"Name one of top1, {', '.join(NAMES)}, or define `def metric(outputs, labels)`."
    if metric is None or metric == "top1":
        return None
    if not callable(metric) and metric not in NAMES:
        raise McuError(f"{path}: metric: {metric!r} is none", hint)
    if names.get("stream") is not None:
        raise McuError(f"{path}: metric: a model with `stream` has classes only", "Leave metric out.")
    if names.get("evaluation") is None:
        raise McuError(
            f"{path}: metric: there is no `evaluation` with labels", "Add it, or leave metric out."
        )
    return OWN if callable(metric) else str(metric)


def own_metric(path: Path) -> Callable[[Sequence[Any], Any], float]:
    """The function `metric` of a model file, which is run again. It takes the outputs as a list of arrays
    [vectors, ...] in real numbers, and the labels as one array. McuError for what it raises."""
    surroundings = Surroundings(path)
    function = vars(surroundings.run())["metric"]

    def measure(outputs: Sequence[Any], targets: Any) -> float:
        with surroundings.active(), surroundings.explain("metric"):
            value = function(list(outputs), targets)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            what = f"{path}: metric: {kind_of(value)}, not a number"
            raise McuError(what, "Return one number, such as the mean; higher is better.") from error

    return measure


def _stream(
    path: Path, attributes: dict[str, Any], model: "torch.nn.Module", example: Inputs
) -> Mapping[int, int]:
    """`stream = {"x": 2}`: the axis of time of an input, by its name in `forward` or its index."""
    wish = attributes.get("stream")
    if wish is None:
        return {}
    hint = 'Write, for example, `stream = {"x": 2}`: the input x of `forward`, its dimension 2 is time.'
    if not isinstance(wish, Mapping) or not wish:
        raise McuError(f"{path}: stream: {kind_of(wish)}, not a dictionary of inputs and their axis", hint)
    names = list(inspect.signature(model.forward).parameters)
    axes = {}
    for key, axis in wish.items():
        index = names.index(key) if key in names else key
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(example):
            raise McuError(f"{path}: stream: no input {key!r}: there are {', '.join(names)}", hint)
        rank = example[index].dim()
        if isinstance(axis, bool) or not isinstance(axis, int) or not -rank <= axis < rank:
            raise McuError(f"{path}: stream: {key!r}: axis {axis!r} of {described((example[index],))}", hint)
        axes[index] = axis % rank
        if example[index].shape[axis] < 2:
            raise McuError(
                f"{path}: stream: {key!r}: a recording of one sample",
                "example_inputs hold a whole recording, as in training: steps are cut out of it.",
            )
    return axes


def _latency(path: Path, names: dict[str, Any]) -> int:
    value = names.get("latency", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise McuError(f"{path}: latency: {value!r}, not a number of samples", "Leave it out for none.")
    if value and "stream" not in names:
        raise McuError(f"{path}: latency: only a model with `stream` can be late", "Leave it out.")
    return value


def _model(surroundings: Surroundings, names: dict[str, Any]) -> "torch.nn.Module":
    import torch
    from torch import nn

    path = surroundings.path
    key = _defined(names, _MODEL_NAMES)
    if key is None:
        there = [name for name in (*_INPUT_NAMES, "calibration", "evaluation") if name in names]
        raise McuError(
            f"{path}: model: not defined (looked for {' and '.join(_MODEL_NAMES)}"
            + (f"; the file has {', '.join(there)})" if there else ")"),
            _missing_hint(path, [name for name, value in names.items() if isinstance(value, nn.Module)]),
        )
    model = names[key]
    if not isinstance(model, torch.export.ExportedProgram):
        model = _called(surroundings, key, model, unless=nn.Module)
    if not isinstance(model, nn.Module):
        raise McuError(f"{path}: {key}: {kind_of(model)}, not an nn.Module", _model_hint(model))
    return _in_evaluation_mode(_unwrapped(path, key, model))


def _missing_hint(path: Path, modules: Sequence[str]) -> str:
    """What to do in a file without a model, in which `modules` are nn.Modules."""
    if modules:
        return f"Write `model = {modules[-1]}`. {_CONTRACT}"
    if "__main__" in path.read_text(errors="replace"):
        return (
            "Write `model = MyNet()` above `if __name__ == '__main__'`: what stands below it does not run "
            f"here. {_CONTRACT}"
        )
    return f"Write `model = MyNet()`, an nn.Module or a function that returns one. {_CONTRACT}"


def _model_hint(value: Any) -> str:
    """What to do with what was given for a model."""
    import torch

    if isinstance(value, Mapping) and any(isinstance(item, torch.Tensor) for item in value.values()):
        return "These are weights: make the model that they are of, `model = MyNet()`, and load them into it."
    if isinstance(value, torch.export.ExportedProgram):
        return "Give its `.module()`, or the .pt2 that torch.export.save makes of it in place of the .py."
    return _MODEL_HINT


def _in_evaluation_mode(model: "torch.nn.Module") -> "torch.nn.Module":
    try:
        return model.eval()
    except NotImplementedError:
        # What PT2E's convert gives is exported already, and refuses to change its mode that way.
        from torchao.quantization.pt2e import move_exported_model_to_eval

        moved: torch.nn.Module = move_exported_model_to_eval(model)
        return moved


def _unwrapped(path: Path, key: str, model: "torch.nn.Module") -> "torch.nn.Module":
    """The module itself, behind what torch.compile and DataParallel put around it."""
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            layer = f" {name!r} in it" if name else ""
            raise McuError(
                f"{path}: {key}: a TorchScript module{layer}",
                "Give the nn.Module that it was made from, with its weights.",
            )
    inner = getattr(model, "_orig_mod", None)
    if inner is None and isinstance(model, torch.nn.DataParallel):
        inner = model.module
    return inner if isinstance(inner, torch.nn.Module) else model


def _example_inputs(surroundings: Surroundings, names: dict[str, Any], model: "torch.nn.Module") -> Example:
    """The tensors of one call. A model that takes them in another form than one by one is given a `forward`
    that takes them so.
    """
    import torch

    path = surroundings.path
    key = _defined(names, _INPUT_NAMES)
    if key is None:
        raise McuError(f"{path}: example_inputs: not defined", _INPUTS_HINT)
    value = _called(surroundings, key, names[key], unless=torch.Tensor)
    if not isinstance(value, tuple | Mapping):
        raise McuError(f"{path}: {key}: {kind_of(value)}, not a tuple of tensors", _INPUTS_HINT)
    if not value:
        raise McuError(
            f"{path}: {key}: an empty {type(value).__name__}: the model needs an input", _INPUTS_HINT
        )
    if isinstance(value, tuple) and all(isinstance(item, torch.Tensor) for item in value):
        for index, tensor in enumerate(value):
            _check_tensor(f"{path}: {key}[{index}]", tensor)
        return Example(tuple(tensor.contiguous() for tensor in value))
    nested = Nested.of(model, dict(value) if isinstance(value, Mapping) else value)
    found_leaves = list(leaves(nested.example))
    for where, leaf in found_leaves:
        if not fixed(leaf):
            _check_tensor(f"{path}: {key}{where if where.startswith('[') else f'.{where}'}", leaf)
    if all(fixed(leaf) for _, leaf in found_leaves):
        raise McuError(f"{path}: {key}: it holds no tensor", _INPUTS_HINT)
    nested.attach(model)
    return Example(tuple(tensor.contiguous() for tensor in nested.tensors(nested.example)), nested)


def _check_tensor(where: str, tensor: Any) -> None:
    import torch

    if not isinstance(tensor, torch.Tensor):
        hint = _NUMBER_HINT if isinstance(tensor, int | float) else _INPUTS_HINT
        raise McuError(f"{where}: {kind_of(tensor)}, not a tensor", hint)
    dtype = dtype_name(tensor)
    if dtype not in _DTYPES:
        raise McuError(
            f"{where}: element type {dtype} cannot be built for a microcontroller",
            f"Use float32 (`.float()`), or one of {', '.join(_DTYPES[1:])}.",
        )
    kind = not_dense(tensor)
    if kind or tensor.device.type != "cpu":
        raise McuError(
            f"{where}: {kind or 'a tensor'} on {tensor.device}",
            "Use dense tensors on the CPU.",
        )
    if tensor.numel() == 0:
        raise McuError(f"{where}: empty, of shape {list(tensor.shape)}", _INPUTS_HINT)
    check_numbers(where, tensor)


def _defined(values: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if values.get(name) is not None), None)


def _called(surroundings: Surroundings, key: str, value: Any, unless: type) -> Any:
    """What a function returns; anything else, and what is of type `unless`, as it is."""
    if isinstance(value, unless) or not callable(value):
        return value
    if needed := _needed_arguments(value):
        raise McuError(
            f"{surroundings.path}: {key}: {kind_of(value)}, which needs {', '.join(needed)}",
            f"Call it, `{key} = {getattr(value, '__name__', key)}(...)`, or give one without arguments.",
        )
    with surroundings.active(), surroundings.explain(key):
        return value()


def _needed_arguments(function: Any) -> list[str]:
    """Arguments without which a function or a class cannot be called."""
    try:
        declared = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in declared
        if parameter.default is parameter.empty and parameter.kind not in optional
    ]
