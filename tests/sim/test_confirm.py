"""An update is confirmed through a flash controller's registers: those of QEMU's nRF51."""

from pathlib import Path

from mcu_build.board import find_board
from mcu_build.flash import gdb_server
from tests.support.boards import empty_board, until
from tests.support.image import build_image

# nRF51 Series Reference Manual, NVMC: READY, CONFIG (1 enables writing, 2 erasing), ERASEPAGE.
MAIN = """
#include "mcu/mcuboot.h"
#include "mcu/platform.h"

namespace {
constexpr mcu_boot_slot slot{0x20000, 0x4000, 4};
volatile uint32_t& word(uintptr_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }

int write_flash(uintptr_t address, const void* data, size_t size) {
    word(0x4001E504) = 1;
    for (size_t i = 0; i < size; i += 4) {
        word(address + i) = static_cast<const uint32_t*>(data)[i / 4];
        while (word(0x4001E400) == 0) {}
    }
    word(0x4001E504) = 0;
    return 0;
}

int write_without_enabling(uintptr_t address, const void* data, size_t) {
    word(address) = *static_cast<const uint32_t*>(data);
    return 0;
}

void erase_last_page() {
    word(0x4001E504) = 2;
    word(0x4001E508) = slot.address + slot.size - 1024;
    while (word(0x4001E400) == 0) {}
    word(0x4001E504) = 0;
}

void say(mcu_confirmation what) {
    const char text[] = {static_cast<char>('0' + what), ' ', 0};
    mcu::platform::write_console(text);
}
}  // namespace

int main() {
    erase_last_page();
    say(mcu::confirm(slot, write_flash));
    constexpr uint32_t magic[] = {0xf395c277, 0x7fefd260, 0x0f505235, 0x8079b62c};  // as MCUboot leaves it
    write_flash(slot.address + slot.size - 16, magic, 16);
    say(mcu::confirm(slot, write_without_enabling));
    say(mcu::confirm(slot, write_flash));
    say(mcu::confirm(slot, write_flash));
}
"""


def test_firmware_confirms_itself_through_a_flash_controller(tmp_path: Path) -> None:
    board = find_board("microbit")
    image = build_image(tmp_path, board, "arm-clang", {"main.cpp": MAIN}, "production", with_harness=False)
    with empty_board(board, tmp_path, image) as target:
        with gdb_server.connect(target.via) as probe:
            probe.leave()
        until(lambda: len(target.uart) == 8)
        # Nothing to confirm; written to flash that takes no writes; confirmed; confirmed before.
        assert target.uart == "2 4 0 1 "
        with gdb_server.connect(target.via) as probe:
            assert probe.read_memory(0x24000 - 24, 8) == b"\x01" + b"\xff" * 7
