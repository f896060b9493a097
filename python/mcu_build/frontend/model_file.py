"""The user's model file: run it, find the model and its inputs in it, and check them.

docs/model-file.md is the contract. torch is imported by what needs it, not by importing this module.
"""

import contextlib
import importlib.util
import inspect
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from mcu_build.errors import McuError
from mcu_build.frontend import precision
from mcu_build.frontend.dependencies import Dependencies, Recorder, is_users_file, note_names
from mcu_build.frontend.labels import labels_at_hand
from mcu_build.frontend.names import model_name
from mcu_build.metrics import NAMES, OWN

if TYPE_CHECKING:
    import torch

Inputs = tuple["torch.Tensor", ...]
# The inputs of one call and the right class, or None where there is none to know. A recording that is
# streamed may have a class for each of its steps.
# With `metric`: an array of numbers.
Label = int | tuple[int | None, ...] | np.ndarray[Any, Any] | None
Labelled = tuple[Inputs, Label]
# An item of `calibration` or `evaluation`: one call, or a list of the calls of a sequence (state).
Calls = Inputs | list[Inputs]
LabelledCalls = Labelled | list[Labelled]

_MODEL_NAMES = ("model", "ModelUnderTest")
_INPUT_NAMES = ("example_inputs", "ModelInputs")
_CONTRACT = "docs/model-file.md describes a model file; `mcu-build new` writes one."
_INPUTS_HINT = "Write, for example, `example_inputs = (torch.zeros(1, 1, 28, 28),)`."
# Element types that firmware has; the names are torch's.
_DTYPES = ("float32", "uint8", "int8", "int16", "int32", "int64", "bool")


@dataclass(frozen=True)
class Model:
    """A model file that was run and checked.

    `model` is in evaluation mode. `calibration` and `evaluation` start the file's own from the beginning at
    every call. `path` is as it was given. `activation_bits`, 8 or 16, are for what an NPU takes, `precision`
    for layers by name (precision.py). `stream` are axes of time by the index of their input, empty where the
    model is called as it is; `latency` the samples of input by which its outputs may come later.
    `labels` are those of a list, known beforehand.
    """

    name: str
    path: Path
    model: "torch.nn.Module"
    example_inputs: Inputs
    calibration: Callable[[], Iterator[Calls]] | None
    evaluation: Callable[[], Iterator[LabelledCalls]] | None
    surroundings: "Surroundings"
    activation_bits: int = 8
    precision: Mapping[str, str] = field(default_factory=dict)
    metric: str | None = None
    stream: Mapping[int, int] = field(default_factory=dict)
    latency: int = 0
    labels: tuple[int | None, ...] = ()

    @property
    def dependencies(self) -> tuple[Path, ...]:
        """What was read so far on the file's behalf, itself included; calibration may read more."""
        return self.surroundings.recorder.files

    def observed(self) -> Dependencies:
        """All that the file depended on so far. McuError where a source was changed since it was read."""
        return self.surroundings.recorder.dependencies


