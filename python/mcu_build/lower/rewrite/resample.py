"""Resizing and averaging of images as sums over rows and over columns, each by a matrix of few entries a row.

Bilinear, bicubic and exact nearest resizing, averages over unequal windows: torch itself says what their
matrices are, from the operator's results for unit vectors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.fx import Node

from mcu_build.ir.arithmetic import SUM_BITS, TAP_BITS
from mcu_build.lower.builder import Builder, aten, shape
from mcu_build.lower.integer.int8_forms import Int8Form, Site, multiplier_and_shift

# The operator under which a mean is known; it computes as a resampling does.
_MEAN = "avg_pool2d"
# Sums over rows and columns of int16: weights add up to 2 at most along each, signs aside.
_LARGEST_INT16 = 1 << (15 + SUM_BITS + 2)

# What an operator does along one of its axes: (images of one row, operator, axis) → images of one row.
Along = Callable[[torch.Tensor, Node, int], torch.Tensor]


@dataclass(frozen=True)
class Taps:
    """A matrix with its entries in runs: output i = sum of weights[i, t] * input[starts[i] + t].

    Weights are integers with 14 bits behind the point.
    """

    starts: torch.Tensor
    weights: torch.Tensor


def taps(matrix: torch.Tensor) -> Taps:
    """The runs of a matrix [outputs, inputs]; the rounded weights of a row have the sum that the row has."""
    inputs = matrix.shape[1]
    integers = torch.round(matrix.to(torch.float64) * (1 << TAP_BITS)).to(torch.int64)
    wanted = torch.round(matrix.to(torch.float64).sum(dim=1) * (1 << TAP_BITS)).to(torch.int64)
    largest = integers.abs().argmax(dim=1, keepdim=True)
    integers.scatter_add_(1, largest, (wanted - integers.sum(dim=1)).unsqueeze(1))
    used = integers != 0
    first = used.to(torch.int8).argmax(dim=1)
    last = inputs - 1 - used.flip(1).to(torch.int8).argmax(dim=1)
    length = max(int((last - first).max()) + 1, 1)
    starts = torch.minimum(first, torch.tensor(inputs - length))
    columns = starts.unsqueeze(1) + torch.arange(length)
    return Taps(starts.to(torch.int32), integers.gather(1, columns).to(torch.int16))


def _matrix(node: Node, axis: int, along: Along) -> torch.Tensor:
    """What the operator does along rows (axis 0) or columns (1)."""
    size = shape(node.args[0])[2 + axis]
    # An image of one row for each unit vector: columns with antialias are wrong in torch where there is one.
    result = along(torch.eye(size).reshape(size, 1, 1, size), node, axis)
    return result[:, 0, 0, :].T


def _scale(node: Node, index: int, axis: int) -> float | None:
    factors = node.args[index] if len(node.args) > index else None
    return None if factors is None else float(factors[axis])


def _resized(plain: Any) -> Along:
    """A resizing operator with align_corners."""

    def along(unit: torch.Tensor, node: Node, axis: int) -> torch.Tensor:
        size, corners = shape(node)[2 + axis], bool(node.args[2])
        result: torch.Tensor = plain(unit, [1, size], corners, None, _scale(node, 3, axis))
        return result

    return along


def _nearest(unit: torch.Tensor, node: Node, axis: int) -> torch.Tensor:
    size = [1, shape(node)[2 + axis]]
    return aten._upsample_nearest_exact2d.default(unit, size, None, _scale(node, 2, axis))


def _averaged(unit: torch.Tensor, node: Node, axis: int) -> torch.Tensor:
    return aten.adaptive_avg_pool2d.default(unit, [1, shape(node)[2 + axis]])


def _means(unit: torch.Tensor, node: Node, axis: int) -> torch.Tensor:
    window, stride, padding = (_along_axis(node, index, axis) for index in (1, 2, 3))
    counts_padding = bool(node.args[5]) if len(node.args) > 5 else True
    rounds_up = bool(node.args[4]) if len(node.args) > 4 else False
    return aten.avg_pool2d.default(unit, [1, window], [1, stride], [0, padding], rounds_up, counts_padding)


def _along_axis(node: Node, index: int, axis: int) -> int:
    """A pool's window (argument 1), stride (2) or padding (3) along an axis."""
    value = node.args[index] if len(node.args) > index else None
    if not value:
        return 0 if index == 3 else _along_axis(node, 1, axis)
    return _pair(value)[axis]


