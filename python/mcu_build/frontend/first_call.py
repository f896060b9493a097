"""The model called once in plain PyTorch, before anything is exported.

What it cannot do shows here in PyTorch's own words, at the user's line and layer. What it returns is made
flat.
"""

import contextlib
import dataclasses
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mcu_build.errors import McuError
from mcu_build.frontend.eager_numbers import check_outputs
from mcu_build.frontend.labels import check_labels
from mcu_build.frontend.model_file import Model
from mcu_build.frontend.modes import as_in_firmware
from mcu_build.frontend.nested import leaves
from mcu_build.frontend.op_library import LIBRARY_HINT
from mcu_build.frontend.surroundings import NO_GPU, first_line
from mcu_build.frontend.values import described, not_dense
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.recorder import is_users_file

_OUTPUTS_HINT = (
    "forward returns tensors: one, or tuples, lists, dicts and dataclasses of them. None is left out, and a "
    "number becomes a constant output."
)
_DENSE_HINT = "Firmware has dense tensors alone: return the plain tensor that it was made of."
_FLOAT_HINT = "Leave out what quantizes: `--io int8` gives int8 outputs."
_INITIAL_HINT = "Give it what it holds after power-on: register_buffer(name, torch.zeros(...))."
_SHAPE_HINT = (
    "State in firmware has one shape: keep a window, as in `past.copy_(torch.cat([past, x], 1)[:, -16:])`."
)


@dataclasses.dataclass(frozen=True)
class FirstCall:
    """What was seen, by path in the model: buffers and attributes that carry a tensor from one call to the
    next, and all that a call writes. `outputs` are the paths to what it returns, without None.
    """

    state: frozenset[str]
    written: frozenset[str]
    outputs: tuple[str, ...]


def call_once(model: Model) -> FirstCall:
    """Call the model with its example inputs, twice to see what stays from one call to the next.

    Buffers are as before afterwards; what the model makes once and keeps (a mask for the length that it has
    seen) stays. McuError where a call fails or gives what firmware cannot.
    """
    _give_own_memory(model.model)
    buffers = _Buffers(model.model)
    initial, once = _buffers(model.model), {}
    seen, versions, values = [], _versions(model.model), _values(model.model)
    first_result = None
    for number in range(2):
        before, once = dict(_attributes(model.model)), _buffers(model.model)
        parameters = {
            name: parameter.clone()
            for name, parameter in model.model.named_parameters()
            if not _is_lazy(parameter)
        }
        result = called(model)
        if number == 0:
            first_result = [tensor.clone() for tensor in _tensors(result)]
            made = dict(model.model.named_buffers())
            buffers.note_kept()
        seen.append((before, dict(_attributes(model.model))))
    _check_outputs(model.path, result)
    _check_parameters(model, parameters)
    twice = _buffers(model.model)
    answers_differ = not all(map(_same, first_result or [], _tensors(result)))
    remade = {name for name, buffer in model.model.named_buffers() if made.get(name) is not buffer}
    _check_buffers(model.path, initial, once, twice, remade if answers_differ else set())
    rewritten = {
        name
        for name, last in twice.items()
        if last is not None and (old := once.get(name)) is not None and not _same(old, last)
    }
    written = {name for name, version in _versions(model.model).items() if versions.get(name) != version}
    first_output = _tensors(result)[0]
    if not model.stream:
        check_labels(model.path, model.labels, first_output.numel())
    before, after = seen[1]
    state = {name for name in before if name in after and not _same(before[name], after[name])}
    buffers.restore()
    changed = sorted(name for name, value in _values(model.model).items() if values.get(name) != value)
    if changed and first_result is not None and not state:
        _check_values(model, changed, first_result)
        buffers.restore()
    names, outputs = zip(*leaves(result), strict=True)
    check_outputs(model, outputs, names, lambda inputs: [leaf for _, leaf in leaves(called(model, inputs))])
    buffers.restore()
    first = seen[0][0]
    for name in state & first.keys():
        owner, _, attribute = name.rpartition(".")
        setattr(model.model.get_submodule(owner), attribute, first[name])
    return FirstCall(frozenset(state | rewritten), frozenset(written), output_names(result))


def _give_own_memory(model: nn.Module) -> None:
    """Each element of what a model holds a place of its own: `expand` has one for several, which no pass
    can write.
    """
    for _, tensor in held(model):
        if _is_expanded(tensor):
            tensor.data = tensor.detach().contiguous()


def _is_expanded(tensor: torch.Tensor) -> bool:
    return any(size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True))


