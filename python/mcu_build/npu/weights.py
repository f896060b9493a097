"""Weights and scales of an operation, in the order of channels.

The NPU reads weights in the order in which it uses them: blocks of output channels, blocks of 32 input
channels (16 where activations have 16 bits or the kernel goes first), sub-kernels of 8x8 (fewer where
dilated), micro-blocks of output and 8 input channels. Missing channels and elements are padded with weights
without effect. With several streams, output channel n is number n / streams of stream n % streams.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu import weight_stream
from mcu_build.npu.commands import CommandError
from mcu_build.npu.feature_map import check_size

_IFM_MICROBLOCK = 8
_RECORD = 10
# Enough for the layers of any model that fits an NPU's memories.
_CACHED = 512


@dataclass(frozen=True)
class Geometry:
    """What the order of weights depends on. `kernel` is (height, width) before dilation."""

    output_depth: int
    input_depth: int
    kernel: tuple[int, int]
    dilation: tuple[int, int]
    block_depth: int
    microblock: int
    depthwise: bool
    part_kernel: bool
    wide: bool
    streams: int = 1

    @property
    def input_block(self) -> int:
        """Input channels of a block."""
        return 16 if self.part_kernel or self.wide else 32

    @property
    def element_multiple(self) -> int:
        """What the elements of a sub-kernel are padded to a multiple of."""
        if self.depthwise:
            return 4
        if self.part_kernel:
            return 2 if self.wide else 4
        return 1

    def channels(self, stream: int) -> int:
        """Output channels of one stream."""
        return (self.output_depth + self.streams - 1 - stream) // self.streams


@lru_cache(maxsize=_CACHED)
def decode(data: tuple[bytes, ...], geometry: Geometry) -> NDArray[np.int64]:
    """Weights [output, height, width, input] (input is 1 for depthwise) of the streams in `data`."""
    height, width = geometry.kernel
    inputs = 1 if geometry.depthwise else geometry.input_depth
    check_size("weights", geometry.output_depth, height, width, inputs)
    result = np.zeros((geometry.output_depth, height, width, inputs), np.int64)
    for stream, encoded in enumerate(data):
        order = _order(geometry, stream)
        values = weight_stream.decode(encoded, len(order))
        used = order >= 0
        part = np.zeros((geometry.channels(stream), height, width, inputs), np.int64)
        part.reshape(-1)[order[used]] = values[used]
        result[stream :: geometry.streams] = part
    return result


@lru_cache(maxsize=_CACHED)
def _order(geometry: Geometry, stream: int) -> NDArray[np.int64]:
    """For each weight of a stream its index in [output, height, width, input], or -1 for padding."""
    depth = geometry.channels(stream)
    block = (geometry.block_depth + geometry.streams - 1 - stream) // geometry.streams
    inputs = 1 if geometry.depthwise else geometry.input_depth
    pieces: list[NDArray[np.int64]] = []
    if block <= 0 and depth > 0:
        raise CommandError(f"an output block of {geometry.block_depth} channels for {geometry.streams} cores")
    for output in range(0, depth, max(block, 1)):
        outputs = np.arange(output, output + _up(min(block, depth - output), geometry.microblock))
        for start in range(0, inputs, geometry.input_block):
            for elements in _sub_kernels(geometry):
                pieces.append(_piece(geometry, depth, outputs, start, elements))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)


def _sub_kernels(geometry: Geometry) -> list[NDArray[np.int64]]:
    """Elements of each sub-kernel as y * width + x, padded with -1."""
    height, width = geometry.kernel
    step_y, step_x = 8 // geometry.dilation[0], 8 // geometry.dilation[1]
    kernels = []
    for top in range(0, height, step_y):
        for left in range(0, width, step_x):
            ys = np.arange(top, min(top + step_y, height))
            xs = np.arange(left, min(left + step_x, width))
            elements = (ys[:, None] * width + xs).ravel()
            padding = _up(len(elements), geometry.element_multiple) - len(elements)
            kernels.append(np.concatenate([elements, np.full(padding, -1)]))
    return kernels


def _piece(
    geometry: Geometry,
    depth: int,
    outputs: NDArray[np.int64],
    start: int,
    elements: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The weights of one output block, input block and sub-kernel."""
    inputs = _block_inputs(geometry, start)
    # Axes: output micro-block, its channel; input micro-block, its channel; kernel element.
    o = outputs.reshape(-1, geometry.microblock)[:, :, None, None, None]
    i = inputs[None, None, :, :, None]
    e = elements[None, None, None, None, :]
    limit = 1 if geometry.depthwise else geometry.input_depth
    height, width = geometry.kernel
    index = (o * height * width + e) * limit + i
    index = np.where((o < depth) & (i < limit) & (e >= 0), index, -1)
    if geometry.part_kernel and not geometry.depthwise:
        return index.transpose(2, 0, 4, 1, 3).ravel()
    return index.transpose(0, 4, 2, 1, 3).ravel()


def _block_inputs(geometry: Geometry, start: int) -> NDArray[np.int64]:
    """Input channels of the block at `start`, by micro-block."""
    if geometry.depthwise:
        return np.zeros((1, 1), np.int64)
    size = geometry.input_block
    if geometry.part_kernel:
        size = _up(min(size, geometry.input_depth - start), _IFM_MICROBLOCK)
    return np.arange(start, start + size).reshape(-1, _IFM_MICROBLOCK)


def _up(value: int, multiple: int) -> int:
    return (value + multiple - 1) // multiple * multiple


@dataclass(frozen=True)
class Scales:
    """One of each for every output channel: bias to add, multiplier, shift to the right."""

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]


def decode_scales(data: tuple[bytes, ...], depth: int) -> Scales:
    """Records of 10 bytes: bias (40 bits, signed), multiplier (32, unsigned), shift (6)."""
    streams = len(data)
    fields = np.zeros((3, depth), np.int64)
    for stream, records in enumerate(data):
        count = (depth + streams - 1 - stream) // streams
        if len(records) < count * _RECORD:
            raise CommandError(f"{count} scale records do not fit {len(records)} bytes")
        for index in range(count):
            low, high, multiplier, shift = struct.unpack_from("<IbIB", records, index * _RECORD)
            fields[:, stream + index * streams] = high << 32 | low, multiplier, shift & 0x3F
    return Scales(*fields)