def _pool(site: Site) -> Node | None:
    """An average in another scale than its operand's."""
    same = (site.input_scale, site.input_zero_point) == (site.output_scale, site.output_zero_point)
    if same or not _accepts_pool(site.node):
        return None
    # Equal weights that are a power of two are exact; what they lack to an average, the multiplier has.
    windows = [_along_axis(site.node, 1, axis) for axis in (0, 1)]
    factors = [window / (1 << (window - 1).bit_length()) for window in windows]
    rows, columns = (taps(_matrix(site.node, axis, _means) * factors[axis]) for axis in (0, 1))
    return _resample(site, rows, columns, site.input_scale / site.output_scale / prod(factors), _MEAN)


def _accepts_pool(node: Node) -> bool:
    short = all(_along_axis(node, 1, axis) <= 1 << TAP_BITS for axis in (0, 1))
    return _accepts(node) and short and (len(node.args) < 7 or node.args[6] is None)


def _accepts(node: Node) -> bool:
    return len(shape(node)) == 4


def _form(along: Along, *, shares: bool = True, name: str = "resample") -> Int8Form:
    def build(site: Site) -> Node:
        rows, columns = (taps(_matrix(site.node, axis, along)) for axis in (0, 1))
        return _resample(site, rows, columns, site.input_scale / site.output_scale, name)

    return Int8Form(_accepts, build, shares)


def _resample(site: Site, rows: Taps, columns: Taps, factor: float, name: str) -> Node:
    multiplier, shift = multiplier_and_shift(factor)
    return site.call(
        name,
        site.source,
        rows.starts,
        rows.weights,
        columns.starts,
        columns.weights,
        site.input_zero_point,
        site.output_zero_point,
        multiplier,
        shift - SUM_BITS,
    )


def line(build: Builder, node: Node) -> Node:
    """Resizing along one dimension over a plane of height 1."""
    factors = node.args[-1]
    if node.target is aten.upsample_nearest1d.vec and _differs(node):
        return _picked(build, node)
    plane = build(aten.unsqueeze.default, node.args[0], -2)
    size, scales = ([1, shape(node)[-1]], None) if factors is None else (None, [1.0, float(factors[0])])
    if node.target is aten.upsample_linear1d.vec:
        resized = build(aten.upsample_bilinear2d.vec, plane, size, node.args[2], scales)
    else:
        resized = build(aten.upsample_nearest2d.vec, plane, size, scales)
    return build(aten.squeeze.dim, resized, -2)


def volume(build: Builder, node: Node) -> Node:
    """Resizing of a volume: of its planes, then of its depth over planes made rows."""
    source, _, *corners, _ = node.args
    if node.target is aten.upsample_nearest3d.vec and _differs(node):
        return _picked(build, node)
    factors = _factors(node) if corners else node.args[-1]

    def resized(image: Node, size: list[int], scales: list[float] | None) -> Node:
        return build(_OF_IMAGES[node.target], image, None if scales else size, *corners, scales)

    (batch, channels, depth, *plane), (deep, high, wide) = shape(source), shape(node)[2:]
    planes = build(aten.reshape.default, source, [batch, channels * depth, *plane])
    planes = resized(planes, [high, wide], factors and list(factors[1:]))
    rows = build(aten.reshape.default, planes, [batch, channels, depth, high * wide])
    rows = resized(rows, [deep, high * wide], factors and [factors[0], 1.0])
    return build(aten.reshape.default, rows, [batch, channels, deep, high, wide])


def _factors(node: Node) -> list[float] | None:
    """Factors of linear resizing, 1 for one such as 1.3 that leaves a size: PyTorch copies there, its
    decompositions do not."""
    if node.args[-1] is None:
        return None
    sizes = zip(shape(node.args[0])[2:], shape(node)[2:], node.args[-1], strict=True)
    return [1.0 if new == old else float(factor) for old, new, factor in sizes]


