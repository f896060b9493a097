"""Channels brought to like ranges between a convolution and its reader, before either is quantized.

One scale stands for a whole tensor: where one channel reaches 10 and the others 0.1, these have two or three
of 256 values. What lies between the two layers (ReLU, pooling, padding with zeros) commutes with positive
factors of channels, so

    reader(act(layer(x)))  =  reader'(act(layer'(x))),   layer' = layer / s,   reader' = reader * s,   s > 0

by channel are equal in real numbers. A convolution has a scale for each output channel, so dividing its
weights costs nothing; nor does multiplying those of a depthwise one. Other readers share a scale across the
channels: s is chosen there by the noise that is to be expected of activations and of weights together.

Sources: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), with
ranges of activations beside those of weights; the exponents are those of Xiao et al., SmoothQuant (2022).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.builder import aten, attribute, shape
from mcu_build.lower.rewrite.watch import Inputs, watch

_LINEAR = aten.linear.default
_CONVOLUTIONS = (aten.conv1d.default, aten.conv2d.default)
_NORM = aten.batch_norm.default
# f(s * x) = s * f(x) for every s > 0, element by element,
_ELEMENTWISE = frozenset(
    {
        aten.relu.default,
        aten.relu_.default,
        aten.leaky_relu.default,
        aten.leaky_relu_.default,
        aten.dropout.default,
        aten.alias.default,
        aten.clone.default,
        aten.contiguous.default,
    }
)
# and channel by channel.
_POOLS = frozenset(
    {
        aten.max_pool1d.default,
        aten.max_pool2d.default,
        aten.avg_pool1d.default,
        aten.avg_pool2d.default,
        aten.adaptive_avg_pool1d.default,
        aten.adaptive_avg_pool2d.default,
    }
)
_FLATTEN = frozenset({aten.flatten.using_ints, aten.view.default, aten.reshape.default})
# How much of a range goes into the reader's weights: 0 none of it, 1 all of it.
_EXPONENTS = (0.25, 0.5, 0.75, 1.0)
# A channel is stretched by so much at most: calibration may have seen little of it.
_MOST = 64.0
# An error of weights is the same at every place and for every input: what comes later averages errors of
# activations, but not this one.
_LASTING = 16.0
# Weights of so few values stay as they are: clustered ones are kept as codes (kernels/codebooks.py).
_CLUSTERS = 16
# The share of the noise that may be left for a pair to be changed: 1 dB less.
_WORTH = 0.8


@dataclass(frozen=True)
class Pair:
    """`layer` makes channels, `norm` behind it, if any, scales them, `between` commutes, `reader` reads."""

    layer: Node
    norm: Node | None
    between: tuple[Node, ...]
    reader: Node

    @property
    def observed(self) -> Node:
        """What is quantized first, by channels: the activation where one follows, the layer itself else."""
        made = self.norm or self.layer
        first = self.between[0] if self.between else made
        return made if first.target in _FLATTEN else first


def equalize(module: GraphModule, inputs: Iterable[Inputs]) -> int:
    """Rewrite the weights of `module`, an exported program in float, in place: how many pairs were changed.

    `inputs` are a few calls of calibration data. Weights must be the module's own copies.
    """
    all_pairs = list(pairs(module))
    ranges = _Ranges()
    watch(module, {pair.observed for pair in all_pairs}, inputs, ranges.note)
    with torch.no_grad():
        return sum(_equalize(module, pair, ranges) for pair in all_pairs)


def pairs(module: GraphModule) -> Iterator[Pair]:
    """Layers with one reader each, both with weights of their own."""
    names = [str(node.target) for node in module.graph.nodes if node.op == "get_attr"]
    tensors = [id(attribute(module, node)) for node in module.graph.nodes if node.op == "get_attr"]
    shared = {name for name, tensor in zip(names, tensors, strict=True) if tensors.count(tensor) > 1}
    for node in module.graph.nodes:
        pair = _pair(node) if node.target in _CONVOLUTIONS else None
        if pair is not None and all(_is_own(constant, shared) for constant in _constants(pair)):
            yield pair


def _pair(layer: Node) -> Pair | None:
    node, norm, between = layer, None, list[Node]()
    while len(node.users) == 1:
        before, node = node, next(iter(node.users))
        if node.op != "call_function" or node.args[0] is not before:
            return None
        if node.target is _NORM and norm is None and not between:
            norm = node
        elif node.target in _ELEMENTWISE or _keeps_channels(node):
            between.append(node)
        else:
            pair = Pair(layer, norm, tuple(between), node)
            return pair if _reads(node) and (norm is None or len(_weights(norm)) == 2) else None
    return None


def _keeps_channels(node: Node) -> bool:
    """Whether each channel's elements stay next to one another, in the order of channels."""
    before = shape(node.args[0])
    if node.target in _POOLS:
        return len(before) == len(shape(node)) > 2
    if node.target in _FLATTEN:
        after = shape(node)
        return len(before) > 1 and len(after) > 1 and before[0] == after[0] and after[1] % before[1] == 0
    if node.target is aten.mean.dim:
        return all(d % len(before) > 1 for d in node.args[1] or (0,))
    if node.target is aten.constant_pad_nd.default:
        value = node.args[2] if len(node.args) > 2 else 0
        return bool(value == 0) and len(node.args[1]) <= 2 * (len(before) - 2)
    return False


