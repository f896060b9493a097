"""Rows of unlike size before a norm that brings each to the same: one int8 scale would lose the small ones.

A class token that starts near zero stands beside patches that reach 4: in their scale it has three or four
values, and layer_norm makes of it what makes up the model's answer. Such norms stay in float, with the sums
and concatenations that put their rows together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mcu_build.lower.annotate.int8 import is_move
from mcu_build.lower.assigned import is_int16
from mcu_build.lower.builder import aten, shape

Inputs = tuple[torch.Tensor, ...]

WHY = "rows of unlike size are normalized: one int8 scale would lose the small ones"
# Of 127 values, a row this many times smaller than the largest uses 8: its noise is 21 dB below it.
_UNLIKE = 16.0
_NORMS = frozenset({aten.layer_norm.default, aten.rms_norm.default})
_SUMS = frozenset({aten.add.Tensor, aten.add_.Tensor, aten.sub.Tensor, aten.dropout.default})


def unlike_rows(module: GraphModule, inputs: Iterable[Inputs]) -> dict[str, str]:
    """Operators of `module`, an exported program in float, that stay in float, with the reason.

    `inputs` are a few calls of calibration data.
    """
    norms = [node for node in module.graph.nodes if _normalizes_rows(node)]
    rows = _Rows(module, dict(_before((norm.args[0], len(norm.args[1])) for norm in norms)))
    if not rows.watched:
        return {}
    with torch.no_grad():
        for item in inputs:
            rows.run(*item)
    unlike = [norm for norm in norms if rows.are_unlike(norm.args[0])]
    kept = [*unlike, *(node for node, _ in _before(((norm.args[0], 1) for norm in unlike), rows.are_unlike))]
    return {node.name: WHY for node in kept}


def _normalizes_rows(node: Node) -> bool:
    """Whether a node is a norm over several rows that sums or moves put together."""
    if node.target not in _NORMS or is_int16(node):
        return False
    rows = prod(shape(node)[: -len(node.args[1])])
    return rows > 1 and _is_put_together(node.args[0])


def _is_put_together(node: Any) -> bool:
    return isinstance(node, Node) and node.op == "call_function" and (node.target in _SUMS or is_move(node))


def _before(
    starts: Iterable[tuple[Any, int]], kept: Callable[[Node], bool] = lambda node: True
) -> Iterator[tuple[Node, int]]:
    """Sums and moves that `starts`, with a number each, are made of, as far back as `kept` holds."""
    seen: set[Node] = set()
    waiting = list(starts)
    while waiting:
        node, number = waiting.pop()
        if node not in seen and _is_put_together(node) and kept(node):
            seen.add(node)
            yield node, number
            waiting += [(operand, number) for operand in node.all_input_nodes]


class _Rows(Interpreter):  # type: ignore[misc]
    """The largest element that each row of `watched` nodes has had; a row has so many dimensions."""

    def __init__(self, module: GraphModule, watched: Mapping[Node, int]) -> None:
        super().__init__(module)
        self.watched = watched
        self._largest: dict[Node, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """The node's result, its rows noted."""
        result = super().run_node(n)
        if n in self.watched and result.is_floating_point() and result.dim() > self.watched[n]:
            dims = tuple(range(-self.watched[n], 0))
            largest = result.detach().abs().amax(dims).flatten()
            self._largest[n] = torch.maximum(self._largest[n], largest) if n in self._largest else largest
        return result

    def are_unlike(self, node: Node) -> bool:
        """Whether a row that is not zero is much smaller than another."""
        if node not in self._largest:
            return False
        rows = self._largest[node]
        rows = rows[rows > 0]
        return rows.numel() > 0 and bool(rows.min() * _UNLIKE < rows.max())
