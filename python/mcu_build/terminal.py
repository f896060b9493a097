"""The stages of a command as a terminal shows them, on stderr: what runs, for how long, and warnings."""

import contextlib
import io
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from mcu_build.progress import Mark

# Seconds between two states of the line on a terminal, and after which a stage runs long elsewhere.
_REFRESH = 0.5
_LONG = 10.0
_CLEAR = "\x1b[K"
_COLORS = {"error": "1;31", "warning": "1;33", "hint": "1;36"}


def heading(kind: str) -> str:
    """'error:' and so on: in colour on a terminal, unless NO_COLOR is set (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if plain or not sys.stderr.isatty():
        return f"{kind}:"
    return f"\x1b[{_COLORS[kind]}m{kind}:\x1b[0m"


def with_commands(text: str) -> str:
    """Pages of docs/ by the command that shows them: an installed package has no such folder."""
    return re.sub(r"docs/([\w-]+)\.md", r"`mcu-build docs \1`", text)


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
    def stage(self, name: str) -> Iterator[Mark]:
        """Time one stage. The mark says whether its result was at hand already."""
        mark = Mark()
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
        sys.stderr.write(
            "".join(f"{heading('warning')} {line}\n" for line in with_commands(text).split("\n"))
        )
