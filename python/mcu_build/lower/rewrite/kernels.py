"""Operators that no kernel computes: found on the float graph, before any work is done on it, and again on
the graph that a program is made of.

What an operator of the float graph becomes is known for most by its name. A doubtful one is taken apart as
executorch would, alone, once for every kind of operands.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import torch
from executorch.exir.dialects.edge._ops import EdgeOpOverload
from executorch.exir.operator.convert import to_out_variant
from executorch.exir.passes import to_out_var_skiplist
from executorch.exir.tracer import _default_decomposition_table
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx

from mcu_build.custom import is_custom
from mcu_build.ir.tensor import DType
from mcu_build.lower.annotate.clusters import find_sources
from mcu_build.lower.assigned import operator_name, origin_near
from mcu_build.lower.lines import module_path, source_line
from mcu_build.lower.rewrite.fold import is_symbolic

_LISTED = 3  # places of one operator
# Taken apart into operators that have kernels, in more steps than are worth a trial.
_RECURRENT = ("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")


def without_kernel(graph: Graph, supported: Collection[str]) -> Mapping[str, str]:
    """Operators of a float graph that nothing can compute, with their places in the model.

    `supported` are operators with kernels, by the names that programs have ('aten::add.out').
    """
    known = {_family(name) for name in supported}
    tables = find_sources(graph)
    tried: dict[Any, list[str]] = {}

    def missing(node: Node) -> Iterable[str]:
        if node in tables or not _is_doubtful(node, known):
            return ()
        kind = (node.target, *(str(_type(operand)) for operand in node.all_input_nodes))
        if kind not in tried:
            tried[kind] = [
                _name_in_program(one.target) or operator_name(one)
                for one in _alone(node)
                if _family(operator_name(one)) not in known
            ]
        return tried[kind]

    return _with_places(graph, missing)


def without_type(graph: Graph) -> Mapping[str, str]:
    """Types of elements that no kernel computes with ('float64'), with their places in the model."""
    known = {dtype.numpy_name for dtype in DType}

    def missing(node: Node) -> Iterable[str]:
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and not value.dtype.is_complex:
            name = str(value.dtype).removeprefix("torch.")
            if name not in known:
                yield name

    return _with_places(graph, missing)


def without_out_variant(graph: Graph, supported: Collection[str] | None) -> Mapping[str, str]:
    """Operators of a lowered graph that no program can call, or outside `supported` where that is given."""

    def missing(node: Node) -> Iterable[str]:
        if not _is_call(node):
            return
        name = _name_in_program(node.target)
        is_supported = supported is None or name in supported or is_custom(operator_name(node))
        if name is None or not is_supported:
            yield name or operator_name(node)

    return _with_places(graph, missing)


def _with_places(graph: Graph, missing: Callable[[Node], Iterable[str]]) -> Mapping[str, str]:
    """The operators that `missing` gives for nodes, with the lines and layers of all of them."""
    places: dict[str, dict[str, None]] = {}
    for node in graph.nodes:
        for name in missing(node) if node.op == "call_function" else ():
            places.setdefault(name, {})[_place(node)] = None
    return {name: _listed([node for node in nodes if node]) for name, nodes in places.items()}


def _place(node: Node) -> str:
    """'net.py:12 (encoder.0)', as far as it is known."""
    made_from = origin_near(node)
    if made_from:
        return made_from.where
    line, module = source_line(node), module_path(node)
    return f"{line} ({module})" if line and module else line or module


def _listed(places: list[str]) -> str:
    more = len(places) - _LISTED
    return ", ".join(places[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _family(operator: str) -> str:
    """'aten::view' of 'aten::view_copy.out': views and their copies are served alike."""
    return operator.partition(".")[0].removesuffix("_copy")


def _is_doubtful(node: Node, known: Collection[str]) -> bool:
    from mcu_build.lower.integer.int8_forms import forms
    from mcu_build.lower.rewrite.idioms import IDIOMS
    from mcu_build.lower.rewrite.legalize import RULES

    name = operator_name(node).partition(".")[0]
    values = [operand.meta.get("val") for operand in (node, *node.all_input_nodes)]
    return not (
        not isinstance(node.target, torch._ops.OpOverload)
        or not _is_functional(node.target)
        or _family(name) in known
        or name in _RECURRENT
        or is_custom(name)
        or name.startswith("mcu_build::")
        # Refused for that (frontend/normalize.py), or at rest like dropout.
        or torch.Tag.nondeterministic_seeded in node.target.tags
        or any(node.target in table for table in (RULES, IDIOMS, forms()))
        or any(value is None or is_symbolic(value) or _is_complex(value) for value in values)
    )


def _is_complex(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype.is_complex


def _type(node: Node) -> Any:
    value = node.meta.get("val")
    return value.dtype if isinstance(value, torch.Tensor) else type(value)


def _alone(node: Node) -> list[Node]:
    """The calls that `node` is decomposed into; none where it cannot be determined."""
    operands = node.all_input_nodes

    def call(*tensors: torch.Tensor) -> Any:
        values = dict(zip(operands, tensors, strict=True))
        args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), values.__getitem__)
        return node.target(*args, **kwargs)

    try:
        with torch.no_grad():
            traced = make_fx(call, _decompositions(), tracing_mode="fake")(*_zeros(operands))
    except Exception:
        return []  # The passes themselves will tell what is wrong with it.
    return [node for node in traced.graph.nodes if _is_call(node) and _is_functional(node.target)]


def _is_functional(target: Any) -> bool:
    """Whether an operator gives something new; checks give nothing, and writes become other operators."""
    return bool(target._schema.returns) and not target._schema.is_mutable


@functools.cache
def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    """Those of to_edge; making the table takes 0.3 s."""
    return dict(_default_decomposition_table())


def _zeros(nodes: Iterable[Node]) -> tuple[torch.Tensor, ...]:
    """Tensors of the sizes and types of what nodes give."""
    values = [node.meta["val"] for node in nodes]
    return tuple(torch.zeros(tuple(value.shape), dtype=value.dtype) for value in values)


def _is_call(node: Node) -> bool:
    return (
        node.op == "call_function"
        and hasattr(node.target, "_schema")
        and node.target not in to_out_var_skiplist
    )


def _name_in_program(target: Any) -> str | None:
    """'aten::add.out' of an operator's form that writes its result; None where it has none."""
    try:
        out = target.to_out_variant() if isinstance(target, EdgeOpOverload) else to_out_variant(target)[0]
    except RuntimeError:
        return None
    schema = out._schema
    return f"{schema.name}.{schema.overload_name}" if schema.overload_name else str(schema.name)
