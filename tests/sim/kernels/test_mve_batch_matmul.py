"""Helium's products of matrices equal the reference kernel bit for bit, on the simulated core."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.support.cases import Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "corstone-300"
# Batch, rows, columns, inner.
SHAPES = [
    (2, 16, 16, 16),
    (1, 3, 5, 40),
    (3, 1, 1, 1),
    (1, 7, 9, 17),
    (2, 2, 4, 64),
    (1, 5, 3, 300),
    (1, 9, 6, 13),
]
# Zero point of the output, and what operands are offset by.
EPILOGUES = [(-128, 0, 0), (127, 128, -127), (5, -3, 11), (-20, 128, 128)]


def product(
    dice: np.random.Generator, shape: tuple[int, int, int, int], epilogue: tuple[int, int, int]
) -> Case:
    batch, rows, columns, inner = shape
    left = T(dice.integers(-128, 128, (batch, rows, inner)).astype(np.int8))
    right = T(dice.integers(-128, 128, (batch, columns, inner)).astype(np.int8))
    zero_point, left_offset, right_offset = epilogue
    # Larger sums where offsets add up.
    shift = -7 - int(np.log2(inner) / 2) - (int(np.log2(inner) / 2) + 1 if min(epilogue[1:]) == 128 else 0)
    multiplier = int(dice.integers(1 << 30, 1 << 31))
    scratch = T(np.zeros(1, np.uint8))
    arguments = [left, left_offset, right, right_offset, zero_point, multiplier, shift, scratch]
    output = Out((batch, rows, columns), "int8")
    return Case("cortex_m::quantized_batch_matmul.out", arguments, [output])


def cases() -> list[Case]:
    dice = np.random.default_rng(53)
    return [product(dice, shape, epilogue) for shape in SHAPES for epilogue in EPILOGUES]


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases()
    assert {plan.steps[-1].kernel for plan in plans_on(BOARD, made)} == {"mve_batch_matmul_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.8


def test_a_shift_to_the_left_goes_elsewhere() -> None:
    given = product(np.random.default_rng(1), SHAPES[0], EPILOGUES[0])
    arguments = [*given.arguments[:6], 1, given.arguments[7]]
    (plan,) = plans_on(BOARD, [Case(given.operator, arguments, given.outputs)])
    assert not plan.steps[-1].kernel.startswith("mve_")


def test_one_other_value_is_noticed() -> None:
    given = product(np.random.default_rng(2), (1, 4, 4, 17), EPILOGUES[2])
    changed = given.arguments[2].array.copy()  # type: ignore[union-attr]
    changed[0, 3, 16] ^= 64
    other = Case(given.operator, [*given.arguments[:2], T(changed), *given.arguments[3:]], given.outputs)
    outputs = run_cases_on(BOARD, [given, other])
    assert differing(outputs[:1], outputs[1:]) == [0]
