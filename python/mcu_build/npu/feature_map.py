"""Feature maps in memory: layouts, tiles, element types.

NHWC: element (y, x, c) lies at y * stride_y + x * stride_x + c * size. NHCWB16 groups channels by 16:
(c / 16) * stride_c + y * stride_y + (16 * x + c % 16) * size. A map is cut at height0, height1 and width0
into up to four tiles, each with a base address of its own and the same strides:

    tile 0 (y < height0, x < width0)    tile 1 (y < height1, x >= width0)
    tile 2 (y >= height0, x < width0)   tile 3 (y >= height1, x >= width0)

On U85 a map may be cut into three tiles that lie on top of each other instead: tile 0 above height0, tile 1
above height1, tile 2 (storage TILE3X1; read in Linux's driver of Ethos-U, Vela never uses it).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.commands import CommandError
from mcu_build.npu.memory import Memory

Array = NDArray[Any]

# More than any NPU's memories hold: a stream that asks for more is broken.
ELEMENT_LIMIT = 1 << 27
_BRICK = 16

TYPES: dict[tuple[int, int], np.dtype[Any]] = {
    (0, 0): np.dtype("<u1"),
    (1, 0): np.dtype("<i1"),
    (0, 1): np.dtype("<u2"),
    (1, 1): np.dtype("<i2"),
    (0, 2): np.dtype("<u4"),
    (1, 2): np.dtype("<i4"),
    (1, 3): np.dtype("<i8"),
}


@dataclass(frozen=True)
class FeatureMap:
    """Where a map lies. `bases` are absolute addresses; `channel` names it in errors."""

    bases: tuple[int, int, int, int]
    height0: int
    height1: int
    width0: int
    stride_y: int
    stride_x: int
    stride_c: int
    brick: bool
    dtype: np.dtype[Any]
    zero_point: int
    name: str
    stacked: bool = False


@dataclass(frozen=True)
class _Block:
    """A run of elements with fixed strides, and its place in the array of the whole map."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    place: tuple[slice, slice, slice] = field(repr=False)

    def extent(self, size: int) -> tuple[int, int]:
        """Lowest address and number of bytes from there."""
        reach = [(count - 1) * stride for count, stride in zip(self.shape, self.strides, strict=True)]
        low = sum(min(0, r) for r in reach)
        return self.address + low, sum(max(0, r) for r in reach) - low + size

    @property
    def offset(self) -> int:
        """The first element's distance from the lowest address."""
        return -sum(min(0, (n - 1) * s) for n, s in zip(self.shape, self.strides, strict=True))


def check_size(name: str, *dimensions: int) -> None:
    """CommandError where a map has no elements or more than any memory holds."""
    elements = 1
    for dimension in dimensions:
        elements *= dimension
    if min(dimensions) <= 0 or elements > ELEMENT_LIMIT:
        raise CommandError(f"{name} of {'x'.join(map(str, dimensions))} elements")


def read(fm: FeatureMap, memory: Memory, height: int, width: int, depth: int) -> Array:
    """The map as an array (height, width, depth) of its own type."""
    check_size(fm.name, height, width, depth)
    result: Array = np.empty((height, width, depth), fm.dtype)
    for block in _blocks(fm, height, width, depth):
        address, nbytes = block.extent(fm.dtype.itemsize)
        data = np.frombuffer(memory.read(address, nbytes), np.uint8)
        view: Array = np.ndarray(block.shape, fm.dtype, data, block.offset, block.strides)
        target = result[block.place]
        target[...] = view.reshape(target.shape)
    return result


def write(fm: FeatureMap, memory: Memory, values: Array) -> None:
    """Store an array (height, width, depth) whose values fit the map's type.

    Bytes between the elements keep their values.
    """
    stored = values.astype(fm.dtype)
    for block in _blocks(fm, *values.shape):
        part = stored[block.place]
        address, nbytes = block.extent(fm.dtype.itemsize)
        if nbytes == part.nbytes and all(stride >= 0 for stride in block.strides):
            data = bytearray(nbytes)
        else:
            data = bytearray(memory.read(address, nbytes))
        view: Array = np.ndarray(block.shape, fm.dtype, data, block.offset, block.strides)
        view[...] = part.reshape(block.shape)
        memory.write(address, bytes(data))


def _blocks(fm: FeatureMap, height: int, width: int, depth: int) -> Iterator[_Block]:
    for base, rows, columns in _tiles(fm, height, width):
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        if tall <= 0 or wide <= 0:
            continue
        if fm.brick:
            yield from _bricks(fm, base, rows, columns, depth)
        else:
            size = fm.dtype.itemsize
            strides = (fm.stride_y, fm.stride_x, size)
            yield _Block(base, (tall, wide, depth), strides, (rows, columns, slice(0, depth)))


def _tiles(fm: FeatureMap, height: int, width: int) -> Iterator[tuple[int, slice, slice]]:
    if fm.stacked:
        edges = (0, min(fm.height0, height), min(fm.height1, height), height)
        for base, top, end in zip(fm.bases, edges, edges[1:], strict=False):
            yield base, slice(top, end), slice(0, width)
        return
    split = min(fm.width0, width)
    left, right = min(fm.height0, height), min(fm.height1, height)
    yield fm.bases[0], slice(0, left), slice(0, split)
    yield fm.bases[1], slice(0, right), slice(split, width)
    yield fm.bases[2], slice(left, height), slice(0, split)
    yield fm.bases[3], slice(right, height), slice(split, width)


def _bricks(fm: FeatureMap, base: int, rows: slice, columns: slice, depth: int) -> Iterator[_Block]:
    size = fm.dtype.itemsize
    tall, wide = rows.stop - rows.start, columns.stop - columns.start
    full, rest = divmod(depth, _BRICK)
    strides = (fm.stride_y, _BRICK * size, fm.stride_c, size)
    if full:
        place = (rows, columns, slice(0, full * _BRICK))
        yield _Block(base, (tall, wide, full, _BRICK), strides, place)
    if rest:
        place = (rows, columns, slice(full * _BRICK, depth))
        yield _Block(base + full * fm.stride_c, (tall, wide, 1, rest), strides, place)
