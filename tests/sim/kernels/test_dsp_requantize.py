"""The short requantization of dsp/ gives what requantize.h gives, for all constants that are let pass."""

import numpy as np
import pytest

from mcu_build.ir.calls.struct import OutputEpilogue
from mcu_build.kernels.dsp.requantize import DspRequantization, requantization
from tests.host.kernels.exact import requantize

EPILOGUES = [(-128, -128, 127), (5, -128, 127), (127, -128, 127), (-100, -100, 50), (-128, -128, 100)]


def short(found: DspRequantization, sums: np.ndarray) -> np.ndarray:
    """What the instructions of rescale.h do, sums that leave 32 bits wrapping as there."""
    bias, multiplier, addend, shift = (int(value) for value in found.scales[0])
    doubled = (2 * sums + bias).astype(np.int32).astype(np.int64)
    sign = 0 if found.form == "relu" else doubled >> 31
    high = (((doubled * multiplier + (1 << 31)) >> 32) + addend + sign).astype(np.int32)
    return np.clip(high >> shift, found.low, found.high)


@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_short_form_is_exact(epilogue: tuple[int, int, int]) -> None:
    dice = np.random.default_rng(abs(epilogue[0]))
    taken = 0
    for _ in range(1500):
        count = int(dice.choice((1, 9, 64, 576, 4000)))
        weights = dice.integers(-128, 128, (1, count)).astype(np.int8)
        bias = int(dice.integers(-(1 << int(dice.integers(1, 31))), 1 << 30)) >> int(dice.integers(0, 20))
        offset, shift = int(dice.choice((128, -127, 0))), -int(dice.integers(-1, 40))
        multiplier = int(dice.choice((0, 1 << 30, (1 << 31) - 1, int(dice.integers(1 << 30, 1 << 31)))))
        found = requantization(
            weights, np.array([bias]), offset, [multiplier], [shift], OutputEpilogue(*epilogue)
        )
        if found is None:
            continue
        taken += 1
        bound = int(found.bounds[0])
        near_ties = np.arange(-40, 41) << min(max(-shift - 1, 0), 20)
        sums = np.concatenate([dice.integers(-bound, bound + 1, 60), [-bound, bound], near_ties - bias])
        sums = sums[np.abs(sums) <= bound]
        whole = sums + bias + offset * int(weights.astype(int).sum())
        want = np.clip(requantize(whole, multiplier, shift) + epilogue[0], epilogue[1], epilogue[2])
        assert np.array_equal(short(found, sums), want), (bias, offset, multiplier, shift)
    assert taken > 500


@pytest.mark.parametrize(("bias", "shift", "why"), [(1 << 30, -9, "32 bits"), (0, 1, "left"), (0, 0, "ties")])
def test_what_would_not_be_exact_is_refused(bias: int, shift: int, why: str) -> None:
    weights = np.full((1, 64), 100, np.int8)
    epilogue = OutputEpilogue(0, -128, 127)
    assert requantization(weights, np.array([bias]), 128, [1 << 30], [shift], epilogue) is None, why
