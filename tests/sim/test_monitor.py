"""What firmware prints, on the user's terminal: RTT out of QEMU's memory, and a UART that comes and goes."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcu_build.board import Board, find_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server, monitor, rtt
from mcu_build.flash.image import read_image
from mcu_build.flash.probe import program
from mcu_build.flash.via import Via, opened
from tests.support.boards import EmptyBoard, empty_board, until
from tests.support.image import build_image

# Counts the boots in memory that start-up leaves alone, and tells a line now and then, so slowly that a
# reader comes before the buffer, of 68 lines, is full.
TALKER = """#include "mcu/platform.h"
#include "mcu/text.h"
__attribute__((section(".bss.mcu_arena.boots"))) unsigned boots;
int main() {
    ++boots;
    for (unsigned line = 0;; ++line) {
        mcu::Text text;
        text.add("boot ").decimal(boots).add(" line ").decimal(line).add("\\n");
        mcu::platform::write_console(text.view());
        for (volatile unsigned wait = 0; wait < 3000000; wait = wait + 1) {}
    }
}
"""
FILLER = """#include "mcu/platform.h"
int main() {
    for (int line = 0; line < 100; ++line) mcu::platform::write_console("0123456789abcde\\n");
}
"""


def rtt_board(name: str) -> Board:
    return find_board(name).with_console("rtt")


def flashed(board: Board, folder: Path, main: str, target: EmptyBoard) -> Path:
    image = build_image(folder, board, "arm-clang", {"main.cpp": main}, "production", with_harness=False)
    with gdb_server.connect(target.via) as probe:
        program(probe, read_image(image))
        probe.reset()
        probe.leave()
    return image


def prints(board: Board, target: EmptyBoard) -> bool:
    """Whether the core runs on without us, and has printed since the last look."""
    with gdb_server.connect(target.via) as probe:
        terminal = rtt.find(probe, board)
        assert terminal is not None
        found = bool(terminal.read(probe))
        probe.leave()
    return found


class Screen:
    """A terminal that a monitor writes on in the background until `done`."""

    def __init__(self) -> None:
        self.text, self.notices, self.done, self.error = "", list[str](), False, None

    @contextlib.contextmanager
    def following(self, source: monitor.Open) -> Iterator["Screen"]:
        thread = threading.Thread(target=self._follow, args=(source,))
        thread.start()
        try:
            yield self
        finally:
            self.done = True
            thread.join(20)
            assert not thread.is_alive()

    def _follow(self, source: monitor.Open) -> None:
        try:
            monitor.follow(source, self._show, self.notices.append, lambda: self.done)
        except McuError as error:
            self.error = error

    def _show(self, data: bytes) -> None:
        self.text += data.decode()


def rtt_of(board: Board, target: EmptyBoard) -> monitor.Open:
    return lambda: monitor.probe_source(opened(Via("gdb", target.via), board), board)


@pytest.mark.parametrize("name", ["netduinoplus2", "microbit", "corstone-300"])
def test_rtt_is_read_from_memory_while_the_firmware_runs(tmp_path: Path, name: str) -> None:
    board = rtt_board(name)
    with empty_board(board, tmp_path) as target:
        flashed(board, tmp_path, TALKER, target)
        with Screen().following(rtt_of(board, target)) as screen:
            until(lambda: "line 30\n" in screen.text or screen.error is not None)
        lines = screen.text.splitlines()
        assert [line for line in lines if line.startswith("boot 1 line ")] == lines
        numbers = [int(line.rpartition(" ")[2]) for line in lines]
        assert numbers == list(range(numbers[0], numbers[0] + len(lines)))
        until(lambda: prints(board, target))


def test_what_nobody_reads_is_dropped_and_never_blocks(tmp_path: Path) -> None:
    board = rtt_board("netduinoplus2")
    with empty_board(board, tmp_path) as target:
        flashed(board, tmp_path, FILLER, target)
        time.sleep(0.5)
        with Screen().following(rtt_of(board, target)) as screen:
            until(lambda: len(screen.text) >= 1023)
    assert screen.text == ("0123456789abcde\n" * 64)[:1023]


def test_a_board_that_goes_and_comes(tmp_path: Path) -> None:
    board = rtt_board("netduinoplus2")
    with contextlib.ExitStack() as first:
        target = first.enter_context(empty_board(board, tmp_path))
        image = flashed(board, tmp_path, TALKER, target)
        with Screen().following(rtt_of(board, target)) as screen:
            until(lambda: "line 5\n" in screen.text)
            first.close()
            until(lambda: any("waiting for it to come back" in notice for notice in screen.notices))
            lines = len(screen.text)
            with empty_board(board, tmp_path, image):
                until(lambda: screen.text[lines:].startswith("boot 1 line 0\n"))
                assert screen.notices[-1] == "connected again"


def test_a_reset_starts_the_console_anew(tmp_path: Path) -> None:
    board = rtt_board("microbit")
    with empty_board(board, tmp_path) as target:
        flashed(board, tmp_path, TALKER, target)
        with gdb_server.connect(target.via) as probe:
            probe.resume()
            time.sleep(0.5)
            probe.halt()
            terminal = rtt.find(probe, board)
            assert terminal is not None
            assert (terminal.read(probe) or b"").startswith(b"boot 1 line 0\n")
            assert terminal.read(probe) == b""
            probe.reset()
            probe.resume()
            time.sleep(0.5)
            probe.halt()
            assert (terminal.read(probe) or b"").startswith(b"boot 2 line 0\n")


def test_a_core_that_stops_by_itself_is_told(tmp_path: Path) -> None:
    board = rtt_board("netduinoplus2")
    with empty_board(board, tmp_path) as target:
        flashed(board, tmp_path, FILLER, target)

        @contextlib.contextmanager
        def with_breakpoint() -> Iterator[monitor.Source]:
            with opened(Via("gdb", target.via), board) as probe:
                probe.reset()
                probe.set_breakpoint(int.from_bytes(probe.read_memory(0x0800_0004, 4), "little") + 4)
                yield monitor._Listener(probe, board).read

        with Screen().following(with_breakpoint) as screen:
            until(lambda: screen.error is not None)
        assert screen.error is not None and screen.error.exit_code == Exit.FIRMWARE
        assert "the core has stopped at pc 0x0800" in screen.error.message


def test_a_uart_that_is_unplugged_and_plugged_in_again(tmp_path: Path) -> None:
    port = tmp_path / "tty"

    def plugged() -> int:
        ours, theirs = pty.openpty()
        port.unlink(missing_ok=True)
        port.symlink_to(os.ttyname(theirs))
        os.close(theirs)
        return ours

    first = plugged()
    with Screen().following(lambda: monitor.uart_source(str(port), 115_200)) as screen:
        time.sleep(0.3)
        os.write(first, b"hello\n")
        until(lambda: screen.text == "hello\n")
        os.close(first)
        until(lambda: bool(screen.notices))
        second = plugged()
        until(lambda: screen.notices[-1] == "connected again")
        os.write(second, b"again\n")
        until(lambda: screen.text == "hello\nagain\n")
    os.close(second)
    assert screen.error is None


def test_ports_and_servers_that_are_not_there(tmp_path: Path) -> None:
    board = rtt_board("netduinoplus2")
    for source in (
        lambda: monitor.uart_source(str(tmp_path / "none"), 9600),
        lambda: monitor.probe_source(opened(Via("gdb", str(tmp_path / "none")), board), board),
    ):
        with Screen().following(source) as screen:
            until(lambda screen=screen: screen.error is not None)
        assert screen.error is not None and screen.error.exit_code == Exit.TOOL_MISSING


def test_control_c_ends_it_and_leaves_terminal_and_board_as_they_were(tmp_path: Path) -> None:
    board = rtt_board("netduinoplus2")
    with empty_board(board, tmp_path) as target:
        flashed(board, tmp_path, TALKER, target)
        ours, theirs = pty.openpty()
        settings = termios.tcgetattr(theirs)
        words = [sys.executable, "-m", "mcu_build", "monitor", "--board", "netduinoplus2", "--via", "gdb"]
        with subprocess.Popen(
            [*words, target.via], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as command:
            shown = b""
            while b"line 9\r\n" not in shown:
                shown += os.read(ours, 4096)
            os.killpg(command.pid, signal.SIGINT)
            assert command.wait(20) == 0
        assert termios.tcgetattr(theirs) == settings
        os.close(theirs)
        until(lambda: prints(board, target))
        os.close(ours)
