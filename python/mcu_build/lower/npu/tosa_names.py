"""The TOSA that executorch makes of a delegate, and which operator of the model a tensor of it belongs to.

Executorch names tensors of TOSA as the nodes of its last graph, which nearly all know the operator that they
were made from. Vela adds words to the names: `tosa_reduce_sum_default_transpose`.

What was made for the proof of a delegate (vela.py) is remembered until the next proof: lowering would make
the same again, in most of its time.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from mcu_build.lower.assigned import Origin, origin

Names = Mapping[str, Origin]


# By fingerprint.
_made: dict[bytes, tuple[Any, Names]] = {}


@contextlib.contextmanager
def noted(*, anew: bool) -> Iterator[dict[str, Origin]]:
    """What the tensors of delegates that are lowered inside the block belong to; to be cleared after each.

    What earlier blocks have made is forgotten where all is to be made `anew`.
    """
    from executorch.backends.arm._passes import ArmPassManager
    from executorch.backends.arm.tosa.backend import TOSABackend

    usual, original = TOSABackend._preprocess, ArmPassManager.transform_to_backend_pipeline
    names: dict[str, Origin] = {}
    if anew:
        _made.clear()

    def preprocess(program: ExportedProgram, spec: Any) -> Any:
        key = _fingerprint(program, spec)
        if key not in _made:
            made = usual(program, spec)
            _made[key] = made, dict(names)
        made, known = _made[key]
        names.update(known)
        return made

    def transform(self: Any, *arguments: Any, **options: Any) -> Any:
        before = {node.name: origin(node) for node in options["graph_module"].graph.nodes}
        module = original(self, *arguments, **options)
        names.update(_origins(module.graph, {name: tensor for name, tensor in before.items() if tensor}))
        return module

    TOSABackend._preprocess = staticmethod(preprocess)
    ArmPassManager.transform_to_backend_pipeline = transform
    try:
        yield names
    finally:
        TOSABackend._preprocess = staticmethod(usual)
        ArmPassManager.transform_to_backend_pipeline = original


def _fingerprint(program: ExportedProgram, spec: Any) -> bytes:
    """Of all that a delegate's TOSA, and the names in it, come from."""
    digest = hashlib.sha256(repr([(item.key, item.value) for item in spec._to_list()]).encode())
    for graph in (
        module.graph for module in program.graph_module.modules() if isinstance(module, GraphModule)
    ):
        for node in graph.nodes:
            parts = (node.name, node.op, str(node.target), node.args, dict(node.kwargs), origin(node))
            digest.update(repr((*parts, _layouts(node.meta.get("val")))).encode())
    for name, value in sorted({**program.state_dict, **program.constants}.items()):
        digest.update(repr((name, _layouts(value))).encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.digest()


def _layouts(value: Any) -> Any:
    tensors = value if isinstance(value, list | tuple) else [value]
    known = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor)]
    return [(layout.dtype, tuple(layout.shape), tuple(layout.stride())) for layout in known]


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
