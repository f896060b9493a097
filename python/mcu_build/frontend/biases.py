"""Biases that take up what rounded weights move the mean of each channel by.

A rounded weight is wrong by the same amount at every place and for every input, so a channel's mean moves by

    sum over what it reads of (weight - rounded weight) * (mean of what it reads)

and what comes later cannot average that away. It is added to the channel's bias, with means over a few calls
of calibration data. Biases are integers of 32 bits: the firmware is as fast. They are kept where the outputs
of other calls come nearer to the float model's by it.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves

from mcu_build.lower.assigned import is_int4, schema_name
from mcu_build.lower.builder import aten, attribute
from mcu_build.quality.sqnr import judge

Inputs = tuple[torch.Tensor, ...]
# Calls that means are taken over, and as many others that judge; with fewer a mean is no mean.
MOST_CALLS, FEWEST_CALLS = 16, 8
# What outputs have to gain, dB.
_WORTH = 0.1
# Where the channels are that a layer reads. A transposed convolution has its weights in another order.
_CHANNELS = {aten.conv1d.default: 1, aten.conv2d.default: 1, aten.linear.default: -1}
_INT32 = (1 << 31) - 1


@dataclass(frozen=True)
class FloatLayer:
    """A layer of the float model: its weight, and the mean of each channel that it reads."""

    weight: torch.Tensor
    means: torch.Tensor


@dataclass(frozen=True)
class FloatModel:
    """What the float model has: its layers by name, and its outputs for some calls."""

    layers: Mapping[str, FloatLayer]
    calls: Sequence[Inputs]
    outputs: Sequence[Sequence[torch.Tensor]]


def float_model(prepared: GraphModule, calls: Sequence[Inputs]) -> FloatModel | None:
    """That of a float graph with observers, which stay as they are; None where there are too few calls."""
    half = min(len(calls) // 2, MOST_CALLS)
    if half < FEWEST_CALLS:
        return None
    # In turns: what comes late may be unlike what comes first.
    first, others = calls[: 2 * half : 2], calls[1 : 2 * half : 2]
    watcher = _Layers(prepared)
    with torch.no_grad():
        for call in first:
            watcher.run(*call)
        outputs = [_leaves(Unobserved(prepared).run(*call)) for call in others]
    layers = {
        name: FloatLayer(weight, watcher.totals[name] / half) for name, weight in watcher.weights.items()
    }
    return FloatModel(layers, others, outputs)


def correct(converted: GraphModule, floats: FloatModel) -> float:
    """Correct the biases of a quantized graph in place where that is worth it: the dB that outputs gain."""
    added = {
        bias: shift
        for node in converted.graph.nodes
        if (bias := _bias(converted, node)) is not None
        and (shift := _shift(converted, node, floats.layers.get(node.name))) is not None
    }
    if not added:
        return 0.0
    kept = {bias: bias.values.clone() for bias in added}
    with torch.no_grad():
        before = _decibels(converted, floats)
        for bias, shift in added.items():
            bias.add(shift)
        gained = _decibels(converted, floats) - before
        if gained >= _WORTH:
            return gained
        for bias, values in kept.items():
            bias.values.copy_(values)
    return 0.0


@dataclass(frozen=True, eq=False)
class _Bias:
    """The constant of a bias, and what one of its steps is worth: 1 where it is float."""

    values: torch.Tensor
    step: torch.Tensor

    def add(self, shift: torch.Tensor) -> None:
        """Move it by as many steps as are nearest."""
        moved = self.values.to(torch.float64) + shift / self.step
        if not self.values.is_floating_point():
            moved = moved.round().clamp(-_INT32, _INT32)
        self.values.copy_(moved)


def _bias(module: GraphModule, node: Node) -> _Bias | None:
    """That of a layer which has one of its own.

    Not with weights of 4 bits: who trains with them has trained biases for them, too.
    """
    layer = node.target in _CHANNELS and not is_int4(node)
    operand = node.args[2] if layer and len(node.args) > 2 else None
    if not isinstance(operand, Node) or len(operand.users) > 1:
        return None
    if operand.op == "get_attr":
        return _Bias(attribute(module, operand), torch.ones(()))
    held = operand.args[0] if "::dequantize_per_" in schema_name(operand) else None
    if not isinstance(held, Node) or held.op != "get_attr" or len(held.users) > 1:
        return None
    step = operand.args[1]
    scale = attribute(module, step) if isinstance(step, Node) else torch.tensor(step)
    return _Bias(attribute(module, held), scale.detach().to(torch.float64))


def _shift(module: GraphModule, node: Node, layer: FloatLayer | None) -> torch.Tensor | None:
    """What rounding takes from the mean of each channel; None where it rounds no weight."""
    rounded = node.args[1]
    if layer is None or not isinstance(rounded, Node) or rounded.op == "get_attr":
        return None
    weight = _constant(module, rounded).to(torch.float64)
    lost = (layer.weight.to(torch.float64) - weight).flatten(2) if weight.dim() > 2 else layer.weight - weight
    by_channel = lost.sum(2) if weight.dim() > 2 else lost
    groups = len(layer.means) // by_channel.shape[1]
    means = layer.means.reshape(groups, -1).repeat_interleave(len(by_channel) // groups, 0)
    return (by_channel * means).sum(1)


def _constant(module: GraphModule, node: Node) -> torch.Tensor:
    """What is computed of constants: a weight that was rounded."""
    if node.op == "get_attr":
        return attribute(module, node).detach()
    made: torch.Tensor = node.target(*map_arg(node.args, lambda operand: _constant(module, operand)))
    return made


def _decibels(module: GraphModule, floats: FloatModel) -> float:
    """The SQNR of the worst output."""
    rows = [_leaves(module(*call)) for call in floats.calls]
    reference, actual = (
        [torch.stack(part).numpy() for part in zip(*given, strict=True)] for given in (floats.outputs, rows)
    )
    return min((one.worst for one in judge(reference, actual) if not one.integers), default=0.0)


def _leaves(result: Any) -> list[torch.Tensor]:
    return [leaf.detach().clone() for leaf in tree_leaves(result)]


class Unobserved(Interpreter):  # type: ignore[misc]
    """Runs a graph past its observers: they see calibration alone."""

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What an observer looks at."""
        del target, kwargs
        return args[0]


class _Layers(Unobserved):
    """Notes the weights of layers, and adds up the means of the channels that they read."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.weights: dict[str, torch.Tensor] = {}
        self.totals: dict[str, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """The node's result."""
        if n.target in _CHANNELS:
            source, weight = (self.env[operand] for operand in n.args[:2])
            mean = source.detach().to(torch.float64).transpose(0, _CHANNELS[n.target]).flatten(1).mean(1)
            self.totals[n.name] = self.totals[n.name] + mean if n.name in self.totals else mean
            self.weights[n.name] = weight.detach().clone()
        return super().run_node(n)
