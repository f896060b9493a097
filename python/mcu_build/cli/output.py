"""What the command prints: data on stdout, progress and errors on stderr."""

import contextlib
import io
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

import click

from mcu_build.errors import Exit, McuError

# Seconds between two states of the line on a terminal, and after which a stage runs long elsewhere.
_REFRESH = 0.5
_LONG = 10.0
_CLEAR = "\x1b[K"
_COLORS = {"error": "1;31", "warning": "1;33", "hint": "1;36"}


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    _print(json.dumps({"schema": 1, **document}, indent=2))


def print_text(text: str) -> None:
    """Text for a person, on stdout, its sentences as wide as the terminal. Errors as `_print`."""
    if sys.stdout.isatty():
        from mcu_build.report.tables import wrapped

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
    sys.stderr.write(f"{_heading('warning')} {text}\n")


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
        lines = [f"{_heading('error')} {line}" for line in error.message.split("\n")]
        if error.hint:
            lines += ["", f"{_heading('hint')} {_with_command(error.hint)}"]
        sys.stderr.write("\n".join(lines) + "\n")
    return error.exit_code


def end_json(document: Mapping[str, Any], error: McuError | None) -> Exit:
    """Print a verb's results with the error that judges them; the exit status to leave with."""
    print_json({**document, **(error_document(error) if error else {})})
    return error.exit_code if error else Exit.OK


def end_text(error: McuError | None) -> Exit:
    """The same behind results that are printed as text."""
    return report_error(error, as_json=False) if error else Exit.OK


def _heading(kind: str) -> str:
    """'error:' and so on: in colour on a terminal, unless NO_COLOR is set (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stderr.isatty():
        return f"{kind}:"
    return f"\x1b[{_COLORS[kind]}m{kind}:\x1b[0m"


def _with_command(hint: str) -> str:
    """A hint that names a page, with the command that shows it: an installed package has no folder docs/."""
    return re.sub(r"docs/([\w-]+)\.md", r"docs/\1.md (`mcu-build docs \1`)", hint)


class _Above(io.TextIOBase):
    """Stands in for stderr while a live line is shown: what others write comes above it, in whole lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun = ""

    def isatty(self) -> bool:
        """As the terminal below."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Lines at once, what is left of the last with its end."""
        lines, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline:
            # In one go, so that the live line does not come in between.
            self._stream.write("".join(f"{line}{_CLEAR}\n" for line in lines.split("\n")))
            self._stream.flush()
        return len(text)

    def finish(self) -> None:
        """Write what has no end."""
        if self._begun:
            self.write("\n")


@dataclass
class StageTimes:
    """The stages of one command: printed on stderr as they run unless `quiet`, and kept for the JSON.

    On a terminal one line shows the stage that runs, its time and what it is doing. Elsewhere a stage that
    runs long says so once before it ends.
    """

    quiet: bool = False
    stages: list[dict[str, Any]] = field(default_factory=list)
    doing: str = ""

    @contextmanager
    def stage(self, name: str) -> Iterator["StageMark"]:
        """Time one stage. The mark says whether its result was at hand already."""
        mark = StageMark()
        start = time.monotonic()
        self.doing = ""
        with self._shown(name, start):
            yield mark
        seconds = time.monotonic() - start
        self.stages.append({"name": name, "seconds": round(seconds, 3), "cached": mark.cached})
        if not self.quiet:
            sys.stderr.write(f"{name:<12} {'cached' if mark.cached else f'{seconds:6.1f} s'}\n")

    def step(self, text: str) -> None:
        """What the stage that runs is doing."""
        self.doing = text

    @contextmanager
    def _shown(self, name: str, start: float) -> Iterator[None]:
        """Show that a stage runs while the block does."""
        if self.quiet:
            yield
            return
        ended, stream = threading.Event(), sys.stderr
        live = stream.isatty()
        shower = threading.Thread(
            target=self._live if live else self._once, args=(name, start, ended, stream), daemon=True
        )
        shower.start()
        above = _Above(stream)
        try:
            with contextlib.redirect_stderr(above) if live else contextlib.nullcontext():
                yield
        finally:
            ended.set()
            shower.join()
            above.finish()

    def _live(self, name: str, start: float, ended: threading.Event, stream: TextIO) -> None:
        stream.write(f"{name:<12} ...\r")
        stream.flush()
        while not ended.wait(_REFRESH):
            line = f"{name:<12} {time.monotonic() - start:6.1f} s  {self.doing}"
            stream.write(line[: shutil.get_terminal_size().columns - 1] + _CLEAR + "\r")
            stream.flush()
        stream.write(_CLEAR)

    def _once(self, name: str, start: float, ended: threading.Event, stream: TextIO) -> None:
        del start
        if not ended.wait(_LONG):
            stream.write(f"{name:<12} ...\n")
            stream.flush()

    def note(self, text: str) -> None:
        """A line of its own: what the stages below it are for."""
        if not self.quiet:
            sys.stderr.write(f"{text}\n")

    def warn(self, text: str) -> None:
        """A warning that a user should not overlook."""
        sys.stderr.write("".join(f"{_heading('warning')} {line}\n" for line in text.split("\n")))


@dataclass
class StageMark:
    """Set by the stage itself."""

    cached: bool = False
