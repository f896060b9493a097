"""Copies between regions and the internal memory."""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcu_build.npu.commands import CommandError
from mcu_build.npu.memory import Channel
from mcu_build.npu.operands import Regions
from mcu_build.npu.state import State, signed

if TYPE_CHECKING:
    from mcu_build.npu.executor import Bus

# Bytes and rows of one copy; one with more is broken.
_BYTE_LIMIT = 1 << 28
_ROW_LIMIT = 1 << 20


class Dma:
    """One DMA operation of U55 and U65: rows of DMA0_LEN bytes, with skips between them on a strided side."""

    def __init__(self, state: State, regions: Regions, bus: "Bus", internal: bytearray) -> None:
        self.state = state
        self.regions = regions
        self.bus = bus
        self.internal = internal

    def run(self) -> None:
        """Copy."""
        length = self.state.address("DMA0_LEN")
        source, target = self._mode("SRC"), self._mode("DST")
        sizes = self._sizes(max(source, target))
        rows = sizes[0] * sizes[1]
        if length * rows > _BYTE_LIMIT or rows > _ROW_LIMIT:
            raise CommandError(f"a DMA of {sizes[1]} times {sizes[0]} times {length} bytes")
        for read_at, write_at in zip(
            self._rows("SRC", source, length, sizes), self._rows("DST", target, length, sizes), strict=True
        ):
            if length:
                self._store(write_at, self._load(read_at, length))

    def _mode(self, side: str) -> int:
        mode = self.state.field(f"DMA0_{side}_REGION", "stride_mode")
        if mode == 3:
            raise CommandError("DMA stride mode 3")
        return mode

    def _sizes(self, mode: int) -> tuple[int, int]:
        """Rows of a plane and planes."""
        rows = self.state.number("DMA0_SIZE0") if mode >= 1 else 1
        planes = self.state.number("DMA0_SIZE1") if mode == 2 else 1
        return rows, planes

    def _rows(self, side: str, mode: int, length: int, sizes: tuple[int, int]) -> Iterator[int]:
        """Offset of each row on one side."""
        position = self.state.address(f"DMA0_{side}")
        skips = [signed(self.state.field(f"DMA0_SKIP{axis}", "addr"), 40) for axis in range(2)]
        for _ in range(sizes[1]):
            for _ in range(sizes[0]):
                yield position
                position += length + (skips[0] if mode >= 1 else 0)
            position += skips[1] if mode == 2 else 0

    def _internal(self, side: str) -> bool:
        return bool(self.state.field(f"DMA0_{side}_REGION", "region_mode"))

    def _region(self, side: str) -> int:
        return self.state.field(f"DMA0_{side}_REGION", "region")

    def _load(self, offset: int, length: int) -> bytes:
        if self._internal("SRC"):
            self._check(offset, length)
            return bytes(self.internal[offset : offset + length])
        region = self._region("SRC")
        return self.bus.of(Channel.DMA_READ, region).read(self.regions.address(region, offset), length)

    def _store(self, offset: int, data: bytes) -> None:
        if self._internal("DST"):
            self._check(offset, len(data))
            self.internal[offset : offset + len(data)] = data
            return
        region = self._region("DST")
        self.bus.of(Channel.DMA_WRITE, region).write(self.regions.address(region, offset), data)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > len(self.internal):
            raise CommandError(f"a DMA of {length} bytes at {offset:#x} runs past the internal memory")


class DmaU85(Dma):
    """One DMA operation of U85: both sides have the source's dimensions and strides of their own.

    Rows lie DMA0_*_STRIDE0 apart, planes DMA0_*_STRIDE1. On an indexed side (the source of a gather, the
    target of a scatter) numbers of 32 bits at DMA0_IDX, one for each row of the other side, name its rows.
    They follow each other; between planes DMA0_IDX_SKIP1 bytes are left out.
    """

    def _mode(self, side: str) -> int:
        return super()._mode("SRC")

    def _rows(self, side: str, mode: int, length: int, sizes: tuple[int, int]) -> Iterator[int]:
        base = self.state.address(f"DMA0_{side}")
        near, far = (signed(self.state.field(f"DMA0_{side}_STRIDE{axis}", "addr"), 40) for axis in range(2))
        indices = self._indices(sizes) if self._is_indexed(side) else None
        for plane in range(sizes[1]):
            for row in range(sizes[0]):
                place = row if indices is None else indices[plane][row]
                yield base + plane * far + place * near

    def _is_indexed(self, side: str) -> bool:
        return bool(self.state.field(f"DMA0_{side}_REGION", "idx_mode"))

    def _indices(self, sizes: tuple[int, int]) -> list[tuple[int, ...]]:
        rows, planes = sizes
        region = self.state.field("DMA0_IDX_REGION", "region")
        start = self.regions.address(region, self.state.address("DMA0_IDX"))
        step = 4 * rows + signed(self.state.field("DMA0_IDX_SKIP1", "addr"), 40)
        limit = self.state.field("DMA0_IDX_MAX", "idx_max")
        bus = self.bus.of(Channel.DMA_READ, region)
        indices = []
        for plane in range(planes):
            indices.append(struct.unpack(f"<{rows}i", bus.read(start + plane * step, 4 * rows)))
            wrong = [index for index in indices[-1] if not 0 <= index <= limit]
            if wrong:
                raise CommandError(f"a DMA with index {wrong[0]}, where {limit} is the largest")
        return indices

    def _load(self, offset: int, length: int) -> bytes:
        if self._internal("SRC"):
            raise CommandError("a DMA from the table memory: not modelled")
        return super()._load(offset, length)
