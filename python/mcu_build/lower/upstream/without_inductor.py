"""executorch without torch's compiler for desktop machines, a fifth of the time that a command takes to load.

executorch imports one function of it, for programs whose operators write into their operands by way of
`auto_functionalized`. Here that function, and the 150 modules behind it, are loaded when they are needed.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

STAND_IN = "torch._inductor.fx_passes.post_grad"


class _Later(ModuleType):
    """A module in the place of another until something else of it is asked for."""

    def decompose_auto_functionalized(self, graph: Any) -> None:
        """What the module's function does: nothing to a graph without such an operator."""
        if any(
            getattr(node.target, "__name__", "").startswith("auto_functionalized") for node in graph.nodes
        ):
            self._loaded().decompose_auto_functionalized(graph)

    def _loaded(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._loaded(), name)


def load_inductor_late() -> None:
    """Have executorch load without it, where it is not loaded already."""
    sys.modules.setdefault(STAND_IN, _Later(STAND_IN))
