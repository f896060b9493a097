"""State as torch.export sees it: buffers under several names, and what it takes for constants."""

from collections.abc import Collection

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind
from torch.fx import Node

from mcu_build.lower.lines import source_line

_STATE = "the model writes it, so that one call depends on the calls before it"
_STATE_HINT = "Make it a buffer: self.register_buffer(name, initial_value), written with `copy_`."


def merge_shared(exported: ExportedProgram) -> ExportedProgram:
    """The program with one input for each tensor: torch does not retrace a program that writes one of two.

    Two modules that were given the same buffer have it under a name each.
    """
    signature, graph = exported.graph_signature, exported.graph
    nodes = {node.name: node for node in graph.nodes if node.op == "placeholder"}
    first: dict[tuple[object, ...], Node] = {}
    merged = set()
    for spec in signature.input_specs:
        tensor = exported.state_dict.get(spec.target or "")
        if spec.kind is not InputKind.BUFFER or not isinstance(tensor, torch.Tensor) or not tensor.numel():
            continue
        node = nodes[spec.arg.name]
        kept = first.setdefault((tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()), node)
        if kept is not node:
            node.replace_all_uses_with(kept)
            graph.erase_node(node)
            merged.add(node.name)
    if not merged:
        return exported
    exported.graph_module.recompile()
    inputs = [spec for spec in signature.input_specs if spec.arg.name not in merged]
    return exported._update(exported.graph_module, ExportGraphSignature(inputs, list(signature.output_specs)))


def attributes(exported: ExportedProgram, state: Collection[str]) -> list[tuple[str, str]]:
    """Refusals of attributes among `state` that the program reads."""
    nodes = {node.name: node for node in exported.graph.nodes}
    refused = []
    for name, target in exported.graph_signature.inputs_to_lifted_tensor_constants.items():
        if target in state and nodes[name].users:
            line = source_line(next(iter(nodes[name].users)))
            refused.append((f"attribute {target!r}{f' at {line}' if line else ''}: {_STATE}", _STATE_HINT))
    return refused


def lost_buffers(exported: ExportedProgram, state: Collection[str]) -> list[tuple[str, str]]:
    """Refusals of buffers among `state` that the program reads, and does not write."""
    nodes, signature = {node.name: node for node in exported.graph.nodes}, exported.graph_signature
    return [
        (f"buffer {target!r}: {_STATE}, and torch.export does not see it", _STATE_HINT)
        for name, target in signature.inputs_to_buffers.items()
        if target in state and nodes[name].users and target not in signature.buffers_to_mutate.values()
    ]
