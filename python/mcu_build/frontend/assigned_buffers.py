"""Buffers that `forward` assigns, `self.last = self.now`, as torch.export does not take them.

What is assigned an input or another buffer gets a copy: torch.export puts such copies at the end of the
program, where a view of a buffer has its new value, and does not export at all what assigns an input or a
buffer itself. An output that is the old value is a copy for the same reason. What a submodule assigns to a
buffer of its own is written to it when the call ends: torch.export notes only what the outermost module
assigns, and leaves out the rest without a word.
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
    """While it is active, calls of `model` assign to buffers in a way that torch.export takes."""
    inputs: list[torch.Tensor] = []
    assigned: dict[tuple[nn.Module, str], torch.Tensor] = {}

    def enter(_module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        leaves = _pytree.tree_leaves((args, dict(kwargs)))
        inputs[:] = [*model.buffers(), *(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))]

    def leave(_module: nn.Module, _inputs: Any, result: Any) -> Any:
        inputs.clear()
        if not assigned:
            return result
        old = [_memory(buffer) for buffer in assigned.values()]

        def apart(leaf: Any) -> Any:
            return leaf.clone() if isinstance(leaf, torch.Tensor) and _memory(leaf) in old else leaf

        result = _pytree.tree_map(apart, result)
        for (module, name), buffer in assigned.items():
            new = module._buffers[name]
            if module._buffers is not model._buffers and new is not None:
                module._buffers[name] = buffer.copy_(new)
        assigned.clear()
        return result

    def clone(module: nn.Module, name: str, value: Any) -> Any:
        if not inputs or not isinstance(value, torch.Tensor):
            return None
        old = module._buffers.get(name)
        if old is not None and _place(value) == _place(old):
            return None  # `self.count += 1` assigns the buffer to itself.
        if old is not None:
            assigned.setdefault((module, name), old)
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
