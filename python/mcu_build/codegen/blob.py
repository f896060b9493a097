"""Files as arrays of an image. Pure text."""

import hashlib
from collections.abc import Iterator

_BYTES_PER_LINE = 32


def content_name(prefix: str, data: bytes) -> str:
    """A symbol by content: of archives that hold the same file, an image takes it from one."""
    return f"{prefix}_{hashlib.sha256(data).hexdigest()[:16]}"


def definition(name: str, data: bytes, alignment: int, section: str) -> str:
    """The constant array `name` with C's linkage."""
    declared = f"const unsigned char {name}[{len(data)}]"
    lines = "".join(f"    {line},\n" for line in _lines(data))
    return (
        f'extern "C" {{\nextern {declared};\n'
        f'alignas({alignment}) __attribute__((section("{section}"))) {declared} = {{\n{lines}}};\n}}\n'
    )


def filled(name: str, data: bytes, size: int, alignment: int, section: str) -> str:
    """`size` bytes called `name`: `data`, then what erased flash holds.

    The assembler's: C++ fills with zeros, or has every byte written out.
    """
    lines = "".join(f'    ".byte {line}\\n"\n' for line in _lines(data))
    return (
        f'__asm__(\n    ".pushsection {section}\\n"\n    ".balign {alignment}\\n"\n'
        f'    ".global {name}\\n"\n    "{name}:\\n"\n{lines}'
        f'    ".fill {size - len(data)}, 1, 255\\n"\n    ".popsection\\n");\n'
    )


def _lines(data: bytes) -> Iterator[str]:
    for start in range(0, len(data), _BYTES_PER_LINE):
        yield ",".join(map(str, data[start : start + _BYTES_PER_LINE]))
