"""Rules for what neither executorch's passes nor those of the NPU take: unusual moves, numbers without
dimensions."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, shape

_PADDED_RANK = 4  # of cortex_m.pad
# Of a concatenation that pads: beyond them elements by index take fewer operators.
_MOST_PIECES = 9


def _get(node: Node, index: int, name: str, default: Any) -> Any:
    return node.args[index] if len(node.args) > index else node.kwargs.get(name, default)


def _sides(node: Node) -> list[tuple[int, int]] | None:
    """(before, after) of each dimension of a pad by a constant; None for other modes."""
    if node.target is aten.pad.default and _get(node, 2, "mode", "constant") != "constant":
        return None
    return _pairs(node)


def _pairs(node: Node) -> list[tuple[int, int]]:
    amounts = node.args[1]
    assert isinstance(amounts, Sequence) and isinstance(node.args[0], Node)
    pairs = [(int(amounts[k]), int(amounts[k + 1])) for k in range(0, len(amounts), 2)]
    return [(0, 0)] * (len(shape(node.args[0])) - len(pairs)) + pairs[::-1]


def _flat(sides: Sequence[tuple[int, int]]) -> list[int]:
    return [amount for pair in reversed(sides) for amount in pair]


def _value(node: Node) -> float:
    place, default = (3, None) if node.target is aten.pad.default else (2, 0.0)
    value = _get(node, place, "value", default)
    return 0.0 if value is None else value


def _crop(build: Builder, node: Node) -> Node | None:
    """A pad by negative amounts as slices, and a pad by what is left."""
    sides = _sides(node)
    if sides is None or min(_flat(sides)) >= 0:
        return None
    result = node.args[0]
    assert isinstance(result, Node)
    for dim, (before, after) in enumerate(sides):
        size = shape(result)[dim]
        if min(before, after) < 0:
            first, last = max(-before, 0), size - max(-after, 0)
            result = build(aten.slice.Tensor, result, dim, first, last)
    left = [(max(before, 0), max(after, 0)) for before, after in sides]
    return (
        build(aten.constant_pad_nd.default, result, _flat(left), _value(node)) if any(_flat(left)) else result
    )


def _pad_of_many_dimensions(build: Builder, node: Node) -> Node | None:
    """A pad of the last dimensions of many, with those before them as one: cortex_m.pad has four."""
    sides, source = _sides(node), node.args[0]
    assert isinstance(source, Node)
    if sides is None or len(sides) <= _PADDED_RANK:
        return None
    first = next((dim for dim, pair in enumerate(sides) if any(pair)), len(sides))
    if len(sides) - first >= _PADDED_RANK:
        return None
    flat = build.reshape(source, (prod(shape(source)[:first]), *shape(source)[first:]))
    padded = build(aten.constant_pad_nd.default, flat, _flat([(0, 0), *sides[first:]]), _value(node))
    return build.reshape(padded, shape(node))


def _pad_by_elements(build: Builder, node: Node) -> Node | None:
    """A pad by what is at the edges: pieces put together, or, where these are many, elements by index."""
    result = node.args[0]
    assert isinstance(result, Node)
    mode = _MODES.get(node.target) or _get(node, 2, "mode", "constant")
    sides = _pairs(node)
    if mode not in _EDGES or min(_flat(sides)) < 0:
        return None
    for dim, (before, after) in enumerate(sides):
        if before or after:
            result = _with_edges(build, result, dim, _EDGES[mode](before, after, shape(result)[dim]))
    return result


def _with_edges(build: Builder, source: Node, dim: int, edges: tuple[list[int], list[int]]) -> Node:
    before, after = edges
    pieces = [*_runs(before), None, *_runs(after)]
    if len(pieces) > _MOST_PIECES:
        indices = torch.tensor([*before, *range(shape(source)[dim]), *after])
        return build(aten.index_select.default, source, dim, build.constant(indices))
    parts = [source if piece is None else build(aten.slice.Tensor, source, dim, *piece) for piece in pieces]
    return build(aten.cat.default, parts, dim)


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Indices as (first, end) of runs that ascend."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def _mirrored(before: int, after: int, size: int) -> tuple[list[int], list[int]]:
    return [*range(before, 0, -1)], [size - 2 - step for step in range(after)]


def _repeated(before: int, after: int, size: int) -> tuple[list[int], list[int]]:
    return [0] * before, [size - 1] * after


def _from_the_other_side(before: int, after: int, size: int) -> tuple[list[int], list[int]]:
    return [*range(size - before, size)], [*range(after)]


def _slice_scatter(build: Builder, node: Node) -> Node | None:
    """x[a:b] = y as what lies before, y, and what lies behind."""
    source, piece = node.args[:2]
    assert isinstance(source, Node) and isinstance(piece, Node)
    dim = _get(node, 2, "dim", 0)
    start, end = _get(node, 3, "start", None), _get(node, 4, "end", None)
    size = shape(source)[dim]
    first, last, step = slice(start, end, _get(node, 5, "step", 1)).indices(size)
    if step != 1 or piece.meta["val"].dtype != source.meta["val"].dtype:
        return None
    return _joined(build, source, piece, dim, first, max(first, last))


def _select_scatter(build: Builder, node: Node) -> Node | None:
    """x[i] = y likewise."""
    source, piece, dim, index = node.args[:4]
    assert isinstance(source, Node) and isinstance(piece, Node)
    assert isinstance(dim, int) and isinstance(index, int)
    if piece.meta["val"].dtype != source.meta["val"].dtype:
        return None
    dim %= len(shape(source))
    first = index % shape(source)[dim]
    return _joined(build, source, build(aten.unsqueeze.default, piece, dim), dim, first, first + 1)


def _joined(build: Builder, source: Node, piece: Node, dim: int, first: int, last: int) -> Node:
    parts = [(0, first), None, (last, shape(source)[dim])]
    pieces = [
        piece if part is None else build(aten.slice.Tensor, source, dim, *part)
        for part in parts
        if part is None or part[0] < part[1]
    ]
    return build(aten.cat.default, pieces, dim) if len(pieces) > 1 else piece


def _of_one_number(build: Builder, node: Node) -> Node | None:
    """Arithmetic of a tensor without dimensions and a number, in one dimension: Arm's ScalarsToAttributePass
    makes the number a tensor of one dimension, and the result is then no longer without."""
    source = node.args[0]
    if not isinstance(source, Node) or isinstance(node.args[1], Node) or shape(node) != ():
        return None
    result = build(node.target, build.reshape(source, (1,)), *node.args[1:], **node.kwargs)
    return build.reshape(result, ())


def relu6(build: Builder, node: Node) -> Node:
    """relu6 by the name that fuses with what is before it."""
    return build(aten.hardtanh.default, node.args[0], 0.0, 6.0)


def _negative(build: Builder, node: Node) -> Node:
    """-x as a product: executorch 1.5.1 negates integers alone, and a concatenation behind may have given the
    result another scale than x has."""
    return build(aten.mul.Tensor, node.args[0], -1.0)


# Operators that pad by what is at the edges, and how each mode of them goes on beyond the edges.
_MODES = {
    getattr(aten, f"{name}_pad{rank}d").default: mode
    for name, mode in (("reflection", "reflect"), ("replication", "replicate"))
    for rank in (1, 2, 3)
}
_EDGES: Mapping[str, Callable[[int, int, int], tuple[list[int], list[int]]]] = {
    "reflect": _mirrored,
    "replicate": _repeated,
    "circular": _from_the_other_side,
}

MOVE_RULES: Mapping[Any, tuple[Callable[[Builder, Node], Node | None], ...]] = {
    aten.pad.default: (_crop, _pad_of_many_dimensions, _pad_by_elements),
    **dict.fromkeys(_MODES, (_pad_by_elements,)),
    aten.constant_pad_nd.default: (_crop, _pad_of_many_dimensions),
    aten.slice_scatter.default: (_slice_scatter,),
    aten.select_scatter.default: (_select_scatter,),
}

NPU_RULES: Mapping[Any, tuple[Callable[[Builder, Node], Node | None], ...]] = {
    **MOVE_RULES,
    **dict.fromkeys((aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor), (_of_one_number,)),
    aten.neg.default: (_negative,),
    aten.relu6.default: (relu6,),
}
