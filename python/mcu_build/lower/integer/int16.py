"""Operators on int16 activations: what stands between dequantize and quantize becomes one integer operator.

Factors between scales become multipliers of as many bits as the largest sum leaves (arithmetic/int16.py).
"""

from collections.abc import Callable, Mapping, Sequence
from math import frexp, log2
from typing import Any

import torch
from executorch.backends.transforms.utils import get_param_tensor
from torch.export import ExportedProgram
from torch.fx import Node

from mcu_build.arithmetic.int16 import HIGH, LOW, exp2_table, lookup_s16
from mcu_build.lower.annotate.clusters import CLAMPS
from mcu_build.lower.annotate.int8 import is_move
from mcu_build.lower.annotate.int16 import LAYERS, NORMS
from mcu_build.lower.assigned import Chosen, everything, is_int16
from mcu_build.lower.builder import aten, run_fake, shape
from mcu_build.lower.integer.int8_forms import DEQUANTIZE, Site, replace_ends
from mcu_build.lower.integer.tables import cluster, evaluated, merge_quantizers
from mcu_build.lower.rewrite import masked_softmax, norms, resample

_MOST = 1 << 31
_LARGEST_SHIFT = 62
# A table grows until its lines are this near to the function, in steps of the output, or to this size.
_NEAR = 1.0
_TABLE_BITS = range(8, 13)
_INT16 = (torch.int16,)

Build = Callable[[Site, Sequence[Node], "Bounds"], Node | None]
Bounds = tuple[int, int]


def build_int16(exported: ExportedProgram, chosen: Chosen = everything) -> None:
    """Replace quantize(operator(dequantize(x), ...)) of int16 operators, and changes of scale around them."""
    merge_quantizers(exported, chosen)
    replace_ends(exported, lambda end: _made(exported, end, chosen))


def _made(exported: ExportedProgram, end: Node, chosen: Chosen) -> Node | None:
    node = end.args[0]
    assert isinstance(node, Node)
    if node.target is DEQUANTIZE:
        wide = torch.int16 in (node.args[5], end.args[5])
        is_read = all(chosen(reader) for user in end.users for reader in user.users)
        narrows = node.args[5] is torch.int16 and end.args[5] is torch.int8
        return _rescale(exported, node, node, end) if wide and (is_read or narrows) else None
    if end.args[5] is not torch.int16 or not chosen(node) or not is_int16(node):
        return None
    low, high, layer = _clamped(node, end)
    build = _BUILDS.get(layer.target)
    start = layer.args[0] if layer.args else None
    if build is not None and _is_dequantized(start):
        made = build(Site.between(exported, layer, start, end, is_int16=True), layer.args, (low, high))
        if made is not None:
            return made
    return _function(exported, end, chosen) or _moved(exported, node, end)


def _clamped(node: Node, end: Node) -> tuple[int, int, Node]:
    """The bounds of a clamp behind a layer, in steps of the output, and that layer."""
    producer = node.args[0] if node.target in CLAMPS else None
    if not isinstance(producer, Node) or producer.target is DEQUANTIZE or len(producer.users) > 1:
        return LOW, HIGH, node
    return *_bounds(node, float(end.args[1])), producer


def _bounds(clamp: Node, scale: float) -> Bounds:
    if clamp.target is aten.relu.default:
        return 0, HIGH
    limits: tuple[Any, ...] = clamp.args[1:]
    defaults = (-1.0, 1.0) if clamp.target is aten.hardtanh.default else (None, None)
    low, high = limits + defaults[len(limits) :]
    least = LOW if low is None else _inside(float(low) / scale, LOW)
    return least, HIGH if high is None else _inside(float(high) / scale, least)


def _inside(steps: float, least: int) -> int:
    return min(max(round(steps), least), HIGH)


def _is_dequantized(node: Any, dtypes: Sequence[torch.dtype] = _INT16) -> bool:
    return isinstance(node, Node) and node.target is DEQUANTIZE and node.args[5] in dtypes


def factor(real: float, largest: float) -> tuple[int, int]:
    """A positive number as multiplier / 2^shift, for sums up to `largest`: their product is below 2^62."""
    bits = min(31, 62 - max(int(largest), 1).bit_length())
    _, exponent = frexp(real)
    shift = min(max(bits - exponent, 1), _LARGEST_SHIFT)
    return min(round(real * 2.0**shift), (1 << bits) - 1), shift


def _rescale(
    exported: ExportedProgram, node: Node, start: Node, end: Node, bounds: Bounds | None = None
) -> Node:
    site = Site.between(exported, node, start, end, is_int16=True)
    multiplier, shift = factor(site.input_scale / site.output_scale, 1 << 16)
    low, high = bounds or (int(end.args[3]), int(end.args[4]))
    bits = 8 if end.args[5] is torch.int8 else 16
    zero_points = site.input_zero_point, site.output_zero_point
    return site.call(
        "rescale_s16", site.source, zero_points[0], multiplier, shift, zero_points[1], low, high, bits
    )


