"""`x[t]` and `x[t] = y`, where t is a tensor of one integer that calls change: a counter of a ring buffer.

torch.export makes a number of t, which nobody knows at build time, and takes or replaces one entry at it.
Here it is the position in `aten.index` and `aten.index_put`, which count from the end where it is negative.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from mcu_build.lower.builder import Builder, aten, fake_mode, shape

_NUMBERS = frozenset({aten.item.default, aten._local_scalar_dense.default})


def _position(build: Builder, number: Any, dimension: int) -> list[Node | None] | None:
    """Indices of a tensor that has the number, along one dimension; None where a constant tells it."""
    if not isinstance(number, Node) or number.target not in _NUMBERS:
        return None
    return [*[None] * dimension, build.reshape(number.args[0], (1,))]


def _selected(build: Builder, node: Node) -> Node | None:
    source, dimension, number = node.args
    dimension %= len(shape(source))
    indices = _position(build, number, dimension)
    if indices is None:
        return None
    return build(aten.squeeze.dim, build(aten.index.Tensor, source, indices), dimension)


def _replaced(build: Builder, node: Node) -> Node | None:
    source, part, dimension, number = node.args
    dimension %= len(shape(source))
    indices = _position(build, number, dimension)
    if indices is None:
        return None
    return build(aten.index_put.default, source, indices, build(aten.unsqueeze.default, part, dimension))


def copy_entries(exported: ExportedProgram) -> None:
    """Give back copies of entries at a number that nobody knows: torch cannot give back a view at it."""
    output = exported.graph.output_node()
    build = Builder(exported.graph_module, fake_mode(exported.graph_module), output)
    results = [
        build(aten.clone.default, result) if isinstance(result, Node) and _is_entry(result) else result
        for result in output.args[0]
    ]
    output.args = (tuple(results),)
    for result, spec in zip(results, exported.graph_signature.output_specs, strict=True):
        if isinstance(result, Node):
            spec.arg.name = result.name
    exported.graph_module.recompile()


def _is_entry(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and isinstance(value.storage_offset(), torch.SymInt)


def forget_numbers(graph: Graph) -> None:
    """Erase numbers of tensors that nothing reads any more."""
    for node in reversed(list(graph.nodes)):
        if node.target in _NUMBERS and not node.users:
            graph.erase_node(node)


RULES: Mapping[Any, Callable[[Builder, Node], Node | None]] = {
    aten.select.int: _selected,
    aten.select_scatter.default: _replaced,
}
