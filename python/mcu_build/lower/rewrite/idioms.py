"""Normalizations that a model writes out, as the operator that they are.

Taken apart they would be means and roots of int8, which keep few bits; as one operator they cost nothing but
the rounding of operand and result. Looked for before anything else is rewritten.

    x * rsqrt(mean(x ** 2) + eps)                    rms_norm
    (x - mean(x)) / sqrt(mean((x - mean(x)) ** 2) + eps), or with var(x)    layer_norm
    (x - mean(x)) / (std(x) + eps), for a small eps                  layer_norm
    x / max(norm(x), eps)                            rms_norm, times 1 / sqrt(count)
"""

from collections.abc import Collection, Mapping
from math import prod
from typing import Any

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, shape

# An L2 norm below this is that of zeros, as int8 sees it.
_LARGEST_GUARD = 1e-4
_SMALLEST_EPSILON = 1e-30
_VARIANCES = frozenset({aten.var.default, aten.var.dim, aten.var.correction})
_DEVIATIONS = frozenset({aten.std.default, aten.std.dim, aten.std.correction})


def normalization(build: Builder, node: Node) -> Node | None:
    """A product or quotient that normalizes."""
    for numerator, factor in _factors(node):
        if not isinstance(numerator, Node) or not isinstance(factor, Node):
            continue
        norm = _by_variance(build, node, numerator, factor)
        if norm is None and node.target is aten.div.Tensor:
            norm = _by_length(build, node, numerator, factor)
        if norm is not None:
            return norm
    return None


def _factors(node: Node) -> list[tuple[Any, Any]]:
    first, second = node.args[:2]
    return [(first, second), (second, first)] if node.target is aten.mul.Tensor else [(first, second)]


def _by_variance(build: Builder, node: Node, numerator: Node, factor: Node) -> Node | None:
    divides = node.target is aten.div.Tensor
    guard = _plus_number(build, _under_root(factor, divides=divides))
    is_root = False
    if guard is None and divides:
        guard, is_root = _deviation(build, factor)
    if guard is None:
        return None
    spread, epsilon = guard
    source, dims = _mean_of(spread)
    if source is not None and _is_square_of(source, numerator):
        centered = _centered(numerator, dims)
        if centered is not None:
            return _normalized(build, node, centered, dims, epsilon, centers=True)
        return _normalized(build, node, numerator, dims, epsilon, centers=False)
    source, dims, share = _variance_of(spread, _DEVIATIONS if is_root else _VARIANCES)
    if source is not None and _centered(numerator, dims) is source:
        return _normalized(build, node, source, dims, epsilon * share, centers=True, factor=share**0.5)
    return None


def _deviation(build: Builder, divisor: Node) -> tuple[tuple[Node, float] | None, bool]:
    """The variance of a deviation with what is added to it, and whether it is there as its root.

    sqrt(v) + eps is sqrt(v + eps ** 2) but for rows that int8 has for constants.
    """
    root, number = _plus_number(build, divisor) or (divisor, 0.0)
    if not 0 <= number <= _LARGEST_GUARD:
        return None, False
    if root.target in _DEVIATIONS:
        return (root, number**2), True
    spread = _under_root(root, divides=True)
    return ((spread, number**2) if isinstance(spread, Node) else None), False


def _by_length(build: Builder, node: Node, numerator: Node, divisor: Node) -> Node | None:
    """x / max(|x|, eps), with an eps that matters to zeros only."""
    if divisor.target in (aten.expand_as.default, aten.expand.default):
        divisor = divisor.args[0]
    if divisor.target in (aten.clamp_min.default, aten.clamp.default):
        if not isinstance(divisor.args[1], int | float) or divisor.args[1] > _LARGEST_GUARD:
            return None
        if len(divisor.args) > 2 and divisor.args[2] is not None:
            return None
        divisor = divisor.args[0]
    if divisor.target is not aten.linalg_vector_norm.default or divisor.args[0] is not numerator:
        return None
    order, dims = (divisor.args[1] if len(divisor.args) > 1 else 2), _dims(divisor, 2)
    if order != 2 or dims is None or shape(divisor) != _reduced(numerator, dims):
        return None
    count = prod(shape(numerator)[d] for d in dims)
    return _normalized(build, node, numerator, dims, 0.0, centers=False, factor=count**-0.5)


def _under_root(node: Node, *, divides: bool) -> Any:
    """v of a factor 1 / sqrt(v), or of a divisor sqrt(v)."""
    power = node.args[1] if node.target is aten.pow.Tensor_Scalar else None
    if divides:
        return node.args[0] if node.target is aten.sqrt.default or power == 0.5 else None
    if node.target is aten.rsqrt.default or power == -0.5:
        return node.args[0]
    inverse = node.args[0] if node.target is aten.reciprocal.default else None
    return _under_root(inverse, divides=True) if isinstance(inverse, Node) else None


def _plus_number(build: Builder, node: Any) -> tuple[Node, float] | None:
    if not isinstance(node, Node) or node.kwargs:
        return None
    if node.target in (aten.add.Tensor, aten.add.Scalar):
        for number, other in (node.args[1::-1], node.args[:2]):
            constant = build.value_of(number)
            if constant is not None and constant.numel() == 1:
                number = float(constant)
            if isinstance(number, int | float) and isinstance(other, Node):
                return other, float(number)
    return None


