"""The only place that starts a process."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcu_build.errors import Exit, McuError


@dataclass(frozen=True)
class Finished:
    """A process that ended by itself or was ended at its time limit."""

    command: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    timed_out: bool = False


def find_tool(name: str, hint: str) -> Path:
    """The executable `name` on PATH. McuError (status 3) with `hint`, how to get it, where there is none."""
    path = shutil.which(name)
    if path is None:
        raise McuError(f"{name}: not found on PATH", hint, Exit.TOOL_MISSING)
    return Path(path)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Finished:
    """Run to the end and collect the output. At `timeout` seconds the whole process group is killed.

    A non-zero status is the caller's to judge; it raises nothing.
    """
    words = tuple(str(word) for word in command)
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    timed_out = False
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        _kill_group(process)
        stdout, stderr = process.communicate()
    except BaseException:
        # Ctrl-C: the child is in a session of its own, so the terminal did not reach it.
        _kill_group(process)
        process.wait()
        raise
    return Finished(words, process.returncode, stdout, stderr, timed_out)


class Running:
    """A process that runs while the caller talks to it."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", command: tuple[str, ...], *files: IO[bytes]
    ) -> None:
        self._process, self._command, self._files = process, command, files

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def finish(self, timeout: float) -> Finished:
        """Wait for the end, at most `timeout` seconds: then the whole process group is killed."""
        timed_out = False
        try:
            self._process.wait(max(timeout, 0))
        except subprocess.TimeoutExpired:
            timed_out = True
            _kill_group(self._process)
            self._process.wait()
        stdout, stderr = (_text(file) for file in self._files)
        return Finished(self._command, self._process.returncode, stdout, stderr, timed_out)


@contextlib.contextmanager
def started(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    shown: bool = False,
    env: Mapping[str, str] | None = None,
    inherited: Sequence[int] = (),
) -> Iterator[Running]:
    """Start a process, and kill its group at the end of the block where it still runs.

    What it prints is collected or, where `shown`, goes where our own output goes. It has our descriptors
    `inherited`, under their numbers.
    """
    words = tuple(str(word) for word in command)
    # Files, not pipes: nobody reads along, and a full pipe would stop the process.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            pass_fds=inherited,
            stdin=subprocess.DEVNULL,
            stdout=None if shown else stdout,
            stderr=None if shown else stderr,
            start_new_session=True,
        )
        try:
            yield Running(process, words, stdout, stderr)
        finally:
            if process.poll() is None:
                _kill_group(process)
                process.wait()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep what native libraries print off this process's standard output: a command's JSON goes there."""
    sys.stdout.flush()
    saved = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(nowhere)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _kill_group(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
