"""Exports of a model of one call, and what runs them: a vendor's startup and linker script, in QEMU."""

from pathlib import Path

import numpy as np

from mcu_build import process
from mcu_build.codegen.model import generate, kernel_sources
from mcu_build.codegen.target import Toolchain
from mcu_build.export.contents import Contents
from mcu_build.export.make import collect
from mcu_build.export.vectors import Vectors
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.plan import Plan
from mcu_build.plan.compile import compile_program
from mcu_build.stages.pipeline import Sources
from mcu_build.stages.request import Request, request_for
from tests.support.cases import program_of
from tests.support.firmware import concatenation

# As a vendor's tool writes it: it knows no section of ours. `end` is where newlib's heap begins.
SCRIPT = """
MEMORY {{
  FLASH (rx) : ORIGIN = {flash}, LENGTH = {flash_size}
  RAM (rwx) : ORIGIN = {ram}, LENGTH = {ram_size}
  {memories}
}}
_estack = ORIGIN(RAM) + LENGTH(RAM);
ENTRY(Reset_Handler)
SECTIONS {{
  {sections}
  .isr_vector : {{ KEEP(*(.isr_vector)) }} > FLASH
  .text : {{ *(.text*) *(.rodata*) }} > FLASH
  .ARM.exidx : {{ *(.ARM.exidx*) }} > FLASH
  _sidata = LOADADDR(.data);
  .data : {{ _sdata = .; *(.data*) . = ALIGN(4); _edata = .; }} > RAM AT > FLASH
  .bss (NOLOAD) : {{ _sbss = .; *(.bss*) *(COMMON) . = ALIGN(8); _ebss = .; }} > RAM
  end = .;
}}
"""
STARTUP = """
#include <stdint.h>
#include <stdlib.h>
extern uint32_t _sidata, _sdata, _edata, _sbss, _ebss, _estack;
int main(void);
void initialise_monitor_handles(void);
void Reset_Handler(void) {
    *(volatile uint32_t *)0xE000ED88 |= 0xF << 20;
    __asm__ volatile("dsb\\n isb");
    for (uint32_t *from = &_sidata, *to = &_sdata; to < &_edata;) *to++ = *from++;
    for (uint32_t *to = &_sbss; to < &_ebss;) *to++ = 0;
    initialise_monitor_handles();
    exit(main());
}
void _init(void) {}
void _fini(void) {}
void unhandled(void) { exit(3); }
__attribute__((weak)) void pend_sv(void) { exit(4); }
__attribute__((weak)) void sys_tick(void) { exit(5); }
__attribute__((weak)) void interrupt_0(void) { exit(6); }
__attribute__((weak)) void interrupt_56(void) { exit(7); }
__attribute__((section(".isr_vector"), used)) void *const vectors[73] = {
    &_estack,  Reset_Handler, unhandled, unhandled, unhandled, unhandled, unhandled, unhandled, unhandled,
    unhandled, unhandled,     unhandled, unhandled, unhandled, pend_sv,   sys_tick,  interrupt_0,
    [16 + 56] = interrupt_56};
"""
# Flash that cannot be written, and RAM: QEMU's machine, its memories.
MACHINES = {
    "netduinoplus2": ("netduinoplus2", "0x08000000", "1M", "0x20000000", "128K"),
    "mps2-an386": ("mps2-an386", "0x00000000", "4M", "0x20000000", "4M"),
    "corstone-300": ("mps3-an547", "0x00000000", "512K", "0x20000000", "512K"),
}
# What an NPU reaches: memories of Corstone-300 for constants and arena.
NPU_MEMORIES = """NPU_ROM (rx) : ORIGIN = 0x01000000, LENGTH = 2M
  NPU_RAM (rw) : ORIGIN = 0x21000000, LENGTH = 4M"""
NPU_SECTIONS = """.npu_constants : { *(.rodata.mcu_constants.*) } > NPU_ROM
  .npu_arena (NOLOAD) : { *(.bss.mcu_arena.*) } > NPU_RAM"""
