"""Weights in the layouts of firmware/kernels/thumb; each is described in the kernel's header."""

import numpy as np

from mcu_build.kernels.dsp.packing import Bytes, Ints, as_words

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
