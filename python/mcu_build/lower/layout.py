"""Memory order: convolutions and pools of Cortex-M want channels-last, everything else follows."""

from typing import Any

import executorch.exir.dialects._ops as dialects
import torch
from torch._prims_common import suggest_memory_format
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from mcu_build.errors import McuError
from mcu_build.lower.assigned import Chosen, everything, output_shape
from mcu_build.lower.builder import fake_mode, inherit, run_fake

_REPORT = "This is a mistake in lowering: please report the model."
_CHANNELS_LAST_ONLY = frozenset(
    {
        torch.ops.aten.conv2d.default,
        torch.ops.aten.conv_transpose2d.input,
        torch.ops.aten.max_pool2d.default,
        torch.ops.aten.avg_pool2d.default,
        torch.ops.aten.adaptive_avg_pool2d.default,
        torch.ops.aten.upsample_bilinear2d.vec,
        torch.ops.aten.upsample_bicubic2d.vec,
        torch.ops.aten._upsample_bilinear2d_aa.vec,
        torch.ops.aten._upsample_bicubic2d_aa.vec,
        torch.ops.aten._upsample_nearest_exact2d.vec,
    }
)

_SUMS = frozenset({torch.ops.aten.add.Tensor, torch.ops.aten.sub.Tensor, torch.ops.aten.mul.Tensor})
_CASTS = frozenset({torch.ops.aten.to.dtype, torch.ops.aten._to_copy.default, torch.ops.aten.type_as.default})
_TRANSPOSITIONS = frozenset(
    {torch.ops.aten.permute.default, torch.ops.aten.transpose.int, torch.ops.aten.movedim.int}
)


def channels_last(tensor: torch.Tensor) -> torch.Tensor:
    """A 4-D float tensor with the same values in channels-last order; any other as it is."""
    if tensor.dim() != 4 or not tensor.dtype.is_floating_point:
        return tensor
    n, c, h, w = tensor.shape
    # By hand: `.to(memory_format=...)` leaves the strides alone where a size of 1 makes them ambiguous, and
    # torch then takes the tensor for an NCHW one.
    return torch.empty_strided((n, c, h, w), (h * w * c, 1, w * c, c), dtype=tensor.dtype).copy_(tensor)


def make_channels_last(exported: ExportedProgram) -> ExportedProgram:
    """The same program for 4-D float inputs that are channels-last in memory, all values up to date.

    Values stay the user's; what computes on images follows the layout of its operands.
    """
    mode = fake_mode(exported.graph_module)
    inputs = set(exported.graph_signature.user_inputs)
    for node in list(exported.graph.nodes):
        value = node.meta.get("val")
        if node.op == "placeholder" and node.name in inputs and isinstance(value, torch.Tensor):
            with mode:
                node.meta["val"] = channels_last(value)
        elif node.op == "call_function" and not isinstance(node.target, torch._ops.HigherOrderOperator):
            node.meta["val"] = run_fake(node, mode)
    if exported.example_inputs is not None:
        arguments, keywords = exported.example_inputs
        exported.example_inputs = (tuple(channels_last(tensor) for tensor in arguments), keywords)
    return exported


def lay_out(model: GraphModule, chosen: Chosen = everything) -> None:
    """Copy 4-D operands into channels-last where a chosen operator needs it; refresh every node's value.

    CortexMQuantizer leaves a convolution over contiguous tensors in float without a word.
    """
    mode = fake_mode(model)
    for node in list(model.graph.nodes):
        if node.op != "call_function":
            continue
        if chosen(node):
            _lay_out_operands(node, mode)
        node.meta["val"] = run_fake(node, mode)
    model.graph.lint()
    model.recompile()


def needs_channels_last(node: Node) -> bool:
    """Whether an operator needs a channels-last operand, and has another."""
    return node.target in _CHANNELS_LAST_ONLY and not is_channels_last(node.args[0].meta["val"])


def _lay_out_operands(node: Node, mode: Any) -> None:
    if needs_channels_last(node):
        _copy_operand(node, node.args[0], mode)
    elif (image := _repeats_channels(node)) and not _is_made_channels_last(image):
        _copy_operand(node, image, mode)
    elif _mixes_layouts(node):
        for operand in node.all_input_nodes:
            if not is_channels_last(operand.meta["val"]) and operand.op != "get_attr":
                _copy_operand(node, operand, mode)


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def is_channels_last(value: Any) -> bool:
    """Whether torch takes it for channels-last: with one channel, strides alone tell."""
    return (
        _is_tensor(value)
        and value.dim() == 4
        and value.is_contiguous(memory_format=torch.channels_last)
        and suggest_memory_format(value) is torch.channels_last
    )


def _is_ordered(value: Any) -> bool:
    """Whether the memory layout means anything: four dimensions, and not the same bytes either way."""
    return (
        _is_tensor(value)
        and value.dim() == 4
        and not (value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last))
    )


