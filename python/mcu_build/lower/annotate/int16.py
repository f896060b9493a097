"""Which operators have 16-bit activations (`precision` asks for them), and how they are quantized.

Activations are symmetric int16, weights int8 with a scale for each output; biases stay floats until the layer
is built. What has no int16 form stays in float, with the reason. What only moves elements of int16 tensors,
and a clamp behind a layer, follows without being asked for.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from executorch.backends.arm.quantizer.arm_quantizer_utils import _mark_node_as_quantized
from executorch.backends.cortex_m.quantizer.pattern_matcher import PatternMatcher
from executorch.backends.cortex_m.quantizer.quantization_configs import (
    INT8_WEIGHT_PER_CHANNEL_QSPEC,
    INT8_WEIGHT_PER_CHANNEL_TRANSPOSE_QSPEC,
    INT16_ACTIVATION_PER_TENSOR_QSPEC,
)
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import MinMaxObserver
from torchao.quantization.pt2e.quantizer import FixedQParamsQuantizationSpec, SharedQuantizationSpec

from mcu_build.lower.annotate.clusters import find_sources, is_float, is_fused_clamp
from mcu_build.lower.assigned import Chosen, is_int16, keep_in_float, make_int16, why_in_float
from mcu_build.lower.builder import aten, shape
from mcu_build.lower.integer.int8_forms import are_constants
from mcu_build.lower.rewrite import masked_softmax, norms, recurrent, resample
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS as LAYERS_OVER_TIME

_NO_FORM = "it was to have 16 bits, of which this operator has no form"
# Values in use go beyond those of calibration. Rounding to 15 bits in place of 16 costs nothing beside
# weights of 8; what is cut off did: a transformer has 39.4 dB in place of 28.7.
_HEADROOM = 2.0


class RoomyObserver(MinMaxObserver):  # type: ignore[misc]
    """The range that was seen, and as much again."""

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point."""
        scale, zero_point = super().calculate_qparams()
        return scale * _HEADROOM, zero_point


_ACTIVATION = replace(INT16_ACTIVATION_PER_TENSOR_QSPEC, observer_or_fake_quant_ctr=RoomyObserver)
SHARES = FixedQParamsQuantizationSpec(
    dtype=torch.int16, scale=2.0**-15, zero_point=0, quant_min=-32768, quant_max=32767
)
LAYERS = frozenset({aten.conv2d.default, aten.linear.default, aten.conv_transpose2d.input})
PAIRS = frozenset({aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor})
NORMS = frozenset(
    {aten.layer_norm.default, aten.rms_norm.default, aten.group_norm.default, aten.instance_norm.default}
)
# Sums of squares of a group, times their number, stay below 2^62.
_LARGEST_GROUP = 1 << 15


def choose(model: GraphModule, is_move: Callable[[Node], bool], chosen: Chosen) -> None:
    """Mark what follows int16 operators, and leave in float what has no int16 form."""
    for node in model.graph.nodes:
        if not is_int16(node) and chosen(node) and not why_in_float(node) and _follows(node, is_move):
            make_int16(node)
    sources = find_sources(model.graph, is_int16)
    for node in model.graph.nodes:
        if node.op != "call_function" or not is_int16(node) or node in sources:
            continue
        floats = is_float(node) or any(is_float(operand) for operand in node.all_input_nodes)
        if (
            floats
            and not _is_recurrent(node)
            and not (is_float(node) and (is_move(node) or _is_clamp(node) or _accepts(node)))
        ):
            keep_in_float(node, _NO_FORM)


def _is_recurrent(node: Node) -> bool:
    """A recurrent layer that has an integer form, or a result of it."""
    layer = node.args[0] if node.target is operator.getitem else node
    return isinstance(layer, Node) and layer.target in LAYERS_OVER_TIME and recurrent.accepts(layer)


def _follows(node: Node, is_move: Callable[[Node], bool]) -> bool:
    operands = [operand for operand in node.all_input_nodes if is_float(operand)]
    follows = is_float(node) and (is_move(node) or _is_clamp(node))
    return follows and bool(operands) and all(map(is_int16, operands))


def _is_clamp(node: Node) -> bool:
    return is_fused_clamp(node, {}) and is_int16(node.all_input_nodes[0])


def _accepts(node: Node) -> bool:
    accepts = _FORMS.get(node.target)
    return accepts is not None and bool(accepts(node))


