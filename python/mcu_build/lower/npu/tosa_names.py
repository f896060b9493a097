"""Which operator of the model a tensor belongs to in the TOSA that executorch makes of a delegate.

Executorch names tensors of TOSA as the nodes of its last graph, which nearly all know the operator that they
were made from. Vela adds words to the names: `tosa_reduce_sum_default_transpose`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch.fx import Graph, Node

from mcu_build.lower.assigned import Origin, origin
from mcu_build.lower.upstream.replaced import replaced

Names = Mapping[str, Origin]


@contextlib.contextmanager
def noted() -> Iterator[dict[str, Origin]]:
    """What the tensors of delegates that are lowered inside the block belong to; to be cleared after each."""
    from executorch.backends.arm._passes import ArmPassManager

    original = ArmPassManager.transform_to_backend_pipeline
    names: dict[str, Origin] = {}

    def transform(self: Any, *arguments: Any, **options: Any) -> Any:
        before = {node.name: origin(node) for node in options["graph_module"].graph.nodes}
        module = original(self, *arguments, **options)
        names.update(_origins(module.graph, {name: tensor for name, tensor in before.items() if tensor}))
        return module

    with replaced(ArmPassManager, "transform_to_backend_pipeline", transform):
        yield names


def find(tensor: str, names: Names) -> Origin | None:
    """The operator that `tensor` of Vela belongs to: that of the longest name that it begins with."""
    while tensor not in names:
        tensor, _, rest = tensor.rpartition("_")
        if not rest:
            return None
    return names[tensor]


def _origins(graph: Graph, before: Names) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    for node in graph.nodes:
        own = origin(node) or _of_table(node, before) or _first(node.all_input_nodes, origins)
        if own:
            origins[node.name] = own
    for node in reversed(graph.nodes):
        if node.name not in origins and (own := _first(node.users, origins)):
            origins[node.name] = own
    return origins


def _of_table(node: Node, before: Names) -> Origin | None:
    """Tables are made anew, but for the name of their constant: b_aten_sin_default_table_constant."""
    tables = (
        operand.name.removeprefix("b_").removesuffix("_table_constant") for operand in node.all_input_nodes
    )
    return next((before[name] for name in tables if name in before), None)


def _first(nodes: Any, names: Names) -> Origin | None:
    return next((names[node.name] for node in nodes if node.name in names), None)
