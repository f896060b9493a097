"""Weights in the layouts of firmware/kernels/thumb; each is described in the kernel's header."""

import numpy as np

from mcu_build.codegen.packing_dsp import Bytes, Ints, as_words, fours

_TOGETHER = 8  # products of an unrolled loop, and channels that lie side by side


def products(count: int) -> int:
    """Products of a window, filled up."""
    return -(-count // _TOGETHER) * _TOGETHER


def fits_blocks(weights: Bytes) -> bool:
    """Whether every two products that are summed in 16 bits fit them: [channels][products]."""
    lowest = weights == -128
    even = np.pad(lowest, ((0, 0), (0, lowest.shape[1] % 2)))
    return not (even[:, ::2] & even[:, 1::2]).any()


def tiles(weights: Bytes, scales: Ints) -> bytes:
    """`packed` of thumb_conv2d.h from weights [channels][products]."""
    channels, count = weights.shape
    filled = np.pad(weights, ((0, -channels % _TOGETHER), (0, products(count) - count)))
    eights = filled.reshape(-1, _TOGETHER, filled.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(eights).tobytes() + as_words(scales.reshape(-1))


def depthwise(weights: Bytes, scales: Ints) -> bytes:
    """`packed` of thumb_depthwise.h from weights [channels][taps]."""
    parts = []
    for first in fours(len(weights)):
        four = slice(first, first + 4)
        parts += [np.ascontiguousarray(weights[four].T).tobytes(), as_words(scales[four].reshape(-1))]
    return b"".join(parts)


def linear(weights: Bytes, scales: Ints) -> bytes:
    """`packed` of thumb_linear.h from weights [outputs][inputs]."""
    fill = ((0, -len(weights) % 4), (0, 0))
    filled, scales = np.pad(weights, fill), np.pad(scales, fill)
    parts = []
    for first in range(0, len(filled), 4):
        four = slice(first, first + 4)
        parts += [np.ascontiguousarray(filled[four].T).tobytes(), as_words(scales[four].reshape(-1))]
    return b"".join(parts)
