"""Rows of unlike size before a norm that brings each to the same: one int8 scale would lose the small ones.

A class token that starts near zero stands beside patches that reach 4: in their scale it has three or four
values, and layer_norm makes of it what makes up the model's answer. Such norms stay in float, with the sums
and concatenations that put their rows together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.annotate.int8 import is_move
from mcu_build.lower.assigned import is_int16
from mcu_build.lower.builder import aten, shape
from mcu_build.lower.rewrite.watch import Inputs, watch

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
    rows = _Rows(dict(_before((norm.args[0], len(norm.args[1])) for norm in norms)))
    watch(module, rows.dimensions, inputs, rows.note)
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


class _Rows:
    """The largest element that each row of some nodes has had; a row has so many dimensions."""

    def __init__(self, dimensions: Mapping[Node, int]) -> None:
        self.dimensions = dimensions
        self._largest: dict[Node, torch.Tensor] = {}

    def note(self, node: Node, result: torch.Tensor) -> None:
        """Note the rows of a result."""
        dimensions = self.dimensions[node]
        if result.dim() > dimensions:
            largest = result.abs().amax(tuple(range(-dimensions, 0))).flatten()
            self._largest[node] = torch.maximum(self._largest.get(node, largest), largest)

    def are_unlike(self, node: Node) -> bool:
        """Whether a row that is not zero is much smaller than another."""
        if node not in self._largest:
            return False
        rows = self._largest[node]
        rows = rows[rows > 0]
        return rows.numel() > 0 and bool(rows.min() * _UNLIKE < rows.max())
