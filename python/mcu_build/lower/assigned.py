"""What is known of operators through all stages: which are for the CPU where an NPU takes the others, which
stay in float, and what each was in the user's model.

It is text in `node.meta["custom"]`, which survives quantization, export and saving.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.fx import Node

from mcu_build.layer_names import layer_at
from mcu_build.lower.lines import module_path, source_line

# Says whether a pass may touch an operator.
Chosen = Callable[[Node], bool]

_MARK = "mcu_build_cpu"
_FLOAT = "mcu_build_float"
_BOUNDARY = "mcu_build_boundary"
_INT8 = "mcu_build_int8"
_INT16 = "mcu_build_int16"
_INT4 = "mcu_build_int4"
_ORIGIN = {
    "name": "mcu_build_origin",
    "operator": "mcu_build_operator",
    "layer": "mcu_build_layer",
    "module": "mcu_build_module",
    "sizes": "mcu_build_sizes",
}


def everything(node: Node) -> bool:
    """The choice where there is no NPU."""
    del node
    return True


def assign_to_cpu(node: Node, why: str) -> None:
    """Leave `node`, and what it is rewritten to, to the CPU."""
    _note(node, _MARK, why)


def is_for_cpu(node: Node) -> bool:
    """Whether `assign_to_cpu` has marked the node."""
    return _MARK in (node.meta.get("custom") or {})


def why_on_cpu(node: Node) -> str:
    """Why the NPU does not take the node; empty where it is not marked."""
    return str((node.meta.get("custom") or {}).get(_MARK, ""))


def keep_in_float(node: Node, why: str) -> None:
    """Leave `node`, and what it is rewritten to, in float."""
    _note(node, _FLOAT, why)


def why_in_float(node: Node) -> str:
    """Why `keep_in_float` was asked for; empty where it was not."""
    return str((node.meta.get("custom") or {}).get(_FLOAT, ""))


def make_int16(node: Node) -> None:
    """Give the results of `node`, and of what it is rewritten to, 16 bits."""
    _note(node, _INT16, "yes")


def is_int16(node: Node) -> bool:
    """Whether `make_int16` has marked the node, and nothing keeps it in float."""
    custom = node.meta.get("custom") or {}
    return _INT16 in custom and _FLOAT not in custom


def make_int4(node: Node) -> None:
    """Give the weights of `node`, and of what it is rewritten to, 4 bits."""
    _note(node, _INT4, "yes")


def is_int4(node: Node) -> bool:
    """Whether `make_int4` has marked the node, and nothing keeps it in float."""
    custom = node.meta.get("custom") or {}
    return _INT4 in custom and _FLOAT not in custom


def ask_int8(node: Node) -> None:
    """Note that the model file asks for int8: nothing else is chosen for `node` by default."""
    _note(node, _INT8, "yes")


def asks_int8(node: Node) -> bool:
    """Whether `ask_int8` has marked the node."""
    return _INT8 in (node.meta.get("custom") or {})


def mark_boundary(node: Node) -> None:
    """Note that `node` moves floats that have been int8 to an output."""
    _note(node, _BOUNDARY, "yes")


def is_boundary(node: Node) -> bool:
    """Whether `mark_boundary` has marked the node."""
    return _BOUNDARY in (node.meta.get("custom") or {})


@dataclass(frozen=True)
class Origin:
    """The operator of the float graph that a node was made from: 'aten::softmax.int', 'model.py:12'.

    `module` is the path of the layer that it belongs to, empty for the model itself; `sizes` its output's
    shape, '1x8x8x8'.
    """

    name: str
    operator: str
    layer: str
    module: str = ""
    sizes: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its output, empty where that is not one tensor."""
        return tuple(int(size) for size in self.sizes.split("x") if size)

    @property
    def where(self) -> str:
        """Its place in words: line and module, as far as they are known."""
        inside = f"({self.module})" if self.layer and self.module else self.module
        return " ".join(part for part in (self.layer, inside) if part) or "the model"

    def __str__(self) -> str:
        return layer_at(self.module, self.operator, self.shape, self.layer)


def remember_origin(node: Node) -> None:
    """Note what the node is, so that what it becomes can be traced back to it."""
    is_part = node.target is operator.getitem and isinstance(node.args[0], Node)
    values = {
        "name": node.name,
        "operator": operator_name(node.args[0] if is_part else node),  # a result of several is of its layer
        "layer": source_line(node),
        "module": module_path(node),
        "sizes": "x".join(map(str, output_shape(node))),
    }
    for key, text in values.items():
        _note(node, _ORIGIN[key], text)


def output_shape(node: Node) -> tuple[int, ...]:
    """The shape of a node's output, of the first where it has several; empty where it has none."""
    value = node.meta.get("val")
    first = value[0] if isinstance(value, list | tuple) and value else value
    return tuple(int(size) for size in getattr(first, "shape", ()))


def schema_name(node: Node) -> str:
    """'aten::add'; empty for what is no operator."""
    schema: Any = getattr(node.target, "_schema", None)
    return "" if schema is None else str(schema.name)


def operator_name(node: Node) -> str:
    """'aten::add.Tensor' of an edge operator."""
    schema: Any = getattr(node.target, "_schema", None)
    if schema is None:
        return str(node.target)
    overload = schema.overload_name
    return f"{schema.name}.{overload}" if overload else str(schema.name)


def origin(node: Node) -> Origin | None:
    """What `remember_origin` noted of the node that this one was made from."""
    custom = node.meta.get("custom") or {}
    if _ORIGIN["name"] not in custom:
        return None
    return Origin(**{key: str(custom.get(name, "")) for key, name in _ORIGIN.items()})


def origin_near(node: Node) -> Origin | None:
    """The origin of a node, or of a neighbour: what a rewrite adds has none of its own."""
    near = (node, *node.users, *node.all_input_nodes)
    return next((known for node in near if (known := origin(node))), None)


def _note(node: Node, key: str, text: str) -> None:
    # A new mapping: rewritten nodes share the old one.
    node.meta["custom"] = {**(node.meta.get("custom") or {}), key: text}
