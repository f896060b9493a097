"""Tables of a flatbuffer, read by the positions of their fields, with every offset checked."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flatbuffers import number_types as types
from flatbuffers.table import Table

from mcu_build.errors import McuError

_DAMAGED = (
    struct.error,
    IndexError,
    UnicodeDecodeError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
)


def file_bytes(path: Path) -> bytes:
    """All of a file. McuError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise McuError(f"{path}: {error.strerror}", "Can the file be read?") from error


@contextmanager
def checked(name: str) -> Iterator[None]:
    """McuError in place of all that reading a damaged file can end in."""
    try:
        yield
    except _DAMAGED as error:
        raise McuError(
            f"{name}: truncated or damaged: {error}",
            "Write the file again; compare its size with the original's.",
        ) from error


class FlatTable:
    """A flatbuffer table with its fields by position."""

    def __init__(self, data: bytes, position: int) -> None:
        if not 0 <= position < len(data):
            raise ValueError(f"offset {position} lies outside the file of {len(data)} bytes")
        self.data = data
        self.table = Table(data, position)

    def _offset(self, slot: int) -> int:
        return int(self.table.Offset(4 + 2 * slot))

    def number(self, slot: int, flags: Any, default: int = 0) -> int:
        """A number of the type `flags`; `default` where the field is absent."""
        offset = self._offset(slot)
        return self.table.Get(flags, offset + self.table.Pos) if offset else default

    def real(self, slot: int) -> float:
        """A double; 0 where the field is absent."""
        offset = self._offset(slot)
        return float(self.table.Get(types.Float64Flags, offset + self.table.Pos)) if offset else 0.0

    def text(self, slot: int) -> str:
        """A string; empty where the field is absent."""
        offset = self._offset(slot)
        return self.table.String(offset + self.table.Pos).decode() if offset else ""

    def child(self, slot: int) -> "FlatTable | None":
        """A table, where the field is there."""
        offset = self._offset(slot)
        return FlatTable(self.data, self.table.Indirect(offset + self.table.Pos)) if offset else None

    def union(self, slot: int) -> "FlatTable | None":
        """The table of a union, where the field is there."""
        offset = self._offset(slot)
        if not offset:
            return None
        start = offset + self.table.Pos
        return FlatTable(self.data, start + self.table.Get(types.UOffsetTFlags, start))

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        offset = self._offset(slot)
        if not offset:
            return 0, 0
        start, count = self.table.Vector(offset), self.table.VectorLen(offset)
        if start + count * size > len(self.data):
            raise ValueError(f"a list of {count} entries at byte {start} runs past the end of the file")
        return start, count

    def numbers(self, slot: int, flags: Any) -> tuple[int, ...]:
        """A list of numbers of the type `flags`."""
        start, count = self._vector(slot, flags.bytewidth)
        return tuple(self.table.Get(flags, start + i * flags.bytewidth) for i in range(count))

    def raw(self, slot: int) -> bytes:
        """A list of bytes."""
        start, count = self._vector(slot, 1)
        return self.data[start : start + count]

    def children(self, slot: int) -> Iterator["FlatTable"]:
        """A list of tables."""
        start, count = self._vector(slot, 4)
        for i in range(count):
            yield FlatTable(self.data, self.table.Indirect(start + 4 * i))
