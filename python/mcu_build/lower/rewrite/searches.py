"""Operators that search, count, repeat and multiply, as simpler ones: there are no kernels for them.

`searchsorted` and `bucketize` count the boundaries below a value, `histc` the values of each bin; `kthvalue`
is the last of the k smallest.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import make_fx

from mcu_build.lower.builder import Builder, aten, shape


def _argument(node: Node, name: str) -> Any:
    for index, parameter in enumerate(node.target._schema.arguments):
        if parameter.name == name:
            value = node.args[index] if index < len(node.args) else parameter.default_value
            return node.kwargs.get(name, value)
    raise KeyError(name)


def _bucketize(build: Builder, node: Node) -> Node:
    """Which of the intervals between sorted boundaries each value lies in."""
    return _counted(build, node, node.args[1], node.args[0])


def _searchsorted(build: Builder, node: Node) -> Node | None:
    """The same, with boundaries for each row of values."""
    if _argument(node, "sorter") is not None:
        return None
    return _counted(build, node, node.args[0], node.args[1])


def _counted(build: Builder, node: Node, boundaries: Node, values: Node) -> Node:
    is_right = bool(_argument(node, "right"))
    if "side" in {parameter.name for parameter in node.target._schema.arguments}:
        is_right = is_right or _argument(node, "side") == "right"
    if len(shape(boundaries)) > 1:
        boundaries = build(aten.unsqueeze.default, boundaries, -2)
    wide = build(aten.unsqueeze.default, values, -1)
    below = build(aten.le.Tensor if is_right else aten.lt.Tensor, boundaries, wide)
    counts = build(aten.sum.dim_IntList, below, [-1])
    wanted = node.meta["val"].dtype
    return counts if wanted is torch.int64 else build(aten._to_copy.default, counts, dtype=wanted)


def _histogram(build: Builder, node: Node) -> Node | None:
    """How many values lie in each of equal bins from `min` to `max`, the last of which holds `max`, too."""
    bins, low, high = (_argument(node, name) for name in ("bins", "min", "max"))
    if low == high:
        return None  # Where the bins are, data decide.
    values = build.reshape(node.args[0], (node.args[0].meta["val"].numel(), 1))
    # As PyTorch computes it: the position from the lowest value, in bins.
    position = build(aten.mul.Tensor, build(aten.sub.Tensor, values, low), bins / (high - low))
    numbers = build(aten.clamp.default, build(aten.floor.default, position), None, bins - 1.0)
    inside = build(
        aten.logical_and.default, build(aten.ge.Scalar, values, low), build(aten.le.Scalar, values, high)
    )
    own = build(aten.eq.Tensor, numbers, build(aten.arange.default, bins, dtype=torch.float32))
    counted = build(aten.logical_and.default, own, inside)
    return build(aten._to_copy.default, build(aten.sum.dim_IntList, counted, [0]), dtype=torch.float32)


def _log_of_sums(build: Builder, node: Node) -> Node:
    """logcumsumexp: exponentials below 1 are added up, and their scale is put back."""
    values, axis = node.args[0], node.args[1]
    largest = build(aten.amax.default, values, [axis], True)
    powers = build(aten.exp.default, build(aten.sub.Tensor, values, largest))
    sums = build(aten.cumsum.default, powers, axis)
    return build(aten.add.Tensor, build(aten.log.default, sums), largest)


def _repeated(build: Builder, node: Node) -> Node:
    """Each element as often as its count says: those are known by constant folding, or there is no kernel."""
    source, counts, axis = node.args[0], node.args[1], _argument(node, "dim")
    if axis is None:
        source, axis = build.reshape(source, (source.meta["val"].numel(),)), 0
    size = shape(node)[axis]
    if counts.meta["val"].numel() == 1:
        counts = build.expand(build.reshape(counts, (1,)), (shape(source)[axis],))
    places = build(aten.repeat_interleave.Tensor, counts, output_size=size)
    return build(aten.index_select.default, source, axis, places)


def _kth_smallest(build: Builder, node: Node) -> Node:
    """The last of the k smallest, and its index: of equal entries that which topk names."""
    source, number = node.args[0], node.args[1]
    axis, keeps = _argument(node, "dim"), _argument(node, "keepdim")
    smallest = build(aten.topk.default, source, number, axis, False, True)
    for reader in list(node.users):
        result = build(operator.getitem, smallest, reader.args[1])
        if shape(source):
            last = (axis, number - 1, number) if keeps else (axis, number - 1)
            result = build(aten.slice.Tensor if keeps else aten.select.int, result, *last)
        reader.replace_all_uses_with(result)
    return smallest


def _bilinear(build: Builder, node: Node) -> Node:
    """x W y for each output: a linear layer over x, and its products with y added up."""
    first, second, weight, bias = (*node.args, None)[:4]
    outputs, rows, columns = shape(weight)
    flat = build.reshape(build(aten.permute.default, weight, [0, 2, 1]), (outputs * columns, rows))
    wide = build(aten.linear.default, first, flat)
    apart = build.reshape(wide, (*shape(wide)[:-1], outputs, columns))
    products = build(aten.mul.Tensor, apart, build(aten.unsqueeze.default, second, -2))
    sums = build(aten.sum.dim_IntList, products, [-1])
    return sums if bias is None else build(aten.add.Tensor, sums, bias)


def _einsum(build: Builder, node: Node) -> Node:
    """Sums of products as permutations and matrix products: what PyTorch makes of them."""
    equation, operands = node.args[:2]
    values = [operand.meta["val"] for operand in operands]
    with build.mode:
        traced = make_fx(lambda *tensors: torch.einsum(equation, *tensors))(*values)
    known = dict(zip(traced.graph.find_nodes(op="placeholder"), operands, strict=True))
    for call in traced.graph.nodes:
        if call.op == "call_function":
            args, kwargs = torch.fx.map_arg((call.args, call.kwargs), known.__getitem__)
            known[call] = build(call.target, *args, **kwargs)
    return known[traced.graph.output_node().args[0]]


RULES: Mapping[Any, Callable[[Builder, Node], Node | None]] = {
    aten.bilinear.default: _bilinear,
    aten.bucketize.Tensor: _bucketize,
    aten.einsum.default: _einsum,
    aten.searchsorted.Tensor: _searchsorted,
    aten.histc.default: _histogram,
    aten.kthvalue.default: _kth_smallest,
    aten.logcumsumexp.default: _log_of_sums,
    aten.repeat_interleave.self_Tensor: _repeated,
}
