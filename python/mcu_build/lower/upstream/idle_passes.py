"""Passes of executorch's edge conversion that have nothing to change in a graph: they are left out.

Each runs every operator again on fake tensors, about a millisecond a node, to find that none is of its kind.
"""

import contextlib
from collections.abc import Callable, Iterator
from operator import getitem
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torch.fx.passes.infra.pass_base import PassResult

from mcu_build.lower.upstream.replaced import replaced


@contextlib.contextmanager
def idle_passes_skipped() -> Iterator[None]:
    """Inside the block a pass gives back the graph as it is where no node concerns it."""
    with contextlib.ExitStack() as stack:
        for pass_class, concerns in _concerns().items():
            call = _skipping(pass_class, pass_class.call, concerns)
            stack.enter_context(replaced(pass_class, "call", call))
        yield


def _skipping(pass_class: type, usual: Any, concerns: Callable[[Node], bool]) -> Any:
    def call(self: Any, module: GraphModule) -> Any:
        if type(self) is not pass_class:
            return usual(self, module)  # A subclass may rewrite other operators.
        graphs = [submodule.graph for submodule in module.modules() if isinstance(submodule, GraphModule)]
        calls = (node for graph in graphs for node in graph.nodes if node.op == "call_function")
        if any(_is_unknown(node) or concerns(node) for node in calls if node.target is not getitem):
            return usual(self, module)
        return PassResult(module, False)

    return call


def _concerns() -> dict[Any, Callable[[Node], bool]]:
    """The passes, with the operators that each rewrites."""
    from executorch.backends.transforms.replace_scalar_with_tensor import ReplaceScalarWithTensorArgPass
    from executorch.exir.passes.dim_order_ops_registry import DimOrderOpsMap
    from executorch.exir.passes.legalize_portable_dim_order_pass import LegalizePortableDimOrderPass
    from executorch.exir.passes.memory_format_ops_pass import MemoryFormatOpsPass
    from executorch.exir.passes.normalize_transpose_pass import NormalizeTransposePass
    from executorch.exir.passes.remove_mixed_type_operators import RemoveMixedTypeOperators
    from executorch.exir.passes.replace_broken_ops_with_function_ops_pass import (
        ReplaceBrokenOpsWithFunctionalOpsPass,
    )
    from executorch.exir.passes.scalar_to_tensor_pass import ScalarToTensorPass
    from executorch.exir.passes.sym_to_tensor_pass import SymToTensorPass
    from torch._export.passes.replace_view_ops_with_view_copy_ops_pass import (
        _NON_FUNCTIONAL_OPS_TO_FUNCTIONAL_OPS,
        ReplaceViewOpsWithViewCopyOpsPass,
        is_view_op,
    )

    return {
        ReplaceViewOpsWithViewCopyOpsPass: lambda node: (
            node.target in _NON_FUNCTIONAL_OPS_TO_FUNCTIONAL_OPS or is_view_op(node.target._schema)
        ),
        NormalizeTransposePass: lambda node: node.target == torch.ops.aten.t.default,
        ReplaceBrokenOpsWithFunctionalOpsPass: lambda node: node.target.is_view,
        ScalarToTensorPass: _has_scalar_for_tensor,
        SymToTensorPass: _has_symbol,
        RemoveMixedTypeOperators: _may_mix_types,
        MemoryFormatOpsPass: lambda node: node.target in DimOrderOpsMap,
        ReplaceScalarWithTensorArgPass: lambda node: (
            node.target in ReplaceScalarWithTensorArgPass.default_ops
        ),
        LegalizePortableDimOrderPass: lambda node: node.target in LegalizePortableDimOrderPass._target_ops,
    }


def _promoting() -> tuple[Any, ...]:
    """The operators to which RemoveMixedTypeOperators looks."""
    aten = torch.ops.aten
    sums = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.minimum.default)
    return (*sums, aten.div.Tensor, aten.div.Tensor_mode)


def _is_unknown(node: Node) -> bool:
    """Whether this is no plain operator: control flow, a delegate."""
    return not hasattr(node.target, "_schema")


def _has_scalar_for_tensor(node: Node) -> bool:
    parameters = node.target._schema.arguments
    arguments = dict(zip((parameter.name for parameter in parameters), node.args, strict=False)) | node.kwargs
    return any(
        isinstance(arguments.get(parameter.name), float | int)
        and isinstance(parameter.type, torch.TensorType)
        for parameter in parameters
    )


def _has_symbol(node: Node) -> bool:
    values = (operand.meta.get("val") for operand in node.all_input_nodes)
    return any(isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool) for value in values)


def _may_mix_types(node: Node) -> bool:
    """Whether operands may be of different types, or integers, which a division makes floats."""
    if node.target not in _promoting():
        return False
    values = [operand.meta.get("val") for operand in node.all_input_nodes]
    if not all(isinstance(value, torch.Tensor) for value in values):
        return True
    types = {value.dtype for value in values}
    return len(types) > 1 or not all(kind.is_floating_point for kind in types)
