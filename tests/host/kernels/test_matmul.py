"""quantized_linear and quantized_batch_matmul equal the Python definitions bit for bit."""

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import (
    definition,
    differing,
    integers,
    same,
    share_that_varies,
    with_output,
)
from tests.host.kernels.exact import requantize
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of, run_cases

# Leading dimensions, inputs, outputs.
LINEAR = [
    ((1,), 1, 1),
    ((1,), 64, 10),
    ((3,), 17, 5),
    ((2, 3), 33, 4),
    ((2, 1, 3), 7, 19),
    ((), 12, 6),
    ((1, 2, 2, 3), 5, 16),
]
# Batch, rows, columns, inner.
PRODUCTS = [(1, 1, 1, 1), (1, 4, 5, 6), (3, 2, 7, 17), (2, 16, 16, 33), (4, 1, 9, 8), (1, 5, 1, 3)]


def scale(dice, sums: np.ndarray) -> tuple[int, int]:
    """A multiplier and a shift that spread `sums` beyond int8 on both sides, and now and then a corner."""
    bits = int(np.abs(sums).max()).bit_length()
    return int(dice.integers(1 << 30, 1 << 31)), int(dice.choice([9 - bits] * 7 + [0, -33]))


def ends(dice) -> int:
    return int(dice.choice((-128, 127, 0, 9)))


def linear() -> list[Case]:
    dice = np.random.default_rng(30)
    found = []
    for leading, inputs, outputs in LINEAR * 2:
        for form in ("bias", "kernel_sum", "neither"):
            for filter_offset in (0, 3, -128):
                x, w = integers(dice, (*leading, inputs)), integers(dice, (outputs, inputs))
                offset = -ends(dice)
                bias = dice.integers(-2000, 2000, (1, outputs)).astype(np.int32)
                sums = bias + offset * (w.astype(np.int32) + filter_offset).sum(1, dtype=np.int32)
                exact = (x.astype(int) + offset) @ (w.astype(int) + filter_offset).T
                multiplier, shift = scale(dice, exact)
                low, high = (-128, 127) if dice.integers(3) else (-30, 50)
                arguments = [
                    T(x),
                    T(w, constant=True),
                    T(bias[0], constant=True) if form == "bias" else None,
                    T(sums, constant=True) if form == "kernel_sum" else None,
                    *(offset, filter_offset, ends(dice), [multiplier], [shift], high, low),
                ]
                found.append(with_output("quantized_linear", arguments))
    return found


def products() -> list[Case]:
    dice = np.random.default_rng(31)
    found = []
    for batch, rows, columns, inner in PRODUCTS * 4:
        left, right = integers(dice, (batch, rows, inner)), integers(dice, (batch, columns, inner))
        offsets = [-ends(dice), -ends(dice)]
        exact = np.einsum("brk,bck->brc", left.astype(int) + offsets[0], right.astype(int) + offsets[1])
        multiplier, shift = scale(dice, exact)
        arguments = [T(left), offsets[0], T(right), offsets[1], ends(dice), multiplier, shift, scratch()]
        found.append(with_output("quantized_batch_matmul", arguments))
    return found


def scratch() -> T:
    return T(np.zeros(1, np.uint8))


@pytest.mark.parametrize("make", [linear, products])
def test_exact(make, tmp_path):
    cases = make()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs) == []
    assert share_that_varies(outputs) > 0.7


def test_operands_and_output_in_other_orders_of_memory(tmp_path):
    dice = np.random.default_rng(32)
    x, w = integers(dice, (2, 3, 4, 5)), T(integers(dice, (6, 5)), constant=True)
    arguments = [T(x, CHANNELS_LAST), w, None, None, 128, 0, -128, [1 << 30], [-7], 127, -128]
    case = with_output("quantized_linear", arguments, CHANNELS_LAST)
    assert differing([case], run_cases([case], tmp_path)) == []


def test_sums_beyond_the_float_definition(tmp_path):
    """Above 2^24 the product's definition, in float32, rounds; integers are the truth."""
    dice = np.random.default_rng(33)
    left, right = (dice.integers(90, 128, shape).astype(np.int8) for shape in ((1, 3, 700), (1, 4, 700)))
    multiplier, shift = (1 << 31) - 12345, -19
    arguments = [T(left), 128, T(right), 128, -100, multiplier, shift, scratch()]
    case = Case("cortex_m::quantized_batch_matmul.out", arguments, [Out((1, 3, 4), "int8")])
    ((output,),) = run_cases([case], tmp_path)
    sums = np.einsum("brk,bck->brc", left.astype(np.int64) + 128, right.astype(np.int64) + 128)
    assert sums.min() > 1 << 24
    want = np.clip(requantize(sums, multiplier, shift) - 100, -128, 127)
    assert same(output, want.astype(np.int8))
    assert np.unique(output).size > 1


@pytest.mark.parametrize(("argument", "change"), [(5, 1 << 20), (6, 1), (1, 1)])
def test_a_changed_multiplier_shift_or_offset_is_noticed(argument, change, tmp_path):
    dice = np.random.default_rng(35)
    left, right = T(integers(dice, (2, 16, 33))), T(integers(dice, (2, 16, 33)))
    arguments = [left, 3, right, -2, 5, 1 << 30, -10, scratch()]
    case = with_output("quantized_batch_matmul", arguments)
    arguments[argument] -= change
    good, bad = run_cases([case, Case(case.operator, arguments, case.outputs)], tmp_path)
    assert same(good[0], definition(case))
    assert not np.array_equal(bad[0], definition(case))


def test_macs_are_counted():
    dice = np.random.default_rng(34)
    arguments = [T(integers(dice, (2, 3, 4))), 0, T(integers(dice, (2, 5, 4))), 0, 0, 1 << 30, 0, scratch()]
    case = Case("cortex_m::quantized_batch_matmul.out", arguments, [Out((2, 3, 5), "int8")])
    assert sum(step.macs for step in compile_program(program_of(case)[0], "bmm").steps) == 2 * 3 * 4 * 5


def test_shapes_that_do_not_fit_are_refused():
    x, w = T(np.zeros((2, 5), "int8")), T(np.zeros((3, 4), "int8"), constant=True)
    arguments = [x, w, None, None, 0, 0, 0, [1 << 30], [0], 127, -128]
    case = Case("cortex_m::quantized_linear.out", arguments, [Out((2, 3), "int8")])
    with pytest.raises(McuError, match=r"weights \(3, 4\) do not take \(2, 5\)"):
        compile_program(program_of(case)[0], "misfit")
