"""A constant factor of each channel behind a layer (layer scale, as in ConvNeXt), in the layer's weights."""

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, shape

_MOVES = (aten.permute.default, aten.transpose.int)
# Layers whose weights have their output's channels first, with the dimension of channels in the output.
_CHANNEL = {aten.linear.default: -1, aten.conv1d.default: 1, aten.conv2d.default: 1, aten.conv3d.default: 1}


def into_weights(build: Builder, node: Node) -> Node | None:
    """The layer with other weights, where it alone is read, over any transpositions between the two."""
    for operand, source in (node.args[:2], node.args[1::-1]):
        factor = build.value_of(operand)
        if factor is None or not isinstance(source, Node) or shape(source) != shape(node):
            continue
        rank = len(shape(node))
        dimensions = [d + rank - factor.dim() for d in range(factor.dim()) if factor.shape[d] != 1]
        if len(dimensions) == 1:
            return _through(build, source, dimensions[0], factor.reshape(-1))
    return None


def _through(build: Builder, source: Node, dimension: int, factor: torch.Tensor) -> Node | None:
    """`source` with each entry of a dimension multiplied; None where it cannot be done at no cost."""
    if len(source.users) != 1:
        return None
    rank = len(shape(source))
    if source.target in _MOVES:
        before: Node = source.args[0]
        inside = _through(build, before, _order(source, rank)[dimension], factor)
        return None if inside is None else build(source.target, inside, *source.args[1:], **source.kwargs)
    if source.target not in _CHANNEL or dimension != _CHANNEL[source.target] % rank:
        return None
    weight, bias = build.value_of(source.args[1]), source.args[2] if len(source.args) > 2 else None
    offset = build.value_of(bias)
    if weight is None or (bias is not None and offset is None):
        return None
    scaled = build.constant(weight * factor.reshape(-1, *[1] * (weight.dim() - 1)))
    moved = None if offset is None else build.constant(offset * factor)
    return build(source.target, source.args[0], scaled, moved, *source.args[3:], **source.kwargs)


def _order(move: Node, rank: int) -> list[int]:
    """The dimension that each dimension of a transposition's result comes from."""
    if move.target is aten.permute.default:
        return [d % rank for d in move.args[1]]
    order, (first, second) = list(range(rank)), (d % rank for d in move.args[1:3])
    order[first], order[second] = second, first
    return order
