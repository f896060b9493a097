"""Decode the compressed weight stream (the standard format of all Ethos-U).

A stream is a sequence of slices, each with a header and up to 32768 symbols; bits count from the least
significant of each byte. A weight is a Golomb-Rice code: quotient in unary, remainder of `wdiv` bits, the
number an index into a palette of up to 32 entries or, above them, a value directly (sign in bit 0). Where
`zdiv` is not 6, runs of zeros between the weights have codes of their own. Quotients and remainders come in
chunks: the quotients of 12 unary places, then the remainders of the chunk before.

The chunks are decoded one by one, as each one's place depends on the last; their symbols are then taken apart
all at once. This is not done with the codec of the Vela package, which ends the process on a damaged stream.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.commands import CommandError

_NO_ZERO_RUNS = 6
_END = 7
_UNCOMPRESSED = 7
_ONES = bytes(bin(value).count("1") for value in range(1 << 12))

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Header:
    zero_shift: int
    count: int
    shift: int
    truncated: bool
    uncompressed: bool
    new_palette: bool

    @property
    def zero_runs(self) -> bool:
        return self.zero_shift != _NO_ZERO_RUNS

    @property
    def runs(self) -> int:
        """Runs of zeros: one before the first weight where a palette begins, one after each."""
        return self.count + self.new_palette if self.zero_runs else 0


@dataclass(frozen=True)
class _Palette:
    entries: tuple[int, ...]
    direct_offset: int
    bits: int


@dataclass
class _Symbols:
    """Chunks of one kind of symbol: unary words, and where the remainders of each begin and how many."""

    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    remainders: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


class _Bits:
    """A stream of bits with a position."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = len(data) * 8
        self.position = 0
        self.bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")

    def get(self, count: int) -> int:
        """The next bits, at most 32, as a number."""
        position = self.position
        if position + count > self.end:
            raise CommandError("the weight stream ends in the middle of a slice")
        start = position >> 3
        word = int.from_bytes(self.data[start : start + 5], "little")
        self.position = position + count
        return word >> (position & 7) & (1 << count) - 1


def decode(data: bytes, wanted: int) -> NDArray[np.int16]:
    """The first `wanted` weights of the stream. CommandError where it is damaged or has fewer."""
    bits = _Bits(data)
    decoded: list[Integers] = []
    total = 0
    palette: _Palette | None = None
    while total < wanted:
        zero_shift = bits.get(3)
        if zero_shift == _END and _only_padding(bits):
            raise CommandError(f"the weight stream has {total} weights, {wanted} are wanted")
        if zero_shift in (4, 5):
            raise CommandError(f"the weight stream has a slice with zero divisor {zero_shift}")
        if zero_shift == _END:
            bits.position = (bits.position + 7) // 8 * 8
            palette = None
            continue
        header = _header(bits, zero_shift)
        if header.new_palette:
            palette = _palette(bits)
        if palette is None:
            raise CommandError("the weight stream begins without a palette")
        values = _slice(bits, header, palette)
        total += len(values)
        decoded.append(values)
    return np.concatenate(decoded)[:wanted].astype(np.int16) if decoded else np.zeros(0, np.int16)


def _only_padding(bits: _Bits) -> bool:
    return bits.position + 8 > bits.end


def _header(bits: _Bits, zero_shift: int) -> _Header:
    count = bits.get(15) + 1
    shift = bits.get(3)
    truncated, new_palette = bool(bits.get(1)), bool(bits.get(1))
    if shift == 6:
        raise CommandError("the weight stream has a slice with weight divisor 6")
    return _Header(zero_shift, count, shift, truncated, shift == _UNCOMPRESSED, new_palette)


def _palette(bits: _Bits) -> _Palette:
    direct_offset = bits.get(5)
    size = bits.get(5)
    size += size > 0
    width = bits.get(3) + 2
    return _Palette(tuple(bits.get(width) for _ in range(size)), direct_offset, width)


def _slice(bits: _Bits, header: _Header, palette: _Palette) -> Integers:
    shift = header.shift
    if header.uncompressed:
        size = len(palette.entries)
        shift = (size - 1).bit_length() if size else palette.bits
    places = 8 if header.uncompressed and shift > 5 else 12
    weights, zeros = _chunks_of(bits, header, shift, places)
    numbers = _weight_numbers(bits.bits, weights, header, shift, places)
    values = _weight_values(numbers, palette)
    if not header.zero_runs:
        return values
    runs = _zero_numbers(bits.bits, zeros, header)
    return _interleave(values, runs, header.new_palette)


