"""Buffers that `forward` assigns inputs or other buffers, `self.last = self.now`: they get a copy.

torch.export puts such copies at the end of the program, where a view of a buffer has its new value, and does
not export at all what assigns an input or a buffer itself.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_buffer_registration_hook
from torch.utils import _pytree


@contextlib.contextmanager
def assignments_copied(model: nn.Module) -> Iterator[None]:
    """While it is active, a call of `model` assigns clones of what shares memory with inputs and buffers."""
    inputs: list[torch.Tensor] = []

    def enter(_module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        leaves = _pytree.tree_leaves((args, dict(kwargs)))
        inputs[:] = [*model.buffers(), *(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))]

    def leave(_module: nn.Module, _inputs: Any, _result: Any) -> None:
        inputs.clear()

    def clone(module: nn.Module, name: str, value: Any) -> Any:
        if not inputs or not isinstance(value, torch.Tensor):
            return None
        old = module._buffers.get(name)
        if old is not None and _place(value) == _place(old):
            return None  # `self.count += 1` assigns the buffer to itself.
        return value.clone() if _memory(value) in map(_memory, inputs) else None

    handles = [
        # Before torch.export registers its own, which notes what is assigned.
        register_module_buffer_registration_hook(clone),
        model.register_forward_pre_hook(enter, with_kwargs=True),
        model.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _memory(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _place(tensor: torch.Tensor) -> tuple[object, ...]:
    return _memory(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()
