"""pyocd and OpenOCD with stand-ins on QEMU's side of them: what they are asked to do is what a board needs.

No probe is at hand. pyocd's Session and its target are played by `Target`, on the calls of pyocd 0.46;
OpenOCD by a script of its name that starts QEMU on the port it is given; test_openocd.py has the real one.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyocd.core import exceptions, helpers, session
from pyocd.core.soc_target import SoCTarget
from pyocd.core.target import Target as PyocdTarget
from pyocd.flash import loader

from mcu_build.board import Board, find_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import device, gdb_server, monitor
from mcu_build.flash.image import read_image
from mcu_build.flash.openocd import command
from mcu_build.flash.probe import LostError, StillRunningError, program
from mcu_build.flash.via import Via, look, opened
from tests.support.boards import empty_board
from tests.support.image import Mode, build_image, expected, misbehaving_model, vector

NUMBERS = {**{f"r{number}": number for number in range(13)}, "sp": 13, "lr": 14, "pc": 15}


def unplugged(*given: Any) -> Any:
    raise exceptions.TransferError("the probe was unplugged")


class Target:
    """The calls of a pyocd target, done by QEMU."""

    def __init__(self, server: gdb_server.GdbServer) -> None:
        self.server, self.lost, self.running = server, False, False
        self.called: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if callable(found):
            assert hasattr(SoCTarget, name), f"pyocd's target has no {name}"
            self.called.append(name)
            return unplugged if self.lost else found
        return found

    def halt(self) -> None:
        if self.running:
            self.server.halt()
        self.running = False

    def resume(self) -> None:
        if not self.running:
            self.server.resume()
        self.running = True

    def is_halted(self) -> bool:
        if self.running:
            with contextlib.suppress(StillRunningError):
                self.server.wait_halt(0.01)
                self.running = False
        return not self.running

    def reset_and_halt(self) -> None:
        self.halt()
        self.server.reset()

    def read_memory_block8(self, address: int, size: int) -> list[int]:
        with aside(self):
            return list(self.server.read_memory(address, size))

    def write_memory_block8(self, address: int, data: list[int]) -> None:
        assert isinstance(data, list)
        with aside(self):
            self.server.write_memory(address, bytes(data))

    def read_core_register(self, name: str) -> int:
        return self.server.read_register(NUMBERS[name])

    def write_core_register(self, name: str, value: int) -> None:
        self.server.write_register(NUMBERS[name], value)

    def set_breakpoint(self, address: int, kind: Any) -> bool:
        assert kind is PyocdTarget.BreakpointType.HW
        self.server.set_breakpoint(address)
        return True

    def remove_breakpoint(self, address: int) -> None:
        self.server.clear_breakpoint(address)


@contextlib.contextmanager
def aside(target: Target) -> Iterator[None]:
    """A debug port reaches memory beside a core that runs; QEMU's server has to stop it."""
    if target.running:
        target.server.halt()
    yield
    if target.running:
        target.server.resume()


class Loader:
    """The calls of pyocd's MemoryLoader."""

    def __init__(self, session: Any, progress: Any) -> None:
        self.target, self.parts = session.board.target, list[tuple[int, bytes]]()

    def add_data(self, address: int, data: bytearray) -> None:
        self.parts.append((address, bytes(data)))

    def commit(self) -> None:
        for address, data in self.parts:
            self.target.server.write_memory(address, data)


PROBES = [
    SimpleNamespace(unique_id="0669FF", description="STM32 STLink"),
    SimpleNamespace(unique_id="E661", description="Pico CMSIS-DAP"),
]


@pytest.fixture
def board() -> Board:
    return find_board("netduinoplus2")


