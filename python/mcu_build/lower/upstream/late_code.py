"""Graph modules of torch.fx compile their graph to Python when that is called, not whenever it changes.

Passes change a graph some 140 times on its way to a program, and hardly ever call it: each change costs text
and byte code of the whole graph, a fifth of the time that lowering takes.
"""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from torch.fx import GraphModule

from mcu_build.lower.upstream.replaced import replaced

# What `GraphModule.recompile` leaves in a module, beside `forward` of its class.
_TEXT = ("_code", "_lineno_map", "_prologue_start")


@contextlib.contextmanager
def code_when_called() -> Iterator[None]:
    """Graphs that change inside the block are compiled at the first look at `forward` or `code`."""
    usual = GraphModule.recompile
    with replaced(GraphModule, "recompile", lambda module: _postpone(module, usual)):
        yield


def _postpone(module: GraphModule, usual: Callable[[GraphModule], Any]) -> "_Code":
    """Whoever asks for the module's code has it compiled; each graph module has a class of its own."""
    kind: Any = type(module)
    codegen: Any = module.graph._codegen
    if hasattr(codegen, "pytree_info"):
        module._in_spec, module._out_spec = codegen.pytree_info.in_spec, codegen.pytree_info.out_spec
    for name in _TEXT:
        module.__dict__.pop(name, None)
        setattr(kind, name, _Late(name, module, usual))
    kind.forward = _Late("forward", module, usual)
    return _Code(module, usual)


class _Late:
    """An attribute that is made at its first use. What is found in the module itself goes before it."""

    def __init__(self, name: str, module: GraphModule, usual: Callable[[GraphModule], Any]) -> None:
        self._name, self._module, self._usual = name, weakref.ref(module), usual

    def __get__(self, instance: GraphModule | None, kind: type) -> Any:
        module = self._module()
        if module is None:
            raise AttributeError(self._name)
        self._usual(module)
        return getattr(kind if instance is None else instance, self._name)


class _Code:
    """What `recompile` returns, compiled when an attribute is read."""

    def __init__(self, module: GraphModule, usual: Callable[[GraphModule], Any]) -> None:
        self._module, self._usual = module, usual

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual(self._module), name)