def called(model: Model, inputs: Sequence[torch.Tensor] | None = None) -> Any:
    """What the model gives for its example inputs, or others."""
    tensors = [tensor.clone() for tensor in (model.example_inputs if inputs is None else inputs)]
    shapes = [tensor.shape for tensor in tensors]
    with _explained(model), model.surroundings.active(), quiet(), as_in_firmware():
        result = model.model(*tensors)
    for index, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
        if tensor.shape != shape:
            raise McuError(
                f"{model.path}: input {index}: `forward` changes its shape from {list(shape)} to "
                f"{list(tensor.shape)} in place, for its caller too",
                "Take the form without an underscore: x = x.unsqueeze(1), squeeze, transpose, t.",
            )
    return result


class _Buffers:
    """The buffers of a model, and what they hold, before it is called."""

    def __init__(self, model: nn.Module) -> None:
        self._held = [
            (module, name, buffer, buffer.clone())
            for module in model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None and not _is_lazy(buffer)
        ]
        self._kept: list[torch.Tensor | None] = []

    def note_kept(self) -> None:
        """Note the tensors after the first call: those that are there after others, too, it has made once."""
        self._kept = [module._buffers.get(name) for module, name, _, _ in self._held]

    def restore(self) -> None:
        """Give buffers that calls write, or assign each time, what they held."""
        with torch.no_grad():
            for (module, name, buffer, value), kept in zip(self._held, self._kept, strict=True):
                buffer.copy_(value)
                if module._buffers.get(name) is not kept:
                    module._buffers[name] = buffer


def _check_parameters(model: Model, before: Mapping[str, torch.Tensor]) -> None:
    """McuError where a call changes parameters."""
    for name, parameter in model.model.named_parameters():
        if name in before and not _is_lazy(parameter) and not _same(before[name], parameter):
            raise McuError(
                f"{model.path}: parameter {name!r}: `forward` writes it",
                "What is kept from call to call is a buffer: register_buffer(name, torch.zeros(...)).",
            )


def _check_values(model: Model, changed: Sequence[str], first: Sequence[torch.Tensor]) -> None:
    """McuError where attributes that are no tensors (`changed`) make a call depend on those before it: from
    the same buffers and inputs it does not give what the `first` one gave.
    """
    again = _tensors(called(model))
    if len(again) == len(first) and all(
        _same(value, other) for value, other in zip(first, again, strict=True)
    ):
        return
    raise McuError(
        f"{model.path}: attribute {changed[0]!r}: calls change it, and it changes what later calls give",
        "Firmware keeps buffers, for a count, too: register_buffer(name, torch.zeros(...)) and `copy_`.",
    )


def _values(model: nn.Module) -> dict[str, str]:
    """Numbers, and containers of numbers and tensors, that modules hold as attributes, as text by path."""
    return {
        f"{path}.{key}" if path else key: _text(value)
        for path, module in model.named_modules()
        for key, value in vars(module).items()
        if not key.startswith("_") and isinstance(value, bool | int | float | list | tuple | dict | deque)
    }


def _text(value: Any) -> str:
    """A value as text that differs where the value does; modules and the like are left out."""
    if isinstance(value, torch.Tensor):
        if _is_lazy(value) or value.layout != torch.strided or value.device.type != "cpu":
            return ""
        numbers = torch.view_as_real(value) if value.is_complex() else value
        return f"{tuple(value.shape)} {hash(numbers.detach().float().contiguous().numpy().tobytes())}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple | deque):
        return f"[{', '.join(map(_text, value))}]"
    return str(value) if isinstance(value, bool | int | float | str | None) else ""


@contextlib.contextmanager
def flat_outputs(model: nn.Module) -> Iterator[None]:
    """While it is active, the model returns a tensor or a flat tuple of tensors, numbers and None.

    In order: items of tuples and lists, values of dicts as they were put in, fields of dataclasses as they
    are declared.
    """

    def flatten(_module: nn.Module, _inputs: Any, result: Any) -> Any:
        return result if isinstance(result, torch.Tensor) else tuple(leaf for _, leaf in leaves(result))

    handle = model.register_forward_hook(flatten)
    try:
        yield
    finally:
        handle.remove()


def output_names(result: Any) -> tuple[str, ...]:
    """The path to each output of a result; what is None is left out."""
    return tuple(name for name, leaf in leaves(result) if leaf is not None)


def _check_outputs(path: Path, result: Any) -> None:
    outputs = list(leaves(result))
    for name, leaf in outputs:
        where = f"output {name!r}" if name else "output"
        if not isinstance(leaf, torch.Tensor | bool | int | float | None):
            raise McuError(
                f"{path}: model: {where}: of type {type(leaf).__name__}, not a tensor", _OUTPUTS_HINT
            )
        if isinstance(leaf, torch.Tensor) and (kind := not_dense(leaf)):
            raise McuError(f"{path}: model: {where}: {kind}", _DENSE_HINT)
        if isinstance(leaf, torch.Tensor) and leaf.is_quantized:
            raise McuError(f"{path}: model: {where}: quantized already", _FLOAT_HINT)
    if not any(isinstance(leaf, torch.Tensor) for _, leaf in outputs):
        raise McuError(f"{path}: model: it returns no tensor", _OUTPUTS_HINT)


