"""The real OpenOCD, without a probe: it reads every board's configuration, and errors are told apart."""

from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import Board, board_files, find_board, load_board
from mcu_build.doctor import checks
from mcu_build.errors import Exit, McuError
from mcu_build.flash import openocd
from mcu_build.flash.via import Via, look, opened
from tests.support.cli import mcu_build

BOARDS = [name for name in sorted(board_files()) if find_board(name).flash.openocd]
NEWER = ["pico2"]


def is_debians() -> bool:
    return "Debugger 0.12.0\n" in process.run(["openocd", "--version"]).stderr


def refused(board: Board, serial: str = "") -> McuError:
    with pytest.raises(McuError) as caught:
        look(Via("openocd", probe=serial), board)
    return caught.value


def changed(folder: Path, config: str, like: str = "nrf52840-dk") -> Board:
    file = folder / "mine.toml"
    file.write_text(f'extends = "{like}"\n[flash.openocd]\nconfig = {config}\n')
    return load_board(file)


def test_there_are_boards_to_read() -> None:
    assert len(BOARDS) >= 12 and set(NEWER) <= set(BOARDS)
    assert [name for name in BOARDS if find_board(name).flash.openocd.needs] == NEWER
    assert "arduino-uno-r4" not in BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_openocd_takes_a_boards_configuration(name: str) -> None:
    board = find_board(name)
    if name in NEWER and is_debians():
        error = refused(board)
        assert error.exit_code == Exit.TOOL_MISSING
        assert error.message == (
            "--via openocd: pico2 needs an OpenOCD after 0.12.0, such as Raspberry Pi's (0.12.0+dev); "
            "this is OpenOCD 0.12.0\nCan't find target/rp2350.cfg"
        )
    else:
        openocd.check(board)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('["interface/jlink.cfg", "target/nrf52.cfg"]', "newtap: nrf52.cpu missing IR length"),
        ('["interface/cmsis-dap.cfg", "target/renesas_ra4m1.cfg"]', "Can't find target/renesas_ra4m1.cfg"),
        ('["interface/stlink.cfg", "target/rp2040.cfg"]', "doesn't support 'swd' transport"),
        (
            '["interface/cmsis-dap.cfg", "adaptr speed 1", "target/nrf52.cfg"]',
            'invalid command name "adaptr"',
        ),
        ('["target/nrf52.cfg"]', "Check config file order"),
        ('["interface/cmsis-dap.cfg"]', "no file creates a target"),
    ],
)
def test_a_wrong_configuration_is_not_a_missing_probe(tmp_path: Path, config: str, words: str) -> None:
    error = refused(changed(tmp_path, config))
    assert error.exit_code == Exit.INPUT and words in error.message
    assert error.message.startswith("mine: flash.openocd: OpenOCD ") and "does not take it\n" in error.message
    assert "not the probe" in error.hint and "openocd -f " in error.hint and "udev" not in error.hint


@pytest.mark.parametrize("name", ["nrf52840-dk", "microbit-v2", "nucleo-f446re"])
def test_a_missing_probe_is_not_a_wrong_configuration(name: str) -> None:
    """One board each for J-Link, CMSIS-DAP and ST-LINK; nobody's probe has this serial number."""
    board, way = find_board(name), Via("openocd", probe="123454321")
    look(way, board)
    with pytest.raises(McuError) as caught, opened(way, board):
        pass
    assert caught.value.exit_code == Exit.TOOL_MISSING and "udev" in caught.value.hint
    first, *reasons = caught.value.message.splitlines()
    assert first == "--via openocd: no probe, or no board behind it" and reasons


def test_the_doctor_names_the_boards_that_need_a_newer_one() -> None:
    found = next(check for check in checks() if check.name == "OpenOCD").look()
    assert ("; pico2 needs an OpenOCD after 0.12.0" in found) == is_debians()


def test_boards_check_reads_the_configuration(tmp_path: Path) -> None:
    changed(tmp_path, '["interface/jlink.cfg", "transport select swd", "target/nrf52.cfg"]')
    good = mcu_build("boards", "check", str(tmp_path / "mine.toml"), "--json")
    assert good.status == 0 and good.json["openocd"] == "OpenOCD takes its configuration"
    changed(tmp_path, '["interface/jlink.cfg", "target/nrf52.cfg"]')
    bad = mcu_build("boards", "check", str(tmp_path / "mine.toml"), "--json")
    assert bad.status == 1 and "missing IR length" in bad.json["error"]["message"]