@pytest.fixture
def target(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """One probe, with QEMU as its board."""
    with empty_board(board, tmp_path / "board") as qemu, gdb_server.connect(qemu.via) as server:
        played = Target(server)

        class Session:
            def __init__(self, probe: Any, target_override: str, options: dict[str, Any]) -> None:
                assert (probe, target_override) == (PROBES[0], "stm32f405rgtx")
                self.board = SimpleNamespace(target=played)

            def open(self) -> None: ...

            def __enter__(self) -> "Session":
                return self

            def __exit__(self, *error: object) -> None: ...

        probes(monkeypatch, PROBES[0])
        monkeypatch.setattr(session, "Session", Session)
        monkeypatch.setattr(loader, "MemoryLoader", Loader)
        yield played


def probes(monkeypatch: pytest.MonkeyPatch, *found: Any) -> None:
    monkeypatch.setattr(helpers.ConnectHelper, "get_all_connected_probes", lambda **given: list(found))


@pytest.fixture
def image(board: Board, tmp_path: Path) -> Path:
    return build_image(tmp_path, board, "arm-clang", misbehaving_model(), "device")


def test_a_board_is_flashed_and_tested_through_pyocd(board: Board, target: Target, image: Path) -> None:
    inputs = b"".join(vector(first) for first in range(10))
    with opened(Via("pyocd"), board) as probe:
        loaded = read_image(image)
        program(probe, loaded)
        assert device.run(probe, loaded, image, inputs, 20).outputs == expected(inputs)
        with pytest.raises(McuError, match="no end after 1 s") as caught:
            device.run(probe, loaded, image, vector(Mode.HANG), 1)
        assert caught.value.exit_code == Exit.TIMEOUT
        probe.leave()
    assert target.running and target.called[0] == "halt" and target.called[-1] == "resume"
    assert {"reset_and_halt", "set_breakpoint", "remove_breakpoint"} <= set(target.called)


def test_a_probe_that_is_unplugged(board: Board, target: Target, image: Path) -> None:
    with opened(Via("pyocd"), board) as probe:
        loaded = read_image(image)
        program(probe, loaded)
        target.lost = True
        with pytest.raises(LostError, match="lost while reading memory: the probe was unplugged") as caught:
            program(probe, loaded)
        assert caught.value.exit_code == Exit.FIRMWARE


COUNTER = """#include "mcu/platform.h"
int main() {
    for (;;) {
        mcu::platform::write_console("tick\\n");
        for (volatile unsigned wait = 0; wait < 300000; wait = wait + 1) {}
    }
}
"""


def test_rtt_is_read_through_pyocd_while_the_core_runs(board: Board, target: Target, tmp_path: Path) -> None:
    rtt = board.with_console("rtt")
    elf = build_image(tmp_path, rtt, "arm-clang", {"main.cpp": COUNTER}, "production", with_harness=False)
    with opened(Via("pyocd"), rtt) as probe:
        program(probe, read_image(elf))
        probe.reset()
        probe.leave()
    target.called.clear()
    shown = b""
    with monitor.probe_source(opened(Via("pyocd"), rtt), rtt) as read:
        while shown.count(b"tick\n") < 20:
            shown += read()
    assert shown.replace(b"tick\n", b"") in (b"", *(b"tick\n"[:end] for end in range(1, 5)))
    assert target.called.count("halt") == 1 and target.running  # halted on connecting, and not again


@pytest.mark.parametrize(
    ("found", "serial", "status", "words"),
    [
        ([], "", Exit.TOOL_MISSING, "no debug probe is connected"),
        (PROBES, "", Exit.USAGE, "several debug probes are connected:\n  0669FF  STM32 STLink\n  E661  Pico"),
        (PROBES, "777", Exit.USAGE, "--probe 777: not connected:\n  0669FF"),
    ],
)
def test_probes_to_choose_from(
    board: Board, monkeypatch: pytest.MonkeyPatch, found: Any, serial: str, status: Exit, words: str
) -> None:
    probes(monkeypatch, *found)
    for ask in (look, lambda via, board: opened(via, board).__enter__()):
        with pytest.raises(McuError) as caught:
            ask(Via("pyocd", probe=serial), board)
        assert caught.value.exit_code == status and words in caught.value.message


def test_a_chip_whose_pack_is_missing(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **options: Any) -> Any:
        raise exceptions.TargetSupportError("Target type 'stm32f405rgtx' not recognized.")

    probes(monkeypatch, *PROBES)
    monkeypatch.setattr(session, "Session", refuse)
    with pytest.raises(McuError, match="not recognized") as caught, opened(Via("pyocd", probe="0669"), board):
        pass
    assert caught.value.hint == "Get the chip's pack: pyocd pack install STM32F405RGTx"


def test_a_board_that_names_no_chip() -> None:
    for kind in ("pyocd", "openocd"):
        with (
            pytest.raises(McuError, match=rf"corstone-300: flash\.{kind}: missing"),
            opened(Via(kind), find_board("corstone-300")),
        ):
            pass


OPENOCD = """#!{python}
import os, pathlib, sys
if sys.argv[-1] == "shutdown":  # it was to read the configuration, and no more
    sys.exit()
pathlib.Path({record!r}).write_text("\\n".join(sys.argv[1:]))
port = next(word for word in sys.argv if word.startswith("gdb_port ")).split()[1]
words = "qemu-system-arm -machine netduinoplus2 -display none -monitor none -serial none -S -gdb".split()
os.execvp(words[0], [*words, "tcp:127.0.0.1:" + port])
"""


def openocd(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """A program of that name on PATH; the file in which it records its arguments."""
    program, record = folder / "bin" / "openocd", folder / "arguments.txt"
    program.parent.mkdir()
    program.write_text(text.format(python=sys.executable, record=str(record)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return record


def test_a_board_is_flashed_and_tested_through_openocd(
    board: Board, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = openocd(tmp_path, monkeypatch, OPENOCD)
    with opened(Via("openocd", probe="0669"), board) as probe:
        loaded = read_image(image)
        program(probe, loaded)
        assert device.run(probe, loaded, image, vector(7), 20).outputs == expected(vector(7))
    words = record.read_text().splitlines()
    assert words[:4] == ["-f", "interface/stlink.cfg", "-f", "target/stm32f4x.cfg"]
    assert words[4:6] == ["-c", "adapter serial 0669"]
    port = words[7].split()[1]
    assert words == command(board, "0669", int(port))[1:]
    assert words[8:] == ["-c", "tcl_port disabled", "-c", "telnet_port disabled"]
