"""Outputs that are no numbers: found in plain PyTorch, with the layer where they begin."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from mcu_build.errors import McuError
from mcu_build.frontend.model_file import Model
from mcu_build.layer_names import layer_at, output_name
from mcu_build.recorder import is_users_file

# Called with inputs, what the model gives as a flat list.
# What to do about an operator that gives NaN for finite operands.
NAN_HINT = "Logarithms, roots and quotients give NaN: bound what they read, as in x.clamp(min=1e-6).log()."
Call = Callable[[Sequence[torch.Tensor]], Sequence[Any]]


def check_outputs(model: Model, outputs: Sequence[Any], names: Sequence[str], call: Call) -> None:
    """McuError where an output is NaN throughout for the example inputs, and for the first of `calibration`.

    Example inputs are often zeros, which may be outside of what a model is made for.
    """
    if _lost(outputs) is None:
        return
    inputs: Sequence[torch.Tensor] = model.example_inputs
    which = "example_inputs"
    if model.calibration is not None and (item := next(model.calibration(), None)) is not None:
        inputs, which = item[0] if isinstance(item, list) else item, "calibration[0]"
        outputs = call(inputs)
    if (index := _lost(outputs)) is None:
        return
    with _finder(model.model) as finder:
        call(inputs)
    where = f", first in {finder.found}" if finder.found else ""
    raise McuError(
        f"{model.path}: {which}: {output_name(index, names)} is NaN, in PyTorch already{where}",
        NAN_HINT,
    )


def _lost(outputs: Sequence[Any]) -> int | None:
    """Which output holds nothing but NaN."""
    for index, output in enumerate(outputs):
        is_float = isinstance(output, torch.Tensor) and output.is_floating_point() and output.numel() > 0
        if is_float and bool(output.isnan().all()):
            return index
    return None


def holds_others(value: Any) -> bool:
    """Whether some of its numbers are NaN or infinite."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return False
    return not bool(torch.isfinite(value).all())


class _Finder(TorchFunctionMode):  # type: ignore[misc]
    """Notes the first function that gives numbers that are not finite, with its module and line.

    A TorchDispatchMode would see operators, and import torch._dynamo, which takes longer than torch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.modules: list[str] = []
        self.found = ""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.found and holds_others(result):
            module = self.modules[-1] if self.modules else ""
            name = getattr(func, "__name__", "").strip("_")
            self.found = layer_at(module, name, tuple(result.shape), _users_line())
        return result


@contextlib.contextmanager
def _finder(model: nn.Module) -> Iterator[_Finder]:
    """A finder that knows in which module of the model an operator is called."""
    finder = _Finder()
    handles = []
    for name, module in model.named_modules():
        enter = module.register_forward_pre_hook(lambda _m, _i, name=name: finder.modules.append(name))
        leave = module.register_forward_hook(lambda _m, _i, _o: finder.modules.pop() and None)
        handles += [enter, leave]
    try:
        with finder:
            yield finder
    finally:
        for handle in handles:
            handle.remove()


def _users_line() -> str:
    """'net.py:12' of the innermost call from the user's code."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and is_users_file(file):
            return f"{Path(file).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
