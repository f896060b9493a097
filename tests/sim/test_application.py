"""An application in firmware of ours prints with the C library."""

import pytest

from mcu_build import process
from tests.support.cli import mcu_build
from tests.support.firmware import Project, concatenation, write_model

MAIN = r"""
#include <cstdio>

#include "first.h"
#include "mcu/platform.h"
int main() {
    const uint32_t start = mcu::platform::cycles();
    first::run();
    std::printf("%d outputs, the last %d, a third is %.3f\n", static_cast<int>(first::output().size()),
                first::output()[63], 1.0 / 3);
    const auto [used, size] = mcu::platform::stack_use();
    std::printf("%u cycles, stack %d %d\n", static_cast<unsigned>(mcu::platform::cycles() - start),
                used > 0 && used < size, mcu::platform::stack_overflowed());
    std::printf("no end of line");
    return 0;
}
"""
LISTS = """
mcu_add_model(first GENERATED first)
mcu_add_firmware(demo SOURCES main.cpp MODELS first)
mcu_add_firmware(silent MODELS first)
"""


@pytest.mark.parametrize(
    ("board", "toolchain", "machine"),
    [("corstone-300", "arm-clang", "mps3-an547"), ("microbit", "arm-gcc", "microbit")],
)
def test_printf(tmp_path, board, toolchain, machine):
    made = Project(tmp_path).write(LISTS, main=MAIN)
    write_model(concatenation(), "first", board, toolchain, tmp_path / "first")
    made.made(toolchain)
    words = ["qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none", "-serial", "stdio"]
    finished = process.run([*words, "-kernel", made.tree / "demo.elf"], timeout=5)
    assert finished.timed_out  # a production image never ends
    assert finished.stdout == "64 outputs, the last 19, a third is 0.333\n0 cycles, stack 1 0\nno end of line"
    symbols = process.run(["arm-none-eabi-nm", made.tree / "silent.elf"]).stdout
    assert "mcu_start" in symbols and "_write" not in symbols and "_sbrk" not in symbols


@pytest.mark.slow
def test_the_starter_prints_its_result(tmp_path):
    assert mcu_build("new", tmp_path / "starter").status == 0
    made = Project(tmp_path / "starter")
    made.made("arm-clang")
    words = [
        "qemu-system-arm",
        "-M",
        "mps3-an547",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
    ]
    finished = process.run([*words, "-kernel", made.tree / "demo.elf"], timeout=5)
    assert finished.stdout.startswith("a fast tone: scores ")
