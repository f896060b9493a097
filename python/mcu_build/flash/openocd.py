"""A board behind OpenOCD: it is started for the command, and serves GDB's protocol."""

import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server

_START_SECONDS = 15.0
_SHOWN = 5
# What OpenOCD prints without being asked: its banner, notes, and where in its scripts an error arose.
_ASIDE = (
    "Open On-Chip Debugger",
    "Licensed under",
    "For bug reports",
    "http://openocd.org",
    "Info :",
    "Warn :",
    "in procedure",
    "at file",
    "shutdown command invoked",
)
_NO_TARGET = "if {![llength [target names]]} {error {no file creates a target}}"


@contextmanager
def connect(board: Board, serial: str) -> Iterator[gdb_server.GdbServer]:
    """The board, halted. McuError as of `check`; status 3 no probe, or no chip that answers behind it."""
    check(board, serial)
    words = command(board, serial, port := _free_port())
    with process.started(words) as openocd:
        deadline = time.monotonic() + _START_SECONDS
        while not gdb_server.listens(port):
            if openocd.has_ended or time.monotonic() > deadline:
                reasons = _reasons(openocd.finish(0).stderr)
                raise McuError(
                    "\n".join(["--via openocd: no probe, or no board behind it", *reasons]),
                    "Check cable, power and, on Linux, udev rules; with several probes name one: --probe.",
                    Exit.TOOL_MISSING,
                )
            time.sleep(0.02)
        with gdb_server.connect(f":{port}") as server:
            yield server


def check(board: Board, serial: str = "") -> None:
    """Let OpenOCD read the board's configuration, without a probe: some 40 ms.

    McuError: status 1 the board names none, or a wrong one; 3 there is no OpenOCD, or too old a one.
    """
    settings = [*_arguments(board, serial), "-c", _NO_TARGET, "-c", "shutdown"]
    finished = process.run(settings, timeout=_START_SECONDS)
    reasons = _reasons(finished.stderr)
    if finished.status == 0 and "Error: " not in finished.stderr:
        return
    needs = board.flash.openocd and board.flash.openocd.needs
    if needs and any("Can't find" in line for line in reasons):
        raise McuError(
            "\n".join([f"--via openocd: {board.id} needs {needs}; this is {_version(finished)}", *reasons]),
            "Install that one, or use --via pyocd.",
            Exit.TOOL_MISSING,
        )
    raise McuError(
        "\n".join([f"{board.id}: flash.openocd: {_version(finished)} does not take it", *reasons]),
        f"It is not the probe. Correct the board's file; to try: {shlex.join(finished.command)}",
    )


def command(board: Board, serial: str, port: int) -> list[str]:
    """How OpenOCD is called: the board's configuration, our port and no other."""
    settings = [f"gdb_port {port}", "tcl_port disabled", "telnet_port disabled"]
    return [*_arguments(board, serial), *(word for setting in settings for word in ("-c", setting))]


def _arguments(board: Board, serial: str) -> list[str]:
    """OpenOCD with the board's configuration and the probe."""
    ways = board.flash.openocd
    if ways is None:
        raise McuError(
            f"{board.id}: flash.openocd: missing: which configuration is it?", "Or use --via gdb :3333."
        )
    executable = process.find_tool("openocd", "apt-get install openocd")
    probe = ["-c", f"adapter serial {serial}"] if serial else []
    return [str(executable), *ways.arguments, *probe]


def _reasons(said: str) -> list[str]:
    """The lines that say what is wrong: those from the first error on."""
    reasons = (line.strip().removeprefix("embedded:startup.tcl:28: ") for line in said.splitlines())
    lines = [line for line in reasons if line and not line.startswith(_ASIDE)]
    first = next((number for number, line in enumerate(lines) if "Error:" in line), 0)
    return [line.removeprefix("Error: ") for line in lines[first:][:_SHOWN]]


def _version(finished: process.Finished) -> str:
    """`OpenOCD 0.12.0`, by its banner."""
    first = finished.stderr.partition("\n")[0]
    return f"OpenOCD {first.removeprefix('Open On-Chip Debugger').strip()}".strip()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
