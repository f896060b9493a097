"""Boards to flash: QEMU machines started empty behind their GDB server, with a wire that can be disturbed."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.simulate import qemu


@dataclass(frozen=True)
class EmptyBoard:
    """A machine whose memories hold nothing and whose core is halted. `uart` is what it has printed."""

    via: str
    simulator: process.Running
    uart_file: Path

    @property
    def uart(self) -> str:
        return self.uart_file.read_text() if self.uart_file.is_file() else ""


@contextlib.contextmanager
def empty_board(board: Board, folder: Path, image: Path | None = None) -> Iterator[EmptyBoard]:
    """Start QEMU without an image, or with one that its flash has kept."""
    folder.mkdir(parents=True, exist_ok=True)
    command = qemu.command(board, image or Path("none"))
    for option in ("-semihosting-config", *(() if image else ("-kernel",))):
        at = command.index(option)
        del command[at : at + 2]
    path = folder / "gdb.sock"
    path.unlink(missing_ok=True)
    words = [*command, "-S", "-gdb", f"unix:{path},server=on,wait=off"]
    with process.started(words, cwd=folder) as simulator:
        until(lambda: _listens(path))
        yield EmptyBoard(str(path), simulator, folder / qemu.UART_FILE)


def _listens(path: Path) -> bool:
    """Whether somebody accepts connections on the Unix socket: a try would take QEMU's one connection."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
    accepts = "00010000"
    return any(row[-1] == str(path) and row[3] == accepts for row in rows)


def until(reached: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something. AssertionError where it does not come."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def wire(board: EmptyBoard, folder: Path, change: Callable[[bytes], bytes]) -> Iterator[str]:
    """The address of a GDB server in front of the board's, for one connection.

    `change` may alter what the client sends, or raise an OSError to cut the wire.
    """
    path = folder / "wire.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_carry, args=(listener, board.via, change))
        thread.start()
        yield str(path)
        thread.join(20)
        assert not thread.is_alive()


def _carry(listener: socket.socket, behind: str, change: Callable[[bytes], bytes]) -> None:
    client, _ = listener.accept()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.connect(behind)
    back = threading.Thread(target=_copy, args=(server, client, lambda data: data))
    back.start()
    _copy(client, server, change)
    back.join()


def _copy(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
    """Until one side closes; then both are closed."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(change(data))
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
