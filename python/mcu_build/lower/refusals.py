"""Operators that a pass cannot take: which one it was, and how lowering goes on without it.

One net stands around all passes of PyTorch, torchao and executorch. An exception in it is a `RefusedError`
that names the operator of the user's model; what can do without the operator's int8 form tries again with it
in float.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from torch.fx import Node

from mcu_build.errors import McuError
from mcu_build.failures import found_at, in_one_line
from mcu_build.lower.assigned import operator_name, origin_near

T = TypeVar("T")

# Operators that a model may lose to float one after the other: more mean that something else is wrong.
_ATTEMPTS = 12
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
        found = origin_near(node)
        if found:
            reasons[found.name] = why
        lines[f"{found.where if found else 'the model'}: {operator_name(node)}: {why}"] = None
    return RefusedError("\n".join(lines), reasons)


@contextlib.contextmanager
def named(doing: str) -> Iterator[None]:
    """Turn an exception into a refusal of the operator that it is about, which cannot be `doing`."""
    try:
        yield
    except McuError:
        raise
    except Exception as error:
        reason = f"cannot be {doing}: {in_one_line(error)}"
        node = found_at(error, _call)
        raise (refusal({node: reason}) if node else RefusedError(f"the model: {reason}", {})) from error


def _call(value: object) -> Node | None:
    return value if isinstance(value, Node) and value.op == "call_function" else None


def without_refused(attempt: Callable[[Mapping[str, str]], T]) -> T:
    """What `attempt` gives, called again with the operators that it refuses, by name, until it refuses none.

    RefusedError where it refuses again what it was told to leave in float, or something without a name.
    """
    refused: dict[str, str] = {}
    for _ in range(_ATTEMPTS):
        try:
            return attempt(refused)
        except RefusedError as error:
            if not error.reasons.keys() - refused.keys():
                raise
            refused = {**error.reasons, **refused}
    return attempt(refused)
