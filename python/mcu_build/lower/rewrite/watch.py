"""What some nodes of a graph give for calls of calibration data."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch.fx import GraphModule, Interpreter, Node

Inputs = tuple[torch.Tensor, ...]
Note = Callable[[Node, torch.Tensor], None]


def watch(module: GraphModule, nodes: Collection[Node], calls: Iterable[Inputs], note: Note) -> None:
    """Run `module` over `calls`; `note` gets each result of `nodes` that is float. State is kept."""
    if not nodes:
        return
    state = {name: buffer.clone() for name, buffer in module.named_buffers()}
    watcher = _Watcher(module, nodes, note)
    with torch.no_grad():
        for inputs in calls:
            watcher.run(*inputs)
        for name, buffer in module.named_buffers():
            buffer.copy_(state[name])


def ranges(
    module: GraphModule, nodes: Collection[Node], calls: Iterable[Inputs]
) -> dict[Node, tuple[float, float]]:
    """What `nodes` are at least and at most over `calls`, zero included."""
    known = dict.fromkeys(nodes, (0.0, 0.0))

    def widen(node: Node, result: torch.Tensor) -> None:
        low, high = known[node]
        known[node] = min(low, float(result.min())), max(high, float(result.max()))

    watch(module, nodes, calls, widen)
    return known


class _Watcher(Interpreter):  # type: ignore[misc]
    def __init__(self, module: GraphModule, nodes: Collection[Node], note: Note) -> None:
        super().__init__(module)
        self._nodes = frozenset(nodes)
        self._note = note

    def run_node(self, n: Node) -> Any:
        """The node's result, noted."""
        result = super().run_node(n)
        if n in self._nodes and result.is_floating_point() and result.numel():
            self._note(n, result.detach())
        return result
