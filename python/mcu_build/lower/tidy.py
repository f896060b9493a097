"""Passes over the lowered graph, before and after executorch's own."""

from typing import Any

from executorch.backends.arm._passes.quant_args import QuantArgs
from executorch.backends.cortex_m.passes.passes_utils import get_activation_bounds
from executorch.exir.dialects._ops import ops
from executorch.exir.pass_base import ExportPass
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.fx.passes.infra.pass_base import PassResult

_edge = ops.edge
_CLAMPS = frozenset({_edge.aten.relu.default, _edge.aten.hardtanh.default, _edge.aten.clamp.default})
_CLAMPABLE = frozenset(
    {
        _edge.aten.convolution.default,
        _edge.aten.add.Tensor,
        _edge.aten.sub.Tensor,
    }
)
# Bits of softmax's multiplier that are kept, so that (q - zero_point) * scale is exact in float32.
_SOFTMAX_BITS = 15


class FuseClamps(ExportPass):  # type: ignore[misc]
    """Make a clamp the bounds of the operator before it.

    ActivationFusionPass refuses where the bounds are not the ends of int8, as with hardtanh(-1, 1) over a
    range that was observed to be a little wider, and then leaves the convolution without an output scale.
    """

    def call(self, graph_module: GraphModule) -> PassResult:
        """Fuse every clamp whose operand was folded together with it."""
        clampable = {*_CLAMPABLE, _edge.mcu_build.linear.default}
        changed = False
        for node in list(graph_module.graph.nodes):
            if node.target not in _CLAMPS or not node.meta.get("output_qparams"):
                continue
            producer, bounds = node.args[0], get_activation_bounds(node)
            if producer.target not in clampable or producer.meta.get("output_qparams") or bounds is None:
                continue
            producer.meta["output_qparams"] = {0: _clamped(node.meta["output_qparams"][0], bounds)}
            node.replace_all_uses_with(producer)
            graph_module.graph.erase_node(node)
            changed = True
        graph_module.recompile()
        return PassResult(graph_module, changed)


def _clamped(qparams: QuantArgs, bounds: tuple[float | None, float | None]) -> QuantArgs:
    values: dict[str, Any] = qparams._asdict()
    low, high = (None if bound is None else round(bound / values["scale"]) + values["zp"] for bound in bounds)
    qmin, qmax = values["qmin"], values["qmax"]
    values["qmin"] = qmin if low is None else min(max(low, qmin), qmax)
    values["qmax"] = qmax if high is None else min(max(high, qmin), qmax)
    return QuantArgs(**values)


class DropUnusedIndices(ExportPass):  # type: ignore[misc]
    """Make a maximum whose indices nothing reads an operator without indices.

    As RemoveGetItemPass, which fails where something does read them: then both stay as they are.
    """

    def call(self, graph_module: GraphModule) -> PassResult:
        """Replace every call of which only the values are read."""
        plain = {
            _edge.aten.max_pool2d_with_indices.default: _edge.aten.max_pool2d.default,
            _edge.aten.max.dim: _edge.aten.amax.default,
        }
        changed = False
        for node in list(graph_module.graph.nodes):
            users = list(node.users)
            if node.target not in plain or len(users) != 1 or users[0].args[1:] != (0,):
                continue
            with graph_module.graph.inserting_before(node):
                made = graph_module.graph.call_function(plain[node.target], node.args, node.kwargs)
            made.meta = {**node.meta, "val": node.meta["val"][0]}
            users[0].replace_all_uses_with(made)
            graph_module.graph.erase_node(users[0])
            graph_module.graph.erase_node(node)
            changed = True
        graph_module.recompile()
        return PassResult(graph_module, changed)


def make_exact(lowered: ExportedProgram) -> None:
    """Choose, among parameters of the same meaning, those whose definition is exact in float32."""
    for node in lowered.graph.nodes:
        if node.target is _edge.cortex_m.softmax.default:
            multiplier, shift = _rounded(node.args[4], node.args[5])
            node.args = (*node.args[:4], multiplier, shift, *node.args[6:])
        elif node.target is _edge.cortex_m.quantized_avg_pool2d.default:
            # The scale cancels: with 1.0 the definition averages the integers themselves.
            node.args = (*node.args[:6], 1 << 30, 1, *node.args[8:])


def _rounded(multiplier: int, shift: int) -> tuple[int, int]:
    drop = 31 - _SOFTMAX_BITS
    kept = (multiplier + (1 << (drop - 1))) >> drop << drop
    return (kept, shift) if kept < 1 << 31 else (kept >> 1, shift + 1)


def cancel_transposes(lowered: ExportedProgram) -> None:
    """Drop pairs of transposes that undo each other: k.transpose(-2, -1) before bmm's own, above all."""
    for node in list(lowered.graph.nodes):
        if node.target is not _edge.cortex_m.transpose.default:
            continue
        before = node.args[0]
        if isinstance(before, Node) and before.target is _edge.cortex_m.transpose.default:
            order = [before.args[1][place] for place in node.args[1]]
            if order == list(range(len(order))):
                node.replace_all_uses_with(before.args[0], propagate_meta=False)
    lowered.graph.eliminate_dead_code()
    lowered.graph_module.recompile()


def drop_checks(lowered: ExportedProgram) -> None:
    """Assertions about values, such as those of one_hot: firmware has nobody to tell, and computes on."""
    for node in list(lowered.graph.nodes):
        if str(node.target).startswith("aten._assert_async"):
            lowered.graph.erase_node(node)
    lowered.graph.eliminate_dead_code()
    lowered.graph_module.recompile()
