"""Functions of one int8 tensor as tables of 256 entries, and equal quantizations as nothing at all.

Works on a quantized graph: what lies between dequantize and quantize and depends on one tensor, element by
element, is evaluated for each of the 256 values in float64 and rounded once.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from mcu_build.lower.annotate.clusters import is_pointwise
from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import inherit
from mcu_build.lower.integer.markers import table

_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
_DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default


def build_tables(exported: ExportedProgram, chosen: Chosen = everything) -> None:
    """Replace every function of one int8 tensor (of chosen operators) by `cortex_m.quantized_activation`.

    Upstream has tables for ten functions; the others stay in float, or come apart into float operators.
    """
    merge_quantizers(exported, chosen)
    for node in list(exported.graph.nodes):
        if node.op != "call_function" or node.target is not _QUANTIZE or node.args[5] is not torch.int8:
            continue
        members = cluster(node.args[0], chosen)
        # Between two quantizations of an NPU's own, the NPU rescales.
        if members is not None and (members[1] or _is_read_by(node, chosen)):
            _replace(exported, node, *members)
    exported.graph.eliminate_dead_code()
    exported.graph.lint()
    exported.graph_module.recompile()


def _is_read_by(quantizer: Node, chosen: Chosen) -> bool:
    """Whether all that reads a quantized tensor, behind its dequantize, is chosen."""
    return all(chosen(reader) for user in quantizer.users for reader in user.users)


def merge_quantizers(exported: ExportedProgram, chosen: Chosen) -> None:
    """One quantize for all readers that want the same of a tensor, and one dequantize for all chosen ones.

    A dequantize belongs to its reader: one that an NPU and the CPU share would go to neither.
    """
    seen: dict[Any, Node] = {}
    for node in list(exported.graph.nodes):
        if node.target not in (_QUANTIZE, _DEQUANTIZE) or node.kwargs:
            continue
        if node.target is _DEQUANTIZE and not all(chosen(user) for user in node.users):
            continue
        first = seen.setdefault((node.target, node.args), node)
        if first is not node:
            node.replace_all_uses_with(first)
            exported.graph.erase_node(node)


def cluster(end: Any, chosen: Chosen, dtype: torch.dtype = torch.int8) -> tuple[Node, list[Node]] | None:
    """The dequantize at which a function of a tensor of `dtype` starts and its nodes in order; None where it
    has several sources."""
    starts: dict[Node, None] = {}
    inside: dict[Node, None] = {}

    def visit(node: Node) -> bool:
        if node.target is _DEQUANTIZE and node.args[5] is dtype:
            starts[node] = None
            return len(starts) == 1
        if node in inside:
            return True
        if not chosen(node) or not is_pointwise(node) or not node.all_input_nodes:
            return False
        done = True
        for operand in node.all_input_nodes:
            done = visit(operand) and done
        inside[node] = None
        return done

    if not isinstance(end, Node) or not visit(end) or len(starts) != 1:
        return None
    (start,) = starts
    # A table per element has no room for broadcasting, and a constant is not an activation.
    sizes = {tuple(node.meta["val"].shape) for node in (*inside, start)}
    if len(sizes) != 1 or (start.args[0].op == "placeholder" and not _is_activation(start.args[0])):
        return None
    return start, list(inside)


def _is_activation(node: Node) -> bool:
    return not node.name.startswith(("p_", "b_", "c_"))


def _replace(exported: ExportedProgram, end: Node, start: Node, inside: Sequence[Node]) -> None:
    source = start.args[0]
    assert isinstance(source, Node)
    entries = _table(end, start, inside)
    if torch.equal(entries, torch.arange(-128, 128, dtype=torch.int8)):
        end.replace_all_uses_with(source)
        return
    from executorch.backends.transforms.utils import create_constant_placeholder

    first = next(node for node in exported.graph.nodes if node.op == "placeholder")
    with exported.graph.inserting_before(first):
        constant = create_constant_placeholder(
            exported, exported.graph, f"{end.name}_table", InputKind.PARAMETER, entries
        )
    with exported.graph.inserting_before(end):
        lookup = exported.graph.call_function(table(), (source, constant))
    inherit(lookup, inside[-1] if inside else end)
    lookup.meta["val"] = end.meta["val"]
    end.replace_all_uses_with(lookup, propagate_meta=False)


def _table(end: Node, start: Node, inside: Sequence[Node]) -> torch.Tensor:
    """The 256 results for -128 ... 127."""
    steps = evaluated(end, start, inside, torch.arange(-128, 128, dtype=torch.float64))
    scaled = torch.round(steps) + int(end.args[2])
    low, high = int(end.args[3]), int(end.args[4])
    return scaled.clamp(low, high).to(torch.int8)


def evaluated(end: Node, start: Node, inside: Sequence[Node], integers: torch.Tensor) -> torch.Tensor:
    """The results of a function for `integers`, in steps from the output's zero point."""
    scale, zero_point = float(start.args[1]), int(start.args[2])
    values: dict[Node, torch.Tensor] = {start: (integers - zero_point) * scale}
    for node in inside:
        args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), lambda operand: values[operand])
        values[node] = node.target(*args, **kwargs)
    result = values[end.args[0]].to(torch.float64)
    return _defined(result / float(end.args[1]))


def _defined(values: torch.Tensor) -> torch.Tensor:
    """Where a function is undefined (a negative number's root), its value at the nearest defined place."""
    undefined = values.isnan()
    if not undefined.any() or undefined.all():
        return torch.nan_to_num(values)
    places = torch.arange(len(values))
    known = places[~undefined]
    behind = torch.searchsorted(known, places)
    below, above = known[(behind - 1).clamp(min=0)], known[behind.clamp(max=len(known) - 1)]
    return values[torch.where((places - below).abs() <= (above - places).abs(), below, above)]
