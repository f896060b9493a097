"""Drivers of real DMAs against models of their registers: what is copied, and what each bit is for."""

import signal
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.target import platform_sources
from mcu_build.resources import data_dir

# Bits without effect on a copy of 40,048 bytes, by the number of what is written: interrupts, priority,
# reserved bits, flags that nobody reads, what a software request has no use for, attributes of accesses.
FREE = {
    "stm32_mdma": {0: ~0x7001, 1: ~0x2, 2: 0x8FC00000, 3: 1 << 17, 8: ~0x30000, 10: ~0x7001, 11: ~0x17001},
    # From 3 on the bytes of its program; the last ends it, as the one behind it does.
    "dma_330": {0: 0xFFFE, 2: ~3, 18: 0x1D, 19: 0x40, 20: 0x07, 40: 0x1D, 41: 0x40, 42: 0x07, 50: 0x20},
}
MODELS = {"stm32_mdma": "MODEL_OF_MDMA", "dma_330": "MCU_DMA_VIEWS={0x20000000,0x200000,0x50800000}"}


@pytest.fixture(scope="module", params=FREE)
def driver(request, tmp_path_factory) -> tuple[str, Path]:
    name, firmware = request.param, data_dir() / "firmware"
    program = tmp_path_factory.mktemp(name) / "driver"
    here = data_dir() / "tests" / "host" / "dma_chips_driver.cpp"
    options = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined"]
    # Addresses of 32 bits, as a DMA's registers have.
    options += ["-no-pie", "-fno-pie", "-Wl,--section-start=.tcm=0x20000000,--section-start=.ram=0x24000000"]
    options += ["-DMCU_DMA_MODEL", f"-D{MODELS[name]}", f"-I{firmware}/include", f"-I{firmware}/platform/dma"]
    source = firmware / "platform" / "dma" / f"{name}.cpp"
    process.run(["g++", *options, here, source, "-o", program], timeout=120)
    return name, program


def test_every_copy_is_exact(driver) -> None:
    finished = process.run([driver[1]], timeout=60)
    assert finished.status == 0 and finished.stdout == "exact\n"


def test_no_bit_that_matters_can_be_wrong(driver) -> None:
    """The model would see each register's wrong bit, and each of the program's: but for those of FREE."""
    name, program = driver
    found: dict[int, int] = {}
    for word in process.run([program, "flips"], timeout=60).stdout.split():
        write, bit = map(int, word.split(":"))
        found[write] = found.get(write, 0) | 1 << (bit if name == "stm32_mdma" or write < 3 else bit % 8)
    assert found == {write: bits & 0xFFFFFFFF for write, bits in FREE[name].items()}


def test_an_error_of_the_dma_ends_the_program(driver) -> None:
    assert process.run([driver[1], "error"], timeout=60).status == -signal.SIGILL


@pytest.mark.parametrize(
    ("board", "source"), [("nucleo-h743zi2", "stm32_mdma"), ("alif-ensemble-e7", "dma_330")]
)
def test_a_board_with_one_has_its_driver_but_in_a_simulator(board: str, source: str) -> None:
    file = f"platform/dma/{source}.cpp"
    assert file in platform_sources(find_board(board), "production")
    assert file in platform_sources(find_board(board), "device")
    assert file not in platform_sources(find_board(board), "test")
