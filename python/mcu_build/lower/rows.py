"""What went where and why: a row for every operator call of a lowered program."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch.fx import Node

from mcu_build.custom import is_custom
from mcu_build.layer_names import layer_at, module_of
from mcu_build.lower.assigned import (
    Origin,
    is_boundary,
    operator_name,
    origin,
    output_shape,
    why_in_float,
    why_on_cpu,
)
from mcu_build.lower.builder import attribute

Where = Literal["npu", "int8", "int16", "float", "boundary"]


# Between the first and the last module of a delegate.
RANGE = " .. "


_LISTED = 3  # names in a warning


FRAME = re.compile(r'File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<name>[^\n]+)')


# Take no time: our plan reads the same bytes by another shape.
_VIEWS = (
    "aten::view_copy", "aten::squeeze_copy", "aten::unsqueeze_copy", "dim_order_ops::_clone_dim_order"
)  # fmt: skip


@dataclass(frozen=True)
class Lowering:
    """One operator call of the program: where it computes, from which line of the model, and why there.

    `name` is the path of the module that it belongs to, `shape` that of its output.
    """

    operator: str
    where: Where
    layer: str
    why: str
    name: str = ""
    shape: tuple[int, ...] = ()


def is_call(node: Node) -> bool:
    """Whether a node becomes a call of an operator."""
    skipped = ("getitem", "alloc", "get_item", "call_delegate")
    return node.op == "call_function" and not any(part in str(node.target) for part in skipped)


def is_float(value: object) -> bool:
    """Whether some tensor of a value is one of floats."""
    values = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(v, torch.Tensor) and v.dtype.is_floating_point for v in values)


def is_integer(node: Node) -> bool:
    """Whether it is a quantized tensor."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype in (torch.int8, torch.int16)


def rows_of(node: Node) -> Iterator[Lowering]:
    """What a node becomes: one call, nothing, or, for a delegate, the operators of the model inside it."""
    if "call_delegate" in str(node.target):
        for known in inside(node):
            yield Lowering(known.operator, "npu", known.layer, "", known.module, known.shape)
    elif is_call(node):
        match = FRAME.search(node.meta.get("stack_trace") or "")
        line = f"{match['file']}:{match['line']}" if match and int(match["line"]) else ""
        where, why = _where(node)
        module = module_of(match["name"]) if match else ""
        yield Lowering(operator_name(node), where, line, why, module, output_shape(node))


def inside(node: Node) -> tuple[Origin, ...]:
    """The operators of the model in a delegate, empty for any other node."""
    if "call_delegate" not in str(node.target):
        return ()
    module = attribute(node.graph.owning_module, node.args[0])
    origins = (origin(inner) for inner in module.original_module.graph.nodes)
    return tuple(dict.fromkeys(known for known in origins if known))


def _where(node: Node) -> tuple[Where, str]:
    """Where a call computes, and why there."""
    name = operator_name(node)
    if "quantize_per_tensor" in name:
        return "boundary", f"between float and {_width(node)}"
    floats = is_float(node.meta.get("val")) or any(is_float(n.meta.get("val")) for n in node.all_input_nodes)
    # The cell of an LSTM goes in and out as float.
    if not floats or name.startswith("mcu_build::"):
        return _width(node), _why_on_cpu(node) or "integer arithmetic"
    if is_custom(name):
        return "float", "a custom operator on float tensors"
    if is_boundary(node):
        return "boundary", "parts of an output with scales of their own, joined in float"
    if kept := why_in_float(node):
        return "float", kept
    why = why_on_cpu(node)
    no_form = "no int8 form of this operator with these operands"
    return "float", f"{why}; {no_form}" if why else no_form


def _width(node: Node) -> Where:
    """By activations: int8 operators have constants of 16 bits."""
    near = (node, *(operand for operand in node.all_input_nodes if operand.op == "call_function"))
    values = [neighbour.meta.get("val") for neighbour in near]
    return "int16" if any(getattr(value, "dtype", None) is torch.int16 for value in values) else "int8"


def _why_on_cpu(node: Node) -> str:
    """The reason that is noted of the node, or of a neighbour: what a rewrite adds belongs to both."""
    near = (node, *node.all_input_nodes, *node.users)
    return next((why for neighbour in near if (why := why_on_cpu(neighbour))), "")


def warnings_of(rows: tuple[Lowering, ...]) -> tuple[str, ...]:
    """One for each reason, with what it is true of: a model may have hundreds of such calls."""
    reasons: dict[str, list[Lowering]] = {}
    for row in rows:
        if row.where == "float" and not is_custom(row.operator) and row.operator not in _VIEWS:
            reasons.setdefault(row.why, []).append(row)
    return tuple(
        f"{_count(len(rows))} in float ({_listed(_named(row) for row in rows)}): {why}. "
        "Float is slow without a floating point unit; docs/lowering.md lists what has an int8 form."
        for why, rows in reasons.items()
    )


def _named(row: Lowering) -> str:
    return layer_at(row.name, row.operator, row.shape, row.layer)


def _count(number: int) -> str:
    return f"{number} operators stay" if number > 1 else "1 operator stays"


def _listed(names: Iterable[str]) -> str:
    """The first of the different names, and how many there are beside them."""
    different = list(dict.fromkeys(names))
    more = len(different) - _LISTED
    return ", ".join(different[:_LISTED]) + (f" and {more} more" if more > 0 else "")
