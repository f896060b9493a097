"""quantized add, mul, div, minimum and maximum equal the Python definitions bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import (
    definition,
    differing,
    integers,
    share_that_varies,
    with_output,
)
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of, run_cases

INT32 = np.iinfo("int32")
ENDS = (-128, 127, 0, 5)
# (left, right): one shape, or one value for each channel on either side.
PAIRS = [
    ((1, 1, 1, 1), (1, 1, 1, 1)),
    ((2, 17, 3, 4), (2, 17, 3, 4)),
    ((1, 5, 4, 3), (1, 5, 1, 1)),
    ((1, 5, 1, 1), (2, 5, 4, 3)),
    ((2, 1, 4, 3), (1, 1, 1, 1)),
    ((3, 9, 1, 1), (1, 9, 1, 1)),
]


def zero_point(dice) -> int:
    return int(dice.choice(ENDS))


def multiplier(dice) -> int:
    return int(dice.integers(1 << 30, 1 << 31)) * int(dice.choice((1, 1, 1, -1)))


def add_arguments(dice, x: T, y: T) -> list[object]:
    # Shifts as a lowering makes them (operands are shifted left by 20, the sum back), and both corners.
    output = int(dice.choice((-18, -19, -20)))
    return [
        *(x, zero_point(dice), multiplier(dice), int(dice.choice((0, -1, -2)))),
        *(y, zero_point(dice), multiplier(dice), int(dice.choice((0, -1, -3)))),
        *(zero_point(dice), multiplier(dice), output, -128, 127),
    ]


def adds() -> list[Case]:
    dice = np.random.default_rng(10)
    found = []
    for left, right in PAIRS * 3:
        x, y = (T(integers(dice, shape), CHANNELS_LAST) for shape in (left, right))
        wide = left if np.prod(left) > np.prod(right) else right
        case = with_output("quantized_add", add_arguments(dice, x, y), CHANNELS_LAST)
        assert case.outputs[0].shape == wide
        found.append(case)
    for shape in ((1,), (33,), (7, 5), (2, 3, 4), (2, 2, 2, 2, 3)):
        x, y = (T(integers(dice, shape)) for _ in range(2))
        found.append(with_output("quantized_add", add_arguments(dice, x, y)))
    # Corners: shifts beyond 31 both ways, sums that wrap, narrow activation ranges, mixed memory layouts.
    x, y = (T(integers(dice, (2, 3, 4, 5))) for _ in range(2))
    for shift in (-31, -32, -40, -62, -63, 4, 12, 31, 33, 40):
        mixed = [*add_arguments(dice, x, replace(y, dim_order=CHANNELS_LAST))]
        mixed[3], mixed[10] = shift, -shift if shift > 0 else -8
        found.append(with_output("quantized_add", mixed))
        mixed = [*add_arguments(dice, x, y)]
        mixed[10], mixed[11], mixed[12] = shift, -20, 30
        found.append(with_output("quantized_add", mixed))
    for extreme in (INT32.min, INT32.max, 0):
        odd = add_arguments(dice, x, y)
        odd[2], odd[9] = extreme, extreme
        found.append(with_output("quantized_add", odd))
    return found


def muls() -> list[Case]:
    dice = np.random.default_rng(11)
    found = []
    for left, right in PAIRS * 2:
        for shift in (-6, -7, -8, 0, -33):
            x, y = (T(integers(dice, shape), CHANNELS_LAST) for shape in (left, right))
            scale = (zero_point(dice), multiplier(dice), shift)
            arguments = [x, zero_point(dice), y, zero_point(dice), *scale]
            found.append(with_output("quantized_mul", arguments, CHANNELS_LAST))
    return found


def divs() -> list[Case]:
    dice = np.random.default_rng(12)
    found = []
    for dtype in ("int8", "int16"):
        for shape in ((1,), (19,), (2, 3, 4, 5)):
            for scale in (3.7, 0.013, 1.0, 250.0, 1e9):
                x, y = (T(integers(dice, shape, dtype)) for _ in range(2))
                # A zero divisor, and quotients of one half.
                points = (zero_point(dice), zero_point(dice))
                y.array.flat[0] = points[1]
                arguments = [x, points[0], y, points[1], zero_point(dice), scale]
                found.append(with_output("quantized_div", arguments))
    grid = np.arange(-128, 128, dtype="int8")
    every = [T(np.repeat(grid, 256)), 3, T(np.tile(grid, 256)), -5, 1, 7.5]
    return [*found, with_output("quantized_div", every)]


def minmaxes() -> list[Case]:
    dice = np.random.default_rng(13)
    found = []
    shapes = [
        *PAIRS,
        ((4, 5), (1,)),
        ((4, 5), ()),
        ((3, 1, 5), (2, 1)),
        ((2, 3, 4), (3, 1)),
        ((5,), (2, 1, 5)),
    ]
    for operator in ("minimum", "maximum"):
        for left, right in shapes:
            for dtype in ("int8", "int16", "int32", "float32"):
                x, y = (np.array(values(dice, shape, dtype)) for shape in (left, right))
                order = CHANNELS_LAST if len(left) == len(right) == 4 else None
                case = with_output(operator, [T(x, order), T(y, order)], order)
                found.append(case)
    return found


def values(dice, shape, dtype):
    if dtype != "float32":
        return integers(dice, shape, dtype)
    found = dice.standard_normal(shape).astype(dtype)
    if found.size > 4:
        found.flat[:4] = [np.nan, np.inf, -np.inf, 0]
    return found


@pytest.mark.parametrize("make", [adds, muls, divs, minmaxes])
def test_exact(make, tmp_path):
    cases = make()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs) == []
    assert share_that_varies(outputs) > 0.6


def test_one_bit_of_a_multiplier_is_noticed(tmp_path):
    grid = np.arange(-128, 128, dtype="int8")
    arguments = [T(np.repeat(grid, 256)), 3, T(np.tile(grid, 256)), -5, 1, 1 << 30, -6]
    case = with_output("quantized_mul", arguments)
    off = Case(case.operator, [*arguments[:5], (1 << 30) + (1 << 12), -6], case.outputs)
    ((good,), (bad,)) = run_cases([case, off], tmp_path)
    assert np.array_equal(good, definition(case))
    assert not np.array_equal(bad, definition(case))


def test_types_without_a_definition_are_refused():
    x = T(np.zeros(4, "int16"))
    case = Case("cortex_m::quantized_mul.out", [x, 0, x, 0, 0, 1 << 30, 0], [Out((4,), "int16")])
    with pytest.raises(McuError, match="no kernel for int16"):
        compile_program(program_of(case)[0], "wide")