def _mean_of(node: Node) -> tuple[Node | None, tuple[int, ...]]:
    """What `node` is the mean of, and over which dimensions; its result keeps them, or has none."""
    source = node.args[0] if node.args else None
    dims = _dims(node, 1) if node.target in (aten.mean.dim, aten.mean.default) else None
    return (source, dims) if isinstance(source, Node) and dims is not None else (None, ())


def _variance_of(node: Node, targets: Collection[Any]) -> tuple[Node | None, tuple[int, ...], float]:
    """The same for one of `targets`, and what share of its variance is that which divides by the count."""
    source = node.args[0] if node.args else None
    dims = _dims(node, 1) if node.target in targets else None
    if not isinstance(source, Node) or dims is None:
        return None, (), 1.0
    count = prod(shape(source)[d] for d in dims)
    if node.target in (aten.var.correction, aten.std.correction):
        correction = node.kwargs.get("correction")
        correction = 1 if correction is None else correction
    else:
        position = 1 if node.target in (aten.var.default, aten.std.default) else 2
        correction = int(node.args[position]) if len(node.args) > position else 1
    if not isinstance(correction, int | float) or correction >= count:
        return None, (), 1.0
    return source, dims, (count - correction) / count


def _dims(node: Node, index: int) -> tuple[int, ...] | None:
    """The dimensions over which `node` reduces, where it keeps them as ones, or leaves none."""
    source, listed = node.args[0], node.args[index] if len(node.args) > index else None
    if not isinstance(source, Node):
        return None
    rank = len(shape(source))
    if isinstance(listed, bool) or not listed:
        return tuple(range(rank)) if shape(node) == () else None
    dims = tuple(sorted(int(d) % rank for d in (listed if isinstance(listed, list | tuple) else [listed])))
    return dims if shape(node) == _reduced(source, dims) else None


def _reduced(node: Node, dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in dims else size for d, size in enumerate(shape(node)))


def _is_square_of(square: Node, node: Node) -> bool:
    if square.target is aten.pow.Tensor_Scalar:
        return square.args[1] == 2 and _is_same(square.args[0], node)
    if square.target is aten.square.default:
        return _is_same(square.args[0], node)
    return square.target is aten.mul.Tensor and all(_is_same(side, node) for side in square.args[:2])


def _is_same(first: Any, second: Node) -> bool:
    """One node, or the same difference taken anew."""
    if not isinstance(first, Node) or first is second:
        return first is second
    again = first.target is second.target is aten.sub.Tensor
    return again and first.args == second.args and first.kwargs == second.kwargs


def _centered(node: Node, dims: tuple[int, ...]) -> Node | None:
    """x of x - mean(x) over `dims`."""
    if node.target is not aten.sub.Tensor or node.kwargs or not isinstance(node.args[1], Node):
        return None
    source, own = _mean_of(node.args[1])
    return source if source is node.args[0] and own == dims else None


def _normalized(
    build: Builder,
    node: Node,
    source: Node,
    dims: tuple[int, ...],
    epsilon: float,
    *,
    centers: bool,
    factor: float = 1.0,
) -> Node | None:
    """The operator over the rows of a matrix, which hold the elements of `dims`."""
    sizes = shape(source)
    if sizes != shape(node):
        return None
    order = [d for d in range(len(sizes)) if d not in dims] + list(dims)
    in_place = order == list(range(len(sizes)))
    count = prod(sizes[d] for d in dims)
    moved = source if in_place else build(aten.permute.default, source, order)
    rows = build.reshape(moved, (prod(sizes) // count, count))
    scale = _absorbed(build, node, aten.mul.Tensor, dims, order)
    if scale is not None or factor != 1.0:
        scale = torch.full((count,), factor) * (1.0 if scale is None else scale)
    weight = None if scale is None else build.constant(scale)
    guard = max(epsilon, _SMALLEST_EPSILON)
    if centers:
        offset = _absorbed(build, node, aten.add.Tensor, dims, order)
        bias = None if offset is None else build.constant(offset)
        result = build(aten.layer_norm.default, rows, [count], weight, bias, guard)
    else:
        result = build(aten.rms_norm.default, rows, [count], weight, guard)
    back = build.reshape(result, [sizes[d] for d in order])
    return (
        back if in_place else build(aten.permute.default, back, [order.index(d) for d in range(len(sizes))])
    )


def _absorbed(
    build: Builder, node: Node, target: Any, dims: tuple[int, ...], order: list[int]
) -> torch.Tensor | None:
    """The constant along `dims` that alone reads `node`, as factor or addend; `node` then means both."""
    user, *others = node.users
    if others or user.target is not target or user.kwargs or shape(user) != shape(node):
        return None
    constant = build.value_of(user.args[1] if user.args[0] is node else user.args[0])
    rank = len(order)
    if constant is None or constant.dim() > rank:
        return None
    wide = constant.reshape((1,) * (rank - constant.dim()) + tuple(constant.shape))
    if any(size != 1 for d, size in enumerate(wide.shape) if d not in dims):
        return None
    full = wide.expand([size if d in dims else 1 for d, size in enumerate(shape(node))])
    user.replace_all_uses_with(node, propagate_meta=False)
    build.model.graph.erase_node(user)
    return full.permute(order).reshape(-1).to(torch.float32)


IDIOMS: Mapping[Any, Any] = dict.fromkeys((aten.mul.Tensor, aten.div.Tensor), normalization)
