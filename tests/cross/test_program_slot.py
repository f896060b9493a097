"""Program slots of a core: an address in production images, set apart at the end of a memory."""

import pytest
from elftools.elf.elffile import ELFFile

from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from tests.support.firmware import Project, quantizer, write_model
from tests.support.image import CROSS

ADDRESS, SIZE = 0x111C0000, 256 << 10
BOARD = find_board("corstone-300")
SLOTS = """
extern "C" {
extern const unsigned char tiny_program_slots[16];
__attribute__((section(".mcu_program_slots"))) const unsigned char tiny_program_slots[16] = {1, 2, 3};
}
"""
MAIN = """
extern "C" const unsigned char tiny_program_slots[16];
int main() { return *const_cast<const volatile unsigned char*>(tiny_program_slots); }
"""


@pytest.mark.parametrize("toolchain", CROSS)
def test_a_production_image_has_the_address_alone(tmp_path, toolchain):
    board = BOARD.with_program_slots(ADDRESS, SIZE)
    found = {}
    # As the generated sources of a model have them; the control is an image that is not told the address.
    for text, more in (("told", f"set(MCU_MODEL_SLOTS tiny_program_slots={ADDRESS:#x})\n"), ("control", "")):
        model = write_model(quantizer(), "tiny", board, toolchain, tmp_path / text / "tiny")
        (model / "tiny_slots.cpp").write_text(SLOTS)
        facts = (model / "model.cmake").read_text()
        assert "tiny_arena.cpp" in facts
        (model / "model.cmake").write_text(
            facts.replace("tiny_arena.cpp", "tiny_arena.cpp tiny_slots.cpp") + more
        )
        project = Project(tmp_path / text).write(
            "mcu_add_model(tiny GENERATED tiny)\nmcu_add_firmware(demo SOURCES main.cpp MODELS tiny)\n"
            "target_link_options(demo PRIVATE -Wl,--gc-sections)",
            main=MAIN,
        )
        with (project.made(toolchain).tree / "demo.elf").open("rb") as file:
            elf = ELFFile(file)
            section = elf.get_section_by_name(".program_slots")
            (symbol,) = elf.get_section_by_name(".symtab").get_symbol_by_name("tiny_program_slots")
            found[text] = (symbol["st_value"], section["sh_size"] if section else 0)
    assert found == {"told": (ADDRESS, 0), "control": (ADDRESS, 16)}


def test_a_second_model_with_slots_is_refused(tmp_path):
    for name in ("one", "two"):
        model = write_model(quantizer(), name, BOARD, CROSS[0], tmp_path / name)
        with (model / "model.cmake").open("a") as facts:
            facts.write(f"set(MCU_MODEL_SLOTS {name}_program_slots={ADDRESS:#x})\n")
    project = Project(tmp_path).write(
        "mcu_add_model(one GENERATED one)\nmcu_add_model(two GENERATED two)\n"
        "mcu_add_firmware(demo SOURCES main.cpp MODELS one two)",
        main=MAIN,
    )
    text = " ".join(project.configure(CROSS[0]).stderr.split())
    assert "MODELS: one and two both have program slots: an image has one region for them" in text


def test_the_memory_before_the_slots_is_left_to_the_image():
    board = BOARD.with_program_slots(ADDRESS, SIZE)
    assert board.memory_named("fpga_sram").size == BOARD.memory_named("fpga_sram").size - SIZE
    assert board.memory_named("program_slots").origin == ADDRESS
    assert not BOARD.program_slots and board.program_slots


@pytest.mark.parametrize(
    "place", [(ADDRESS, SIZE - 128), (ADDRESS - 128, SIZE), (0x10000000, 512 << 10), (0xE0000000, SIZE)]
)
def test_what_is_not_the_end_of_a_memory_is_refused(place):
    with pytest.raises(McuError, match="are not the end of a memory of corstone-300") as text:
        BOARD.with_program_slots(*place)
    assert text.value.exit_code == Exit.USAGE and "fpga_sram before 0x11200000" in text.value.hint
