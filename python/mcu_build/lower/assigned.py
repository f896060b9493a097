"""Which operators of a graph are for the CPU where an NPU takes the others.

The mark is a text in `node.meta["custom"]`, which survives quantization, export and saving; it says why the
NPU does not take the operator.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch.fx import Node

# Says whether a pass may touch an operator.
Chosen = Callable[[Node], bool]

_MARK = "mcu_build_cpu"
_ORIGIN, _OPERATOR, _LAYER = "mcu_build_origin", "mcu_build_operator", "mcu_build_layer"


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


@dataclass(frozen=True)
class Origin:
    """The operator of the float graph that a node was made from: 'aten::softmax.int', 'model.py:12'."""

    name: str
    operator: str
    layer: str


def remember_origin(node: Node, operator: str, layer: str) -> None:
    """Note what the node is, so that what it becomes can be traced back to it."""
    for key, text in ((_ORIGIN, node.name), (_OPERATOR, operator), (_LAYER, layer)):
        _note(node, key, text)


def origin(node: Node) -> Origin | None:
    """What `remember_origin` noted of the node that this one was made from."""
    found = node.meta.get("custom") or {}
    if _ORIGIN not in found:
        return None
    return Origin(str(found[_ORIGIN]), str(found[_OPERATOR]), str(found[_LAYER]))


def _note(node: Node, key: str, text: str) -> None:
    # A new mapping: rewritten nodes share the old one.
    node.meta["custom"] = {**(node.meta.get("custom") or {}), key: text}
