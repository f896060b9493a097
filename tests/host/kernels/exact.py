"""Independent exact definitions, for where an operator's own definition rounds in float32."""

from collections.abc import Sequence

import numpy as np


def requantize(values: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """value * multiplier * 2^(shift - 31), rounded as CMSIS-NN does, in unlimited integers."""
    return np.vectorize(lambda value: _requantize(int(value), multiplier, shift), otypes=[np.int64])(values)


def _requantize(value: int, multiplier: int, shift: int) -> int:
    high = ((value << max(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = max(-shift, 0)
    if right == 0:
        return high
    # Nearest, half away from zero.
    magnitude = (abs(high) + (1 << (right - 1))) >> right
    return magnitude if high >= 0 else -magnitude


def transpose_conv2d(
    image: np.ndarray,
    weights: np.ndarray,
    stride: Sequence[int],
    padding: Sequence[int],
    extra: Sequence[int],
    dilation: Sequence[int],
    offset: int,
) -> np.ndarray:
    """Sums of a transposed convolution by scattering: NCHW image, OHWI weights, int64."""
    x, w = image.astype(np.int64) + offset, weights.astype(np.int64)
    (n, _, rows, columns), (outputs, height, width, _) = x.shape, w.shape
    sizes = [
        (count - 1) * stride[i] + dilation[i] * (size - 1) + 1 + extra[i]
        for i, (count, size) in enumerate(((rows, height), (columns, width)))
    ]
    found = np.zeros((n, outputs, *sizes), np.int64)
    for ky in range(height):
        for kx in range(width):
            top, left = ky * dilation[0], kx * dilation[1]
            reached = found[
                :, :, top : top + rows * stride[0] : stride[0], left : left + columns * stride[1] : stride[1]
            ]
            reached[:, :, :rows, :columns] += np.einsum("nihw,oi->nohw", x, w[:, ky, kx])
    bottom, right = sizes[0] - padding[0], sizes[1] - padding[1]
    return found[:, :, padding[0] : bottom, padding[1] : right]
