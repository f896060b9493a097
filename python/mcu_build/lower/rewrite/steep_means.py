"""Functions before and behind a mean (powers, exponentials, roots) that one int8 scale would ruin.

Of cubes that reach 8, most lie below half a step of int8: they become 0, and their mean, which nothing
averages any more, loses as much as its root then shows. Such a mean stays in float, with the functions next
to it; what computes their argument stays int8.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.annotate.clusters import CLAMPS, find_sources, is_float
from mcu_build.lower.assigned import is_int16
from mcu_build.lower.builder import aten
from mcu_build.lower.rewrite.watch import Inputs, watch

WHY = "a mean of a function, or a function of a mean, whose small values one int8 scale would lose"
# What may be left of a mean, and of the function behind it, in power: 30 dB.
_LEAST = 1e3
_MEANS = frozenset(
    {
        aten.mean.dim,
        aten.mean.default,
        aten.avg_pool1d.default,
        aten.avg_pool2d.default,
        aten.adaptive_avg_pool1d.default,
        aten.adaptive_avg_pool2d.default,
    }
)


@dataclass(frozen=True)
class _Chain:
    """A mean, the functions that make its operand and those of its result, in the order of the graph."""

    before: tuple[Node, ...]
    mean: Node
    behind: tuple[Node, ...]

    def is_ruined(self, values: Mapping[Node, Sequence[torch.Tensor]]) -> bool:
        """Whether int8 would lose too much, by the float model's values."""
        operand, means = torch.stack(values[self.mean.args[0]]), torch.stack(values[self.mean])
        int8 = torch.stack([self.mean.target(value, *self.mean.args[1:]) for value in rounded(operand)])
        wanted, actual = self._behind(means), self._behind(rounded(int8))
        return not bool(wanted.square().sum() >= _LEAST * (actual - wanted).square().sum())

    def _behind(self, means: torch.Tensor) -> torch.Tensor:
        known = {self.mean: means}
        for node in self.behind:
            args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), lambda operand: known[operand])
            known[node] = node.target(*args, **kwargs)
        return known[self.behind[-1] if self.behind else self.mean]


def steep_means(module: GraphModule, inputs: Iterable[Inputs]) -> dict[str, str]:
    """Operators of `module`, an exported program in float, that stay in float, with the reason.

    `inputs` are a few calls of calibration data.
    """
    chains = list(_chains(module))
    values: dict[Node, list[torch.Tensor]] = defaultdict(list)
    nodes = {node for chain in chains for node in (chain.mean.args[0], chain.mean)}
    watch(module, nodes, inputs, lambda node, result: values[node].append(result))
    ruined = [chain for chain in chains if chain.is_ruined(values)]
    return {node.name: WHY for mean in ruined for node in (*mean.before, mean.mean, *mean.behind)}


def _chains(module: GraphModule) -> Iterator[_Chain]:
    sources = find_sources(module.graph)
    for mean in module.graph.nodes:
        if mean.target not in _MEANS or not is_float(mean) or is_int16(mean) or mean.kwargs:
            continue
        source = sources.get(mean.args[0])
        before = [node for node in sources if source is not None and sources[node] is source]
        # What else reads the argument is a norm's product, or would need the functions in int8.
        if before and not _is_alone(before, source, mean):
            continue
        behind = tuple(node for node in sources if sources[node] is mean)
        while before and before[0].target in CLAMPS:
            del before[0]
        if any(node.target not in CLAMPS for node in (*before, *behind)):
            yield _Chain(tuple(before), mean, behind)


def _is_alone(before: Sequence[Node], source: Node, mean: Node) -> bool:
    """Whether nothing but a mean reads functions, and nothing but these their source."""
    inside = {*before, mean}
    return all(user in inside for node in (source, *before) for user in node.users)


def rounded(values: torch.Tensor) -> torch.Tensor:
    """To 255 steps of a range with zero in it."""
    low, high = values.min().clamp(max=0), values.max().clamp(min=0)
    step = ((high - low) / 255).clamp(min=torch.finfo(torch.float32).tiny)
    return (values / step).round() * step
