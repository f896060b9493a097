"""Weights in the layouts of firmware/kernels/dsp; each is described in the kernel's header."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.int8]]

# Sums of a pair's second channel are recovered modulo 2^24.
HIGH_SUM = 1 << 23
# Channels among which partners are looked for.
_BLOCK = 2048


def padded(weights: Bytes, unroll: int) -> Bytes:
    """[channels][products], with zeros up to a multiple of `unroll` fours."""
    return np.pad(weights, ((0, 0), (0, -weights.shape[1] % (4 * unroll))))


def pairs(weights: Bytes, bounds: Ints) -> list[tuple[int, int | None]]:
    """Channels (b, a) that can share halfwords, each channel once; None where b has no partner.

    `bounds` are the largest magnitudes of the channels' sums.
    """
    result: list[tuple[int, int | None]] = []
    # Channels meet within a block, so that the time is near linear in their number.
    for first in range(0, len(weights), _BLOCK):
        block = slice(first, first + _BLOCK)
        result += [
            (first + b, None if a is None else first + a) for b, a in _pairs(weights[block], bounds[block])
        ]
    return result


def _pairs(weights: Bytes, bounds: Ints) -> list[tuple[int, int | None]]:
    # conflicts[a, b]: products in which a = -128 meets a negative b. Few channels have a -128. Products of
    # matrices of floats are quick, those of integers are not.
    lowest = weights == -128
    some = lowest.any(axis=1)
    conflicts = np.zeros((len(weights), len(weights)), bool)
    conflicts[some] = lowest[some].astype(np.float32) @ (weights < 0).T.astype(np.float32) > 0
    fits = ~conflicts & (bounds < HIGH_SUM)[:, None]
    either = fits | fits.T
    # Those with the fewest possible partners choose first.
    order = np.argsort(either.sum(axis=1), kind="stable")
    ordered = either[np.ix_(order, order)]
    left = np.ones(len(order), bool)
    result: list[tuple[int, int | None]] = []
    for place, channel in enumerate(order.tolist()):
        if not left[place]:
            continue
        left[place] = False
        partners = ordered[place] & left
        nearest = int(partners.argmax())
        if not partners[nearest]:
            result.append((channel, None))
            continue
        left[nearest] = False
        partner = int(order[nearest])
        result.append((channel, partner) if fits[partner, channel] else (partner, channel))
    return result


def takes_parts(weights: Bytes, bounds: Ints) -> bool:
    """Whether sums have to be made in parts: else channels find no partners and a weight takes two bytes."""
    if (bounds < HIGH_SUM).all():
        return False
    paired = len(pairs(weights, np.zeros_like(bounds)))
    return len(pairs(weights, bounds)) > paired + len(weights) // 32


def paired_words(b: Bytes, a: Bytes) -> Ints:
    """256 * a + b of products 0, 2; 1, 3 of each four, as words. OverflowError: they are no pair."""
    both = 256 * a.astype(np.int64) + b.astype(np.int64)
    if both.min(initial=0) < -(1 << 15):
        raise OverflowError("more than 16 bits")
    return _halfwords(both.reshape(-1, 4)[:, [0, 2, 1, 3]].reshape(-1, 2))


def pairwise(weights: Bytes, scales: Ints) -> bytes:
    """`packed` of the long forms of dsp_conv2d.h from weights [channels][products]."""
    parts = []
    for b, a in pairs(weights, np.zeros(len(weights), np.int64)):
        other = b if a is None else a
        words = paired_words(weights[b], np.zeros_like(weights[b]) if a is None else weights[a])
        parts += [words, scales[b], scales[other], np.array([b, other])]
    return as_words(np.concatenate(parts))


def follow(weights: Bytes, bounds: Ints) -> bool:
    """Whether channels can share halfwords as they follow each other: one a quad's b, the next its a."""
    if len(weights) < 4:
        return False
    lows = np.array([first + b for first in fours(len(weights)) for b in (0, 2)])
    conflicts = (weights[lows + 1] == -128) & (weights[lows] < 0)
    return not conflicts.any() and bool((bounds[lows + 1] < HIGH_SUM).all())


