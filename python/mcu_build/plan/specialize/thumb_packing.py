"""Weights in the layouts of firmware/kernels/thumb and thumb2; each is described in the kernel's header."""

from collections.abc import Callable

import numpy as np

from mcu_build.plan.specialize.dsp_packing import Bytes, Ints, as_words

_TOGETHER = 8  # channels that lie side by side


def fits_blocks(weights: Bytes) -> bool:
    """Whether every two products that are summed in 16 bits fit them: [channels][products]."""
    lowest = weights == -128
    even = np.pad(lowest, ((0, 0), (0, lowest.shape[1] % 2)))
    return not (even[:, ::2] & even[:, 1::2]).any()


def tiles(weights: Bytes, scales: Ints, products: int) -> bytes:
    """`packed` of thumb_conv2d.h from weights [channels][products], filled up to so many."""
    channels, count = weights.shape
    filled = np.pad(weights, ((0, -channels % _TOGETHER), (0, products - count)))
    eights = filled.reshape(-1, _TOGETHER, products).transpose(0, 2, 1)
    return np.ascontiguousarray(eights).tobytes() + as_words(halved(scales).reshape(-1))


def halved(scales: Ints) -> Ints:
    """Scales whose bias is not doubled."""
    return np.concatenate([scales[:, :1] // 2, scales[:, 1:]], axis=1)


def linear(weights: Bytes, scales: Ints) -> bytes:
    """`packed` of thumb_linear.h from weights [outputs][inputs]."""
    return _fours(weights, scales, lambda four: four)


def linear_pairs(weights: Bytes, scales: Ints) -> bytes:
    """`packed` of thumb2_linear.h from weights [outputs][inputs]."""
    even = np.pad(weights, ((0, 0), (0, weights.shape[1] % 2)))
    return _fours(even, scales, _paired)


def _paired(four: Bytes) -> Bytes:
    a, b, c, d = four.reshape(4, -1, 2)
    moved_b, moved_d = b ^ -128, d ^ -128
    columns = [moved_b[:, 0], a[:, 1], moved_b[:, 1], a[:, 0], moved_d[:, 0], c[:, 1], moved_d[:, 1], c[:, 0]]
    return np.stack(columns, axis=1)


def _fours(weights: Bytes, scales: Ints, layout: Callable[[Bytes], Bytes]) -> bytes:
    """Weights and scales of each four outputs, filled up with zeros."""
    fill = ((0, -len(weights) % 4), (0, 0))
    filled, scales = np.pad(weights, fill), np.pad(scales, fill)
    parts = []
    for first in range(0, len(filled), 4):
        four = slice(first, first + 4)
        parts += [np.ascontiguousarray(layout(filled[four])).tobytes(), as_words(scales[four].reshape(-1))]
    return b"".join(parts)
