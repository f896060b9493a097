"""Rules for convolutions, pools along one dimension, and batch normalization on its own."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from torch.fx import Node
from torch.nn.functional import pad

from mcu_build.lower.builder import Builder, aten, shape

_POOLS = {
    aten.max_pool1d.default: aten.max_pool2d.default,
    aten.avg_pool1d.default: aten.avg_pool2d.default,
    aten.adaptive_avg_pool1d.default: aten.adaptive_avg_pool2d.default,
}


def _pair(value: Any) -> list[int]:
    items = list(value) if isinstance(value, Sequence) else [value]
    return [int(items[0]), int(items[-1])]


def _row(value: Any, fill: int) -> list[int]:
    """A parameter of one dimension as that of a plane of height 1."""
    return [fill, int(value[0] if isinstance(value, Sequence) else value)]


def _get(node: Node, index: int, default: Any) -> Any:
    return node.args[index] if len(node.args) > index else default


def _each(value: Sequence[int], count: int) -> list[int]:
    return list(value) if len(value) == count else list(value) * count


def _conv1d(build: Builder, node: Node) -> Node | None:
    """conv1d over a plane of height 1: CortexMQuantizer has no conv1d without its explicit layout."""
    source, weight = node.args[0], build.value_of(node.args[1])
    assert isinstance(source, Node)
    if weight is None:
        return None
    plane = build(aten.unsqueeze.default, source, -2)
    result = build(
        aten.conv2d.default,
        plane,
        build.constant(weight.unsqueeze(-2)),
        _get(node, 2, None),
        _row(_get(node, 3, 1), 1),
        _row(_get(node, 4, 0), 0),
        _row(_get(node, 5, 1), 1),
        _get(node, 6, 1),
    )
    return build(aten.squeeze.dim, result, -2)


def _conv_transpose1d(build: Builder, node: Node) -> Node | None:
    """conv_transpose1d over a plane of height 1."""
    source, weight = node.args[0], build.value_of(node.args[1])
    assert isinstance(source, Node)
    if weight is None:
        return None
    result = build(
        aten.conv_transpose2d.input,
        build(aten.unsqueeze.default, source, -2),
        build.constant(weight.unsqueeze(-2)),
        _get(node, 2, None),
        _row(_get(node, 3, 1), 1),
        _row(_get(node, 4, 0), 0),
        _row(_get(node, 5, 0), 0),
        _get(node, 6, 1),
        _row(_get(node, 7, 1), 1),
    )
    return build(aten.squeeze.dim, result, -2)


def _named_padding(build: Builder, node: Node) -> Node | None:
    """padding='same' or 'valid' as numbers, with a pad in front where the sides differ."""
    source, weight = node.args[0], node.args[1]
    assert isinstance(source, Node) and isinstance(weight, Node)
    kernel = shape(weight)[2:]
    stride, dilation = (_each(_get(node, place, [1]), len(kernel)) for place in (3, 5))
    padding, steps = _get(node, 4, "valid"), dilation
    total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(steps, kernel, strict=True)]
    before = [amount // 2 for amount in total]
    if any(amount % 2 for amount in total):
        sides = [side for amount in reversed(total) for side in (amount // 2, amount - amount // 2)]
        source = build(aten.constant_pad_nd.default, source, sides, 0.0)
        before = [0] * len(total)
    plain = aten.conv1d.default if len(kernel) == 1 else aten.conv2d.default
    return build(plain, source, weight, _get(node, 2, None), stride, before, dilation, _get(node, 6, 1))


def _conv_transpose2d(build: Builder, node: Node) -> Node | None:
    """Transposed convolutions that quantized_transpose_conv2d lacks.

    Output padding becomes zeros behind the kernel. With groups or dilation it is a convolution over the input
    with zeros between its elements, by the flipped kernel.
    """
    source, weight = node.args[0], build.value_of(node.args[1])
    assert isinstance(source, Node)
    stride, padding = _pair(_get(node, 3, 1)), _pair(_get(node, 4, 0))
    more, groups, dilation = _pair(_get(node, 5, 0)), _get(node, 6, 1), _pair(_get(node, 7, 1))
    if weight is None or (more == [0, 0] and groups == 1 and dilation == [1, 1]):
        return None
    if groups == 1 and dilation == [1, 1]:
        wider = pad(weight, (0, more[1], 0, more[0]))
        return build(node.target, source, build.constant(wider), _get(node, 2, None), stride, padding)
    # One row before the first element would be cut off: no convolution pads by a negative number.
    margin = [d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True)]
    if min(margin) < 0:
        return None
    spread = _spread(build, source, stride)
    inputs, outputs = weight.shape[0], weight.shape[1]
    grouped = weight.reshape(groups, inputs // groups, outputs, *weight.shape[2:]).transpose(1, 2)
    flipped = grouped.reshape(groups * outputs, inputs // groups, *weight.shape[2:]).flip(2, 3)
    result = build(
        aten.conv2d.default,
        spread,
        build.constant(flipped),
        _get(node, 2, None),
        [1, 1],
        margin,
        dilation,
        groups,
    )
    for dim in (2, 3):
        if shape(result)[dim] != shape(node)[dim]:
            result = build(aten.slice.Tensor, result, dim, 0, shape(node)[dim])
    return result


def _spread(build: Builder, source: Node, stride: list[int]) -> Node:
    """(n, c, h, w) → (n, c, h * stride, w * stride) with stride - 1 zeros after each element.

    In channels-last memory these are zeros after runs of bytes: padding of the last dimension of a view.
    """
    n, channels, height, width = shape(source)
    if stride == [1, 1]:
        return source
    result = build(aten.permute.default, source, [0, 2, 3, 1])
    result = build.reshape(result, (n * height, width, channels))
    if stride[1] > 1:
        result = build(aten.constant_pad_nd.default, result, [0, (stride[1] - 1) * channels], 0.0)
    width *= stride[1]
    result = build.reshape(result, (n, height, width * channels))
    if stride[0] > 1:
        result = build(aten.constant_pad_nd.default, result, [0, (stride[0] - 1) * width * channels], 0.0)
    result = build.reshape(result, (n, height * stride[0], width, channels))
    return build(aten.permute.default, result, [0, 3, 1, 2])


def _pool1d(build: Builder, node: Node) -> Node:
    """A pool along one dimension over a plane of height 1."""
    plane = build(aten.unsqueeze.default, node.args[0], -2)
    kernel = _row(node.args[1], 1)
    if node.target is aten.adaptive_avg_pool1d.default:
        pooled = build(aten.adaptive_avg_pool2d.default, plane, kernel)
    else:
        stride = _row(_get(node, 2, None) or node.args[1], 1)
        rest = [_row(value, fill) for value, fill in zip(node.args[3:4], (0,), strict=False)]
        if node.target is aten.max_pool1d.default and len(node.args) > 4:
            rest.append(_row(node.args[4], 1))
        last = list(node.args[5:] if node.target is aten.max_pool1d.default else node.args[4:])
        pooled = build(_POOLS[node.target], plane, kernel, stride, *rest, *last)
    return build(aten.squeeze.dim, pooled, -2)


def _batch_norm(build: Builder, node: Node) -> Node | None:
    """Batch normalization with no convolution to fold into, as a depthwise 1x1 convolution."""
    source = node.args[0]
    assert isinstance(source, Node)
    mean, variance = build.value_of(node.args[3]), build.value_of(node.args[4])
    if mean is None or variance is None or node.args[5] is True:
        return None
    factor = (variance + float(node.args[7])).rsqrt()
    gamma, beta = build.value_of(node.args[1]), build.value_of(node.args[2])
    factor = factor if gamma is None else factor * gamma
    offset = -mean * factor if beta is None else beta - mean * factor
    sizes = shape(source)
    plane = source if len(sizes) == 4 else build.reshape(source, (*sizes[:2], 1, prod(sizes[2:])))
    result = build(
        aten.conv2d.default,
        plane,
        build.constant(factor.reshape(-1, 1, 1, 1)),
        build.constant(offset),
        [1, 1],
        [0, 0],
        [1, 1],
        sizes[1],
    )
    return build.reshape(result, sizes)


def _linear(build: Builder, node: Node) -> Node | None:
    """linear by a computed weight as a matrix product."""
    if build.value_of(node.args[1]) is not None:
        return None
    product = build(aten.matmul.default, node.args[0], build(aten.transpose.int, node.args[1], -2, -1))
    bias = _get(node, 2, None)
    return product if bias is None else build(aten.add.Tensor, product, bias)


CONVOLUTION_RULES: Mapping[Any, tuple[Callable[[Builder, Node], Node | None], ...]] = {
    aten.conv1d.default: (_conv1d,),
    aten.conv1d.padding: (_named_padding,),
    aten.conv2d.padding: (_named_padding,),
    aten.conv_transpose1d.default: (_conv_transpose1d,),
    aten.conv_transpose2d.input: (_conv_transpose2d,),
    **dict.fromkeys(_POOLS, (_pool1d,)),
    aten.batch_norm.default: (_batch_norm,),
    aten.linear.default: (_linear,),
}
