"""Copies around operators whose kernels in ExecuTorch know one memory layout, whatever the program says.

Its portable kernels, and cortex_m::transpose, take every operand for one in the default order; convolutions
and pools of Cortex-M refuse what is not channels-last. Each such operator gets operands in its order, and its
result goes back into the order that the program has for it, so that nothing else changes. Our own plan
carries orders through (plan/layouts.py): there the copies move nothing.
"""

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from mcu_build.lower.assigned import operator_name
from mcu_build.lower.builder import inherit, run_fake
from mcu_build.plan.layouts import IMAGE_OPERATORS

_CHANNELS_LAST = (0, 2, 3, 1)
# fmt: off
_DEFAULT_ORDER = frozenset({
    "aten::_adaptive_avg_pool2d", "aten::avg_pool2d", "aten::cat", "aten::expand_copy", "aten::mean",
    "aten::permute_copy", "aten::select_copy", "aten::slice_copy", "aten::squeeze_copy", "aten::sum",
    "aten::transpose_copy", "aten::unsqueeze_copy", "cortex_m::transpose",
})
# fmt: on


def bring_into_order(lowered: ExportedProgram) -> None:
    """Have every operator of a lowered graph read and write the memory layout that its kernel knows."""
    for node in list(lowered.graph.nodes):
        if node.op != "call_function":
            continue
        name = operator_name(node).partition(".")[0]
        if name in _DEFAULT_ORDER:
            _surround(node, None)
        elif f"{name}.out" in IMAGE_OPERATORS:
            _surround(node, _CHANNELS_LAST)
    for result, spec in zip(
        lowered.graph.output_node().args[0], lowered.graph_signature.output_specs, strict=True
    ):
        if isinstance(result, Node):
            spec.arg.name = result.name
    lowered.graph.eliminate_dead_code()
    lowered.graph.lint()
    lowered.graph_module.recompile()


def _surround(node: Node, order: tuple[int, ...] | None) -> None:
    """Copy what `node` reads into `order` (None: the default one), and its result back where it was."""
    value = node.meta["val"]
    if not isinstance(value, torch.Tensor):
        return
    operands = node.all_input_nodes if order is None else node.all_input_nodes[:1]
    if all(_is_in(value.meta["val"], order) for value in (node, *operands)):
        return
    for operand in operands:
        if not _is_in(operand.meta["val"], order):
            node.replace_input_with(operand, _copied(operand, node, order))
    before, node.meta["val"] = _order(value), run_fake(node, value.fake_mode)
    if _order(node.meta["val"]) == before:
        return
    readers = list(node.users)
    with node.graph.inserting_after(node):
        back = _clone(node, node, before)
    for reader in readers:
        reader.replace_input_with(node, back)


def _copied(operand: Node, reader: Node, order: tuple[int, ...] | None) -> Node:
    """An operand in `order`: what it was copied from, where that is."""
    clone = _clone_target()
    if operand.target is clone and _is_in(operand.args[0].meta["val"], order):
        source = operand.args[0]
        assert isinstance(source, Node)
        return source
    with reader.graph.inserting_before(reader):
        return _clone(operand, reader, order or tuple(range(operand.meta["val"].dim())))


def _clone(source: Node, like: Node, order: tuple[int, ...]) -> Node:
    made = source.graph.call_function(_clone_target(), (source,), {"dim_order": list(order)})
    inherit(made, like)
    made.meta["val"] = run_fake(made, source.meta["val"].fake_mode)
    return made


def _clone_target() -> Any:
    from executorch.exir.dialects._ops import ops

    return ops.edge.dim_order_ops._clone_dim_order.default


def _order(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(value.dim_order())


def _is_in(value: Any, order: tuple[int, ...] | None) -> bool:
    """Whether a program says of a tensor that it is in `order`; with one channel a kernel asks no more."""
    if not isinstance(value, torch.Tensor):
        return True
    actual = _order(value)
    if order is None:
        return actual == tuple(range(value.dim()))
    return actual == order or value.shape[1] == 1 or value.shape[2:].numel() == 1
