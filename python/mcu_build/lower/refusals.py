"""Operators that a pass cannot take: which one it was, and how lowering goes on without it.

One net stands around all passes of PyTorch, torchao and executorch. An exception in it is a `RefusedError`
that names the operator of the user's model; what can do without the operator's int8 form tries again with it
in float.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from torch.fx import Graph, Node

from mcu_build.errors import McuError
from mcu_build.failures import found_at, in_one_line
from mcu_build.lower.assigned import operator_name, origin, origin_near, output_shape

T = TypeVar("T")

# Operators that a model may lose to float one after the other: more mean that something else is wrong.
_ATTEMPTS = 12
# From this one on, what is called alike goes with what is refused: each attempt takes the model through anew.
_ALIKE = 2
_HINT = (
    "Write the line with other operators; docs/lowering.md lists what has an int8 form, docs/operators.md "
    "what has a kernel. --debug prints the traceback."
)


class RefusedError(McuError):
    """Operators that cannot be lowered; `reasons` has why by their names in the float graph, where known."""

    def __init__(self, message: str, reasons: Mapping[str, str]) -> None:
        super().__init__(message, _HINT)
        self.reasons = reasons


def refusal(places: Mapping[Node, str]) -> RefusedError:
    """A refusal of nodes, with the reason of each."""
    lines: dict[str, None] = {}
    reasons: dict[str, str] = {}
    for node, why in places.items():
        near = origin_near(node)
        if near:
            reasons[near.name] = why
        lines[f"{near.where if near else 'the model'}: {operator_name(node)}: {why}"] = None
    return RefusedError("\n".join(lines), reasons)


@contextlib.contextmanager
def named(doing: str, at: Node | None = None) -> Iterator[None]:
    """Turn an exception into a refusal of the operator that it is about, which cannot be `doing`.

    That is `at`, where it is given, else the innermost that the traceback knows.
    """
    try:
        yield
    except McuError:
        raise
    except Exception as error:
        reason = f"cannot be {doing}: {in_one_line(error)}"
        node = at or found_at(error, _call)
        raise (refusal({node: reason}) if node else RefusedError(f"the model: {reason}", {})) from error


def _call(value: object) -> Node | None:
    return value if isinstance(value, Node) and value.op == "call_function" else None


def without_refused(attempt: Callable[[Mapping[str, str]], T], graph: Graph | None = None) -> T:
    """What `attempt` gives, called again with the operators that it refuses, by name, until it refuses none.

    Where that is one after the other, all of the same operator, with operands of the same sizes, are left in
    float at once, as far as `graph` holds them. RefusedError where it refuses again what it was to leave in
    float, or something without a name.
    """
    refused: dict[str, str] = {}
    for count in range(_ATTEMPTS):
        try:
            return attempt(refused)
        except RefusedError as error:
            if not error.reasons.keys() - refused.keys():
                raise
            refused = {**error.reasons, **refused}
            if graph is not None and count >= _ALIKE:
                refused = {**_alike(graph, refused), **refused}
    return attempt(refused)


def _alike(graph: Graph, refused: Mapping[str, str]) -> Mapping[str, str]:
    """Operators that are called as refused ones are, with the reason of those."""
    named = [(known.name, node) for node in graph.nodes if (known := origin(node))]
    reasons = {_kind(node): refused[name] for name, node in named if name in refused}
    return {name: reasons[_kind(node)] for name, node in named if _kind(node) in reasons}


def _kind(node: Node) -> tuple[object, ...]:
    return (node.target, *(output_shape(operand) for operand in node.all_input_nodes))
