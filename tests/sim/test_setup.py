"""Registers that a board file sets before main, in order, with what they held before; a PL011."""

from pathlib import Path

from mcu_build.board import Board, load_board
from mcu_build.flash import gdb_server
from tests.support.boards import empty_board, until
from tests.support.image import build_image

# RAM that start-up leaves alone stands for registers.
BASE = 0x2001_FF00
STEPS = f"""extends = "netduinoplus2"
setup = [
    {{ address = {BASE:#x}, value = 0x12345678, why = "a whole word" }},
    {{ address = {BASE:#x}, clear = 0xFF00, set = 0x3, why = "bits of it" }},
    {{ address = {BASE + 4:#x}, value = 0xFFFFFFFF, why = "a word" }},
    {{ address = {BASE + 6:#x}, width = 16, value = 0xC520, why = "half of it" }},
    {{ address = {BASE + 4:#x}, width = 16, clear = 0xF, wait = 0xFFF0, why = "the other half" }},
]
"""
MAIN = f"""#include "mcu/platform.h"
#include "mcu/text.h"
int main() {{
    const auto* const words = reinterpret_cast<const volatile unsigned*>({BASE:#x});
    mcu::Text text;
    text.hexadecimal(words[0]).add(" ").hexadecimal(words[1]).add("\\n");
    mcu::platform::write_console(text.view());
}}
"""


def printed(board: Board, folder: Path, toolchain, main: str = MAIN) -> str:
    image = build_image(folder, board, toolchain, {"main.cpp": main}, "production", with_harness=False)
    with empty_board(board, folder, image) as target:
        with gdb_server.connect(target.via) as probe:
            probe.leave()
        until(lambda: target.uart.endswith("\n"))
        return target.uart


def test_steps_are_done_in_order(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(STEPS)
    for toolchain in ("arm-clang", "arm-gcc"):
        assert printed(load_board(file), tmp_path / toolchain, toolchain) == "0x1234007b 0xc520fff0\n"
    file.write_text(STEPS.replace("set = 0x3", "set = 0x4"))
    assert printed(load_board(file), tmp_path / "other", "arm-clang") == "0x1234007c 0xc520fff0\n"


# A chip with Arm's PL011, of which QEMU has a model, as the Picos have it.
STELLARIS = """name = "LM3S6965"
core = "cortex-m3"
interrupts = 64
console = "uart"
stack_size = "4K"
memory = [
    { name = "flash", origin = 0x00000000, size = "256K", access = "rx" },
    { name = "ram", origin = 0x20000000, size = "64K", access = "rwx" },
]
uart = { kind = "pl011", base = 0x4000C000, divider = 417 }
run = { qemu = { machine = "lm3s6965evb" } }

[placement]
vectors = "flash"
code = "flash"
constants = "flash"
data = "ram"
arena = "ram"
stack = "ram"
"""
GREETING = """#include "mcu/platform.h"
int main() {
    mcu::platform::write_console("one, ");
    mcu::platform::write_console("two\\n");
}
"""


def test_a_pl011_prints(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(STELLARIS)
    assert printed(load_board(file), tmp_path / "board", "arm-clang", GREETING) == "one, two\n"
