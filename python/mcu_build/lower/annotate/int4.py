"""Linear layers and convolutions of 1x1 whose weights have 4 bits (`precision` asks for them).

Activations are int8 as everywhere. Weights are rounded once ranges are known, with the scales of least square
error: for each 32 inputs of an output where they divide a row, else for each output. What has no such form
keeps weights of 8 bits.
"""

from typing import Any

import numpy as np
import torch
from executorch.backends.arm.quantizer.arm_quantizer_utils import _mark_node_as_quantized
from executorch.backends.cortex_m.quantizer.pattern_matcher import PatternMatcher
from executorch.backends.cortex_m.quantizer.quantization_configs import INT8_ACTIVATION_PER_TENSOR_QSPEC
from torch.fx import GraphModule, Node

from mcu_build.arithmetic.int4 import GROUP, HIGH, LOW, MOST_INPUTS, integers_of, scales_of
from mcu_build.lower.annotate.clusters import is_fused_clamp
from mcu_build.lower.assigned import Chosen, is_int4
from mcu_build.lower.builder import aten, attribute, shape
from mcu_build.lower.integer.int8_forms import DEQUANTIZE, are_constants

LAYERS = frozenset({aten.linear.default, aten.conv2d.default})
_LIKE_LAYERS = LAYERS | {aten.conv1d.default, aten.conv2d.padding, aten.conv1d.padding}


def by_group() -> Any:
    """Dequantizes weights in groups along a row."""
    return torch.ops.quantized_decomposed.dequantize_per_channel_group.default


def may_have_form(node: Node) -> bool:
    """Whether an operator of the user's graph is of a kind that weights of 4 bits are for."""
    if node.target not in _LIKE_LAYERS:
        return False
    weight = shape(node.args[1])
    if node.target is aten.linear.default:
        return len(weight) == 2
    settings = (*node.args, *(None, 1, 0, 1, 1)[len(node.args) - 2 :])
    steps, padding = (
        {*numbers} if isinstance(numbers, list | tuple) else {numbers} for numbers in settings[3:5]
    )
    is_whole = steps <= {1} and padding <= {0, "same", "valid"} and settings[6] == 1
    return is_whole and all(size == 1 for size in weight[2:])


def is_pointwise(node: Node) -> bool:
    """Whether a layer is a product of rows: linear, or a convolution of 1x1 that leaves nothing out."""
    inputs = shape(node.args[1])[1]
    if not 1 < inputs <= MOST_INPUTS:
        return False
    if node.target is aten.linear.default:
        return len(shape(node.args[1])) == 2
    settings = (*node.args, *(None, [1, 1], [0, 0], [1, 1], 1)[len(node.args) - 2 :])
    kernel = shape(node.args[1])[2:]
    return kernel == (1, 1) and set(settings[3]) == {1} and set(settings[4]) <= {0} and settings[6] == 1


def _accepts(node: Node) -> bool:
    if node.target not in LAYERS or not is_int4(node):
        return False
    bias = node.args[2] if len(node.args) > 2 else None
    weight = node.args[1]
    return isinstance(weight, Node) and weight.op == "get_attr" and are_constants(bias) and is_pointwise(node)


def annotate(model: GraphModule, chosen: Chosen) -> None:
    """Mark their activations as quantized, and those of a clamp behind."""
    for node in model.graph.nodes:
        if not _accepts(node) or not chosen(node):
            continue
        node.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True
        clamp = next(iter(node.users)) if len(node.users) == 1 else None
        is_clamped = clamp is not None and chosen(clamp) and is_fused_clamp(clamp, {})
        output = None if is_clamped else INT8_ACTIVATION_PER_TENSOR_QSPEC
        source = {node.args[0]: INT8_ACTIVATION_PER_TENSOR_QSPEC}
        _mark_node_as_quantized(node, source, output, is_quantized=False)
        if clamp is not None and is_clamped:
            clamp.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True
            _mark_node_as_quantized(clamp, {}, INT8_ACTIVATION_PER_TENSOR_QSPEC, is_quantized=False)


def round_weights(converted: GraphModule) -> None:
    """Have layers between quantized activations read weights of 4 bits, dequantized."""
    for node in list(converted.graph.nodes):
        if _accepts(node) and isinstance(node.args[0], Node) and node.args[0].target is DEQUANTIZE:
            node.update_arg(1, _rounded(converted, node))
    converted.graph.eliminate_dead_code()
    converted.recompile()


def _rounded(model: GraphModule, node: Node) -> Node:
    weight = attribute(model, node.args[1]).detach()
    rows = weight.reshape(len(weight), -1)
    inputs = rows.shape[1]
    is_grouped = inputs > GROUP and inputs % GROUP == 0
    values = rows.to(torch.float64).numpy()
    scales = scales_of(values, is_grouped)
    held = {
        "int4": torch.from_numpy(integers_of(values, scales)),
        "int4_scales": torch.from_numpy(scales.astype(np.float32)),
    }
    with model.graph.inserting_before(node):
        names = []
        for name, value in held.items():
            own = f"{node.name}_{name}"
            model.register_buffer(own, value)
            names.append(model.graph.get_attr(own))
        size = GROUP if is_grouped else inputs
        arguments = (*names, None, LOW, HIGH, torch.int8, size, torch.float32)
        made = model.graph.call_function(by_group(), arguments)
        made.meta["val"] = rows.to(torch.float32)
        if weight.dim() > 2:
            made = model.graph.call_function(aten.reshape.default, (made, list(weight.shape)))
            made.meta["val"] = weight
    return made
