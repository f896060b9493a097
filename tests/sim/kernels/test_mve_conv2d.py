"""Helium's convolutions equal the reference kernel bit for bit, on the simulated core."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from mcu_build.kernels.helium import tile_core, tile_shapes
from tests.sim.kernels.convolution_cases import (
    EPILOGUES,
    PLAIN,
    Shape,
    case,
    cases,
    differing,
    share_that_varies,
    with_weight_changed,
)
from tests.support.cases import Case, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on
from tests.support.count_on_board import counts_on

BOARD = "corstone-300"

KERNELS = {
    "mve_pointwise_tiles_s8": [
        Shape((1, 5, 5), 16, 12),
        Shape((2, 3, 3), 64, 7),  # the last pixels' tile spans rows and images
        Shape((1, 1, 4), 100, 16),
        Shape((1, 3, 3), 132, 5),  # two pixels within a load's reach
        Shape((1, 2, 5), 508, 3),
        Shape((1, 2, 5), 17, 5),  # no whole words
        Shape((1, 3, 2), 126, 5),
        Shape((1, 3, 5), 8, 5),  # less than a vector
        Shape((2, 3, 3), 3, 9),
        Shape((1, 5, 5), 48, 24, (1, 1), groups=2),  # groups as one
    ],
    "mve_image_tiles_s8": [
        Shape((1, 9, 10), 16, 8, (3, 3)),
        Shape((2, 7, 11), 24, 5, (3, 3), padding=(1, 1)),
        Shape((1, 9, 9), 16, 8, stride=(2, 2)),
        Shape((1, 5, 8), 12, 4, (3, 5), padding=(0, 2), dilation=(2, 1)),
        Shape((1, 1, 30), 20, 9, (1, 9), padding=(0, 4)),
        Shape((1, 1, 30), 2, 9, (1, 5), padding=(0, 2)),
        Shape((2, 6, 7), 9, 4, (3, 3), padding=(1, 1)),
        Shape((1, 1, 9), 160, 4, (1, 3), padding=(0, 1)),
    ],
    "mve_dense_tiles_s8": [
        Shape((1, 9, 9), 1, 8, (3, 3), padding=(1, 1)),
        Shape((1, 9, 12), 3, 17, (3, 3), (2, 2), (1, 1)),
        Shape((2, 7, 6), 4, 4, (3, 3), padding=(1, 1)),
        Shape((1, 9, 15), 6, 3, (2, 2), (2, 3), (0, 1)),
        Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), (4, 1), copies=20),
        Shape((1, 9, 9), 8, 6, (3, 3), (2, 2), (1, 1)),
        Shape((2, 2, 2), 20, 6, (2, 2), padding=(1, 1)),
        Shape((1, 20, 1), 12, 33, (5, 1), (2, 1), (4, 0), (2, 1)),
        Shape((1, 9, 9), 5, 6, (3, 3), padding=(2, 2), dilation=(2, 2)),
        Shape((1, 9, 70), 3, 5, (3, 3), (2, 2), (1, 1)),  # more than there is room for, ends of rows apart
        Shape((2, 3, 41), 7, 9, (3, 2), padding=(2, 1)),
        Shape((1, 2, 5), 1, 2, (2, 9), padding=(1, 6)),  # windows wider than the image
    ],
    "mve_turns_tiles_s8": [
        Shape((1, 6, 8), 64, 5, (3, 3), padding=(1, 1)),
        Shape((2, 5, 8), 45, 6, (5, 5), padding=(2, 2)),
        Shape((1, 9, 25), 35, 3, (2, 3), (2, 4), (0, 1)),
        Shape((1, 3, 4), 513, 4, stride=(1, 1)),
    ],
    "mve_window_tiles_s8": [
        Shape((2, 5, 5), 45, 6, (5, 5), padding=(2, 2)),  # tiles of a row would do three pixels twice
        Shape((1, 1, 2), 64, 9),
        Shape((1, 3, 4), 16, 5, (2, 2), (2, 3)),  # one pixel, rows of the window apart
        Shape((1, 9, 9), 64, 3, (3, 3), padding=(2, 2), dilation=(2, 2)),
        Shape((3, 3, 3), 19, 2, (3, 3), (3, 3)),
    ],
    "mve_row_s8": [  # one pixel
        Shape((1, 1, 1), 49, 5),
        Shape((1, 1, 8), 24, 7, (1, 7), (1, 3)),  # of eight columns the last is not read
        Shape((1, 5, 3), 5, 6, (4, 3), (2, 1)),
        Shape((1, 4, 4), 1, 0, (4, 4), copies=6),
    ],
    "mve_row_tiles_s8": [
        Shape((1, 1, 3), 16, 16, (1, 3)),
        Shape((1, 1, 1), 7, 8),
        Shape((1, 5, 3), 5, 24, (4, 3), (2, 1)),
    ],
    "mve_rows_tiles_s8": [Shape((1, 1, 2), 64, 8), Shape((1, 1, 3), 37, 16)],  # fewer pixels than a tile has
    "mve_grouped_tiles_s8": [
        Shape((1, 6, 7), 32, 32, (3, 3), padding=(1, 1), groups=8),  # joined by fours
        Shape((2, 5, 5), 48, 96, (3, 3), (2, 2), (1, 1), groups=6),
        Shape((1, 1, 3), 96, 96, (1, 1), groups=2),
        Shape((1, 6, 6), 50, 75, (2, 3), padding=(0, 1), dilation=(1, 2), groups=5),
        Shape((1, 1, 3), 72, 81, (1, 3), padding=(0, 1), groups=3),
        Shape((1, 5, 5), 66, 30, (3, 3), padding=(1, 1), groups=2),
    ],
}
# Neighbours in the number of channels, of which the larger one may not be the faster one by more than this.
SLACK = 1.02
CHANNELS = (12, 16, 20, 24, 28, 32, 40, 48, 56, 60, 64)


def _pair(dice: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    return int(dice.integers(low, high)), int(dice.integers(low, high))


def random_shape(dice: np.random.Generator) -> Shape:
    """Channels from 1 to 130, any window, stride, padding and dilation that fits."""
    while True:
        kernel, stride, dilation = (_pair(dice, 1, end) for end in (6, 4, 3))
        padding = (int(dice.integers(kernel[0])), int(dice.integers(kernel[1])))
        image = (int(dice.integers(1, 3)), *_pair(dice, 1, 12))
        inputs, outputs = _pair(dice, 1, 131)
        groups = int(dice.choice((1, 1, 1, 2, 3, 8)))
        inputs, outputs = -(-inputs // groups) * groups, -(-outputs // groups) * groups
        if groups == inputs:
            continue  # that is a depthwise one
        shape = Shape(image, inputs, outputs, kernel, stride, padding, dilation, groups=groups)
        if min(shape.output) > 0 and np.prod(shape.output) * shape.terms < 400_000:
            return shape


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    dice = np.random.default_rng(31)
    shapes = [shape for shapes in KERNELS.values() for shape in shapes]
    shapes += [random_shape(dice) for _ in range(12)]
    made = [case(dice, shape, EPILOGUES[i % len(EPILOGUES)], i % 5 == 2) for i, shape in enumerate(shapes)]
    assert_equal(made, tmp_path, toolchain)


@pytest.mark.slow
@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
@pytest.mark.parametrize("seed", range(8))
def test_equals_the_reference_for_random_shapes(seed: int, toolchain: Toolchain, tmp_path: Path) -> None:
    dice = np.random.default_rng(1000 + seed)
    made = [
        case(dice, random_shape(dice), EPILOGUES[int(dice.integers(len(EPILOGUES)))], bool(dice.integers(2)))
        for _ in range(40)
    ]
    assert_equal(made, tmp_path, toolchain)


@pytest.mark.slow
def test_every_stage_equals_the_reference(tmp_path: Path) -> None:
    assert_equal(cases(31, [shape for shapes in KERNELS.values() for shape in shapes]), tmp_path, "arm-clang")


def assert_equal(made: list[Case], folder: Path, toolchain: Toolchain) -> None:
    (folder / "host").mkdir()
    wanted = run_cases(made, folder / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.8


def test_fewer_channels_take_no_longer() -> None:
    """Neither of the input nor of the output, so that removing channels never makes a layer slower."""
    dice = np.random.default_rng(5)
    # Pixels of less than a vector are loaded with a predicate, which costs up to a sixth more.
    pointwise = [Shape((1, 6, 6), inputs, 16) for inputs in CHANNELS[1:]]
    square = [Shape((1, 6, 6), inputs, 8, (3, 3), padding=(1, 1)) for inputs in CHANNELS]
    outputs = [Shape((1, 6, 6), 64, channels) for channels in (1, 3, 4, 5, 8, 28, 29, 32)]
    shapes = [*pointwise, *square, *outputs]
    counts = counts_on(BOARD, [case(dice, shape, PLAIN) for shape in shapes])
    families = np.split(np.array(counts), np.cumsum([len(pointwise), len(square)]))
    for taken in families[:2]:
        assert (taken[:-1] <= SLACK * taken[1:]).all(), taken
    # A last quad that is not whole makes storing dearer, by less than its channels.
    assert (families[2][:-1] <= 1.16 * families[2][1:]).all(), families[2]
    # What a product takes falls as channels are added: there are no cliffs.
    for taken in families[:2]:
        each = taken / np.array(CHANNELS[-len(taken) :])
        assert (each[1:] <= 1.16 * each[:-1]).all(), each


def test_cores_are_shared() -> None:
    """However many sizes layers have, vectors in turns need four cores, for what is left of a round."""
    epilogue = tile_core.TileEpilogue()
    cores = [
        tile_core.emit(tile_shapes.im2col_of(1, 16 * vectors).core, epilogue) for vectors in range(5, 60)
    ]
    assert len({core.name for core in cores}) == len({core.text for core in cores}) == 4


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_general_kernels_serve_every_shape_where_size_counts(toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(37, [shape for shapes in KERNELS.values() for shape in shapes[:2] if shape.groups == 1])
    kernels = {plan.steps[-1].kernel for plan in plans_on(BOARD, made, optimize="size")}
    assert kernels == {"mve_pointwise_s8", "mve_conv_im2col_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain, optimize="size"), wanted) == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_is_the_one_for_the_shape(kernel: str) -> None:
    for plan in plans_on(BOARD, [case(np.random.default_rng(1), shape, PLAIN) for shape in KERNELS[kernel]]):
        assert plan.steps[-1].kernel == kernel


def test_one_other_weight_is_noticed() -> None:
    given = case(np.random.default_rng(3), Shape((1, 9, 9), 64, 12), EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]


def test_a_shift_to_the_left_goes_elsewhere() -> None:
    given = case(np.random.default_rng(4), Shape((1, 5, 5), 64, 12), PLAIN)
    arguments = list(given.arguments)
    arguments[9].array[3] = 1
    (plan,) = plans_on(BOARD, [given])
    assert not any(step.kernel.startswith("mve_") for step in plan.steps)