def _tensors(result: Any) -> list[torch.Tensor]:
    return [leaf for _, leaf in leaves(result) if isinstance(leaf, torch.Tensor)]


def _buffers(model: nn.Module) -> dict[str, torch.Tensor | None]:
    """Copies of a model's buffers, by path; None where there is none yet."""
    return {
        f"{path}.{name}" if path else name: None if buffer is None or _is_lazy(buffer) else buffer.clone()
        for path, module in model.named_modules()
        for name, buffer in module._buffers.items()
    }


def _check_buffers(
    path: Path,
    before: Mapping[str, torch.Tensor | None],
    once: Mapping[str, torch.Tensor | None],
    twice: Mapping[str, torch.Tensor | None],
    remade: Collection[str],
) -> None:
    """McuError for state without an initial value or of no fixed shape, by the buffers before calls and
    after one and two. What the first call makes and the second leaves alone is no state, but for what is
    `remade` while the same inputs give another answer: a copy of the inputs.
    """
    lines: list[str] = []
    hints: dict[str, None] = {}
    for name, last in twice.items():
        first, second = before.get(name), once.get(name)
        kept = first is None and second is not None and last is not None and _same(second, last)
        if last is None or second is None or (kept and name not in remade):
            continue
        if first is None:
            lines.append(
                f"{path}: buffer {name!r}: None before the first call, which has no value to begin with"
            )
            hints[_INITIAL_HINT] = None
        elif len({(state.shape, state.dtype) for state in (first, second, last)}) > 1:
            changes = " to ".join(described((state,)) for state in dict.fromkeys((first, second, last)))
            lines.append(f"{path}: buffer {name!r}: its shape changes from call to call, {changes}")
            hints[_SHAPE_HINT] = None
    if lines:
        raise McuError("\n".join(lines), " ".join(hints))


def _attributes(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors that modules hold as plain attributes, by path."""
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, torch.Tensor):
                yield f"{name}.{key}" if name else key, value


def held(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters, buffers and plain attributes of a model, by path; lazy ones have no value yet."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers(), *_attributes(model)):
        if not _is_lazy(tensor):
            yield name, tensor


def _versions(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Which tensor stands under each name, and how often it was written."""
    return {name: (id(tensor), tensor._version) for name, tensor in held(model)}


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first is second or (
        first.shape == second.shape and torch.equal(first.detach().nan_to_num(), second.detach().nan_to_num())
    )


def _is_lazy(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, nn.parameter.UninitializedTensorMixin)


@contextlib.contextmanager
def _explained(model: Model) -> Iterator[None]:
    """An exception of the model as an McuError with its line, its layer and the inputs it was called with."""
    try:
        yield
    except McuError:
        raise
    except Exception as error:
        line, layer = _where(model, error)
        place = "".join((f"{line}: " if line else "", f"{layer}: " if layer else ""))
        reason = first_line(error)
        raise McuError(
            f"{model.path}: {place}cannot be run: {type(error).__name__}: {reason}", _hint(model, reason)
        ) from error


def _hint(model: Model, reason: str) -> str:
    """What to do about an exception of the model, by its text."""
    empty = [name for name, buffer in _buffers(model.model).items() if buffer is None]
    if "NoneType" in reason and empty:
        return f"Buffer {empty[0]!r} is None. {_INITIAL_HINT}"
    if "_OpNamespace" in reason:
        return LIBRARY_HINT
    if "not compiled with CUDA" in reason:
        return NO_GPU
    if "does not require grad" in reason:
        return "Firmware has no gradients: write the derivative itself into `forward`."
    called = f"It was called with example_inputs, {described(model.example_inputs)}: change them or it."
    if "forward() " in reason:
        declared = signature(type(model.model).forward)
        names = [parameter.replace(annotation=parameter.empty) for parameter in declared.parameters.values()]
        taken = declared.replace(parameters=names, return_annotation=declared.empty)
        called += f" It is `forward{taken}`; keyword arguments are a dictionary of tensors by name."
    if model.stream:
        called += " With `stream` they are a whole recording, longer than any window of the model."
    return called


def _where(model: Model, error: Exception) -> tuple[str, str]:
    """'line 12' or 'helper.py:12', and "layer 'head.0' (Linear)", the innermost on the way to the error."""
    names = {id(module): name for name, module in model.model.named_modules()}
    line, layer, trace = "", "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file == str(model.path.resolve()):
            line = f"line {trace.tb_lineno}"
        elif is_users_file(file):
            line = f"{Path(file).name}:{trace.tb_lineno}"
        module = trace.tb_frame.f_locals.get("self")
        if names.get(id(module)):
            layer = f"layer {names[id(module)]!r} ({type(module).__name__})"
        trace = trace.tb_next
    return line, layer
