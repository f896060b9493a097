"""Convolutions on Helium: the shapes of the cores that make four pixels of all channels.

A core (tile_core.py writes it) makes the sums of two pixels by four channels at once, since eight sums take
r0, r2, ... r14 and no compiler has a register left. Here is which bytes of a window it reads, and how weights
are laid out for that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.calls.struct import Pair

LANES = 16  # products of a vector
PIXELS = 4  # that a core computes at once
QUAD = 4  # channels likewise
_UNROLLED = 4  # vectors that a core without a loop has at most
_VECTOR_BYTES = 56  # of code, in a half
_LARGE = 1000  # bytes of code, beyond which windows are rather copied for a core that others share
_PEELED = 1400  # bytes of code, beyond which no row is peeled
_QUAD_CYCLES = 52  # for a quad, beside its products
_SHORT_CYCLES = 7  # more where loads are predicated


@dataclass(frozen=True)
class Loop:
    """`first` vectors, then `rounds` times `each` vectors."""

    first: int
    each: int
    rounds: int


@dataclass(frozen=True)
class Core:
    """Sums of `rows` rows of `nbytes` bytes of each of four pixels that are `pitch` bytes apart.

    The first vector of a row is bytes 0 to 15, the others are the last ones, so that nothing beside it is
    read; of fewer bytes no more are loaded. A pitch of 0 is that of vectors of four pixels that lie in turns,
    one behind the other. Loads of bytes that are not `aligned` to words do not reach as far.
    """

    pitch: int
    nbytes: int
    rows: int = 1
    aligned: bool = True

    @property
    def vectors(self) -> int:
        """Vectors of a row."""
        return -(-self.nbytes // LANES)

    @property
    def reach(self) -> int:
        """Bytes that a load reaches."""
        return 508 if self.aligned else 127

    @property
    def is_short(self) -> bool:
        """Whether a row is less than a vector, and loads are predicated."""
        return self.pitch > 0 and self.nbytes < LANES

    @property
    def second(self) -> int:
        """Bytes from the first vector to the second."""
        return self.nbytes - LANES * (self.vectors - 1)

    @property
    def loop(self) -> Loop:
        """How the vectors are unrolled: few instructions, weighed against the code's size."""
        if self.rows > 1:
            peels = 4 * self.vectors * _VECTOR_BYTES <= _PEELED
            return Loop(self.vectors if peels else 0, self.vectors, self.rows - peels)
        if self.vectors <= _UNROLLED:
            return Loop(self.vectors, 0, 0)
        if not self.pitch:  # the same code for as many layers as can be
            first = (self.vectors - 1) % _UNROLLED + 1
            return Loop(first, _UNROLLED, (self.vectors - first) // _UNROLLED)
        ways = [
            Loop(first, each, (self.vectors - first) // each)
            for each in range(2, 7)
            for first in range(1, each + 1)
            if (self.vectors - first) % each == 0 and first + each <= 2 * _UNROLLED
        ]
        return min(ways, key=lambda way: (3 * way.rounds + 1.4 * (way.first + way.each), way.each))

    @property
    def strides(self) -> bool:
        """Whether r1 moves on from vector to vector."""
        return not self.pitch or (self.rows == 1 and self.loop.rounds > 0)

    @property
    def _last(self) -> int:
        """Bytes from where a pixel's pointer is to its last vector."""
        return 0 if self.strides else max(self.nbytes - LANES, 0)

    @property
    def is_encodable(self) -> bool:
        """Whether loads reach all pixels."""
        if not self.pitch:
            return True
        if self.aligned and (self.pitch % 4 or self.nbytes % 4):
            return False
        return self.pitch + self._last <= self.reach

    @property
    def name(self) -> str:
        """What tells it from others: cores of one name are the same code."""
        if not self.pitch:
            return f"core_turns_{self.loop.first}_{self.loop.each}"
        return f"core_{self.rows}x{self.nbytes}_every_{self.pitch}{'' if self.aligned else '_unaligned'}"

    @property
    def rounds(self) -> int:
        """Of its loop, which a core of vectors in turns takes."""
        return self.loop.rounds

    @property
    def code(self) -> int:
        """Bytes of its loops, without a row that is peeled."""
        return 2 * _VECTOR_BYTES * (self.loop.each + (self.loop.first if self.rows == 1 else 0))

    @property
    def cycles(self) -> int:
        """Modelled cycles of a Cortex-M55 for a quad."""
        rows = 0 if self.loop.first else 18
        short = _SHORT_CYCLES if self.is_short else 0
        return 2 * (16 * self.vectors * self.rows + 6 * self.loop.rounds + rows) + _QUAD_CYCLES + short


@dataclass(frozen=True)
class Im2col:
    """Where windows of `pieces` times `nbytes` bytes are brought together, and the core that reads them."""

    pieces: int
    nbytes: int
    core: Core

    @property
    def pixel(self) -> int:
        """Bytes from a window to the next."""
        return self.core.pitch or LANES

    @property
    def vector(self) -> int:
        """Bytes from a vector of a window to the next."""
        return LANES if self.core.pitch else PIXELS * LANES

    @property
    def size(self) -> int:
        """Bytes of all windows, and what the last vector may cover."""
        return PIXELS * self.core.nbytes + LANES

    def room(self, most: int) -> int:
        """Windows that are dense and computed at once, whole tiles of them, in about `most` bytes."""
        return max(PIXELS, most // self.pixel // PIXELS * PIXELS)

    def dense_size(self, room: int, pixels: int) -> int:
        """Bytes of so many dense windows of all `pixels`, and what the last vector may cover.

        Where the last pixels are no whole tile, there is room for windows that are kept for it.
        """
        return (room + (PIXELS - 1) * (pixels % PIXELS != 0)) * self.pixel + LANES

    @property
    def dense_cycles(self) -> int:
        """Modelled cycles of a Cortex-M55 to copy one window beside others of its row."""
        if self.nbytes < LANES:
            return 5 * self.pieces + 4 * -(-self.pieces // 4)
        return 20 + self.pieces * (10 + 6 * -(-self.nbytes // LANES))

    @property
    def instructions(self) -> int:
        """What it takes to bring one window here by itself; some are at the image's edge."""
        return 100 + self.pieces * (8 + 6 * -(-self.nbytes // LANES))

    def vectors_of(self, rows: NDArray[np.int8]) -> NDArray[np.int8]:
        """[channels][products] as [channels][vectors * 16]."""
        if self.core.pitch:
            return spread(np.pad(rows, ((0, 0), (0, self.core.nbytes - rows.shape[1]))))
        return spread(rows.reshape(-1, self.nbytes)).reshape(len(rows), -1)


def im2col_of(pieces: int, nbytes: int) -> Im2col:
    """The im2col buffer for pieces of `nbytes`: dense where they are short, else in turns."""
    dense = -(-pieces * nbytes // 4) * 4
    core = Core(dense, dense)
    if nbytes >= LANES or not core.is_encodable:
        core = Core(0, pieces * -(-nbytes // LANES) * LANES)
    return Im2col(pieces, nbytes, core)


def dense_im2col(pieces: int, nbytes: int) -> Im2col | None:
    """The im2col buffer for pieces of any length one behind the other, where loads reach them."""
    dense = -(-pieces * nbytes // 4) * 4
    core = Core(dense, dense)
    return Im2col(pieces, nbytes, core) if core.is_encodable else None


def image_core(rows: int, nbytes: int, pitch: int, aligned: bool) -> Core | None:
    """The core for windows as they lie in an image, `pitch` bytes apart, where there is a small one.

    `aligned` is whether pixels are whole words. Rows that are short are better brought together.
    """
    core = Core(pitch, nbytes, rows, aligned)
    fits = core.is_encodable and core.code <= _LARGE
    return core if fits and (rows == 1 or nbytes >= LANES) else None


@dataclass(frozen=True)
class Phases:
    """A transposed convolution as plain ones of stride 1, one for each phase of the output.

    `weights` are [rows of phases][columns of phases][outputs][rows][columns][inputs], all with the taps of
    the largest; `padding` that of each phase's rows, and of its columns.
    """

    weights: NDArray[np.int8]
    padding: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def columns_are_alike(self) -> bool:
        """Whether phases of columns see the same pixels, so that they are as good as channels."""
        return len(set(self.padding[1])) == 1


def phases_of(weights: NDArray[np.int8], stride: Pair, padding: Pair) -> Phases:
    """Those of `weights` [outputs][rows][columns][inputs]."""
    rows, before_y = _axis(weights.shape[1], stride.y, padding.y)
    columns, before_x = _axis(weights.shape[2], stride.x, padding.x)
    # Tap number -1 is a zero behind the others.
    padded = np.pad(weights, ((0, 0), (0, 1), (0, 1), (0, 0)))
    taps = [[padded[:, np.array(y)[:, None], np.array(x)[None, :]] for x in columns] for y in rows]
    return Phases(np.array(taps), (before_y, before_x))


def _axis(size: int, stride: int, padding: int) -> tuple[list[list[int]], tuple[int, ...]]:
    """For each phase of an axis: the tap at each pixel of its window, -1 for none, and its padding."""
    count, taps, before = -(-size // stride), [], []
    for phase in range(stride):
        first = (phase + padding) % stride
        reached = [first + stride * number for number in reversed(range(count))]
        taps.append([tap if tap < size else -1 for tap in reached])
        before.append(count - 1 - (phase + padding) // stride)
    return taps, tuple(before)


def spread(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """[...][bytes] as the vectors of mve_conv_tiles.h, [...][vectors * 16]: each byte in one of them."""
    count, nbytes = rows.shape
    vectors = -(-nbytes // LANES)
    if vectors < 2:
        return np.pad(rows, ((0, 0), (0, LANES - nbytes)))
    return np.concatenate(
        [rows[:, :LANES], np.zeros((count, vectors * LANES - nbytes), np.int8), rows[:, LANES:]], axis=1
    )