def quads(weights: Bytes, scales: Ints, bounds: Ints, numbered: bool) -> bytes:
    """`packed` of dsp_conv2d.h from weights [channels][products]; if not `numbered`, they follow()."""
    if numbered:
        result = _whole(pairs(weights, bounds))
    else:
        result = [(b, b + 1, True) for first in fours(len(weights)) for b in (first, first + 2)]
    parts = []
    for first, second in zip(result[::2], result[1::2], strict=True):
        numbers = np.array([*first[:2], *second[:2]])
        parts += [_side_by_side(weights, (first, second)), scales[numbers].reshape(-1)]
        parts.append(numbers if numbered else numbers[:1])
    return as_words(np.concatenate(parts))


def _whole(in_pairs: list[tuple[int, int | None]]) -> list[tuple[int, int, bool]]:
    """Pairs in twos, whether they are pairs: an odd last one has the first one beside it, once more."""
    whole = [(b, b if a is None else a, a is not None) for b, a in in_pairs]
    return whole + whole[: len(whole) % 2]


def _side_by_side(weights: Bytes, two: Sequence[tuple[int, int, bool]]) -> Ints:
    """Words of two pairs in turns."""
    nothing = np.zeros_like(weights[0])
    words = [paired_words(weights[b], weights[a] if pair else nothing) for b, a, pair in two]
    return np.stack(words, axis=1).reshape(-1)


def linear(weights: Bytes, scales: Ints, bounds: Ints) -> tuple[bytes, int]:
    """`packed` of dsp_linear.h from weights [outputs][inputs], inputs by fours; the number of its fours."""
    in_pairs = _whole(pairs(weights, bounds))
    parts = []
    for first, second in zip(in_pairs[::2], in_pairs[1::2], strict=True):
        numbers = np.array([*first[:2], *second[:2]])
        words = _side_by_side(weights, (first, second))
        # Both words of a pair's group, then both of the other's.
        words = words.reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1)
        parts += [words, scales[numbers].reshape(-1), numbers]
    return as_words(np.concatenate(parts)), len(in_pairs) // 2


def rows_in_fours(weights: Bytes) -> bytes:
    """`packed` of dsp_recurrent.h from weights [rows][inputs]. OverflowError: rows that are no pair."""
    rows = np.pad(padded(weights, 1), ((0, -len(weights) % 4), (0, 0)))
    pairs = [paired_words(b, a).reshape(-1, 2) for b, a in zip(rows[::2], rows[1::2], strict=True)]
    words = [np.concatenate(two, axis=1).reshape(-1) for two in zip(pairs[::2], pairs[1::2], strict=True)]
    return as_words(np.concatenate(words))


def fours(channels: int) -> list[int]:
    """The first channel of each four: the last four end with the last channel."""
    return [min(first, channels - 4) for first in range(0, channels, 4)]


def depthwise(weights: Bytes, scales: Ints, nine: bool) -> bytes:
    """`packed` of dsp_depthwise.h from weights [channels][taps]; `nine`: as a window of 3x3 has them."""
    parts = []
    for first in fours(len(weights)):
        four = weights[first : first + 4].astype(np.int64)
        paired = four[:, :8] if nine else np.pad(four, ((0, 0), (0, four.shape[1] % 2)))
        # [pair][channel][tap of the pair]
        parts.append(_halfwords(paired.reshape(4, -1, 2).transpose(1, 0, 2).reshape(-1, 2)))
        if nine:
            parts.append(_halfwords(four[[0, 2, 1, 3], 8].reshape(2, 2)))
        parts.append(scales[first : first + 4].reshape(-1))
    return as_words(np.concatenate(parts))


def as_words(values: Ints) -> bytes:
    """Numbers of 32 bits as bytes, little endian. OverflowError where one needs more."""
    if values.size and not -(1 << 31) <= values.min() <= values.max() < 1 << 31:
        raise OverflowError("more than 32 bits")
    return values.astype("<i4").tobytes()


def _halfwords(values: Ints) -> Ints:
    """[n][low, high] → n words."""
    low, high = values[:, 0] & 0xFFFF, values[:, 1] & 0xFFFF
    words = low | high << 16
    return words - ((words >> 31) << 32)