def _layer(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    node, held = site.node, arguments[1]
    if "dequantize_per_channel" not in str(held.target):
        return None
    weight, scales = (get_param_tensor(site.exported, held.args[index]).detach() for index in (0, 1))
    transposed = node.target is aten.conv_transpose2d.input
    if transposed:
        weight = weight.transpose(0, 1)
    bias = site.value_of(arguments[2]) if len(arguments) > 2 else None
    integers = _layer_integers(
        weight,
        scales.to(torch.float64),
        torch.zeros(len(weight)) if bias is None else bias.reshape(-1),
        site.input_scale,
        site.output_scale,
    )
    if node.target is aten.linear.default:
        return site.call("linear_s16", site.source, *integers, *bounds)
    weight, *rest = integers
    integers = (weight.permute(0, 2, 3, 1).contiguous(), *rest)
    defaults = (None, None, None, [1, 1], [0, 0])
    if transposed:
        settings = (*arguments, *(*defaults, [0, 0], 1, [1, 1])[len(arguments) :])
        stride, padding, more, _, dilation = map(_two, settings[3:])
        return site.call(
            "transpose_conv2d_s16", site.source, *integers, stride, padding, more, dilation, *bounds
        )
    settings = (*arguments, *(*defaults, [1, 1], 1)[len(arguments) :])
    stride, padding, dilation = map(_two, settings[3:6])
    return site.call(
        "conv2d_s16", site.source, *integers, stride, padding, dilation, int(settings[6]), *bounds
    )


def _two(value: Any) -> list[int]:
    values = value if isinstance(value, list | tuple) else [value]
    return [int(values[0]), int(values[-1])]


def _layer_integers(
    weight: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor, input_scale: float, output_scale: float
) -> tuple[torch.Tensor, ...]:
    """Weights, biases, multipliers and shifts. A bias that is beyond 32 bits makes its weights coarser."""
    needed = bias.to(torch.float64).abs() / (input_scale * scales) / (_MOST - 1)
    coarser = torch.exp2(torch.ceil(torch.log2(needed.clamp(min=1.0))))
    by_row = coarser.reshape(-1, *(1,) * (weight.dim() - 1))
    weight = torch.round(weight.to(torch.float64) / by_row).to(torch.int8)
    steps = input_scale * scales * coarser
    biases = torch.round(bias.to(torch.float64) / steps)
    largest = weight.abs().to(torch.float64).flatten(1).sum(1) * -LOW + biases.abs()
    # One number of bits for all: kernels add up in 32 or in 64.
    pairs = [factor(float(step) / output_scale, float(largest.max())) for step in steps]
    multipliers, shifts = (torch.tensor(part, dtype=torch.int32) for part in zip(*pairs, strict=True))
    return weight, biases.to(torch.int32), multipliers, shifts


def _sum(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    second = arguments[1]
    if site.node.kwargs or not _is_dequantized(second):  # `alpha`, of x and x: a function of x
        return None
    sign = -1 if site.node.target is aten.sub.Tensor else 1
    ratios = site.input_scale / site.output_scale, float(second.args[1]) / site.output_scale
    # Sums of products stay below 2^31, half of a step included.
    shift = 30
    while shift and sum(round(ratio * 2**shift) for ratio in ratios) * -LOW + (1 << shift >> 1) >= _MOST:
        shift -= 1
    multipliers = [round(ratio * 2**shift) for ratio in ratios]
    return site.call(
        "add_s16", site.source, second.args[0], multipliers[0], sign * multipliers[1], shift, *bounds
    )


def _product(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    second = arguments[1]
    if not _is_dequantized(second):
        return None
    scale = site.input_scale * float(second.args[1]) / site.output_scale
    return site.call("mul_s16", site.source, second.args[0], *factor(scale, 1 << 30), *bounds)


def _quotient(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    second = arguments[1]
    if not _is_dequantized(second):
        return None
    scale = site.input_scale / float(second.args[1]) / site.output_scale
    return site.call_operator(
        torch.ops.cortex_m.quantized_div.default, site.source, 0, second.args[0], 0, 0, scale
    )


def _matmul(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    right = arguments[1]
    if not _is_dequantized(right):
        return None
    largest = shape(arguments[0])[2] << 30
    scale = site.input_scale * float(right.args[1]) / site.output_scale
    turned = site.call_operator(aten.permute.default, right.args[0], [0, 2, 1])
    mode = right.meta["val"].fake_mode
    turned.meta["val"] = run_fake(turned, mode)
    copied = site.call_operator(aten.clone.default, turned)
    copied.kwargs = {"memory_format": torch.contiguous_format}
    copied.meta["val"] = run_fake(copied, mode)
    return site.call("matmul_s16", site.source, copied, *factor(scale, largest))


def _maximum(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    kernel, stride, padding, dilation, rounds_up = _window(arguments, [1, 1], False)
    return site.call("max_pool2d_s16", site.source, kernel, stride, padding, _two(dilation), bool(rounds_up))


def _average(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    kernel, stride, padding, rounds_up, counts_padding = _window(arguments, False, True)
    full = kernel[0] * kernel[1]
    real = site.input_scale / site.output_scale
    whole = bool(counts_padding) and any(padding)
    _, shift = factor(real / (full if whole else 1), full << 15)
    divisors = [full if whole else max(count, 1) for count in range(full + 1)]
    multipliers = torch.tensor(
        [round(real / divisor * 2.0**shift) for divisor in divisors], dtype=torch.int32
    )
    return site.call(
        "avg_pool2d_s16", site.source, kernel, stride, padding, bool(rounds_up), multipliers, shift
    )


def _window(arguments: Sequence[Any], *rest: Any) -> tuple[Any, ...]:
    """Kernel, stride and padding, then what follows with these defaults."""
    settings = (*arguments, *(None, None, [], [0, 0], *rest)[len(arguments) :])
    kernel = _two(settings[1])
    return (
        kernel,
        _two(settings[2]) if settings[2] else kernel,
        _two(settings[3]),
        *settings[4 : 4 + len(rest)],
    )


def _octaves(site: Site) -> tuple[int, int]:
    return factor(site.input_scale * log2(2.718281828459045) * (1 << 16), 1 << 16)


def _softmax(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    table = torch.from_numpy(exp2_table())
    return site.call("softmax_s16", site.source, int(arguments[1]), table, *_octaves(site))


def _masked(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    table = torch.from_numpy(exp2_table())
    return site.call("masked_softmax_s16", site.source, site.integer(arguments[1]), table, *_octaves(site))


def _log_softmax(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    table = torch.from_numpy(exp2_table())
    return site.call(
        "log_softmax_s16", site.source, table, *_octaves(site), *masked_softmax.log_factors(site)
    )


def _norm(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    return norms.FORMS[site.node.target].build(site)


def _resized(site: Site, arguments: Sequence[Any], bounds: Bounds) -> Node | None:
    return resample.build_int16(site, bounds)


def _function(exported: ExportedProgram, end: Node, chosen: Chosen) -> Node | None:
    """A function of one tensor: a clamp as such, all others as straight lines between entries of a table."""
    members = cluster(end.args[0], lambda node: chosen(node) and is_int16(node), torch.int16)
    if members is None or not members[1]:
        return None
    start, inside = members
    node = end.args[0]
    if len(inside) == 1 and node.target in CLAMPS:
        return _rescale(exported, node, start, end, _bounds(node, float(end.args[1])))
    table, bits = _table(end, start, inside)
    return Site.between(exported, inside[-1], start, end, is_int16=True).call(
        "lookup_s16", start.args[0], table, bits
    )


def _table(end: Node, start: Node, inside: Sequence[Node]) -> tuple[torch.Tensor, int]:
    """The smallest table that is near enough, and the bits between its entries."""
    values = evaluated(end, start, inside, torch.arange(LOW, HIGH + 2, dtype=torch.float64))
    wanted = torch.round(values).clamp(LOW, HIGH)
    numbers = torch.arange(LOW, HIGH + 1, dtype=torch.int16)
    for size in _TABLE_BITS:
        bits = 16 - size
        table = wanted[:: 1 << bits].to(torch.int16)
        looked_up = torch.from_numpy(lookup_s16(numbers.numpy(), table.numpy(), bits)).to(torch.float64)
        if float((looked_up - wanted[:-1]).abs().max()) <= _NEAR:
            break
    return table, bits


def _moved(exported: ExportedProgram, node: Node, end: Node) -> Node | None:
    """What moves elements, on integers."""
    if not is_move(node):
        return None
    starts = [operand for operand in node.all_input_nodes if operand.target is DEQUANTIZE]
    scale = end.args[1:6]
    if not starts or any(start.args[1:6] != scale for start in starts):
        return None
    integers = {start: start.args[0] for start in starts}

    def integer(operand: Node) -> Any:
        return integers.get(operand, operand)

    args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), integer)
    if node.target is aten.constant_pad_nd.default:
        args = (*args[:2], _step(args[2], end) if len(args) > 2 else 0)
    made = Site.between(exported, node, starts[0], end, is_int16=True).call_operator(node.target, *args)
    made.kwargs = kwargs
    return made


def _step(value: Any, end: Node) -> int:
    return min(max(round(float(value) / float(end.args[1])), int(end.args[3])), int(end.args[4]))


_BUILDS: Mapping[Any, Build] = {
    **dict.fromkeys(LAYERS, _layer),
    aten.add.Tensor: _sum,
    aten.sub.Tensor: _sum,
    aten.mul.Tensor: _product,
    aten.div.Tensor: _quotient,
    aten.bmm.default: _matmul,
    aten.max_pool2d.default: _maximum,
    aten.avg_pool2d.default: _average,
    aten.softmax.int: _softmax,
    masked_softmax.softmax_where(): _masked,
    aten.log_softmax.int: _log_softmax,
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(resample.RESIZING, _resized),
}
