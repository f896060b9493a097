"""A parameter struct as it lies in memory: as every compiler that we build with lays out its C++ twin.

Little-endian, each member at a multiple of its own alignment, as the AAPCS and the host's ABI have it.
tests/host/test_plan_table.py has the compiler prove it for every struct.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_args, get_type_hints

from mcu_build.ir.calls.struct import LONG, Struct

# Of struct.pack; whole numbers are packed by their bits, since C++ has them signed and unsigned.
_INT, _LONG, _FLOAT, _BOOL = "I", "Q", "f", "?"
_FORMATS: dict[object, str] = {int: _INT, float: _FLOAT, bool: _BOOL}


@dataclass(frozen=True)
class Member:
    """A number in a struct: where it begins, and how it is packed. `path` is that of C++: 'window.size.y'."""

    path: str
    offset: int
    format: str


@dataclass(frozen=True)
class Layout:
    """Bytes of a struct, what its address is a multiple of, and its numbers in their order."""

    size: int
    alignment: int
    members: tuple[Member, ...]


def layout(kind: type[Struct]) -> Layout:
    """How structs of a class lie in memory."""
    hashed: Any = kind  # mypy takes a class for unhashable whose instances have a hash of their own
    return _layout(hashed)


@cache
def _layout(kind: type[Any]) -> Layout:
    members: list[Member] = []
    offset, alignment = 0, 1
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        for suffix, element in _elements(hints[field.name]):
            part = _layout_of(element)
            offset = -(-offset // part.alignment) * part.alignment
            alignment = max(alignment, part.alignment)
            for member in part.members:
                path = f"{field.name}{suffix}" + (f".{member.path}" if member.path else "")
                members.append(Member(path, offset + member.offset, member.format))
            offset += part.size
    return Layout(-(-offset // alignment) * alignment, alignment, tuple(members))


def packed(params: Struct) -> bytes:
    """The bytes of a struct; what lies between its members is zero."""
    made = layout(type(params))
    data = bytearray(made.size)
    for member, value in zip(made.members, _numbers(params), strict=True):
        struct.pack_into(f"<{member.format}", data, member.offset, _by_bits(member.format, value))
    return bytes(data)


def _by_bits(format: str, value: int | float | bool) -> int | float | bool:
    bits = {_INT: 32, _LONG: 64}.get(format)
    if bits is None:
        return value
    if not isinstance(value, int) or not -(1 << (bits - 1)) <= value < 1 << bits:
        raise ValueError(f"{value!r} is no number of {bits} bits")
    return value & ((1 << bits) - 1)


def _numbers(value: object) -> Iterator[int | float | bool]:
    if isinstance(value, Struct):
        for field in fields(value):
            yield from _numbers(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value
    else:
        raise TypeError(f"{value!r} is no member of a struct")


def _elements(hint: object) -> Iterator[tuple[str, object]]:
    """The elements of a member: one, or those of an array with their subscripts."""
    parts = get_args(hint)
    if not parts or parts[-1] == LONG:
        yield "", hint
        return
    array, length = parts
    for index in range(length):
        yield f"[{index}]", get_args(array)[0]


def _layout_of(element: object) -> Layout:
    if isinstance(element, type) and issubclass(element, Struct):
        return layout(element)
    format = _FORMATS[element] if isinstance(element, type) else _LONG
    size = struct.calcsize(f"<{format}")
    return Layout(size, size, (Member("", 0, format),))
