"""Inputs that the model itself normalizes, and outputs that it scales back, channel by channel.

Rooms, square feet and prices stand in one tensor: one int8 scale has no step left for the small ones. Where
constants bring an input's channels to like sizes, or an output's from them, this arithmetic stays in float,
and what is rounded is the normalized tensor.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.annotate.clusters import is_float
from mcu_build.lower.annotate.int8 import is_move
from mcu_build.lower.assigned import is_int16
from mcu_build.lower.builder import aten
from mcu_build.lower.rewrite.steep_means import rounded
from mcu_build.lower.rewrite.watch import Inputs, watch
from mcu_build.quality.sqnr import judge

WHY = "channels of unlike size are normalized, or scaled back: one int8 scale would lose the small ones"
# It stays int8 where that leaves so much, or where float would give less more: dB of the worst channels.
_ENOUGH, _GAIN = 30.0, 6.0
_ARITHMETIC = frozenset(
    {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.batch_norm.default}
)


@dataclass(frozen=True)
class _Chain:
    """Arithmetic with constants from `source`, one operator behind the other; `ends` is at an output."""

    source: Node
    nodes: tuple[Node, ...]
    ends: bool

    def is_ruined(self, values: Mapping[Node, Sequence[torch.Tensor]]) -> bool:
        """Whether int8 would lose too much between the two ends, and float would not."""
        wanted = values[self.nodes[-1]]
        like, unlike = rounded(torch.stack(list(wanted))), self._results(values)
        if self.ends:
            like, unlike = unlike, like
        in_int8 = _decibels(wanted, unlike)
        return in_int8 < _ENOUGH and _decibels(wanted, like) >= in_int8 + _GAIN

    def _results(self, values: Mapping[Node, Sequence[torch.Tensor]]) -> torch.Tensor:
        """What the chain makes of its source in int8."""
        return torch.stack(
            [self._result(item, values) for item in rounded(torch.stack([*values[self.source]]))]
        )

    def _result(self, item: torch.Tensor, values: Mapping[Node, Sequence[torch.Tensor]]) -> torch.Tensor:
        known = {self.source: item}
        for node in self.nodes:
            args, kwargs = torch.fx.map_arg(
                (node.args, dict(node.kwargs)),
                lambda operand: known[operand] if operand in known else values[operand][0],
            )
            known[node] = node.target(*args, **kwargs)
        return known[self.nodes[-1]]


def unlike_channels(module: GraphModule, inputs: Iterable[Inputs]) -> dict[str, str]:
    """Operators of `module`, an exported program in float, that stay in float, with the reason.

    `inputs` are a few calls of calibration data.
    """
    chains = [*_behind_inputs(module), *_before_outputs(module)]
    values: dict[Node, list[torch.Tensor]] = defaultdict(list)
    needed = {
        operand for chain in chains for node in chain.nodes for operand in (node, *node.all_input_nodes)
    }
    watch(module, needed, inputs, lambda node, result: values[node].append(result))
    ruined = [chain for chain in chains if chain.is_ruined(values)]
    return {node.name: WHY for chain in ruined for node in chain.nodes}


def _behind_inputs(module: GraphModule) -> Iterator[_Chain]:
    for source in module.graph.nodes:
        if source.op == "placeholder" and is_float(source):
            nodes, node = [], source
            while len(node.users) == 1 and _operand(reader := next(iter(node.users))) is node:
                nodes.append(reader)
                node = reader
            while nodes and is_move(nodes[-1]):
                del nodes[-1]
            if nodes:
                yield _Chain(source, tuple(nodes), False)


def _before_outputs(module: GraphModule) -> Iterator[_Chain]:
    for result in module.graph.output_node().all_input_nodes:
        nodes: list[Node] = []
        node = result
        while len(node.users) == 1 and (operand := _operand(node)) is not None:
            nodes.insert(0, node)
            node = operand
        while nodes and is_move(nodes[0]):
            node = nodes.pop(0)
        if nodes and node.op == "call_function":
            yield _Chain(node, tuple(nodes), True)


def _operand(node: Node) -> Any:
    """What arithmetic with constants changes; None for other operators."""
    if node.op != "call_function" or not is_float(node) or is_int16(node):
        return None
    made = [operand for operand in node.all_input_nodes if operand.op != "get_attr"]
    return made[0] if len(made) == 1 and (node.target in _ARITHMETIC or is_move(node)) else None


def _decibels(wanted: Sequence[torch.Tensor], actual: torch.Tensor) -> float:
    (quality,) = judge([torch.stack(list(wanted)).numpy()], [actual.numpy()])
    return quality.worst
