"""The order of weights on U85, its fast format and its scale records.

Blocks of output channels; blocks of input channels, forth and back; sub-kernels of 8x8, down before across;
output micro-blocks; kernel elements by stride, each other row backwards; input channels by 8 (16 where
weights are sparse); output channels by 4, of which each stream takes every n-th group.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu import weight_stream
from mcu_build.npu.commands import CommandError
from mcu_build.npu.feature_map import check_size
from mcu_build.npu.weights import Scales

_GROUP = 4
_RECORD = 10
_FAST_HEADER = 32
_CACHED = 512

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Geometry:
    """What the order depends on. Pairs are (vertical, horizontal); `kernel` is its size before dilation."""

    output_depth: int
    input_depth: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    block_depth: int
    microblock: int
    depthwise: bool
    part_kernel: bool
    wide: bool
    sparse: bool
    fast: bool
    streams: int
    macs: int

    @property
    def input_block(self) -> int:
        """Input channels of a block."""
        if self.part_kernel:
            return 16
        if self.macs <= 256 and self.microblock == 16 and not self.sparse:
            return 32
        return 128 if self.sparse and not self.wide else 64

    @property
    def input_microblock(self) -> int:
        """Input channels that are used together."""
        if self.depthwise:
            return 1
        return 8 if self.part_kernel and self.wide and not self.sparse else self.input_block

    @property
    def input_step(self) -> int:
        """Input channels that lie side by side in the stream."""
        return 1 if self.depthwise else 16 if self.sparse else 8

    @property
    def element_multiple(self) -> int:
        """What the elements of a sub-kernel are padded to a multiple of."""
        if self.depthwise:
            return 10
        if self.part_kernel:
            return 10 if self.wide or self.sparse else 5
        return 1

    @property
    def depthwise_padding(self) -> int:
        """Empty elements behind each ten of a depthwise kernel."""
        if not self.wide and self.macs <= 256:
            return 0
        return 2 if self.macs <= 512 else 6


@lru_cache(maxsize=_CACHED)
def decode(data: tuple[bytes, ...], geometry: Geometry) -> NDArray[np.int64]:
    """Weights [output, height, width, input] (input is 1 for depthwise) of the streams in `data`."""
    inputs = 1 if geometry.depthwise else geometry.input_depth
    check_size("weights", geometry.output_depth, *geometry.kernel, inputs)
    result = np.zeros((geometry.output_depth, *geometry.kernel, inputs), np.int64)
    orders = [_order(geometry, stream) for stream in range(geometry.streams)]
    if geometry.fast:
        orders = [_interleaved(geometry, orders)]
    for order, encoded in zip(orders, data, strict=False):
        read = _decode_fast if geometry.fast else weight_stream.decode
        values = read(encoded, len(order))
        used = order >= 0
        result.reshape(-1)[order[used]] = values[used]
    return result


def _interleaved(geometry: Geometry, orders: list[Indices]) -> Indices:
    """The streams' orders, a block of each in turn: the fast format has one stream."""
    size = geometry.microblock * geometry.input_microblock * geometry.element_multiple // geometry.streams
    result: Indices = np.stack([order.reshape(-1, size) for order in orders], axis=1).ravel()
    return result


def _decode_fast(data: bytes, wanted: int) -> NDArray[np.int64]:
    """A header of 32 bytes, then codes of 8 bits (raw), 4 or 2 (indices of a table)."""
    header = int.from_bytes(data[:_FAST_HEADER], "little")
    raw, small = header & 1, header >> 1 & 1
    width = 8 if raw else 2 if small else 4
    if len(data) < _FAST_HEADER + (wanted * width + 7) // 8:
        raise CommandError(f"{wanted} weights of {width} bits do not fit {len(data)} bytes")
    codes = np.frombuffer(data, np.uint8, offset=_FAST_HEADER)
    if raw:
        adjust = (header >> 104 & 0xFF ^ 0x80) - 0x80
        return codes[:wanted].view(np.int8).astype(np.int64) - adjust
    places = np.arange(0, 8, width, dtype=np.uint8)
    indices = (codes[:, None] >> places & (1 << width) - 1).ravel()[:wanted]
    folded = [header >> 112 + 9 * index & 0x1FF for index in range(16)]
    table = np.array([-(f >> 1) if f & 1 else f >> 1 for f in folded], np.int64)
    return np.asarray(table[indices])


