"""Linear layers with a scale for each output: as convolutions of 1x1, whose kernels have one.

Kernels of linear layers have one scale for all outputs. Where the rows of the weights differ much in size,
the small ones are then rounded away.
"""

from math import prod

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.annotate.clusters import is_fused_clamp
from mcu_build.lower.assigned import Chosen
from mcu_build.lower.builder import Builder, aten, attribute, fake_mode, shape

# What half of the outputs or more have to lose in one scale, as noise for signal. For one row of activations
# convolutions take longer than linear kernels, half as long again on cores without DSP: 33 dB. Several rows
# are pixels for both: 44 dB.
_MUCH = 10 ** (-33 / 10)
_MUCH_OF_SEVERAL = 10 ** (-44 / 10)


def split_scales(model: GraphModule, chosen: Chosen) -> None:
    """Rewrite the linear layers most of whose rows lose much in the scale that the largest needs."""
    for node in list(model.graph.nodes):
        constant = node.target is aten.linear.default and node.args[1].op == "get_attr" and chosen(node)
        much = _MUCH_OF_SEVERAL if constant and prod(shape(node)[:-1]) > 1 else _MUCH
        if constant and _lost(attribute(model, node.args[1]).detach()) > much:
            as_convolution(model, node)


def _lost(weight: torch.Tensor) -> float:
    """The median over rows of noise for signal, in steps of (largest weight) / 127."""
    step = (weight.abs().max() / 127).clamp(min=torch.finfo(torch.float32).tiny)
    noise = ((weight / step).round() * step - weight).square().sum(1)
    signal = weight.square().sum(1)
    present = signal > 0
    return float((noise[present] / signal[present]).median()) if bool(present.any()) else 0.0


def as_convolution(model: GraphModule, node: Node) -> None:
    """A linear layer as a convolution of 1x1 over its rows: linear kernels have one scale for all outputs."""
    build = Builder(model, fake_mode(model), node)
    data, weight = node.args[0], node.args[1]
    outputs, inputs = shape(weight)
    rows = build.reshape(data, (1, -1, 1, inputs))
    image = build(aten.permute.default, rows, [0, 3, 1, 2])
    kernel = build.constant(attribute(model, weight).detach().reshape(outputs, inputs, 1, 1))
    made = build(aten.conv2d.default, image, kernel, *node.args[2:3])
    clamp = next(iter(node.users)) if len(node.users) == 1 else None
    replaced = [node]
    if clamp is not None and is_fused_clamp(clamp, {}):
        # It is fused with the convolution only where it is right behind it.
        made = build(clamp.target, made, *clamp.args[1:], **clamp.kwargs)
        replaced.insert(0, clamp)
    back = build.reshape(build(aten.permute.default, made, [0, 2, 3, 1]), shape(node))
    for old in replaced:
        old.replace_all_uses_with(back)
        model.graph.erase_node(old)
    model.recompile()
