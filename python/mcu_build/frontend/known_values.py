"""Python's control flow over tensors that never change: `if self.flag`, `range(int(self.steps[0]))`.

torch.export sees no value of any tensor, a buffer's as little as an input's. While a model is exported, what
is computed from the tensors that it holds, or makes of numbers (`torch.full`), is computed beside it with
their values; where Python needs a number of that, it gets it. The exported program holds what was decided, as
it does for a number in the model's code.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torch.utils._python_dispatch import _disable_current_modes

from mcu_build.frontend.first_call import held

# Elements up to which a result is computed: more are tables and weights, which decide nothing.
_MOST = 1 << 16
# Functions that make a tensor of numbers.
_MAKERS = frozenset(
    {"full", "zeros", "ones", "arange", "linspace", "eye", "tensor", "tril_indices", "triu_indices"}
)
# What Python asks for when it needs numbers.
_NUMBERS = ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__contains__")
_RANDOM = ("rand", "bernoulli", "normal", "multinomial", "poisson", "dropout", "uniform", "exponential")


@contextlib.contextmanager
def known_values(model: nn.Module, written: Collection[str]) -> Iterator[None]:
    """While it is active, a call of `model` knows the tensors that it holds, but for those `written`."""
    values = {
        name: tensor.detach().clone()
        for name, tensor in held(model)
        if name not in written and tensor.numel() <= _MOST
    }
    mode = _KnownValues()

    # Around `forward` alone: what torch.export does with the inputs beforehand is its own.
    def enter(module: nn.Module, _inputs: Any) -> None:
        mode.know(module, values)
        mode.__enter__()

    def leave(_module: nn.Module, _inputs: Any, _result: Any) -> None:
        mode.__exit__(None, None, None)

    handles = [model.register_forward_pre_hook(enter), model.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _KnownValues(TorchFunctionMode):  # type: ignore[misc]
    """Tensors that are traced, with what they will be."""

    def __init__(self) -> None:
        super().__init__()
        # By identity; the traced tensor is kept, so that no other takes its identity.
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def know(self, module: nn.Module, values: Mapping[str, torch.Tensor]) -> None:
        """The module's tensors, as they are traced now, have `values`, by name."""
        self._known = {id(tensor): (tensor, values[name]) for name, tensor in held(module) if name in values}

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        operands = [leaf for leaf in _pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        known = all(id(operand) in self._known for operand in operands) and (
            bool(operands) or name in _MAKERS
        )
        if known and name in _NUMBERS:
            return self._computed(func, args, kwargs)
        result = _called(func, args, kwargs)
        traced = _pytree.tree_leaves(result)
        is_small = all(isinstance(tensor, torch.Tensor) and tensor.numel() <= _MOST for tensor in traced)
        writes = _is_write(name, kwargs)
        if known and (is_small or writes) and not name.startswith(_RANDOM):
            known = self._follow(func, args, kwargs, traced)
        if writes and not known:
            self._forget(operands)
        return result

    def _follow(self, func: Any, args: Any, kwargs: Any, traced: Sequence[Any]) -> bool:
        """Compute what a call gives, or writes, beside what was traced; False where that cannot be done.

        Values share memory as the traced tensors do, so that a write changes those of all its views.
        """
        try:
            values = _pytree.tree_leaves(self._computed(func, args, kwargs))
        except Exception:
            return False
        pairs = zip(traced, values, strict=False)
        self._known |= {
            id(tensor): (tensor, value) for tensor, value in pairs if isinstance(tensor, torch.Tensor)
        }
        return len(values) == len(traced)

    def _computed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What `func` gives for the values of its operands."""

        def value(argument: Any) -> Any:
            return self._known[id(argument)][1] if isinstance(argument, torch.Tensor) else argument

        with _disable_current_modes():
            return func(*_pytree.tree_map(value, args), **_pytree.tree_map(value, kwargs))

    def _forget(self, written: Sequence[torch.Tensor]) -> None:
        """Forget what shares memory with operands of a write whose result is not known."""
        places = {
            self._known[id(tensor)][1].untyped_storage().data_ptr()
            for tensor in written
            if id(tensor) in self._known
        }
        self._known = {
            key: (traced, value)
            for key, (traced, value) in self._known.items()
            if value.untyped_storage().data_ptr() not in places
        }


def _called(func: Any, args: Any, kwargs: Any) -> Any:
    """`func(...)`; a write of one entry in a form that can be traced. No method: torch.cond compiles it."""
    if not _writes_entry(func, args):
        return func(*args, **kwargs)
    _write_entry(*args)
    return None


def _is_write(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function writes an operand: `add_`, `__setitem__`, `__iadd__`, `out=`."""
    is_inplace = name.endswith("_") and not name.endswith("__")
    return is_inplace or name == "__setitem__" or name.startswith("__i") or "out" in kwargs


def _writes_entry(func: Any, args: Any) -> bool:
    """Whether a call is `x[t] = y`, or `x[0, t] = y`, t a tensor of one integer in place of a number."""
    if func is not torch.Tensor.__setitem__:
        return False
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    tensors = [part for part in index if isinstance(part, torch.Tensor)]
    numbers = (torch.int64, torch.int32, torch.int16, torch.int8)
    return bool(tensors) and all(tensor.dim() == 0 and tensor.dtype in numbers for tensor in tensors)


def _write_entry(whole: torch.Tensor, index: Any, value: Any) -> None:
    """The same as a write into the view `x[t]`, which torch.export can trace."""
    entry = whole[index]
    if not isinstance(value, torch.Tensor):
        entry.fill_(value)
        return
    extra = value.dim() - entry.dim()
    entry.copy_(value.reshape(value.shape[extra:]) if extra > 0 else value)
