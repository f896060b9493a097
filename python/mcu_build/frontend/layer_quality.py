"""What quantization does to each layer: the int8 program beside the float model, node by node.

For every operator of the quantized graph two questions are asked over a few inputs: what this operator alone
loses, when it is given the float model's values, and what has been lost up to here, when it is given what the
quantized operators before it make. Both compare what its readers see, after quantization.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

from mcu_build.frontend.biases import Unobserved
from mcu_build.lower.assigned import schema_name
from mcu_build.lower.lines import module_path, source_line
from mcu_build.quality.sqnr import sqnr_db

Inputs = tuple[torch.Tensor, ...]
# Bytes of activations that are kept while layers are compared: a large model is looked at with fewer inputs.
_MOST_BYTES = 1 << 28
_MOST_INPUTS = 4
# Fewer channels are too few to tell which of them is unlike.
_FEWEST_CHANNELS = 4


@dataclass(frozen=True)
class LayerQuality:
    """One operator. `name` is its module path, `line` the line of the model, either may be empty.

    `sqnr_db` is what it loses alone, `weights_db` what its rounded weights alone lose (None without weights),
    `accumulated_db` what has been lost up to here. `low` and `high` are the float range of its result,
    `clipped` the share of elements beyond the int8 range. `dead` and `saturated` count channels (dimension 1)
    that have one value only, or lie mostly beyond the range. `largest_channel` is the one that reaches
    furthest, in what a layer with weights reads, in what any other makes; it reaches `spread` times as far as
    half of the channels do (1 where there are no channels).
    """

    name: str
    operator: str
    line: str
    shape: tuple[int, ...]
    sqnr_db: float
    weights_db: float | None
    accumulated_db: float
    low: float
    high: float
    clipped: float
    dead: int
    saturated: int
    largest_channel: int = 0
    spread: float = 1.0


class FloatValues:
    """The results of every operator of a float graph, for the first few of some inputs."""

    def __init__(self, module: GraphModule, inputs: Iterable[Inputs]) -> None:
        self.values: dict[str, list[torch.Tensor]] = {}
        self.inputs: list[Inputs] = []
        size = 0
        for item in inputs:
            recorder = _Recorder(module)
            recorder.run(*item)
            self.inputs.append(item)
            for name, value in recorder.found.items():
                self.values.setdefault(name, []).append(value)
                size += value.numel() * value.element_size()
            if len(self.inputs) == _MOST_INPUTS or size > _MOST_BYTES:
                break


def layer_quality(converted: GraphModule, floats: FloatValues) -> tuple[LayerQuality, ...]:
    """Every operator of `converted` that has a float counterpart of the same name, in the graph's order."""
    return tuple(quality_by_node(converted, floats).values())


def quality_by_node(converted: GraphModule, floats: FloatValues) -> dict[Node, LayerQuality]:
    """Likewise, by node of `converted`."""
    alone, accumulated, weights = _Gathered(), _Gathered(), _Gathered()
    with torch.no_grad():
        for index, item in enumerate(floats.inputs):
            values = {name: kept[index] for name, kept in floats.values.items()}
            _Compare(converted, values, accumulated, follow=False).run(*item)
            _Compare(converted, values, alone, follow=True, weights=weights).run(*item)
    nodes = {node.name: node for node in converted.graph.nodes}
    return {
        nodes[name]: _row(
            nodes[name], floats.values, alone.found[name], accumulated.found[name], weights.found
        )
        for name in alone.found
    }


