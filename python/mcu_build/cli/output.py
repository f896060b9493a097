"""What the command prints: data on stdout, progress and errors on stderr."""

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from mcu_build.errors import Exit, McuError
from mcu_build.terminal import heading, with_commands


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    _print(json.dumps({"schema": 1, **document}, indent=2))


def print_text(text: str) -> None:
    """Text for a person, on stdout, its sentences as wide as the terminal. Errors as `_print`."""
    if sys.stdout.isatty():
        from mcu_build.tables import wrapped

        text = wrapped(text)
    _print(text)


def _print(text: str) -> None:
    """Write to stdout. McuError where it has no room; where nobody reads, the end."""
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read what is printed, `head` for one, has read enough.
        raise click.exceptions.Exit(Exit.CLOSED) from None
    except OSError as error:
        raise McuError(f"stdout: {error.strerror or error}", "Choose a file that has room.") from error


def print_warning(text: str) -> None:
    """A warning for a person, on stderr."""
    sys.stderr.write(f"{heading('warning')} {text}\n")


def error_document(error: McuError) -> dict[str, Any]:
    """An error as --json tells it, alone or beside the results that it judges."""
    fields = {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}
    return {"error": fields}


def report_error(error: McuError, as_json: bool) -> Exit:
    """Tell the user what is wrong and what to do; the exit status to leave with."""
    if as_json:
        with contextlib.suppress(OSError, McuError):
            print_json(error_document(error))
    else:
        lines = [f"{heading('error')} {line}" for line in error.message.split("\n")]
        if error.hint:
            lines += ["", f"{heading('hint')} {with_commands(error.hint)}"]
        sys.stderr.write("\n".join(lines) + "\n")
    return error.exit_code


def end_json(document: Mapping[str, Any], error: McuError | None) -> Exit:
    """Print a verb's results with the error that judges them; the exit status to leave with."""
    print_json({**document, **(error_document(error) if error else {})})
    return error.exit_code if error else Exit.OK


def end_text(error: McuError | None) -> Exit:
    """The same behind results that are printed as text."""
    return report_error(error, as_json=False) if error else Exit.OK
