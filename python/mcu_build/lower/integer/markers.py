"""Stand-ins for operators whose result torch would not take for int8 while a graph is half lowered.

`linear` with an int32 bias becomes int32, and `div` float, in torch's eyes as soon as the operands are
integers; what follows is traced with the wrong type. Attention's second product then fails in
AtenToCortexMPass: "expected scalar type int8 but found int32" (executorch issue 21943; its pull request
22796 is about the same). The stand-ins keep int8, and are gone before that pass.
"""

import functools
from typing import Any

import torch
from executorch.exir.dialects._ops import ops
from executorch.exir.pass_base import ExportPass
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.fx.passes.infra.pass_base import PassResult

from mcu_build.lower.assigned import Chosen, everything


@functools.cache
def _library() -> torch.library.Library:
    library = torch.library.Library("mcu_build", "DEF")
    library.define("linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor")
    library.define("div(Tensor self, Tensor other) -> Tensor")
    library.define("table(Tensor input, Tensor entries) -> Tensor")
    torch.library.register_fake("mcu_build::linear", _linear, lib=library)
    torch.library.register_fake("mcu_build::div", lambda self, other: torch.empty_like(self), lib=library)
    torch.library.register_fake("mcu_build::table", _table, lib=library)
    return library


def _linear(data: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    return data.new_empty((*data.shape[:-1], weight.shape[0]))


def _table(data: torch.Tensor, entries: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(data, dtype=torch.int8)


def table() -> Any:
    """The stand-in of `cortex_m.quantized_activation`."""
    _library()
    return torch.ops.mcu_build.table.default


def mark(exported: ExportedProgram, chosen: Chosen = everything) -> None:
    """Put the stand-ins in for chosen operators."""
    _library()
    marked = {
        torch.ops.aten.linear.default: torch.ops.mcu_build.linear.default,
        torch.ops.aten.div.Tensor: torch.ops.mcu_build.div.default,
    }
    for node in exported.graph.nodes:
        # A division by a number or in another rounding mode is not an operator of Cortex-M.
        if node.target in marked and chosen(node) and not node.kwargs and len(node.all_input_nodes) > 1:
            node.target = marked[node.target]
    exported.graph_module.recompile()


class Unmark(ExportPass):  # type: ignore[misc]
    """Take the stand-ins out again. Values stay as they are: int8."""

    def call(self, graph_module: GraphModule) -> PassResult:
        """Put the operators back."""
        edge = ops.edge
        meant = {
            edge.mcu_build.linear.default: edge.aten.linear.default,
            edge.mcu_build.div.default: edge.aten.div.Tensor,
            edge.mcu_build.table.default: edge.cortex_m.quantized_activation.default,
        }
        for node in graph_module.graph.nodes:
            if node.op == "call_function":
                node.target = meant.get(node.target, node.target)
        graph_module.recompile()
        return PassResult(graph_module, True)
