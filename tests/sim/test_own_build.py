"""A model in a product that exists: an application in C with its own vectors, linker script and options.

QEMU's netduinoplus2 has real read-only flash: what the script loads into RAM has to be copied there first.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.image.elf import read_elf
from tests.support.firmware import Project, concatenation, model_sources, quantizer, write_model

BOARD = "netduinoplus2"
# As a vendor's tool writes it: it knows no section of ours.
SCRIPT = """
MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1M  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 128K }
_estack = ORIGIN(RAM) + LENGTH(RAM);
ENTRY(Reset_Handler)
SECTIONS {
  .isr_vector : { KEEP(*(.isr_vector)) } > FLASH
  .text : { *(.text*) *(.rodata*) } > FLASH
  _sidata = LOADADDR(.data);
  .data : { _sdata = .; *(.data*) . = ALIGN(4); _edata = .; } > RAM AT > FLASH
  .bss (NOLOAD) : { _sbss = .; *(.bss*) *(COMMON) . = ALIGN(4); _ebss = .; } > RAM
}
"""
STARTUP = """
#include <stdint.h>
extern uint32_t _sidata, _sdata, _edata, _sbss, _ebss, _estack;
int main(void);
void Reset_Handler(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xF << 20;
    for (uint32_t *from = &_sidata, *to = &_sdata; to < &_edata;) *to++ = *from++;
    for (uint32_t *to = &_sbss; to < &_ebss;) *to++ = 0;
    main();
    for (;;) {}
}
__attribute__((section(".isr_vector"), used)) void *const vectors[2] = {&_estack, (void *)Reset_Handler};
"""
MAIN = """
#include "first.h"
static int call(int number, const void *argument) {
    register int r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
int main(void) {
    int8_t *in = first_input();
    for (int i = 0; i < FIRST_INPUT_SIZE; ++i) in[i] = (int8_t)(3 * i - 7);
    first_run();
    const int8_t *out = first_output();
    for (int i = 0; i < FIRST_OUTPUT_SIZE; ++i) {
        const uint8_t byte = (uint8_t)out[i];
        const char digits[] = "0123456789abcdef", text[3] = {digits[byte >> 4], digits[byte & 15], 0};
        call(4, text);
    }
    call(0x18, (void *)0x20026);
    return 0;
}
"""
LISTS = """
mcu_add_model(first GENERATED first)
add_executable(product main.c startup.c)
target_link_libraries(product PRIVATE mcu::model::first)
target_link_options(product PRIVATE -nostartfiles -T ${CMAKE_SOURCE_DIR}/vendor.ld -Wl,--gc-sections)
"""
OTHER_SECTION = (
    'target_compile_definitions(mcu_model_first PRIVATE FIRST_ARENA_SECTION=".ccm")\nadd_executable'
)
CPLUSPLUS = """
#include "first.h"
#include "second.h"
int sum() {
    first::run();
    int total = 0;
    for (const auto value : first::output()) total += value;
    return total + first::input()[0] + static_cast<int>(first::output().size() + second::input().size());
}
"""
C = """
#include "first.h"
#include "second.h"
static const int shape[FIRST_OUTPUT_RANK] = FIRST_OUTPUT_SHAPE;
int sum(void) {
    first_run();
    return shape[0] + first_output()[0] + (int)second_input()[0];
}
"""


def product(folder: Path, toolchain: str, *options: str) -> Project:
    made = Project(folder).write(LISTS, languages="C CXX")
    for name, text in (("main.c", MAIN), ("startup.c", STARTUP), ("vendor.ld", SCRIPT)):
        (folder / name).write_text(text)
    write_model(concatenation(), "first", BOARD, toolchain, folder / "first")
    configured = made.configure(toolchain, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options)
    assert configured.status == 0, configured.stderr
    made.build()
    return made


def printed(image: Path) -> str:
    words = ["qemu-system-arm", "-M", BOARD, "-display", "none", "-semihosting", "-kernel", image]
    finished = process.run(words, timeout=60)
    return finished.stdout + finished.stderr


def expected() -> str:
    inputs = (3 * np.arange(24) - 7).astype(np.int8)
    return np.concatenate([inputs, np.arange(-20, 20, dtype=np.int8)]).tobytes().hex()


def options_of(made: Project, file: str) -> list[str]:
    commands = json.loads((made.tree / "compile_commands.json").read_text())
    return next(entry["command"].split() for entry in commands if Path(entry["file"]).name == file)


@pytest.mark.parametrize(
    ("toolchain", "warnings"), [("arm-gcc", "-Wnamespaces"), ("arm-clang", "-Wc++98-compat")]
)
def test_an_application_in_c_with_its_own_script(tmp_path, toolchain, warnings):
    """Warnings that its C++ asks for, as errors, are for sources of its own."""
    flags = f"-DCMAKE_CXX_FLAGS=-Werror {warnings}"
    made = product(tmp_path, toolchain, "-DCMAKE_BUILD_TYPE=Debug", flags)
    image = made.tree / "product"
    assert printed(image) == expected()
    sections = {section.name: section for section in read_elf(image).sections}
    in_ram = {name for name, section in sections.items() if section.address >> 28 == 2 and section.size}
    # Nothing of the arena is loaded from flash, and no section is one that the script does not know.
    assert in_ram == {".bss"}
    assert sections[".bss"].load_address is None
    assert not [name for name in sections if "mcu" in name]
    words = options_of(made, "main.c")
    assert "-mcpu=cortex-m4" in words
    assert not {"-O2", "-Werror", "-ffunction-sections"} & set(words)
    assert not [word for word in words if word.startswith("-DMCU_")]


def test_a_project_that_chooses_the_machine_itself(tmp_path):
    """A vendor's toolchain file names core and calling convention: models take them over."""
    machine = "-mcpu=cortex-m4 -mthumb -mfloat-abi=softfp -mfpu=fpv4-sp-d16"
    made = product(tmp_path, "arm-gcc", f"-DCMAKE_C_FLAGS={machine}", f"-DCMAKE_CXX_FLAGS={machine}")
    assert printed(made.tree / "product") == expected()
    for file in ("main.c", "first.cpp"):
        assert [word for word in options_of(made, file) if "float-abi" in word] == ["-mfloat-abi=softfp"]


def test_a_project_for_helium_that_chooses_the_machine_itself(tmp_path):
    """Our loops over floats stay scalar, the project's own are its own."""
    made = Project(tmp_path).write(LISTS, languages="C CXX")
    for name, text in (("main.c", MAIN), ("startup.c", STARTUP), ("vendor.ld", SCRIPT)):
        (tmp_path / name).write_text(text)
    write_model(concatenation(), "first", "corstone-300", "arm-gcc", tmp_path / "first")
    machine = "-mcpu=cortex-m55 -mthumb -mfloat-abi=hard"
    flags = [f"-DCMAKE_{language}_FLAGS={machine}" for language in ("C", "CXX")]
    configured = made.configure("arm-gcc", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *flags)
    assert configured.status == 0, configured.stderr
    chosen = {
        file: [word for word in options_of(made, file) if word.startswith("-mcpu")][-1]
        for file in ("main.c", "first.cpp", "concat.cpp")
    }
    own = "-mcpu=cortex-m55+nomve.fp"
    assert chosen == {"main.c": "-mcpu=cortex-m55", "first.cpp": own, "concat.cpp": own}


def test_an_arena_elsewhere(tmp_path):
    """A macro names another section for it."""
    made = Project(tmp_path).write(LISTS.replace("add_executable", OTHER_SECTION), languages="C CXX")
    for name, text in (("main.c", MAIN), ("startup.c", STARTUP)):
        (tmp_path / name).write_text(text)
    own = "  .ccm (NOLOAD) : { *(.ccm) } > RAM\n  .bss ("
    (tmp_path / "vendor.ld").write_text(SCRIPT.replace("  .bss (", own))
    write_model(concatenation(), "first", BOARD, "arm-gcc", tmp_path / "first")
    made.made("arm-gcc")
    image = made.tree / "product"
    assert printed(image) == expected()
    moved = next(section for section in read_elf(image).sections if section.name == ".ccm")
    header = (tmp_path / "first" / "first.h").read_text()
    assert f"#define FIRST_ARENA_SIZE {moved.size}\n" in header


@pytest.mark.parametrize(
    ("compiler", "options", "source"),
    [
        ("gcc", ("-std=c99", "-pedantic-errors"), C),
        ("arm-none-eabi-gcc", ("-std=c99", "-pedantic-errors"), C),
        ("clang-19", ("-std=c99", "-pedantic-errors"), C),
        ("g++", ("-std=c++17", "-pedantic-errors"), CPLUSPLUS),
        ("arm-none-eabi-g++", ("-std=gnu++17", "-mcpu=cortex-m4"), CPLUSPLUS),
        ("g++", ("-std=c++20", "-pedantic-errors"), CPLUSPLUS),
    ],
)
def test_the_header_in_each_language(tmp_path, compiler, options, source):
    if shutil.which(compiler) is None:
        pytest.fail(f"{compiler} is missing: scripts/setup installs it")
    for name, case in (("first", concatenation()), ("second", quantizer())):
        (tmp_path / f"{name}.h").write_text(model_sources(case, name)[f"{name}.h"])
    file = tmp_path / ("main.c" if source is C else "main.cpp")
    file.write_text(source)
    finished = process.run(
        [compiler, *options, "-Wall", "-Wextra", "-Werror", "-c", "-o", tmp_path / "o", file]
    )
    assert (finished.status, finished.stderr) == (0, "")