def _mixes_layouts(node: Node) -> bool:
    if (
        torch.Tag.pointwise not in getattr(node.target, "tags", ())
        and node.target is not torch.ops.aten.cat.default
    ):
        return False
    ordered = [n.meta["val"] for n in node.all_input_nodes if _is_ordered(n.meta["val"])]
    return len({is_channels_last(value) for value in ordered}) == 2


def _repeats_channels(node: Node) -> Node | None:
    """The image that is combined with one number for each channel: Cortex-M repeats no others."""
    if node.target not in _SUMS or len(node.all_input_nodes) != 2:
        return None
    image, factor = sorted(
        node.all_input_nodes, key=lambda operand: operand.meta["val"].numel(), reverse=True
    )
    sizes = output_shape(image)
    repeats = len(sizes) == 4 and output_shape(factor) == (1, sizes[1], 1, 1) != sizes
    return image if repeats and image.op != "get_attr" else None


def _is_made_channels_last(node: Node) -> bool:
    """Whether it is channels-last, and not just the view of a transposition that will be a copy."""
    if not is_channels_last(node.meta["val"]):
        return False
    while _is_elementwise(node) and node.all_input_nodes:
        node = node.all_input_nodes[0]
    return node.target not in _TRANSPOSITIONS or len(output_shape(node)) != 4


def _is_elementwise(node: Node) -> bool:
    return node.target in _CASTS or torch.Tag.pointwise in getattr(node.target, "tags", ())


def _copy_operand(node: Node, operand: Node, mode: Any) -> None:
    graph: Graph = node.graph
    with graph.inserting_before(node):
        copy = graph.call_function(
            torch.ops.aten.clone.default, (operand,), {"memory_format": torch.channels_last}
        )
    inherit(copy, node)
    copy.meta["val"] = run_fake(copy, mode)
    node.replace_input_with(operand, copy)


def settle(lowered: ExportedProgram) -> None:
    """Make memory layouts what a lowered graph says: refresh values, copy before views, drop idle copies.

    Upstream's passes decide about copies before convolutions have become channels-last: a view of their
    result then reads the bytes in the wrong order.
    """
    edge = dialects.ops.edge
    graph = lowered.graph
    mode = next(n.meta["val"].fake_mode for n in graph.nodes if _is_tensor(n.meta.get("val")))
    for node in list(graph.nodes):
        if node.op != "call_function" or not _is_operator(node):
            continue
        if node.target is edge.aten.view_copy.default and not node.args[0].meta["val"].is_contiguous():
            source = node.args[0]
            with graph.inserting_before(node):
                order = list(range(source.meta["val"].dim()))
                copy = graph.call_function(
                    edge.dim_order_ops._clone_dim_order.default, (source,), {"dim_order": order}
                )
            inherit(copy, node)
            copy.meta["val"] = run_fake(copy, mode)
            node.replace_input_with(source, copy)
        value = run_fake(node, mode)
        if _is_tensor(value) and value.shape != node.meta["val"].shape:
            # A pad lists its sizes in memory order: one that was taken for another would show here.
            raise McuError(
                f"{node.target}: {tuple(node.meta['val'].shape)} became {tuple(value.shape)}", _REPORT
            )
        node.meta["val"] = value
        if _is_idle(node) and not _decides_order(node):
            node.replace_all_uses_with(node.args[0], propagate_meta=False)
            graph.erase_node(node)
    graph.lint()
    lowered.graph_module.recompile()


def _is_operator(node: Node) -> bool:
    """Whether a call computes: delegates do so out of torch's sight, and allocations not at all."""
    name = str(node.target)
    return "alloc" not in name and "call_delegate" not in name


def _is_idle(node: Node) -> bool:
    """Whether a copy or a pad gives back the bytes that it reads."""
    edge = dialects.ops.edge
    if node.target is edge.cortex_m.pad.default:
        return not any(node.args[1]) and not any(node.args[2])
    copies = (edge.dim_order_ops._clone_dim_order.default, edge.aten.clone.default)
    return node.target in copies and _same_bytes(node.args[0].meta["val"], node.meta["val"])


def _decides_order(node: Node) -> bool:
    """Whether a copy of what has its bytes in either order tells a concatenation which one to take."""
    orders = {tuple(value.meta["val"].dim_order()) for value in (node, node.args[0])}
    return len(orders) == 2 and any(user.target is dialects.ops.edge.aten.cat.default for user in node.users)


def _same_bytes(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two dense tensors of one shape and type have their elements in the same order in memory."""
    wide = [d for d in range(first.dim()) if first.shape[d] != 1]
    return first.dtype == second.dtype and all(first.stride(d) == second.stride(d) for d in wide)
