"""The product of 32 bits from those of 16 that Armv6-M has is exact over the range that is let pass."""

import numpy as np

_LARGEST = (1 << 29) - 1  # of doubled sums: kernels/thumb/convolution.py takes those below 2^28


def high_product(doubled: np.ndarray, multiplier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the instructions of thumb/requantize.h make, and the sum that has to fit 32 bits on the way."""
    low = (doubled + (1 << 15)) % (1 << 16) - (1 << 15)
    high = (doubled - low) >> 16
    multiplier_low, multiplier_high = multiplier & 0xFFFF, multiplier >> 16
    middle = ((low * multiplier_low) >> 16) + low * multiplier_high + multiplier_low * high
    carry = middle >> 15 & 1  # what the shift loses last, added by adcs
    return multiplier_high * high + (middle >> 16) + carry, middle


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Random ones of all sizes, and every pair of corners."""
    dice = np.random.default_rng(7)
    sums = dice.integers(-_LARGEST, _LARGEST + 1, 2_000_000) >> dice.integers(0, 29, 2_000_000)
    scales = dice.integers(0, 1 << 31, 2_000_000) >> dice.integers(0, 3, 2_000_000)
    near = np.array([-_LARGEST, -65537, -65536, -32769, -32768, -1, 0, 1, 32767, 32768, 65535, _LARGEST])
    ends = np.array([0, 1, 32767, 32768, 65535, 65536, 1 << 30, (1 << 31) - 65536, (1 << 31) - 1])
    corners = np.meshgrid(near, ends)
    return np.concatenate([sums, corners[0].ravel()]), np.concatenate([scales, corners[1].ravel()])


def test_it_equals_the_whole_product_and_fits() -> None:
    doubled, multiplier = operands()
    found, middle = high_product(doubled, multiplier)
    assert np.array_equal(found, (doubled * multiplier + (1 << 31)) >> 32)
    assert np.abs(middle).max() < 1 << 31


def test_beyond_the_range_it_does_not_fit() -> None:
    _, middle = high_product(np.array([(1 << 31) - (1 << 15) - 1]), np.array([(1 << 31) - 1]))
    assert abs(int(middle[0])) >= 1 << 31