def annotate(model: GraphModule, is_move: Callable[[Node], bool]) -> None:
    """Mark them as quantized."""
    recurrent.annotate(model, is_int16, _ACTIVATION)
    sources = find_sources(model.graph, is_int16)
    for node in model.graph.nodes:
        if node.op != "call_function" or not is_int16(node) or not is_float(node) or _is_recurrent(node):
            continue
        node.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True
        if node in sources:
            ends = any(sources.get(user) is not sources[node] for user in node.users)
            inputs = {operand: _ACTIVATION for operand in node.all_input_nodes if operand is sources[node]}
            _mark_node_as_quantized(node, inputs, _ACTIVATION if ends else None, is_quantized=False)
        elif is_move(node):
            _annotate_move(node)
        elif _is_clamp(node):
            _mark_node_as_quantized(node, {}, _ACTIVATION, is_quantized=False)
        else:
            _mark_node_as_quantized(node, _operands(node), _result(node), is_quantized=False)


def _annotate_move(node: Node) -> None:
    """One scale for all that is moved."""
    operands = [operand for operand in node.all_input_nodes if is_float(operand)]
    shared = SharedQuantizationSpec((operands[0], node))
    inputs: dict[Node, Any] = dict.fromkeys(operands, shared)
    inputs[operands[0]] = _ACTIVATION
    _mark_node_as_quantized(node, inputs, shared, is_quantized=True)


def _operands(node: Node) -> dict[Node, Any]:
    if node.target in LAYERS:
        transposed = node.target is aten.conv_transpose2d.input
        weight = INT8_WEIGHT_PER_CHANNEL_TRANSPOSE_QSPEC if transposed else INT8_WEIGHT_PER_CHANNEL_QSPEC
        return {node.args[0]: _ACTIVATION, node.args[1]: weight}
    if node.target in PAIRS or node.target is aten.bmm.default:
        return dict.fromkeys(node.args[:2], _ACTIVATION)
    others = dict(masked_softmax.mask_operands(node)) if node.target is masked_softmax.softmax_where() else {}
    return {node.args[0]: _ACTIVATION, **others}


def _result(node: Node) -> Any:
    """Nothing where a clamp behind has it."""
    users = list(node.users)
    # A quotient has no clamp of its own.
    fuses = node.target is not aten.div.Tensor
    if fuses and len(users) == 1 and is_int16(users[0]) and _is_clamp(users[0]):
        return None
    if node.target in (aten.softmax.int, masked_softmax.softmax_where()):
        return SHARES
    if node.target is aten.max_pool2d.default:
        return SharedQuantizationSpec((node.args[0], node))
    return _ACTIVATION


def _layer(node: Node) -> bool:
    bias = node.args[2] if len(node.args) > 2 else None
    constant = node.args[1].op == "get_attr" and are_constants(bias)
    if node.target is aten.conv_transpose2d.input:
        return constant and (len(node.args) < 7 or node.args[6] == 1)
    return constant


def _pair(node: Node) -> bool:
    return (
        not node.kwargs
        and len(node.args) == 2
        and all(isinstance(argument, Node) and is_float(argument) for argument in node.args)
    )


def _average(node: Node) -> bool:
    """Every window has to know how many elements to divide by: its own, or those of a whole window."""
    defaults: tuple[Any, ...] = (None, None, [], [0, 0], False, True, None)
    arguments: tuple[Any, ...] = (*node.args, *defaults[len(node.args) :])
    padding, rounds_up, counts_padding, divisor = arguments[3:]
    return divisor is None and not (rounds_up and counts_padding and any(padding)) and len(shape(node)) == 4


def _norm(node: Node) -> bool:
    return norms.FORMS[node.target].accepts(node) and norms.group_size(node) <= _LARGEST_GROUP


_FORMS: Mapping[Any, Callable[[Node], bool]] = {
    **dict.fromkeys(LAYERS, _layer),
    **dict.fromkeys(PAIRS, _pair),
    aten.bmm.default: lambda node: True,
    aten.max_pool2d.default: lambda node: len(shape(node)) == 4,
    aten.avg_pool2d.default: _average,
    aten.softmax.int: lambda node: True,
    masked_softmax.softmax_where(): lambda node: True,
    aten.log_softmax.int: masked_softmax.accepts_rows,
    **dict.fromkeys(NORMS, _norm),
    **dict.fromkeys(resample.RESIZING, lambda node: len(shape(node)) == 4),
}
