"""What an exception is about: the operator that the code was at, by the traceback's own variables.

Passes of PyTorch and executorch say which pass has failed, not at which operator; but whatever they do, they
hold the operator in a variable. The innermost one of the first cause is meant.
"""

import contextlib
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from mcu_build.errors import Exit, McuError

T = TypeVar("T")

_NAMES = ("node", "n", "call", "step")  # before others of the same frame
_LONGEST = 300


def first_cause(error: BaseException) -> BaseException:
    """The exception that others were raised for."""
    return list(_causes(error))[-1]


def in_one_line(error: BaseException) -> str:
    """Type and text of an exception's first cause, as much as is read at a glance."""
    cause = first_cause(error)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    text = lines[0] if lines else _statement(cause)
    return f"{type(cause).__name__}: {text[:_LONGEST]}" if text else type(cause).__name__


def _statement(error: BaseException) -> str:
    """The source line that raised, for an exception without words such as most assertions."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].line or "") if frames else ""


def found_at(error: BaseException, wanted: Callable[[object], T | None]) -> T | None:
    """The innermost variable of the traceback that `wanted` takes for an operator, as `wanted` returns it."""
    return next((match for value in _variables(error) if (match := wanted(value)) is not None), None)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Let nothing but McuError out, as the command does."""
    try:
        yield
    except McuError:
        raise
    except Exception as error:
        raise unexpected(error) from error


def unexpected(error: Exception) -> McuError:
    """The last resort: an exception that nothing has named, with the operator that it is about."""
    if isinstance(error, ModuleNotFoundError):
        return McuError(
            f"a Python package is missing: {error.name}",
            "`mcu-build doctor` lists what mcu-build misses; what the model's file needs, pip installs.",
            Exit.TOOL_MISSING,
        )
    place = found_at(error, _operator)
    where = f"{place}: " if place else ""
    return McuError(
        f"{where}mcu-build cannot compile this: {in_one_line(error)}",
        "Write this line with other operators (docs/operators.md), or leave the layer out to see whether the "
        "rest goes through. --debug prints the traceback for a report."
        if place
        else "Leave layers out until it goes through to find the one that is meant. --debug prints the "
        "traceback for a report.",
    )


def _operator(value: object) -> str | None:
    """'model.py:12: features.0: cortex_m::pad.out' of a call of a program or of a step of a plan."""
    operator = getattr(value, "operator", None)
    line = getattr(value, "layer", getattr(value, "line", None))
    if not isinstance(operator, str) or not isinstance(line, str) or "::" not in operator:
        return None
    module = getattr(value, "module", getattr(value, "name", ""))
    return ": ".join(part for part in (line, module, operator) if part)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _variables(error: BaseException) -> Iterator[object]:
    """Variables of the frames that an error has gone through: those of the first cause, innermost first."""
    for cause in reversed(list(_causes(error))):
        for frame, _ in reversed(list(traceback.walk_tb(cause.__traceback__))):
            variables = frame.f_locals
            yield from (variables[name] for name in _NAMES if name in variables)
            yield from (value for name, value in variables.items() if name not in _NAMES)
