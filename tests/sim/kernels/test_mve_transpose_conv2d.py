"""Helium's transposed convolutions equal the reference kernel bit for bit, on the simulated core."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import EPILOGUES, differing, share_that_varies, with_weight_changed
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "corstone-300"
# Batch, height and width of the image, input and output channels, the window.
SHAPES = [
    ((1, 4, 5), 16, 8, (2, 2)),
    ((2, 3, 3), 32, 3, (2, 2)),
    ((1, 2, 7), 48, 5, (3, 1)),
    ((2, 1, 4), 16, 1, (1, 4)),
    ((1, 5, 7), 7, 7, (3, 3)),
    ((1, 3, 6), 12, 13, (2, 2)),
]
KERNELS = {"mve_transposed_tiles_s8", "mve_transposed_image_tiles_s8"}


# Likewise; strides, padding and output padding.
OVERLAPPING = [
    (((1, 4, 5), 16, 8, (4, 4)), (2, 2), (1, 1), (0, 0)),
    (((2, 3, 3), 20, 3, (3, 3)), (2, 2), (1, 1), (1, 1)),
    (((1, 5, 6), 8, 5, (3, 3)), (2, 2), (0, 0), (0, 0)),
    (((1, 1, 9), 24, 6, (1, 4)), (1, 2), (0, 1), (0, 0)),
    (((1, 9, 1), 3, 6, (5, 1)), (2, 1), (2, 0), (1, 0)),
    (((1, 4, 4), 17, 4, (3, 2)), (1, 2), (1, 0), (0, 0)),
    (((1, 2, 3), 70, 2, (5, 5)), (2, 2), (3, 4), (0, 0)),
    (((1, 3, 2), 5, 9, (2, 2)), (1, 1), (0, 0), (0, 0)),
    (((1, 5, 9), 13, 6, (5, 5)), (3, 3), (1, 1), (0, 0)),
    (((1, 6, 9), 12, 9, (3, 3)), (2, 2), (1, 1), (1, 1)),
    (((2, 5, 10), 24, 5, (4, 4)), (2, 2), (1, 1), (0, 0)),
    (((1, 3, 6), 16, 7, (2, 2)), (3, 3), (0, 0), (1, 1)),  # with gaps
]


def case(
    dice: np.random.Generator,
    shape: tuple[tuple[int, int, int], int, int, tuple[int, int]],
    epilogue: Sequence[int],
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int] = (0, 0),
    behind: tuple[int, int] = (0, 0),
) -> Case:
    (n, height, width), inputs, outputs, window = shape
    stride = stride or window
    x = T(dice.integers(-128, 128, (n, inputs, height, width)).astype(np.int8), CHANNELS_LAST)
    w = T(dice.integers(-127, 128, (outputs, *window, inputs)).astype(np.int8), constant=True)
    bias = T(dice.integers(-3000, 3000, outputs).astype(np.int32), constant=True)
    multipliers = dice.integers(1 << 30, 1 << 31, outputs).astype(np.int32)
    shifts = (dice.integers(-1, 2, outputs) - 6 - int(np.log2(inputs) / 2)).astype(np.int32)
    zero_point, low, high = epilogue
    offset, scratch = int(dice.choice((128, -127, 0, -11))), T(np.zeros(1, np.uint8))
    arguments = [x, w, bias if dice.integers(4) else None, list(stride), list(padding), list(behind)]
    arguments += [[1, 1], offset]
    arguments += [
        zero_point,
        T(multipliers, constant=True),
        T(shifts, constant=True),
        low,
        high,
        scratch,
        scratch,
    ]
    size = tuple(
        (pixels - 1) * stride[axis] + window[axis] - 2 * padding[axis] + behind[axis]
        for axis, pixels in enumerate((height, width))
    )
    output = Out((n, outputs, *size), "int8", CHANNELS_LAST)
    return Case("cortex_m::quantized_transpose_conv2d.out", arguments, [output])


def cases() -> list[Case]:
    dice = np.random.default_rng(59)
    return [case(dice, shape, epilogue) for shape in SHAPES for epilogue in EPILOGUES]


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases()
    assert {plan.steps[-1].kernel for plan in plans_on(BOARD, made)} > {"mve_transposed_image_tiles_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


def test_little_code_for_whole_vectors_equals_the_reference(tmp_path: Path) -> None:
    dice = np.random.default_rng(59)
    made = [case(dice, shape, epilogue) for shape in SHAPES[:4] for epilogue in EPILOGUES[:3]]
    kernels = {plan.steps[-1].kernel for plan in plans_on(BOARD, made, optimize="size")}
    assert kernels == {"mve_side_by_side_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, optimize="size"), wanted) == []


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_windows_that_overlap_equal_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    dice = np.random.default_rng(61)
    made = [
        case(dice, shape, EPILOGUES[(index + turn) % len(EPILOGUES)], *geometry)
        for index, (shape, *geometry) in enumerate(OVERLAPPING)
        for turn in (0, 3)
    ]
    assert {plan.steps[-1].kernel for plan in plans_on(BOARD, made)} == KERNELS
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


def test_one_other_weight_is_noticed() -> None:
    given = case(np.random.default_rng(3), SHAPES[0], EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]
