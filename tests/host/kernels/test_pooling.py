"""Maximum pooling equals its Python definition bit for bit, average pooling CMSIS-NN's arithmetic."""

import numpy as np
import pytest

from mcu_build.arithmetic.integer import STAND_INS
from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import definition, differing, integers, share_that_varies, with_output
from tests.support.cases import CHANNELS_LAST, Case, T, program_of, run_cases

# (batch, height, width, channels), kernel, stride, padding, ceil_mode
WINDOWS = [
    ((1, 4, 6, 3), (2, 2), (2, 2), (0, 0), False),
    ((2, 7, 5, 17), (3, 3), (2, 2), (1, 1), False),
    ((1, 7, 8, 1), (3, 2), (2, 3), (1, 1), True),
    ((1, 5, 5, 4), (5, 5), (1, 1), (0, 0), False),
    ((1, 5, 5, 4), (5, 5), (1, 1), (2, 2), False),
    ((1, 1, 1, 5), (1, 1), (1, 1), (0, 0), False),
    ((1, 9, 10, 2), (2, 2), (5, 4), (0, 1), True),
    ((1, 25, 5, 8), (25, 5), (25, 5), (0, 0), False),
    ((1, 6, 11, 3), (3, 4), (2, 3), (0, 2), True),
    ((3, 1, 13, 2), (1, 5), (1, 4), (0, 2), True),
]
# (multiplier, shift): 1.0, 2^-9, then one that is no power of two. They cancel.
SCALES = [(1 << 30, 1), (1 << 30, -8), (1717986918, -3)]


def image(dice, size, explicit) -> T:
    x = integers(dice, size)
    return T(x) if explicit else T(np.ascontiguousarray(x.transpose(0, 3, 1, 2)), CHANNELS_LAST)


def averaged(case: Case) -> np.ndarray:
    """What a call gives: the Python definition rounds ties otherwise (test_reference.py)."""
    return STAND_INS[case.operator](*(one.array if isinstance(one, T) else one for one in case.arguments))


def averages() -> list[Case]:
    dice = np.random.default_rng(40)
    found = []
    for size, kernel, stride, padding, ceil in WINDOWS * 2:
        for explicit in (False, True):
            for multiplier, shift in SCALES:
                zero_point = int(dice.choice((-128, 127, 0, -3)))
                geometry = [list(kernel), list(stride), list(padding), ceil]
                arguments = [image(dice, size, explicit), *geometry, zero_point, multiplier, shift, scratch()]
                found.append(pool_case("quantized_avg_pool2d", arguments, explicit))
    return found


def maxima() -> list[Case]:
    dice = np.random.default_rng(41)
    found = []
    for size, kernel, stride, padding, ceil in WINDOWS * 2:
        for explicit in (False, True):
            if ceil:
                continue
            geometry = [list(kernel), list(stride), list(padding), [1, 1], False]
            low, high = (-128, 127) if dice.integers(2) else (-10, 70)
            arguments = [image(dice, size, explicit), *geometry, 5, 5, low, high]
            found.append(pool_case("quantized_max_pool2d", arguments, explicit))
    # All of an image at the lowest value: what lies outside must not win, nor lose below it.
    lowest = T(np.full((1, 2, 3, 3), -128, np.int8), CHANNELS_LAST)
    arguments = [lowest, [3, 3], [1, 1], [1, 1], [1, 1], False, 0, 0, -128, 127]
    return [*found, pool_case("quantized_max_pool2d", arguments, False)]


def scratch() -> T:
    return T(np.zeros(1, np.uint8))


def pool_case(operator: str, arguments: list[object], explicit: bool) -> Case:
    return with_output(operator + "_nhwc" * explicit, arguments, None if explicit else CHANNELS_LAST)


@pytest.mark.parametrize(("make", "expected"), [(averages, averaged), (maxima, definition)])
def test_exact(make, expected, tmp_path):
    cases = make()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, expected) == []
    assert share_that_varies(outputs) > 0.7


def test_every_tie_of_a_window_of_two(tmp_path):
    """All pairs of values: sums of both signs, halves that round away from zero."""
    grid = np.arange(-128, 128, dtype=np.int8)
    pairs = np.stack([np.repeat(grid, 256), np.tile(grid, 256)]).reshape(1, 1, 2, 65536)
    arguments = [T(np.ascontiguousarray(pairs), CHANNELS_LAST), [2, 1], [2, 1], [0, 0], False]
    case = pool_case("quantized_avg_pool2d", [*arguments, 1, 1 << 30, 1, scratch()], False)
    ((found,),) = run_cases([case], tmp_path)
    mean = pairs.astype(float).mean(axis=2)
    assert np.array_equal(found.reshape(-1), np.trunc(mean + np.copysign(0.5, mean)).reshape(-1))
    # The control: the Python definition takes the even neighbour for every other of them.
    assert 0.1 < (found != definition(case)).mean() < 0.4


def test_what_the_definition_refuses_is_refused():
    case = maxima()[0]
    for argument, value, reason in ((4, [2, 2], "no dilation"), (5, True, "no dilation"), (7, 6, "differ")):
        arguments = list(case.arguments)
        arguments[argument] = value
        with pytest.raises(McuError, match=reason):
            compile_program(program_of(Case(case.operator, arguments, case.outputs))[0], "refused")