def _chunks_of(bits: _Bits, header: _Header, shift: int, places: int) -> tuple[_Symbols, _Symbols]:
    """Step through the slice's chunks."""
    weights, zeros = _Symbols(), _Symbols()
    zero_places = 12 if header.zero_shift < 3 else 8
    done = zeros_done = remaindered = zeros_remaindered = 0
    pending = zeros_pending = -1
    get = bits.get
    while True:
        balance = done - zeros_done if header.zero_runs else 0
        take = balance < 8 and done < header.count
        take_zeros = header.zero_runs and balance >= 0 and zeros_done < header.runs
        before, zeros_before = pending, zeros_pending
        pending = zeros_pending = -1
        first = get(12) if take and not header.uncompressed else 0
        if take_zeros:
            unary = get(zero_places)
            zeros.first.append(unary)
            zeros_pending = zero_places - _ONES[unary]
            zeros_done += zeros_pending
        if take:
            second = get(_ONES[first])
            weights.first.append(first)
            weights.second.append(second)
            pending = places if header.truncated else places - _ONES[second]
            done += pending
        if before >= 0:
            count = min(before, header.count - remaindered)
            weights.remainders.append(bits.position)
            weights.counts.append(count)
            bits.position += count * shift
            remaindered += count
        if zeros_before >= 0:
            count = min(zeros_before, header.runs - zeros_remaindered)
            zeros.remainders.append(bits.position)
            zeros.counts.append(count)
            bits.position += count * header.zero_shift
            zeros_remaindered += count
        if pending < 0 and zeros_pending < 0:
            break
    if bits.position > bits.end or remaindered < header.count or zeros_remaindered < header.runs:
        raise CommandError("the weight stream ends in the middle of a slice")
    return weights, zeros


def _remainders(bits: NDArray[np.uint8], symbols: _Symbols, shift: int) -> Integers:
    counts = np.array(symbols.counts, np.int64)
    starts = np.repeat(np.array(symbols.remainders, np.int64), counts)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = starts + within * shift
    result = np.zeros(len(place), np.int64)
    for bit in range(shift):
        result |= bits[place + bit].astype(np.int64) << bit
    return result


def _weight_numbers(
    bits: NDArray[np.uint8], symbols: _Symbols, header: _Header, shift: int, places: int
) -> Integers:
    first = np.array(symbols.first, np.int64)[:, None] >> np.arange(places) & 1
    # The n-th set bit of a first word takes the n-th bit of its second.
    order = np.cumsum(first, axis=1) - first
    second = (np.array(symbols.second, np.int64)[:, None] >> order & 1) * first
    codes = (first + second).ravel()
    ends = np.flatnonzero(np.ones_like(codes) if header.truncated else codes < 2)[: header.count]
    quotients = np.diff(np.cumsum(codes)[ends], prepend=0)
    return (quotients << shift) + _remainders(bits, symbols, shift)


def _zero_numbers(bits: NDArray[np.uint8], symbols: _Symbols, header: _Header) -> Integers:
    places = 12 if header.zero_shift < 3 else 8
    unary = (np.array(symbols.first, np.int64)[:, None] >> np.arange(places) & 1).ravel()
    ends = np.flatnonzero(unary == 0)[: header.runs]
    quotients = np.diff(np.cumsum(unary)[ends], prepend=0)
    return (quotients << header.zero_shift) + _remainders(bits, symbols, header.zero_shift)


def _weight_values(numbers: Integers, palette: _Palette) -> Integers:
    if numbers.max() >= 512:
        raise CommandError("the weight stream has a weight of more than 9 bits")
    size = len(palette.entries)
    table = np.concatenate(
        [np.array(palette.entries, np.int64), np.arange(512 - size) + palette.direct_offset]
    )
    coded = table[numbers]
    return np.where(coded & 1, -(coded >> 1), coded >> 1)


def _interleave(values: Integers, runs: Integers, leading: bool) -> Integers:
    """Put each weight after its run of zeros: runs[0] before the first where `leading`."""
    before = runs[:-1] if leading else np.concatenate([[0], runs[:-1]])
    result = np.zeros(len(values) + int(runs.sum()), np.int64)
    result[np.arange(len(values)) + np.cumsum(before)] = values
    return result
