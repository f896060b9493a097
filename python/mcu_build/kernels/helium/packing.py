"""Weights and scales as the kernels of firmware/kernels/mve want them; their headers describe the layouts."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.int8]

LANES = 16  # int8 in a vector
_INT8_LOW, _INT8_HIGH = -128, 127
# Of the outputs of a tile: those of even numbers become the low bytes of what is stored.
_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
# Beyond this the addend's zero point might leave 32 bits; sums that need it are those of dead channels.
_MAX_RIGHT = 23


@dataclass(frozen=True)
class Requantization:
    """What an accumulator goes through on its way to int8: `to_int8` of firmware's requantize.h.

    One multiplier and shift for each channel; `bound` is the largest magnitude of a sum without its bias.
    """

    bias: Ints
    bound: Ints
    multipliers: Ints
    shifts: Ints
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class Scales:
    """int32 arrays [channels] of a kernel's requantization, and whether it needs more than the plain form."""

    bias: Ints
    multiplier: Ints
    addend: Ints
    shift: Ints
    half_away: bool
    clamps: bool

    @property
    def right(self) -> Ints:
        """Bits that products are shifted to the right by; `shift` makes int8 the highest byte."""
        return 24 - self.shift

    def part(self, channels: slice) -> "Scales":
        """Those of some channels."""
        return replace(
            self,
            bias=self.bias[channels],
            multiplier=self.multiplier[channels],
            addend=self.addend[channels],
            shift=self.shift[channels],
        )

    def quads(self) -> bytes:
        """[channels / 4][bias, multiplier, addend, shift][4], absent channels zero."""
        rows = np.stack([self.bias, self.multiplier, self.addend, self.shift])
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
        return rows.reshape(4, -1, 4).transpose(1, 0, 2).astype(np.int32).tobytes()

    def channels(self) -> bytes:
        """[channels][bias, multiplier, addend, shift]."""
        rows = np.stack([self.bias, self.multiplier, self.addend, self.shift])
        return rows.T.astype(np.int32).tobytes()


def scales(requantization: Requantization) -> Scales | None:
    """The requantization in the form of mve_conv2d.h, or None where that form would not be exact."""
    bias, multiplier = requantization.bias.copy(), requantization.multipliers.copy()
    right = np.minimum(-requantization.shifts, 63)
    largest = requantization.bound + np.abs(bias)
    if (right < 0).any() or (multiplier < 0).any() or (largest >= 1 << 31).any():
        return None
    # Channels that are zero after the second rounding, whatever the input: 0 stands for their high half.
    high = (largest * multiplier + (1 << 30)) >> 31
    dead = high < np.left_shift(1, np.maximum(right, 1) - 1)
    bias[dead], multiplier[dead], high[dead], right[dead] = 0, 0, 0, 1
    if (right > _MAX_RIGHT).any():
        return None
    half = np.where(right > 0, np.left_shift(1, np.maximum(right, 1) - 1), 0)
    addend = requantization.zero_point * np.left_shift(1, right) + half
    # Rounded half up. Half away from zero differs for negative ties only, below the zero point.
    half_away = requantization.zero_point > requantization.low
    if (high + np.abs(addend) >= (1 << 31) - 1).any() or (half_away and (right == 0).any()):
        return None
    clamps = (requantization.low, requantization.high) != (_INT8_LOW, _INT8_HIGH)
    return Scales(bias, multiplier, addend, 24 - right, half_away, clamps)


def quads_of_weights(rows: Bytes) -> bytes:
    """[channels][products] as [quad][half][vector][2][16], zeros for what is missing."""
    channels, products = rows.shape
    padded = np.pad(rows, ((0, -channels % 4), (0, -products % LANES)))
    split = padded.reshape(-1, 2, 2, padded.shape[1] // LANES, LANES)
    return split.transpose(0, 1, 3, 2, 4).tobytes()


def linear_weights(rows: Bytes) -> bytes:
    """[outputs][inputs] as [outputs / 4][vector][4][16], zeros for what is missing."""
    outputs, inputs = rows.shape
    padded = np.pad(rows, ((0, -outputs % 4), (0, -inputs % LANES)))
    return padded.reshape(-1, 4, padded.shape[1] // LANES, LANES).transpose(0, 2, 1, 3).tobytes()


def eights(rows: Bytes, lanes: int = LANES) -> Bytes:
    """[rows][values] as [rows / 8][vectors][8][lanes] of eight_sums.h, zeros for what is missing."""
    padded = np.pad(rows, ((0, -rows.shape[0] % 8), (0, -rows.shape[1] % lanes)))
    tiles = padded.reshape(len(padded) // 8, 8, padded.shape[1] // lanes, lanes)[:, _ORDER]
    return tiles.transpose(0, 2, 1, 3)


def halves(numbers: Ints) -> Ints:
    """[kinds][rows] as [rows / 8][2][kinds][4]: of the first four rows of eights(), then of the others."""
    padded = np.pad(numbers, ((0, 0), (0, -numbers.shape[1] % 8)))
    ordered = padded.reshape(len(padded), -1, 8)[..., _ORDER]
    return ordered.reshape(len(padded), -1, 2, 4).transpose(1, 2, 0, 3)


def row_tiles(rows: Bytes, requantization: Scales) -> bytes:
    """[outputs][inputs] in tiles of eight outputs, each with its own requantization (mve_linear.h)."""
    weights = eights(rows)
    bias = requantization.bias.reshape(-1, 8)[:, _ORDER].astype(np.int32)
    own = np.stack([requantization.multiplier, requantization.addend, requantization.shift])
    scale = halves(own).astype(np.int32)
    tiles = zip(bias, weights, scale, strict=True)
    return b"".join(part.tobytes() for tile in tiles for part in tile)