class Surroundings:
    """Where code of a model file runs: its folder on sys.path, its helper modules its own, reads recorded.

    What it prints goes to stderr, since stdout is for data. Compiled modules are not written, so that a
    helper edited twice in one second is not mistaken for its older self.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = str(path.resolve().parent)
        self.recorder = Recorder()
        self._modules: dict[str, ModuleType] = {}
        # Modules that others imported from this folder, such as another model's helpers.
        self._strangers = [
            name
            for name, module in sys.modules.copy().items()
            if name != "__main__" and any(self._has(path) for path in _paths(module)) and _is_users(module)
        ]

    def _has(self, path: str) -> bool:
        return path.startswith(self.folder + os.sep)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Run the block there, and leave the interpreter as it was."""
        hidden = {name: sys.modules.pop(name) for name in self._strangers if name in sys.modules}
        search, writes = list(sys.path), sys.dont_write_bytecode
        sys.modules.update(self._modules)
        before = sys.modules.keys() - self._modules.keys()
        sys.path.insert(0, self.folder)
        sys.dont_write_bytecode = True
        with self.recorder.active(), contextlib.redirect_stdout(sys.stderr):
            try:
                yield
            finally:
                sys.path[:] = search
                sys.dont_write_bytecode = writes
                self._take(sys.modules.keys() - before)
                sys.modules.update(hidden)

    def _take(self, names: Iterable[str]) -> None:
        """Move the user's modules among `names` out of the interpreter."""
        for name in names:
            module = sys.modules[name]
            if _is_users(module):
                if name not in self._modules:
                    for path in _paths(module):
                        note_names(Path(path))
                self._modules[name] = sys.modules.pop(name)

    def run(self) -> ModuleType:
        """Run the file as a module. McuError for what is wrong with it, naming the line."""
        name = f"_mcu_build_model_{model_name(self.path)}"
        file = str(self.path.resolve())
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        importlib.invalidate_caches()
        with self.active(), self.explain(""):
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            _seed()
            exec(self._compile(Path(file)), vars(module))
        return module

    def iterate(self, key: str, source: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        """Items of `source`, each made there; what raises is told as a mistake under `key`."""
        with self.active(), self.explain(key):
            _seed()
            items = iter(source())
        while True:
            with self.active(), self.explain(key):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    @contextlib.contextmanager
    def explain(self, key: str) -> Iterator[None]:
        """Turn what the file's code raises into an McuError that names the line of the file."""
        try:
            yield
        except McuError:
            raise
        except (Exception, SystemExit) as error:
            line = self._line(error)
            where = ": ".join(part for part in (str(self.path), key, f"line {line}" if line else "") if part)
            text = str(error).strip().split("\n")[0]
            raise McuError(
                f"{where}: {type(error).__name__}" + (f": {text}" if text else ""), _advice(error)
            ) from error

    def _line(self, error: BaseException) -> int | None:
        """The last line of the file on the way to where `error` was raised."""
        found, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == str(self.path.resolve()):
                found = trace.tb_lineno
            trace = trace.tb_next
        return found

    def _compile(self, file: Path) -> CodeType:
        try:
            return compile(file.read_bytes(), file, "exec", dont_inherit=True)
        except SyntaxError as error:
            # The file itself, or a helper would have been imported when it ran.
            where = f"line {error.lineno}: " if error.lineno else ""
            raise McuError(f"{self.path}: {where}{error.msg}", "Correct the Python in it.") from error
        except ValueError as error:
            raise McuError(f"{self.path}: not Python: {error}", "A model file is Python source.") from error


def load(path: Path) -> Model:
    """Run the model file `path` and check what is in it. McuError names the file, the key and the mistake."""
    if not path.exists():
        raise McuError(f"{path}: no such file", "`mcu-build new` writes a starter model.")
    if path.is_dir():
        raise McuError(
            f"{path}: a folder, not a model file", f"Give {path / 'model.py'} if that is the model."
        )
    if path.suffix != ".py":
        raise McuError(f"{path}: not a model file", "A model is a file ending in .py, .pt2 or .pte.")
    surroundings = Surroundings(path)
    found = vars(surroundings.run())
    model = _model(surroundings, found)
    example_inputs = _example_inputs(surroundings, found)
    _check_weights(path, model)
    metric = _metric(path, found)
    return Model(
        name=model_name(path),
        path=path,
        model=model,
        example_inputs=example_inputs,
        calibration=_calibration(surroundings, found, example_inputs),
        evaluation=_evaluation(surroundings, found, example_inputs, metric),
        stream=_stream(path, found, model, example_inputs),
        latency=_latency(path, found),
        labels=() if metric else labels_at_hand(found.get("evaluation")),
        surroundings=surroundings,
        activation_bits=_activation_bits(path, found),
        precision=precision.read(path, found),
        metric=metric,
    )


def _activation_bits(path: Path, found: dict[str, Any]) -> int:
    bits = found.get("activation_bits", 8)
    if isinstance(bits, bool) or bits not in (8, 16):
        raise McuError(
            f"{path}: activation_bits: {bits!r}, not 8 or 16", "16 is for what an Ethos-U takes; 8 is usual."
        )
    return int(bits)


def _metric(path: Path, found: dict[str, Any]) -> str | None:
    """The name of the metric, OWN for a function of the file's; None for the share of right classes."""
    given = found.get("metric")
    hint = f"Name one of top1, {', '.join(NAMES)}, or define `def metric(outputs, labels)`."
    if given is None or given == "top1":
        return None
    if not callable(given) and given not in NAMES:
        raise McuError(f"{path}: metric: {given!r} is none", hint)
    if found.get("stream") is not None:
        raise McuError(f"{path}: metric: a model with `stream` has classes only", "Leave metric out.")
    if found.get("evaluation") is None:
        raise McuError(
            f"{path}: metric: there is no `evaluation` with labels", "Add it, or leave metric out."
        )
    return OWN if callable(given) else str(given)


def own_metric(path: Path) -> Callable[[Sequence[Any], Any], float]:
    """The function `metric` of a model file, which is run again. It takes the outputs as a list of arrays
    [vectors, ...] in real numbers, and the labels as one array. McuError for what it raises."""
    surroundings = Surroundings(path)
    function = vars(surroundings.run())["metric"]

    def measure(outputs: Sequence[Any], targets: Any) -> float:
        with surroundings.active(), surroundings.explain("metric"):
            return float(function(list(outputs), targets))

    return measure


def _stream(
    path: Path, found: dict[str, Any], model: "torch.nn.Module", example: Inputs
) -> Mapping[int, int]:
    """`stream = {"x": 2}`: the axis of time of an input, by its name in `forward` or its index."""
    given = found.get("stream")
    if given is None:
        return {}
    hint = 'Write, for example, `stream = {"x": 2}`: the input x of `forward`, its dimension 2 is time.'
    if not isinstance(given, Mapping) or not given:
        raise McuError(f"{path}: stream: {_kind(given)}, not a dictionary of inputs and their axis", hint)
    names = list(inspect.signature(model.forward).parameters)
    axes = {}
    for key, axis in given.items():
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


def _latency(path: Path, found: dict[str, Any]) -> int:
    value = found.get("latency", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise McuError(f"{path}: latency: {value!r}, not a number of samples", "Leave it out for none.")
    if value and "stream" not in found:
        raise McuError(f"{path}: latency: only a model with `stream` can be late", "Leave it out.")
    return value


def _model(surroundings: Surroundings, found: dict[str, Any]) -> "torch.nn.Module":
    from torch import nn

    path = surroundings.path
    key = _defined(found, _MODEL_NAMES)
    if key is None:
        there = [name for name in (*_INPUT_NAMES, "calibration", "evaluation") if name in found]
        raise McuError(
            f"{path}: model: not defined (looked for {' and '.join(_MODEL_NAMES)}; "
            f"of the contract's names the file has {', '.join(there) or 'none'})",
            f"Write `model = MyNet()`, an nn.Module or a function that returns one. {_CONTRACT}",
        )
    model = _called(surroundings, key, found[key], unless=nn.Module)
    if not isinstance(model, nn.Module):
        raise McuError(
            f"{path}: {key}: {_kind(model)}, not an nn.Module",
            "A model is an nn.Module, or a function without arguments that returns one.",
        )
    return _in_evaluation_mode(_unwrapped(path, key, model))


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

    if isinstance(model, torch.jit.ScriptModule):
        raise McuError(
            f"{path}: {key}: a TorchScript module",
            "Give the nn.Module that it was made from, with its weights.",
        )
    inner = getattr(model, "_orig_mod", None)
    if inner is None and isinstance(model, torch.nn.DataParallel):
        inner = model.module
    return inner if isinstance(inner, torch.nn.Module) else model


def _check_weights(path: Path, model: "torch.nn.Module") -> None:
    """McuError for parameters and buffers that no firmware can hold."""
    import torch

    wrong = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
            continue
        found = _wrong_weight(tensor, is_parameter=isinstance(tensor, torch.nn.Parameter))
        if found:
            wrong.append((name, *found))
    if wrong:
        name, what, hint = wrong[0]
        others = f" (and {len(wrong) - 1} more like it)" if len(wrong) > 1 else ""
        raise McuError(f"{path}: model: {name}: {what}{others}", hint)


def _wrong_weight(tensor: "torch.Tensor", is_parameter: bool) -> tuple[str, str] | None:
    """What is wrong with a weight, and the hint; None where nothing is."""
    import torch

    dtype = _dtype(tensor)
    if tensor.is_meta:
        return "on the meta device, without values", "Make the model on the CPU and load its weights into it."
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return (
            f"a {tensor.layout} tensor on {tensor.device}",
            "Use dense tensors on the CPU: `.to_dense().cpu()`.",
        )
    if tensor.is_quantized:
        return f"of type {dtype}, quantized already", "Give the float model: mcu-build quantizes it."
    if dtype in ("float16", "bfloat16", "float64") and (is_parameter or dtype != "float64"):
        return f"of type {dtype}", "Firmware computes in int8 and float32: give `model.float()`."
    if tensor.is_complex():
        return (
            f"of type {dtype}",
            "Firmware has no complex numbers: keep real and imaginary part as two tensors.",
        )
    if tensor.is_floating_point():
        return _wrong_number(tensor, infinite=is_parameter)
    return None


def _wrong_number(tensor: "torch.Tensor", infinite: bool) -> tuple[str, str] | None:
    """The first NaN of a tensor, or the first infinite number, and how many there are."""
    import torch

    for bad, word in ((tensor.isnan(), "NaN"), (tensor.isinf() & infinite, "infinite")):
        if bad.any():
            places = torch.nonzero(bad)
            where = f" at {places[0].tolist()}" if tensor.dim() else ""
            count = f"{len(places):,} of {tensor.numel():,} numbers" if tensor.numel() > 1 else "it"
            verb = "are" if len(places) > 1 else "is"
            return (
                f"{count} {verb} {word}, the first{where}",
                "Look for where training or loading went wrong.",
            )
    return None


def _example_inputs(surroundings: Surroundings, found: dict[str, Any]) -> Inputs:
    import torch

    path = surroundings.path
    key = _defined(found, _INPUT_NAMES)
    if key is None:
        raise McuError(f"{path}: example_inputs: not defined", _INPUTS_HINT)
    value = _called(surroundings, key, found[key], unless=torch.Tensor)
    if not isinstance(value, tuple):
        raise McuError(f"{path}: {key}: {_kind(value)}, not a tuple of tensors", _INPUTS_HINT)
    if not value:
        raise McuError(f"{path}: {key}: an empty tuple: the model needs an input", _INPUTS_HINT)
    for index, tensor in enumerate(value):
        _check_tensor(f"{path}: {key}[{index}]", tensor)
    return value


def _check_tensor(where: str, tensor: Any) -> None:
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise McuError(f"{where}: {_kind(tensor)}, not a tensor", _INPUTS_HINT)
    dtype = _dtype(tensor)
    if dtype not in _DTYPES:
        raise McuError(
            f"{where}: element type {dtype} cannot be built for a microcontroller",
            f"Use float32 (`.float()`), or one of {', '.join(_DTYPES[1:])}.",
        )
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        raise McuError(
            f"{where}: a {tensor.layout} tensor on {tensor.device}", "Use dense tensors on the CPU."
        )
    if tensor.numel() == 0:
        raise McuError(f"{where}: empty, of shape {list(tensor.shape)}", _INPUTS_HINT)
    _check_numbers(where, tensor)


def _check_numbers(where: str, tensor: "torch.Tensor") -> None:
    if tensor.is_floating_point() and (wrong := _wrong_number(tensor, infinite=True)):
        raise McuError(f"{where}: {wrong[0]}", "int8 ranges come from the data: give numbers that occur.")


def _calibration(
    surroundings: Surroundings, found: dict[str, Any], example: Inputs
) -> Callable[[], Iterator[Calls]] | None:
    source = _source(surroundings, found, "calibration")
    if source is None:
        return None

    def items() -> Iterator[Calls]:
        for index, item in _numbered(surroundings, "calibration", source):
            yield _calls(surroundings.path, f"calibration[{index}]", item, example)

    return items


def _evaluation(
    surroundings: Surroundings, found: dict[str, Any], example: Inputs, metric: str | None
) -> Callable[[], Iterator[LabelledCalls]] | None:
    source = _source(surroundings, found, "evaluation")
    if source is None:
        return None
    path = surroundings.path
    kind = _target if metric else _step_labels if found.get("stream") is not None else _label

    def items() -> Iterator[LabelledCalls]:
        for index, item in _numbered(surroundings, "evaluation", source):
            key = f"evaluation[{index}]"
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise McuError(
                    f"{path}: {key}: {_kind(item)}, not (inputs, label)",
                    "Yield pairs: the inputs (a tensor or a tuple), and the right class or None.",
                )
            yield _labelled(path, key, item[0], item[1], example, kind)

    return items


def _labelled(
    path: Path, key: str, inputs: Any, labels: Any, example: Inputs, label: Callable[[Path, str, Any], Any]
) -> LabelledCalls:
    """One call with what `label` makes of its label.

    A sequence has a label for each of its calls, or one for the last.
    """
    calls = _calls(path, key, inputs, example)
    if isinstance(calls, tuple):
        return calls, label(path, key, labels)
    each = list(labels) if isinstance(labels, list | tuple) else [*[None] * (len(calls) - 1), labels]
    if len(each) != len(calls):
        raise McuError(
            f"{path}: {key}: {len(each)} labels for {len(calls)} calls",
            "Give one label for each call of the sequence, or one for the last.",
        )
    return [(call, label(path, key, one)) for call, one in zip(calls, each, strict=True)]


def _calls(path: Path, key: str, item: Any, example: Inputs) -> Calls:
    """One call's inputs, or those of a sequence of calls: a list of tuples, or of tensors for one input."""
    import torch

    if isinstance(item, list) and not item:
        raise McuError(
            f"{path}: {key}: a sequence without a call", "Give one call at least, or leave it out."
        )
    if not isinstance(item, list):
        return _inputs(path, key, item, example)
    whole = isinstance(item[0], torch.Tensor) and item[0].shape == example[0].shape and len(example) == 1
    if not isinstance(item[0], tuple | list) and not (whole and len(item) > 1):
        return _inputs(path, key, item, example)
    return [_inputs(path, f"{key}[{step}]", one, example) for step, one in enumerate(item)]


def _source(
    surroundings: Surroundings, found: dict[str, Any], key: str
) -> Callable[[], Iterable[Any]] | None:
    """A function that gives the items of `key` from the first, whatever the file has under that name."""
    value = found.get(key)
    if value is None:
        return None
    path = surroundings.path
    wrong = McuError(
        f"{path}: {key}: {_kind(value)}, not an iterable nor a function that returns one",
        f"Write `def {key}():` that yields inputs like example_inputs, or a list of them.",
    )
    if isinstance(value, Iterator):
        # An iterator gives its items once; they are kept for the next time.
        kept: list[Any] = []
        return lambda: _kept(kept, value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | dict | type):
        return lambda: value
    if not callable(value):
        raise wrong

    def call() -> Iterable[Any]:
        items = value()
        if not isinstance(items, Iterable):
            raise McuError(f"{path}: {key}: returned {_kind(items)}, not an iterable", wrong.hint)
        return items

    return call


def _kept(kept: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    for index in count():
        if index == len(kept):
            try:
                kept.append(next(rest))
            except StopIteration:
                return
        yield kept[index]


def _numbered(
    surroundings: Surroundings, key: str, source: Callable[[], Iterable[Any]]
) -> Iterator[tuple[int, Any]]:
    index = -1
    for index, item in enumerate(surroundings.iterate(key, source)):
        yield index, item
    if index < 0:
        raise McuError(
            f"{surroundings.path}: {key}: it holds no item",
            "Give some inputs like example_inputs, or leave it out.",
        )


def _inputs(path: Path, key: str, item: Any, example: Inputs) -> Inputs:
    """One item as a tuple of tensors like `example`. McuError where it differs in number, shape or type."""
    import torch

    given = (
        (item,) if isinstance(item, torch.Tensor) else tuple(item) if isinstance(item, tuple | list) else None
    )
    hint = f"Every item is one call's inputs, like example_inputs: {described(example)}."
    if given is None:
        raise McuError(f"{path}: {key}: {_kind(item)}, not a tensor or a tuple of tensors", hint)
    if len(given) != len(example):
        raise McuError(f"{path}: {key}: {len(given)} inputs, example_inputs has {len(example)}", hint)
    for index, (tensor, like) in enumerate(zip(given, example, strict=True)):
        if not isinstance(tensor, torch.Tensor):
            raise McuError(f"{path}: {key}: input {index} is {_kind(tensor)}, not a tensor", hint)
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            raise McuError(
                f"{path}: {key}: input {index} is {described((tensor,))}, "
                f"example_inputs has {described((like,))}",
                hint,
            )
        _check_numbers(f"{path}: {key}: input {index}", tensor)
    return tuple(tensor.detach() for tensor in given)


def _label(path: Path, key: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        return operator.index(value)
    except TypeError:
        raise McuError(
            f"{path}: {key}: the label is {_kind(value)}, not a whole number",
            "A label is the index of the right class, or None.",
        ) from None


def _step_labels(path: Path, key: str, value: Any) -> Label:
    """One label, or one for each step of a recording."""
    if isinstance(value, list | tuple):
        return tuple(_label(path, key, label) for label in value)
    return _label(path, key, value)


def _target(path: Path, key: str, value: Any) -> Label:
    """What a metric compares outputs with: a number, or a tensor, an array or a list of numbers."""
    import torch

    if value is None:
        return None
    try:
        made = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    except (TypeError, ValueError):
        made = np.empty(0, object)
    if made.dtype.kind not in "biuf" or not made.size:
        raise McuError(
            f"{path}: {key}: the label is {_kind(value)}, no numbers",
            "With `metric` a label is a number, or a tensor or an array of numbers, or None.",
        )
    return np.array(made)


def _defined(found: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if found.get(name) is not None), None)


def _called(surroundings: Surroundings, key: str, value: Any, unless: type) -> Any:
    """What a function returns; anything else, and what is of type `unless`, as it is."""
    if isinstance(value, unless) or not callable(value):
        return value
    with surroundings.active(), surroundings.explain(key):
        return value()


def described(tensors: Inputs) -> str:
    """Types and shapes of tensors, for a message."""
    return ", ".join(f"{_dtype(tensor)}{list(tensor.shape)}" for tensor in tensors)


def _dtype(tensor: "torch.Tensor") -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _kind(value: Any) -> str:
    """What a value is, for a message: a tensor with its shape, a class by name, else its type."""
    import torch

    if isinstance(value, torch.Tensor):
        return f"a tensor {described((value,))}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"of type {type(value).__name__}"


def _advice(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Install what has {error.name!r} beside mcu-build, or put the module beside the model."
    return "Run the file with Python alone to see where it fails."


def _seed() -> None:
    """Start all random numbers afresh, so that a file without a seed gives the same each time."""
    import random

    import numpy as np
    import torch

    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def _paths(module: ModuleType) -> list[str]:
    """Where a module comes from: its file, or the folders of a namespace package."""
    # Not by getattr: a lazy module may run anything when asked. Not every entry of sys.modules is a module.
    values = getattr(module, "__dict__", {})
    file = values.get("__file__")
    try:
        found = [file] if file else list(values.get("__path__", ()))
    except Exception:
        return []
    return [_real(path) for path in found if isinstance(path, str)]


def _is_users(module: ModuleType) -> bool:
    paths = _paths(module)
    return bool(paths) and all(is_users_file(path) for path in paths)


@cache
def _real(path: str) -> str:
    return os.path.realpath(path)
