"""Files as arrays of an image, and the sections of what a model brings. Pure text."""

import hashlib
from collections.abc import Iterator

from mcu_build.hardware import PROGRAM_SLOTS

_BYTES_PER_LINE = 32


def content_name(prefix: str, data: bytes) -> str:
    """A symbol by content: of archives that hold the same file, an image takes it from one."""
    return f"{prefix}_{hashlib.sha256(data).hexdigest()[:16]}"


def arena_section(name: str, memory: str = "") -> str:
    """Where RAM called `name` lies: a linker script that does not know it clears it and never loads it.

    `memory` is the board's, where that is not the first for arenas.
    """
    return f".bss.mcu_arena_in.{memory}.{name}" if memory else f".bss.mcu_arena.{name}"


def fast_section(name: str) -> str:
    """Where an NPU's fast scratch memory called `name` lies."""
    return f".bss.mcu_fast.{name}"


def constants_section(name: str, memory: str = "") -> str:
    """Where weights called `name` lie: to a linker script that does not know them they are constants.

    `memory` is the board's, where that is not the first for constants.
    """
    return f".rodata.mcu_constants_in.{memory}.{name}" if memory else f".rodata.mcu_constants.{name}"


def definition(name: str, data: bytes, alignment: int, section: str) -> str:
    """The constant array `name` with C's linkage."""
    declared = f"const unsigned char {name}[{len(data)}]"
    lines = "".join(f"    {line},\n" for line in lines_of(data))
    return (
        f'extern "C" {{\nextern {declared};\n'
        f'alignas({alignment}) __attribute__((section("{section}"))) {declared} = {{\n{lines}}};\n}}\n'
    )


def filled(name: str, data: bytes, size: int, alignment: int, section: str) -> str:
    """`size` bytes called `name`: `data`, then what erased flash holds.

    The assembler's: C++ fills with zeros, or has every byte written out.
    """
    lines = "".join(f'    ".byte {line}\\n"\n' for line in lines_of(data))
    return (
        f'__asm__(\n    ".pushsection {section}\\n"\n    ".balign {alignment}\\n"\n'
        f'    ".global {name}\\n"\n    "{name}:\\n"\n{lines}'
        f'    ".fill {size - len(data)}, 1, 255\\n"\n    ".popsection\\n");\n'
    )


def region(name: str, data: bytes, size: int, alignment: int, is_host: bool) -> str:
    """A region for program slots, which begins with `data`; on the host an application writes to it."""
    section = ".data" if is_host else f'.mcu_{PROGRAM_SLOTS},\\"a\\"'
    return filled(name, data, size, alignment, section)


def lines_of(data: bytes) -> Iterator[str]:
    """The numbers of an array, a line each."""
    for start in range(0, len(data), _BYTES_PER_LINE):
        yield ",".join(map(str, data[start : start + _BYTES_PER_LINE]))