@lru_cache(maxsize=_CACHED)
def _order(geometry: Geometry, stream: int) -> Indices:
    """For each weight of a stream its index in [output, height, width, input], or -1 for padding."""
    starts = list(range(0, 1 if geometry.depthwise else geometry.input_depth, geometry.input_block))
    pieces: list[Indices] = []
    for output in range(0, geometry.output_depth, geometry.block_depth):
        depth = min(geometry.block_depth, geometry.output_depth - output)
        for start in starts:
            for elements in _sub_kernels(geometry):
                pieces.extend(_pieces(geometry, stream, range(output, output + depth), start, elements))
        starts.reverse()
    return np.concatenate(pieces)


def _sub_kernels(geometry: Geometry) -> Iterator[Indices]:
    """Elements of each sub-kernel as y * width + x."""
    height, width = geometry.kernel
    down, across = geometry.stride if geometry.depthwise or geometry.part_kernel else (1, 1)
    for left in range(0, width, 8 // geometry.dilation[1]):
        for top in range(0, height, 8 // geometry.dilation[0]):
            ys = range(top, min(top + 8 // geometry.dilation[0], height))
            xs = range(left, min(left + 8 // geometry.dilation[1], width))
            elements = []
            for phase_y in range(down):
                for phase_x in range(across):
                    for row, y in enumerate(ys[phase_y::down]):
                        columns = xs[phase_x::across]
                        elements += [y * width + x for x in (columns[::-1] if row % 2 else columns)]
            yield np.array(elements)


def _pieces(
    geometry: Geometry, stream: int, outputs: range, start: int, elements: Indices
) -> Iterator[Indices]:
    """The weights of an output block, input block and sub-kernel."""
    limit = 1 if geometry.depthwise else geometry.input_depth
    clipped = 1 if geometry.depthwise else min(geometry.input_block, limit - start)
    height, width = geometry.kernel
    for inner in range(0, clipped, geometry.input_microblock):
        inputs = np.arange(geometry.input_microblock) + start + inner
        i = inputs.reshape(-1, geometry.input_step)[None, :, None, None, :]
        e = elements[:, None, None, None, None]
        for block in range(outputs.start, outputs.stop, geometry.microblock):
            groups = np.arange(geometry.microblock).reshape(-1, _GROUP)[stream :: geometry.streams] + block
            o = groups[None, None, :, :, None]
            index = (o * height * width + e) * limit + i
            index = np.where((o < geometry.output_depth) & (i < limit), index, -1)
            yield _padded(geometry, index.reshape(len(elements), -1))


def _padded(geometry: Geometry, index: Indices) -> Indices:
    """Elements (rows of `index`) with those that pad them to a multiple."""
    count, size = index.shape
    multiple = geometry.element_multiple
    missing = -count % multiple
    padded = np.concatenate([index, np.full((missing, size), -1)])
    if geometry.depthwise and geometry.depthwise_padding:
        tens = padded.reshape(-1, multiple * size)
        gap = np.full((len(tens), geometry.depthwise_padding * size), -1)
        padded = np.concatenate([tens, gap], axis=1)
    return np.asarray(padded.ravel())


def decode_scales(data: bytes, depth: int, wide: bool) -> Scales:
    """Records of 10 bytes: bias 32 bits, multiplier 31, shift 6; where `wide`, bias 48 and multiplier 15."""
    if len(data) < depth * _RECORD:
        raise CommandError(f"{depth} scale records do not fit {len(data)} bytes")
    fields = np.zeros((3, depth), np.int64)
    for index in range(depth):
        if wide:
            low, high, multiplier, shift = struct.unpack_from("<IhHB", data, index * _RECORD)
            fields[:, index] = high << 32 | low, multiplier & 0x7FFF, shift & 0x3F
        else:
            bias, multiplier, shift = struct.unpack_from("<iIB", data, index * _RECORD)
            fields[:, index] = bias, multiplier & 0x7FFF_FFFF, shift & 0x3F
    return Scales(*fields)
