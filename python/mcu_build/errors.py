"""The one error that reaches a user."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class Exit(IntEnum):
    """Exit statuses of the command."""

    OK = 0
    INPUT = 1
    USAGE = 2
    TOOL_MISSING = 3
    FIRMWARE = 4
    TIMEOUT = 5
    BUDGET = 6
    INTERRUPTED = 130
    CLOSED = 141


class McuError(Exception):
    """What is wrong, what to do about it, and the exit status.

    `message` reads `<file>: <key>: what is wrong` where there is a file and a key to name.
    """

    def __init__(self, message: str, hint: str = "", exit_code: Exit = Exit.INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        if hint:
            self.add_note(f"hint: {hint}")


@contextmanager
def about(file: Path) -> Iterator[None]:
    """Let errors of the block name the model's file at the beginning of each line, where they do not yet."""
    try:
        yield
    except McuError as error:
        lines = error.message.split("\n")
        named = "\n".join(line if line.startswith(str(file)) else f"{file}: {line}" for line in lines)
        raise McuError(named, error.hint, error.exit_code) from error
