"""Where the first number in a graph appears that is none: NaN or infinite, from operands that are finite."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mcu_build.frontend.eager_numbers import holds_others
from mcu_build.layer_names import layer_at
from mcu_build.lower.assigned import operator_name, origin
from mcu_build.lower.lines import module_path, source_line
from mcu_build.lower.upstream.quiet import quiet


def first_not_finite(module: GraphModule, inputs: Sequence[torch.Tensor]) -> str:
    """The layer in words, 'body.2 log 8x8 (model.py:12)'; empty where every operator gives finite numbers."""
    finder = _Finder(module)
    try:
        with quiet(), torch.no_grad():
            finder.run(*inputs)
    except Exception:  # An observer refuses what is not finite: what comes before it is known by then.
        return finder.found
    return finder.found


class _Finder(Interpreter):  # type: ignore[misc]
    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.found = ""

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if not self.found and n.op == "call_function" and holds_others(value):
            self.found = _name(n, tuple(getattr(value, "shape", ())))
        return value


def _name(node: Node, shape: tuple[int, ...]) -> str:
    made_from = origin(node)
    if made_from:
        return str(made_from)
    return layer_at(module_path(node), operator_name(node), shape, source_line(node))
