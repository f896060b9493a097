"""Operators that pick elements of int8: rows of an embedding's table, maxima of windows that reach out.

Their results have the quantization of what they pick from.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, shape
from mcu_build.lower.integer.int8_forms import Int8Form, Site, are_constants


def _reads_further(node: Node) -> bool:
    """Whether anything but the model's caller reads a result: alone, a table is better off as it is."""
    return any(user.op != "output" for user in node.users)


def _embedding(site: Site) -> Node:
    return site.call_operator(aten.embedding.default, site.source, *site.node.args[1:])


def own_table(build: Builder, node: Node) -> Node | None:
    """An embedding whose table something else reads too (a tied output layer), with a table of its own.

    The two are quantized in their own ways.
    """
    table = build.value_of(node.args[0])
    assert isinstance(node.args[0], Node)
    if table is None or len(node.args[0].users) == 1:
        return None
    return build(node.target, build.constant(table), *node.args[1:])


def adaptive_max(build: Builder, node: Node) -> Node | None:
    """The maxima of adaptive_max_pool whose windows are all of one size."""
    pool, index = node.args
    if not isinstance(pool, Node) or index != 0 or pool.target not in _ADAPTIVE:
        return None
    source = pool.args[0]
    assert isinstance(source, Node)
    if pool.target is aten.adaptive_max_pool1d.default:
        plane = build(aten.unsqueeze.default, source, -2)
        both = build(aten.adaptive_max_pool2d.default, plane, [1, int(pool.args[1][0])])
        return build(aten.squeeze.dim, build(operator.getitem, both, 0), -2)
    sizes, outputs = shape(source)[-2:], shape(node)[-2:]
    if len(shape(source)) != 4 or any(size % count for size, count in zip(sizes, outputs, strict=True)):
        return None
    window = [size // count for size, count in zip(sizes, outputs, strict=True)]
    return build(aten.max_pool2d.default, source, window, window)


_ADAPTIVE = frozenset({aten.adaptive_max_pool2d.default, aten.adaptive_max_pool1d.default})


def _pair(node: Node, index: int, default: Sequence[int]) -> list[int]:
    value: Any = node.args[index] if len(node.args) > index and node.args[index] else default
    items = list(value) if isinstance(value, list | tuple) else [value]
    return [int(items[0]), int(items[-1])]


def _accepts_pool(node: Node) -> bool:
    """What quantized_max_pool2d has not: windows that end beyond the image, or have gaps."""
    rounds_up = len(node.args) > 5 and bool(node.args[5])
    return len(shape(node)) == 4 and (rounds_up or _pair(node, 4, [1, 1]) != [1, 1])


def _max_pool(site: Site) -> Node | None:
    if not _accepts_pool(site.node):
        return None
    kernel = _pair(site.node, 1, [])
    rest = (_pair(site.node, 2, kernel), _pair(site.node, 3, [0, 0]))
    dilation = _pair(site.node, 4, [1, 1])
    if dilation == [1, 1]:
        return site.call("max_pool2d", site.source, kernel, *rest)
    rounds_up = len(site.node.args) > 5 and bool(site.node.args[5])
    return site.call("max_pool2d_dilated", site.source, kernel, *rest, dilation, rounds_up)


FORMS: Mapping[Any, Int8Form] = {
    aten.embedding.default: Int8Form(
        lambda node: are_constants(node.args[0]) and _reads_further(node), _embedding, shares=True
    ),
    aten.max_pool2d.default: Int8Form(_accepts_pool, _max_pool, shares=True),
}
