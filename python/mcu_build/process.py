"""The only place that starts a process."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    found = shutil.which(name)
    if found is None:
        raise McuError(f"{name}: not found on PATH", hint, Exit.TOOL_MISSING)
    return Path(found)


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


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
