"""Helium's sums and averages equal the reference kernels bit for bit, on the simulated core."""

from math import frexp
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "corstone-300"
TOOLCHAINS = ("arm-clang", "arm-gcc")


def every_pair(
    first: tuple[int, int, int], second: tuple[int, int, int], output: tuple[int, int, int]
) -> Case:
    """The sum of all pairs of values, by zero point, multiplier and shift of each."""
    values = np.arange(-128, 128).astype(np.int8)
    operands = T(np.repeat(values, 256)), T(np.tile(values, 256))
    arguments = [operands[0], *first, operands[1], *second, *output, -128, 127]
    return Case("cortex_m::quantized_add.out", arguments, [Out((65536,), "int8")])


def fixed_point(real: float) -> tuple[int, int]:
    """Multiplier and shift of a requantization."""
    mantissa, shift = frexp(real)
    return round(mantissa * (1 << 31)), shift


def sums() -> list[Case]:
    dice = np.random.default_rng(61)
    found = [every_pair((25, 1 << 30, 0), (-128, 1676959986, -2), (-128, 1190280823, -17))]
    for zero_point in (-128, 127, 0, 17, -3):
        scales = [int(dice.integers(1 << 30, 1 << 31)) for _ in range(3)]
        ends = dice.choice((-128, 127, 0, 40), 2).tolist()
        found.append(
            every_pair((ends[0], scales[0], 0), (ends[1], scales[1], -1), (zero_point, scales[2], -18))
        )
    return found


def short_sum(count: int) -> Case:
    dice = np.random.default_rng(count)
    x, y = (T(dice.integers(-128, 128, count).astype(np.int8)) for _ in range(2))
    arguments = [x, 3, 1 << 30, 0, y, -5, 1676959986, -1, 7, 1190280823, -18, -128, 127]
    return Case("cortex_m::quantized_add.out", arguments, [Out((count,), "int8")])


def average(
    image: tuple[int, int, int, int],
    kernel: tuple[int, int],
    padding: tuple[int, int],
    stride: tuple[int, int] = (2, 2),
) -> Case:
    dice = np.random.default_rng(image[1])
    x = T(dice.integers(-128, 128, image).astype(np.int8), CHANNELS_LAST)
    sizes = [(image[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    zero_point = int(dice.choice((-128, 127, -3)))
    scratch = T(np.zeros(1, np.uint8))
    arguments = [x, list(kernel), list(stride), list(padding), False, zero_point, 1 << 30, 1, scratch]
    return Case(
        "cortex_m::quantized_avg_pool2d.out", arguments, [Out((*image[:2], *sizes), "int8", CHANNELS_LAST)]
    )


AVERAGES = [
    average((1, 64, 25, 5), (25, 5), (0, 0)),
    average((2, 5, 7, 6), (3, 2), (1, 1)),
    average((1, 9, 8, 8), (2, 2), (0, 0)),
    average((1, 20, 15, 17), (15, 17), (0, 0)),
    average((1, 1, 9, 13), (5, 1), (2, 0), (1, 1)),
    average((2, 17, 6, 5), (3, 1), (0, 0), (3, 1)),
    average((1, 13, 5, 7), (3, 3), (2, 2)),
    average((1, 37, 4, 4), (1, 1), (0, 0)),
    average((2, 3, 9, 8), (3, 3), (1, 1), (1, 1)),
    average((1, 21, 6, 7), (2, 3), (0, 1), (1, 1)),
]


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_every_sum_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = [*sums(), *(short_sum(count) for count in (1, 3, 4, 33))]
    assert {plan.steps[0].kernel for plan in plans_on(BOARD, made)} == {"mve_add_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_averages_equal_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    assert {plan.steps[0].kernel for plan in plans_on(BOARD, AVERAGES)} == {"mve_avg_pool2d_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(AVERAGES, tmp_path / "host")
    assert differing(run_cases_on(BOARD, AVERAGES, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


def test_windows_of_more_than_255_pixels_go_elsewhere() -> None:
    (plan,) = plans_on(BOARD, [average((1, 4, 16, 16), (16, 16), (0, 0))])
    assert not any(step.kernel.startswith("mve_") for step in plan.steps)


def test_sums_of_any_scales_have_factors() -> None:
    """Operands are rescaled to twice the larger scale, as the quantizer does."""
    dice = np.random.default_rng(7)
    made = []
    for _ in range(60):
        scales = np.exp(dice.uniform(np.log(0.01), np.log(0.1), 2))
        common, output = 2 * scales.max(), scales.sum() * dice.uniform(0.4, 1.1)
        rescales = [*(scales / common), common / output / (1 << 20)]
        points = [int(point) for point in dice.integers(-128, 128, 3)]
        first, second, last = ((z, *fixed_point(r)) for z, r in zip(points, rescales, strict=True))
        made.append(every_pair(first, second, last))
    assert {plan.steps[0].kernel for plan in plans_on(BOARD, made)} == {"mve_add_s8"}


def test_sums_that_wrap_go_elsewhere() -> None:
    given = every_pair((0, (1 << 31) - 1, 4), (0, (1 << 31) - 1, 4), (0, 1 << 30, -18))
    assert plans_on(BOARD, [given])[0].steps[0].kernel != "mve_add_s8"


def test_another_scale_is_noticed() -> None:
    made = [
        every_pair((0, 1 << 30, 0), (0, multiplier, -1), (0, 1190280823, -18))
        for multiplier in (1676959986, 1676959986 + (1 << 22))
    ]
    outputs = run_cases_on(BOARD, made)
    assert differing(outputs[:1], outputs[1:]) == [0]