SPECS = ("-specs=nano.specs", "-specs=rdimon.specs", "-nostartfiles", "-Wl,--gc-sections")


def exported(folder: Path, name: str = "first") -> tuple[Contents, Request]:
    """The contents of an export of concatenation(), with four vectors."""
    plan = compile_program(program_of(concatenation())[0], name)
    inputs = np.arange(96, dtype=np.uint8).reshape(4, 24) * 5
    tail = np.tile(np.arange(-20, 20, dtype=np.int8).view(np.uint8), (4, 1))
    outputs = np.concatenate([inputs, tail], axis=1)
    vectors = Vectors((inputs,), (outputs,), (False,) * 4, (0.0,), True)
    return exported_plan(folder, plan, vectors)


def exported_plan(
    folder: Path, plan: Plan, vectors: Vectors, board: str = "netduinoplus2"
) -> tuple[Contents, Request]:
    """The contents of an export of a plan."""
    toolchain: Toolchain = "arm-gcc"
    options = BuildOptions(board=board, npu="none", toolchain=toolchain)
    request = request_for("first.py", options, folder)
    made = Sources(plan, generate(plan), kernel_sources(plan))
    folder.mkdir(parents=True, exist_ok=True)
    return collect(request, made, vectors, "1.2.3", folder), request


def vendor_files(folder: Path, board: str = "netduinoplus2") -> tuple[Path, Path]:
    """A startup file and a linker script."""
    folder.mkdir(parents=True, exist_ok=True)
    _, flash, flash_size, ram, ram_size = MACHINES[board]
    startup, script = folder / "startup.c", folder / "vendor.ld"
    memories, sections = (NPU_MEMORIES, NPU_SECTIONS) if board == "corstone-300" else ("", "")
    words = {"flash": flash, "flash_size": flash_size, "ram": ram, "ram_size": ram_size}
    startup.write_text(STARTUP)
    script.write_text(SCRIPT.format(**words, memories=memories, sections=sections))
    return startup, script


def run(image: Path, board: str = "netduinoplus2") -> tuple[int, str]:
    """Exit status and what was printed."""
    machine = MACHINES[board][0]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    words = [
        "qemu-system-arm",
        "-M",
        machine,
        "-display",
        "none",
        "-monitor",
        "none",
        *semihosting,
        # Time goes by instructions, so that interrupts come at the same places on every run.
        "-icount",
        "shift=3",
        "-kernel",
        image,
    ]
    finished = process.run(words, timeout=120)
    return finished.status, finished.stdout + finished.stderr


def compiled(
    folder: Path, sources: list[Path], flags: list[str], *, cxx: str = "arm-none-eabi-g++"
) -> list[Path]:
    """Objects of sources, C or C++. AssertionError where the compiler says anything."""
    objects = []
    for source in sources:
        is_c = source.suffix == ".c"
        compiler = cxx.replace("g++", "gcc") if is_c else cxx
        kept = [
            flag
            for flag in flags
            if not (is_c and flag.startswith(("-std=gnu++", "-fno-rtti", "-fno-threadsafe", "-fno-use-cxa")))
        ]
        made = folder / f"{len(objects)}-{source.stem}.o"
        finished = process.run([compiler, *kept, "-c", "-o", made, source])
        assert (finished.status, finished.stderr) == (0, ""), finished.stderr
        objects.append(made)
    return objects


def linked(
    folder: Path, objects: list[Path], machine: list[str], board: str = "netduinoplus2", *words: str
) -> Path:
    """An image with the vendor's startup and script, linked by the C compiler."""
    startup, script = vendor_files(folder / "vendor", board)
    image = folder / "image.elf"
    command = ["arm-none-eabi-gcc", *machine, "-O1", *SPECS, f"-Wl,-T,{script}", startup, *objects, *words]
    finished = process.run([*command, "-o", image])
    assert finished.status == 0, finished.stderr
    return image
