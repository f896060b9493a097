"""Normalizations (layer, group, instance, RMS) as one int8 operator over [n, channels, ...].

Statistics are integers of the quantized values: only rounding of operand and result costs accuracy.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch.fx import Node

from mcu_build.arithmetic.int8 import NORMALIZED_BITS, RESULT_BITS
from mcu_build.arithmetic.int16 import RESULT_BITS_S16
from mcu_build.lower.builder import Builder, argument, aten, shape
from mcu_build.lower.integer.int8_forms import Int8Form, Site, are_constants, fixed_point

# Elements of a group: sums of squares, times their number, stay below 2^62.
_LARGEST_GROUP = 1 << 22
_LARGEST_EPSILON = 1 << 61


def rows(build: Builder, node: Node) -> Node | None:
    """layer_norm and rms_norm over the rows of a matrix."""
    source, sizes = node.args[0], shape(node)
    normalized = [int(size) for size in node.args[1]]
    if len(sizes) == 2 and len(normalized) == 1:
        return None
    count = prod(normalized)
    weights = [build.value_of(argument) for argument in node.args[2:4]]
    flat = [None if weight is None else build.constant(weight.reshape(-1)) for weight in weights]
    if any(new is None and old is not None for new, old in zip(flat, node.args[2:4], strict=False)):
        return None
    if node.target is aten.rms_norm.default:
        flat = flat[:1]
        rest = [argument(node, 3, "eps")]
    else:
        flat += [None] * (2 - len(flat))
        rest = [argument(node, 4, "eps", 1e-5)]
    matrix = build.reshape(source, (prod(sizes) // count, count))
    return build.reshape(build(node.target, matrix, [count], *flat, *rest), sizes)


def _accepts_rows(node: Node) -> bool:
    is_matrix = len(shape(node)) == 2 and len(node.args[1]) == 1
    return is_matrix and shape(node)[1] <= _LARGEST_GROUP and are_constants(*_weights_of_rows(node))


def _weights_of_rows(node: Node) -> tuple[Any, Any]:
    weight = argument(node, 2, "weight")
    return weight, None if node.target is aten.rms_norm.default else argument(node, 3, "bias")


def _layer_norm(site: Site) -> Node:
    return _norm(site, 1, *_weights_of_rows(site.node), argument(site.node, 4, "eps", 1e-5))


def _rms_norm(site: Site) -> Node:
    epsilon = argument(site.node, 3, "eps")
    epsilon = torch.finfo(torch.float32).eps if epsilon is None else epsilon
    return _norm(site, 1, *_weights_of_rows(site.node), epsilon, centered=False)


def _accepts_groups(node: Node) -> bool:
    channels, *rest = shape(node)[1:]
    weights = (argument(node, 2, "weight"), argument(node, 3, "bias"))
    return channels // int(node.args[1]) * prod(rest) <= _LARGEST_GROUP and are_constants(*weights)


def _group_norm(site: Site) -> Node:
    weights = (argument(site.node, 2, "weight"), argument(site.node, 3, "bias"))
    return _norm(site, int(site.node.args[1]), *weights, argument(site.node, 4, "eps", 1e-5))


def known_statistics(build: Builder, node: Node) -> Node | None:
    """instance_norm with the statistics of its training: batch_norm."""
    if node.args[5]:
        return None
    source, weight, bias, mean, variance, _, momentum, epsilon, cudnn = node.args
    return build(
        aten.batch_norm.default, source, weight, bias, mean, variance, False, momentum, epsilon, cudnn
    )


def _accepts_instances(node: Node) -> bool:
    uses_input = bool(node.args[5])
    return uses_input and prod(shape(node)[2:]) <= _LARGEST_GROUP and are_constants(*node.args[1:3])


def _instance_norm(site: Site) -> Node:
    node = site.node
    return _norm(site, shape(node)[1], node.args[1], node.args[2], node.args[7])


def group_size(node: Node) -> int:
    """Elements that a norm of `FORMS` normalizes together."""
    channels, *rest = shape(node)[1:]
    if node.target is aten.group_norm.default:
        return channels // int(node.args[1]) * prod(rest)
    return prod(rest) if node.target is aten.instance_norm.default else channels * prod(rest)


def _norm(site: Site, groups: int, weight: Any, bias: Any, epsilon: float, *, centered: bool = True) -> Node:
    channels, *rest = shape(site.node)[1:]
    count = channels // groups * prod(rest)
    weights, biases = (site.value_of(argument) for argument in (weight, bias))
    entries = 1 if weights is None and biases is None else channels
    factors = (torch.ones(entries) if weights is None else weights.reshape(-1)).to(torch.float64)
    addends = (torch.zeros(entries) if biases is None else biases.reshape(-1)).to(torch.float64)
    result_bits = RESULT_BITS_S16 if site.is_int16 else RESULT_BITS
    more = NORMALIZED_BITS - result_bits
    integers, shift = fixed_point(factors / site.output_scale, 29, (1 - more, 40 - more))
    limit = (1 << 31) - 1
    added = torch.round(addends / site.output_scale * (1 << result_bits)).clamp(-limit, limit)
    offset = min(round(epsilon * count * count / site.input_scale**2), _LARGEST_EPSILON)
    operands = (site.source, integers, added.to(torch.int32), groups, centered, offset)
    if site.is_int16:
        return site.call("norm_s16", *operands, shift + more)
    return site.call("norm", *operands, site.input_zero_point, site.output_zero_point, shift + more)


FORMS: Mapping[Any, Int8Form] = {
    aten.layer_norm.default: Int8Form(_accepts_rows, _layer_norm),
    aten.rms_norm.default: Int8Form(_accepts_rows, _rms_norm),
    aten.group_norm.default: Int8Form(_accepts_groups, _group_norm),
    aten.instance_norm.default: Int8Form(_accepts_instances, _instance_norm),
}
