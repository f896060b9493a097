"""Operators of a quantized graph back in float, for those whose int8 form a pass refuses."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from executorch.backends.arm.common.annotation_meta import ArmAnnotationInfo
from executorch.backends.transforms.utils import create_constant_placeholder, get_param_tensor, is_param_node
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from mcu_build.lower.assigned import assign_to_cpu, keep_in_float, origin


def unquantize(quantized: ExportedProgram, refused: Mapping[str, str]) -> None:
    """Keep the operators `refused`, by their names in the float graph, in float, with the reason given.

    Quantize and dequantize around them stay; rounded weights become the floats that they stand for.
    """
    for node, why in _fused_with(quantized, refused).items():
        keep_in_float(node, why)
        assign_to_cpu(node, why)
        # What executorch's passes fold quantization into.
        node.meta["custom"].pop(ArmAnnotationInfo.CUSTOM_META_KEY, None)
        for operand in node.all_input_nodes:
            if "dequantize" in str(operand.target) and is_param_node(quantized, operand.args[0]):
                node.replace_input_with(operand, _as_float(quantized, operand))
    quantized.graph.eliminate_dead_code()
    quantized.graph_module.recompile()


def _fused_with(quantized: ExportedProgram, refused: Mapping[str, str]) -> dict[Node, str]:
    """The refused operators and those that are fused with one: nothing quantizes in between."""
    reasons: dict[Node, str] = {}
    queue = [
        (node, refused[made_from.name])
        for node in quantized.graph.nodes
        if _computes(node) and (made_from := origin(node)) and made_from.name in refused
    ]
    while queue:
        node, why = queue.pop()
        if node not in reasons:
            reasons[node] = why
            queue += [(near, why) for near in _neighbours(node) if _is_annotated(near)]
    return reasons


def _neighbours(node: Node) -> Iterator[Node]:
    yield from (near for near in (*node.all_input_nodes, *node.users) if _computes(near))


def _computes(node: Node) -> bool:
    return node.op == "call_function" and "quantized_decomposed" not in str(node.target)


def _is_annotated(node: Node) -> bool:
    return ArmAnnotationInfo.CUSTOM_META_KEY in (node.meta.get("custom") or {})


def _as_float(quantized: ExportedProgram, dequantize: Node) -> Node:
    """A constant with the values that `dequantize` gives."""

    def value(operand: Node) -> Any:
        return get_param_tensor(quantized, operand)

    args, kwargs = torch.fx.map_arg((dequantize.args, dict(dequantize.kwargs)), value)
    data = dequantize.target(*args, **kwargs)
    with quantized.graph.inserting_before(next(iter(quantized.graph.nodes))):
        name = f"{dequantize.name}_float"
        made: Node = create_constant_placeholder(quantized, quantized.graph, name, InputKind.PARAMETER, data)
    return made
