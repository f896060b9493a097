"""Means, resizing, and sums of operands that broadcast equal the reference bit for bit on every core."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

CORES = {"corstone-300": "mve", "mps2-an386": "dsp"}


def mean(
    image: tuple[int, int, int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    zero_points: tuple[int, int],
) -> Case:
    """The average of windows of [n, c, h, w], in another scale."""
    dice = np.random.default_rng(image[1] + image[2])
    x = T(dice.integers(-128, 128, image).astype(np.int8), CHANNELS_LAST)
    tables: list[T] = []
    sizes = []
    for size, taps, step in zip(image[2:], window, stride, strict=True):
        starts = np.arange(0, size - taps + 1, step)
        weights = np.full((len(starts), taps), (1 << 14) >> (taps - 1).bit_length())
        tables += [T(starts.astype(np.int32), constant=True), T(weights.astype(np.int16), constant=True)]
        sizes.append(len(starts))
    arguments = [x, *tables, *zero_points, int(dice.integers(1 << 30, 1 << 31)), -20]
    return Case("mcu_build::resample.out", arguments, [Out((*image[:2], *sizes), "int8", CHANNELS_LAST)])


def resized(
    image: tuple[int, int, int, int],
    output: tuple[int, int],
    taps: tuple[int, int],
    zero_points: tuple[int, int],
    scaling: tuple[int, int],
) -> Case:
    """Windows anywhere, of any weights that are 1 and a half together at most."""
    dice = np.random.default_rng(sum(image))
    x = T(dice.integers(-128, 128, image).astype(np.int8), CHANNELS_LAST)
    tables: list[T] = []
    for size, wanted, count in zip(image[2:], output, taps, strict=True):
        starts = dice.integers(0, size - count + 1, wanted)
        weights = dice.integers(-12_000 // count, 24_000 // count, (wanted, count))
        tables += [T(starts.astype(np.int32), constant=True), T(weights.astype(np.int16), constant=True)]
    shape = (*image[:2], *output)
    return Case(
        "mcu_build::resample.out", [x, *tables, *zero_points, *scaling], [Out(shape, "int8", CHANNELS_LAST)]
    )


def total(first: tuple[int, ...], second: tuple[int, ...], zero_point: int) -> Case:
    """The sum of operands that broadcast."""
    dice = np.random.default_rng(len(first) + sum(first) + sum(second))
    x, y = (T(dice.integers(-128, 128, shape).astype(np.int8)) for shape in (first, second))
    arguments = [x, 3, 1 << 30, 0, y, -5, 1676959986, -1, zero_point, 1190280823, -18, -128, 127]
    shape = np.broadcast_shapes(first, second)
    return Case("cortex_m::quantized_add.out", arguments, [Out(shape, "int8")])


MEANS = [
    mean((1, 1, 50, 24), (50, 1), (1, 1), (-128, 3)),  # over time
    mean((2, 1, 9, 37), (1, 37), (1, 1), (5, -128)),  # of lines
    mean((2, 7, 6, 5), (6, 5), (1, 1), (127, 0)),  # of images
    mean((1, 20, 9, 8), (1, 8), (1, 1), (-3, 127)),
    mean((3, 9, 8, 5), (8, 1), (1, 1), (0, 0)),
    mean((1, 8, 9, 9), (3, 3), (2, 2), (-7, 4)),
    mean((1, 3, 8, 9), (2, 3), (2, 3), (-128, -128)),
    mean((1, 5, 300, 1), (300, 1), (1, 1), (-128, 10)),  # beyond 16 bits
    mean((1, 1, 1, 1), (1, 1), (1, 1), (9, -9)),
    mean((1, 5, 40, 20), (40, 20), (1, 1), (127, -128)),
    mean((1, 1, 700, 1), (700, 1), (1, 1), (-128, -1)),
]
RESIZED = [
    resized((1, 8, 5, 7), (10, 14), (2, 2), (-128, 127), (1 << 30, -20)),
    resized((2, 5, 4, 6), (3, 5), (4, 3), (127, -128), (1_500_000_000, -21)),
    resized((1, 1, 1, 9), (1, 20), (1, 9), (-7, 4), (2_000_000_000, -22)),
    resized((1, 19, 3, 3), (7, 2), (2, 2), (0, 0), (1 << 30, -19)),
]
SUMS = [
    total((4, 5, 24), (24,), 7),
    total((17,), (3, 2, 17), -128),
    total((3, 5, 33), (3, 5, 1), 127),
    total((2, 1, 7), (2, 9, 7), 0),
    total((6, 1), (6, 40), -3),
    total((5, 3), (3,), 12),
]


@pytest.mark.parametrize("board", CORES)
@pytest.mark.parametrize("toolchain", ["arm-clang", pytest.param("arm-gcc", marks=pytest.mark.slow)])
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made, core = [*MEANS, *RESIZED, *SUMS], CORES[board]
    kernels = [plan.steps[0].kernel.rpartition("_s8")[0] for plan in plans_on(board, made)]
    wanted = [*["mean"] * len(MEANS), *["resample"] * len(RESIZED), *["add_lines"] * len(SUMS)]
    assert [kernel.removeprefix(f"{core}_").removesuffix("_22") for kernel in kernels] == wanted
    (tmp_path / "host").mkdir()
    outputs = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), outputs) == []
    assert share_that_varies(outputs) > 0.6


@pytest.mark.parametrize("board", ["microbit", pytest.param("mps2-an385", marks=pytest.mark.slow)])
def test_means_equal_the_reference_without_the_extension(board: str, tmp_path: Path) -> None:
    assert {plan.steps[0].kernel for plan in plans_on(board, MEANS)} == {"thumb_mean_s8"}
    outputs = run_cases(MEANS, tmp_path)
    assert differing(run_cases_on(board, MEANS), outputs) == []
    assert share_that_varies(outputs) > 0.6


def test_another_mean_is_noticed() -> None:
    made = [mean((1, 8, 9, 9), (3, 3), (2, 2), (zero_point, 4)) for zero_point in (-7, -9)]
    outputs = run_cases_on("mps2-an386", made)
    assert differing(outputs[:1], outputs[1:]) == [0]


@pytest.mark.parametrize(
    ("weights", "shift", "kernel"),
    [
        ([8192, 8192], -20, "dsp_mean_s8"),
        ([4000, 4384], -20, "dsp_resample_s8"),
        ([100, 100], -20, "dsp_resample_s8"),  # whose lines are rounded
        ([8192, 8192], 1, "resample_s8"),
    ],
)
def test_what_is_not_exact_is_left_to_the_next(weights: list[int], shift: int, kernel: str) -> None:
    x = T(np.zeros((1, 4, 1, 2), np.int8), CHANNELS_LAST)
    one = (T(np.zeros(1, np.int32), constant=True), T(np.full((1, 1), 1 << 14, np.int16), constant=True))
    two = (one[0], T(np.array([weights], np.int16), constant=True))
    given = Case(
        "mcu_build::resample.out", [x, *one, *two, 0, 0, 1 << 30, shift], [Out((1, 4, 1, 1), "int8")]
    )
    assert [plan.steps[0].kernel for plan in plans_on("mps2-an386", [given])] == [kernel]
