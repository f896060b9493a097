"""Board files against what pyocd knows of their chips: memories by its targets, cores by its SVD files."""

import warnings
from xml.etree import ElementTree

import pytest
from pyocd.debug.svd.loader import SVDFile

from mcu_build.board import board_files, find_board
from mcu_build.flash.parts import differences

BOARDS = [name for name in sorted(board_files()) if find_board(name).flash.pyocd]
# What pyocd 0.46 says and the makers' documents do not.
KNOWN = {
    # Its list leaves out the AXI SRAM, which RM0433 has at 0x24000000.
    "nucleo-h743zi2": ["memory 'axi_sram': pyocd's stm32h743xx has no RAM at 0x24000000"],
    # It repeats the RP2040's SRAM; the RP2350 has 520 K.
    "pico2": ["memory 'ram': pyocd's rp2350 has no RAM at 0x20042000"],
}
# pyocd has no SVD file of STM32H743, RP2040 and RP2350: their cores are those of `sources` alone.
CORES = {
    "frdm-k64f": "MK64F12.svd",
    "microbit": "nrf51.svd",
    "microbit-v2": "nrf52833.svd",
    "nrf52840-dk": "nrf52840.svd",
}
# Their targets come from CMSIS-Packs, which pyocd does not carry.
FROM_PACKS = {
    "alif-ensemble-e7",
    "arduino-uno-r4",
    "b-u585i-iot02a",
    "netduinoplus2",
    "nucleo-f446re",
    "nucleo-l552ze-q",
    "stm32f746g-disco",
}


@pytest.mark.parametrize("name", BOARDS)
def test_a_boards_memories_are_those_of_its_chip(name: str) -> None:
    found = differences(find_board(name))
    for difference in found or ():
        warnings.warn(f"{name}: {difference}", stacklevel=1)  # pytest lists them
    assert found == (None if name in FROM_PACKS else KNOWN.get(name, []))


def core_of(file: str) -> tuple[str, bool]:
    """CMSIS-SVD: <cpu> has a <name> such as CM0 or CM4, and <fpuPresent>."""
    cpu = ElementTree.parse(SVDFile.from_builtin(file).filename).find("cpu")
    return cpu.findtext("name"), cpu.findtext("fpuPresent") in ("1", "true")


def as_svd(name: str) -> tuple[str, bool]:
    board = find_board(name)
    return board.core.replace("cortex-m", "CM"), board.fpu != "none"


@pytest.mark.parametrize(("name", "file"), CORES.items())
def test_a_boards_core_is_that_of_its_chip(name: str, file: str) -> None:
    assert as_svd(name) == core_of(file)


def test_another_core_is_told_apart() -> None:
    assert as_svd("nrf52840-dk") != core_of("nrf51.svd")
    assert as_svd("nucleo-h743zi2") != core_of("MK64F12.svd")


def test_every_board_to_flash_names_its_chip() -> None:
    assert len(BOARDS) >= 14 and len(set(BOARDS) - FROM_PACKS) >= 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"origin": 0x2000_1000}, "memory 'ram': pyocd's nrf52840 has no RAM at 0x20040000"),
        ({"size": 512 << 10}, "memory 'ram': pyocd's nrf52840 has no RAM at 0x20040000"),
        ({"origin": 0x1000_0000}, "memory 'ram': pyocd's nrf52840 has no RAM at 0x10000000"),
    ],
)
def test_a_memory_that_is_not_there_is_reported(changes: dict[str, int], message: str) -> None:
    board = find_board("nrf52840-dk")
    memory = tuple(one.model_copy(update=changes) if one.name == "ram" else one for one in board.memory)
    assert differences(board.model_copy(update={"memory": memory})) == [message]


def test_a_part_that_pyocd_does_not_know() -> None:
    assert differences(find_board("corstone-300")) is None