def _with_own_factors(build: Builder, node: Node) -> Node | None:
    factors = _factors(node)
    same = factors is None or factors == list(node.args[-1])
    return None if same else build(node.target, *node.args[:-1], factors)


def _differs(node: Node) -> bool:
    """Whether images would be resized otherwise than lines and volumes: PyTorch copies the rows of an image
    as they are where a factor such as 1.3 leaves their number."""
    sizes = zip(shape(node.args[0])[2:], shape(node)[2:], node.args[-1] or (), strict=False)
    return any(new == old * whole != old * factor for old, new, factor in sizes for whole in (1, 2))


def _picked(build: Builder, node: Node) -> Node:
    """Nearest resizing by factors as a choice of rows along each dimension."""
    result: Node = node.args[0]
    for dimension, (size, factor) in enumerate(zip(shape(result)[2:], node.args[-1], strict=True), 2):
        rows = torch.arange(float(size)).reshape(1, 1, size)
        chosen = aten.upsample_nearest1d.vec(rows, None, [float(factor)]).flatten().to(torch.int64)
        result = build(aten.index_select.default, result, dimension, build.constant(chosen))
    return result


def by_divisor(build: Builder, node: Node) -> Node | None:
    """avg_pool2d with a divisor of its own: the average of whole windows, times a number."""
    divisor = node.args[6] if len(node.args) > 6 else None
    if divisor is None or node.args[4]:
        return None
    window = prod(_pair(node.args[1]))
    average = build(aten.avg_pool2d.default, *node.args[:4], False, True)
    return build(aten.mul.Tensor, average, window / divisor)


def _pair(value: Any) -> tuple[int, int]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    return int(items[0]), int(items[-1])


def build_int16(site: Site, bounds: tuple[int, int]) -> Node:
    """On int16, of an operator of `RESIZING`."""
    from mcu_build.lower.integer.int16 import factor

    rows, columns = (taps(_matrix(site.node, axis, RESIZING[site.node.target])) for axis in (0, 1))
    scale = site.input_scale / site.output_scale / (1 << SUM_BITS)
    tables = (rows.starts, rows.weights, columns.starts, columns.weights)
    return site.call("resample_s16", site.source, *tables, *factor(scale, _LARGEST_INT16), *bounds)


RESIZING: Mapping[Any, Along] = {
    aten.upsample_bilinear2d.vec: _resized(aten.upsample_bilinear2d.default),
    aten.upsample_bicubic2d.vec: _resized(aten.upsample_bicubic2d.default),
    aten._upsample_bilinear2d_aa.vec: _resized(aten._upsample_bilinear2d_aa.default),
    aten._upsample_bicubic2d_aa.vec: _resized(aten._upsample_bicubic2d_aa.default),
    aten._upsample_nearest_exact2d.vec: _nearest,
    aten.adaptive_avg_pool2d.default: _averaged,
}
# Cubic interpolation overshoots: its results have a range of their own.
_OVERSHOOTS = frozenset({aten.upsample_bicubic2d.vec, aten._upsample_bicubic2d_aa.vec})
FORMS: Mapping[Any, Int8Form] = {
    **{target: _form(along, shares=target not in _OVERSHOOTS) for target, along in RESIZING.items()},
    aten.adaptive_avg_pool2d.default: _form(_averaged, name=_MEAN),
    aten.avg_pool2d.default: Int8Form(_accepts_pool, _pool),
}
_OF_IMAGES = {
    aten.upsample_nearest3d.vec: aten.upsample_nearest2d.vec,
    aten._upsample_nearest_exact3d.vec: aten._upsample_nearest_exact2d.vec,
    aten.upsample_trilinear3d.vec: aten.upsample_bilinear2d.vec,
}
# On programs as they are exported.
EXPORTED_RULES: Mapping[Any, Callable[[Builder, Node], Node | None]] = {
    **dict.fromkeys((aten.upsample_linear1d.vec, aten.upsample_bilinear2d.vec), _with_own_factors),
    aten.upsample_trilinear3d.vec: volume,
}
