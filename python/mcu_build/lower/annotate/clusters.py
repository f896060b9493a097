"""Functions of one tensor, element by element: however many operators they are written with, one table."""

from typing import Any

import torch
from torch.fx import Graph, Node

from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import aten

# Element by element, though torch does not tag them so.
_ALSO_POINTWISE = frozenset(
    {
        aten.hardswish.default,
        aten.hardsigmoid.default,
        aten.silu.default,
        aten.mish.default,
        aten.softplus.default,
        aten.selu.default,
        aten.celu.default,
        aten.softsign.default if hasattr(aten, "softsign") else aten.mish.default,
        aten.log_sigmoid.default,
        aten.square.default,
        aten.clamp_min.default,
        aten.clamp_max.default,
    }
)
_RANDOM_OR_COPY = frozenset({aten.clone.default, aten.bernoulli.p, aten.to.dtype, aten._to_copy.default})

# A clamp after one of these needs no table: it becomes the bounds of their output.
CLAMPS = frozenset({aten.relu.default, aten.hardtanh.default, aten.clamp.default})
CLAMPABLE = frozenset(
    {
        aten.conv2d.default,
        aten.conv_transpose2d.input,
        aten.linear.default,
        aten.add.Tensor,
        aten.sub.Tensor,
    }
)


def is_pointwise(node: Node) -> bool:
    """Whether every element of the result depends on the elements at the same place only."""
    if node.op != "call_function" or node.target in _RANDOM_OR_COPY:
        return False
    return torch.Tag.pointwise in getattr(node.target, "tags", ()) or node.target in _ALSO_POINTWISE


def is_float(node: Node) -> bool:
    """Whether the node is one float tensor."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype.is_floating_point


def is_fused_clamp(node: Node, sources: dict[Node, Node]) -> bool:
    """Whether `node` clamps the result of an operator that has bounds, and nothing else reads that result."""
    if node.target not in CLAMPS or not isinstance(node.args[0], Node):
        return False
    producer = node.args[0]
    return (
        producer.target in CLAMPABLE
        and producer not in sources
        and len(producer.users) == 1
        and all(isinstance(argument, int | float | None) for argument in node.args[1:])
    )


def find_sources(graph: Graph, chosen: Chosen = everything) -> dict[Node, Node]:
    """For every chosen node of a function of one tensor: that tensor.

    A node whose result something else reads as well ends its function; what follows starts from it. The ends
    are found by narrowing: a first pass takes none for an end, and each further one adds those it finds.
    A comparison may stand within a function; as its end it would be a table of bool, so it is no part of one.
    """
    ends: set[Node] = set()
    while True:
        sources = _sources(graph, ends, chosen)
        starts = {
            node
            for node in sources
            if node not in ends and any(sources.get(user) is not sources[node] for user in node.users)
        }
        if not starts:
            return sources
        ends |= starts


def _sources(graph: Graph, ends: set[Node], chosen: Chosen) -> dict[Node, Node]:
    sources: dict[Node, Node] = {}
    for node in graph.nodes:
        if not chosen(node) or not is_pointwise(node) or (node in ends and not is_float(node)):
            continue
        if is_fused_clamp(node, sources) and chosen(node.all_input_nodes[0]):
            continue
        origins = {
            sources[operand] if operand in sources and operand not in ends else operand
            for operand in node.all_input_nodes
        }
        if len(origins) != 1:
            continue
        (origin,) = origins
        same_size = isinstance(node.meta.get("val"), torch.Tensor) and _size(node) == _size(origin)
        if is_float(origin) and origin.op != "get_attr" and same_size:
            sources[node] = origin
    return sources


def _size(node: Node) -> Any:
    value = node.meta.get("val")
    return value.shape if isinstance(value, torch.Tensor) else None