def read_values(converted: GraphModule, floats: FloatValues, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What readers of an operator see, one input after the other: the float model's, the quantized one's."""
    gathered = _Gathered()
    with torch.no_grad():
        for index, item in enumerate(floats.inputs):
            values = {name: floats.values[name][index]}
            _Compare(converted, values, gathered, follow=False).run(*item)
    return torch.stack(floats.values[name]), torch.stack(gathered.found[name])


class _Recorder(Unobserved):
    """Runs a graph and keeps the float results of its operators."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.found: dict[str, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.op == "call_function" and _is_float(value):
            self.found[n.name] = value.detach().clone()
        return value


class _Gathered:
    """Values by name of node, one for each input."""

    def __init__(self) -> None:
        self.found: dict[str, list[torch.Tensor]] = {}

    def add(self, name: str, value: torch.Tensor) -> None:
        self.found.setdefault(name, []).append(value.detach())


class _Compare(Interpreter):  # type: ignore[misc]
    """Runs a quantized graph and gathers what readers of each operator see.

    With `follow`, every operator is given the float model's values: what an operator has lost is forgotten
    behind it. `weights` then gathers its results for operands that are not quantized either.
    """

    def __init__(
        self,
        module: GraphModule,
        values: Mapping[str, torch.Tensor],
        gathered: _Gathered,
        follow: bool,
        weights: _Gathered | None = None,
    ) -> None:
        super().__init__(module)
        self._values = values
        self._gathered = gathered
        self._follow = follow
        self._weights = weights

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        reference = self._values.get(n.name)
        if n.op != "call_function" or reference is None or not _is_float(value):
            return value
        seen = self._as_read(n, value)
        # An operator such as relu_ writes over what it reads: what is compared are copies.
        self._gathered.add(n.name, seen.clone() if seen is value else seen)
        if self._weights is not None and _has_weights(n):
            self._weights.add(n.name, self._with_float_operands(n))
        return reference.clone() if self._follow else value

    def _as_read(self, node: Node, value: torch.Tensor) -> torch.Tensor:
        """The value behind the quantize and dequantize of its first reader, where there are such."""
        quantize = next((user for user in node.users if _is_quantize(user)), None)
        dequantize = next(iter(quantize.users), None) if quantize is not None else None
        if quantize is None or dequantize is None:
            return value
        quantized = quantize.target(value, *quantize.args[1:])
        result: torch.Tensor = dequantize.target(quantized, *dequantize.args[1:])
        return result

    def _with_float_operands(self, node: Node) -> torch.Tensor:
        """The result with rounded weights and operands as the float model has them."""
        source = _before_quantization(node.args[0])
        known = self._values.get(source.name)
        first = self.env[node.args[0]] if known is None else known
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        result: torch.Tensor = node.target(first, *args[1:], **kwargs)
        return result


def _row(
    node: Node,
    values: Mapping[str, Sequence[torch.Tensor]],
    alone: Sequence[torch.Tensor],
    accumulated: Sequence[torch.Tensor],
    weights: Mapping[str, Sequence[torch.Tensor]],
) -> LayerQuality:
    floats = values[node.name]
    reference = torch.stack(list(floats))
    low, high = _range(node)
    beyond = (reference < low) | (reference > high)
    seen = torch.stack(list(alone))
    dead, saturated = _channels(seen, beyond)
    return LayerQuality(
        module_path(node),
        str(node.target),
        source_line(node),
        tuple(floats[0].shape),
        _db(reference, seen),
        _db(reference, torch.stack(list(weights[node.name]))) if node.name in weights else None,
        _db(reference, torch.stack(list(accumulated))),
        float(reference.min()) if reference.numel() else 0.0,
        float(reference.max()) if reference.numel() else 0.0,
        float(beyond.double().mean()) if reference.numel() else 0.0,
        dead,
        saturated,
        *unlike_channel(_rounded(node, values)),
    )


def _rounded(node: Node, values: Mapping[str, Sequence[torch.Tensor]]) -> torch.Tensor:
    """What shares a scale where a layer loses: what it reads, for one with weights, else what it makes."""
    source = _before_quantization(node.args[0]) if _has_weights(node) else node
    return torch.stack(list(values.get(source.name, values[node.name])))


def unlike_channel(stacked: torch.Tensor) -> tuple[int, float]:
    """The channel that reaches furthest, and how many times as far as half of the others."""
    furthest = (0, 1.0)
    # Channels of images are dimension 1, those of rows the last; `stacked` has one dimension more.
    for dimension in {2, stacked.dim() - 1} if stacked.dim() > 2 else ():
        largest = (
            stacked.abs().transpose(0, dimension).flatten(1).amax(1)
            if stacked.numel()
            else stacked.new_zeros(0)
        )
        if len(largest) >= _FEWEST_CHANNELS and float(largest.median()) > 0:
            spread = float(largest.max() / largest.median())
            furthest = max(furthest, (int(largest.argmax()), spread), key=lambda pair: pair[1])
    return furthest


def _db(reference: torch.Tensor, actual: torch.Tensor) -> float:
    return sqnr_db(reference.numpy(), actual.numpy())


def _channels(seen: torch.Tensor, beyond: torch.Tensor) -> tuple[int, int]:
    """Channels, dimension 1 of what `seen` stacks, with one value only, and those mostly beyond the range."""
    if seen.dim() < 4 or seen.numel() == 0:
        return 0, 0
    by_channel = seen.transpose(0, 2).flatten(1)
    outside = beyond.transpose(0, 2).flatten(1)
    dead = (by_channel == by_channel[:, :1]).all(dim=1).sum()
    return int(dead), int((outside.double().mean(dim=1) > 0.5).sum())


def _range(node: Node) -> tuple[float, float]:
    """The real numbers that the quantization of a node's result can stand for; infinite without one."""
    quantize = next((user for user in node.users if _is_quantize(user)), None)
    if quantize is None or not isinstance(quantize.args[1], float):
        return float("-inf"), float("inf")
    _, scale, zero_point, least, most = quantize.args[:5]
    half = scale / 2
    return (least - zero_point) * scale - half, (most - zero_point) * scale + half


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype is torch.float32


def _is_quantize(node: Node) -> bool:
    return "::quantize_per_tensor" in schema_name(node)


def _has_weights(node: Node) -> bool:
    """Whether the second operand is a constant that was rounded."""
    if len(node.args) < 2 or not isinstance(node.args[1], Node):
        return False
    # Convolutions with weights of 4 bits have them in rows.
    rows = node.args[1].args[0] if node.args[1].target is torch.ops.aten.reshape.default else node.args[1]
    return bool(_before_quantization(rows).op == "get_attr")


def _before_quantization(node: Any) -> Node:
    """What is quantized and dequantized before it is read here."""
    while "quantize_per_" in schema_name(node):
        node = node.args[0]
    assert isinstance(node, Node)
    return node