def _reads(node: Node) -> bool:
    """Whether a layer reads channels of dimension 1, each for itself or all together."""
    if node.target is _LINEAR:
        return len(shape(node)) == 2
    return node.target in _CONVOLUTIONS and _groups(node) in (1, shape(node.args[0])[1])


def _groups(node: Node) -> int:
    return int(node.args[6]) if node.target in _CONVOLUTIONS and len(node.args) > 6 else 1


def _weights(node: Node) -> list[Node]:
    """The weight and the bias of a layer or a norm, as far as it has them."""
    return [operand for operand in node.args[1:3] if isinstance(operand, Node)]


def _constants(pair: Pair) -> list[Node]:
    return [
        weight
        for node in (pair.layer, pair.norm, pair.reader)
        if node is not None
        for weight in _weights(node)
    ]


def _is_own(node: Node, shared: set[str]) -> bool:
    return node.op == "get_attr" and len(node.users) == 1 and str(node.target) not in shared


class _Ranges:
    """The largest value and the mean square of each channel of nodes."""

    def __init__(self) -> None:
        self._runs: dict[Node, int] = {}
        self.largest: dict[Node, torch.Tensor] = {}
        self.square: dict[Node, torch.Tensor] = {}

    def note(self, node: Node, result: torch.Tensor) -> None:
        """Note the channels of a result."""
        channels = result.transpose(0, 1).flatten(1)
        largest, square = channels.abs().amax(1), channels.square().mean(1)
        count = self._runs[node] = self._runs.get(node, 0) + 1
        self.largest[node] = torch.maximum(self.largest.get(node, largest), largest)
        before = self.square.get(node, square)
        self.square[node] = before + (square - before) / count


def _equalize(module: GraphModule, pair: Pair, ranges: _Ranges) -> bool:
    """Scale the weights of a pair where that is worth it: whether it was."""
    largest = ranges.largest[pair.observed]
    if not bool(torch.isfinite(largest).all()) or not bool((largest > 0).any()):
        return False
    weights = attribute(module, pair.reader.args[1])
    if len(weights.unique()) <= _CLUSTERS:
        return False
    groups = 1 if _groups(pair.reader) > 1 else len(weights)
    taps = weights.detach().reshape(groups, len(largest), -1)
    scale = _chosen(pair.reader, taps, largest, ranges.square[pair.observed])
    if scale is None:
        return False
    for operand in _weights(pair.norm or pair.layer):
        tensor = attribute(module, operand)
        tensor.copy_(tensor / scale.reshape(-1, *[1] * (tensor.dim() - 1)))
    weights.copy_((taps * scale.reshape(1, -1, 1)).reshape(weights.shape))
    return True


def _chosen(
    reader: Node, taps: torch.Tensor, largest: torch.Tensor, square: torch.Tensor
) -> torch.Tensor | None:
    """The factor of each channel, at most 1; None where none is worth it.

    `taps` are the reader's weights: [outputs, channels, taps], of a depthwise one [1, channels, taps].
    """
    depthwise = _groups(reader) > 1

    def noise(scale: torch.Tensor) -> float:
        """Expected squares of the errors of the reader's outputs, by a factor that all choices share.

        A step of activations is (largest value) / 255, one of weights (largest weight) / 127; an error is
        evenly spread over a step.
        """
        scaled = taps * scale.reshape(1, -1, 1)
        power = ((largest / scale).max() / 255).square() * scaled.square().sum()
        if not depthwise:
            steps = scaled.abs().amax((1, 2)) / 127
            if reader.target is _LINEAR:
                steps = steps.max().expand_as(steps)
            of_weights = steps.square().sum() * taps.shape[2] * (square / scale.square()).sum()
            power += _LASTING * of_weights
        return float(power)

    widest = taps.abs().amax((0, 2)).clamp(min=1e-12)
    exponents = (1.0,) if depthwise else _EXPONENTS
    candidates = [
        _bounded(largest**exponent / (1 if depthwise else widest ** (1 - exponent))) for exponent in exponents
    ]
    best = min(candidates, key=noise)
    return best if noise(best) < _WORTH * noise(torch.ones_like(best)) else None


def _bounded(scale: torch.Tensor) -> torch.Tensor:
    """The largest is 1; a channel of zeros stays as it is."""
    return torch.where(scale > 0, (scale / scale.max()).clamp(min=1 / _MOST), 1.0)


def first_of(items: Iterable[Inputs], count: int) -> tuple[list[Inputs], Iterable[Inputs]]:
    """The first few of some items, and all of them again."""
    from itertools import chain, islice

    rest = iter(items)
    first = list(islice(rest, count))
    return first, chain(first, rest)
