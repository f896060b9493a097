"""Files as arrays of an image. Pure text."""

import hashlib

_BYTES_PER_LINE = 32


def content_name(prefix: str, data: bytes) -> str:
    """A symbol by content: of archives that hold the same file, an image takes it from one."""
    return f"{prefix}_{hashlib.sha256(data).hexdigest()[:16]}"


def definition(name: str, data: bytes, alignment: int, section: str, const: str = "const ") -> str:
    """The array `name` with C's linkage."""
    lines = (
        f"    {','.join(map(str, data[start : start + _BYTES_PER_LINE]))},\n"
        for start in range(0, len(data), _BYTES_PER_LINE)
    )
    declared = f"{const}unsigned char {name}[{len(data)}]"
    return (
        f'extern "C" {{\nextern {declared};\n'
        f'alignas({alignment}) __attribute__((section("{section}"))) {declared} = {{\n'
        f"{''.join(lines)}}};\n}}\n"
    )
