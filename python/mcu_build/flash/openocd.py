"""A board behind OpenOCD: it is started for the command, and serves GDB's protocol."""

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


@contextmanager
def connect(board: Board, serial: str) -> Iterator[gdb_server.GdbServer]:
    """The board, halted. McuError: status 1 the board names no configuration, 3 no OpenOCD or no probe."""
    words = command(board, serial, port := _free_port())
    with process.started(words) as openocd:
        deadline = time.monotonic() + _START_SECONDS
        while not gdb_server.listens(port):
            if openocd.has_ended or time.monotonic() > deadline:
                told = openocd.finish(0).stderr.strip().splitlines()[-_SHOWN:]
                raise McuError(
                    "\n".join(["--via openocd: it did not come to serve the board", *told]),
                    "Check cable, power and, on Linux, udev rules; with several probes name one: --probe.",
                    Exit.TOOL_MISSING,
                )
            time.sleep(0.02)
        with gdb_server.connect(f":{port}") as server:
            yield server


def command(board: Board, serial: str, port: int) -> list[str]:
    """How OpenOCD is called: the board's configuration, our port and no other."""
    ways = board.flash.openocd
    if ways is None:
        raise McuError(
            f"{board.id}: flash.openocd: missing: which configuration is it?", "Or use --via gdb :3333."
        )
    executable = process.find_tool("openocd", "apt-get install openocd")
    files = [word for file in ways.config for word in ("-f", file)]
    settings = [f"gdb_port {port}", "tcl_port disabled", "telnet_port disabled"]
    if serial:
        settings.append(f"adapter serial {serial}")
    return [str(executable), *files, *(word for setting in settings for word in ("-c", setting))]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
