"""Helium's depthwise convolutions equal the reference kernel bit for bit, on the simulated core."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
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

BOARD = "corstone-300"


def shapes(stride: int) -> list[Shape]:
    """Channels with and without a rest of 16, odd and even sizes, rows to their end and beyond.

    Of a stride of two there are two outputs a channel: one is rather made with channels in lanes.
    """
    copies = stride
    squares = [
        Shape(image, channels, 0, (3, 3), (stride, stride), padding, copies=copies)
        for channels in (8, 16, 20, 5)
        for padding in ((1, 1), (0, 0))
        for image in ((1, 6, 6), (2, 7, 5))
    ]
    tall = Shape((1, 25, 5), 64, 0, (3, 3), (stride, stride), (1, 1), copies=copies)
    behind = Shape((1, 12, 24), 8, 0, (3, 3), (stride, stride), (0, 0), copies=copies, behind=(1, 1))
    wide = [
        Shape((batch, 5, 21), channels, 0, (3, 3), (stride, stride), padding, copies=copies)
        for batch, channels, padding in ((2, 5, (1, 1)), (1, 24, (0, 2)), (1, 16, (1, 0)))
    ]
    return [*squares, tall, behind, *wide]


# Of two outputs a channel, which leaves no other kernel, but for those that this one is the quickest for.
WINDOWS = [
    Shape((1, 12, 12), 16, 0, (5, 5), padding=(2, 2), copies=1),
    Shape((1, 9, 11), 20, 0, (7, 7), (2, 2), (3, 3), copies=1),
    Shape((2, 7, 6), 5, 0, (5, 5), (2, 2), (2, 2), copies=2),
    Shape((1, 6, 6), 4, 0, (3, 3), padding=(1, 1), copies=2),
    Shape((1, 9, 40), 16, 0, (5, 3), padding=(2, 1), copies=1),
    Shape((1, 10, 10), 18, 0, (4, 8), (1, 2), (1, 3), copies=3),
    Shape((1, 9, 9), 33, 0, (3, 3), (3, 3), (1, 1), copies=2),
    Shape((1, 9, 9), 8, 0, (3, 3), padding=(2, 2), dilation=(2, 2), copies=2),
    Shape((1, 1, 30), 24, 0, (1, 15), padding=(0, 7), copies=2),
    Shape((1, 30, 1), 24, 0, (15, 1), (2, 1), (3, 0), copies=2),
    Shape((1, 9, 1), 4, 0, (3, 3), padding=(1, 1), copies=2),
    Shape((1, 12, 9), 7, 0, (8, 2), (3, 7), (2, 0), copies=2),
    Shape((1, 1, 30), 16, 0, (1, 5), padding=(0, 4), dilation=(1, 2), copies=2),  # with zeros between
    Shape((1, 14, 15), 9, 0, (4, 5), (1, 2), (3, 4), (2, 3), copies=1),
    # One channel, whose columns are copied sixteen at a time.
    Shape((1, 9, 37), 1, 0, (3, 3), padding=(1, 1), copies=8),
    Shape((2, 8, 32), 1, 0, (3, 3), (2, 2), (1, 1), copies=5),
]
LANES = [
    Shape((1, 1, 5), 32, 0, (1, 5), copies=1),
    Shape((1, 1, 9), 19, 0, (1, 3), dilation=(1, 4), copies=1),
    Shape((1, 4, 5), 15, 0, (3, 2), (1, 3), copies=1),
    Shape((1, 12, 12), 4, 0, (9, 3), copies=1),  # windows that the others do not reach
    Shape((1, 9, 12), 4, 0, (3, 3), (3, 8), (1, 1), copies=1),
    Shape((2, 7, 6), 5, 0, (5, 5), (2, 2), (2, 2), copies=1),
    Shape((1, 30, 1), 24, 0, (15, 1), (2, 1), (3, 0), copies=1),
    Shape((1, 1, 33), 3, 0, (1, 5), padding=(0, 2), copies=1),  # eight pixels as one, and a rest of one
    Shape((1, 4, 5), 160, 0, (3, 3), (2, 2), (1, 1), copies=1),  # taps that no load reaches
    Shape((1, 3, 9), 12, 0, copies=1),
    Shape((1, 19, 5), 8, 0, (3, 3), (2, 2), (1, 1), copies=1),  # in strips
    Shape((1, 3, 3), 24, 0, (3, 3), copies=1),  # one pixel
    Shape((1, 4, 5), 160, 0, (4, 5), copies=1),  # one of more taps, in a loop
]
ELSEWHERE = [
    Shape((1, 12, 12), 4, 0, (9, 3), padding=(4, 1), copies=2),
    Shape((1, 4, 20), 4, 0, (3, 17), padding=(1, 8), copies=2),
    Shape((1, 12, 12), 4, 0, (5, 5), padding=(4, 4), dilation=(2, 2), copies=2),
    Shape((1, 9, 12), 4, 0, (3, 3), (3, 8), (1, 1), copies=2),
]


def random_window(dice: np.random.Generator) -> Shape:
    """A window, a stride and an image of any size, with one to three outputs a channel."""
    while True:
        kernel = (int(dice.integers(1, 9)), int(dice.integers(1, 9)))
        stride = (int(dice.integers(1, 4)), int(dice.integers(1, 4)))
        padding = (int(dice.integers(kernel[0])), int(dice.integers(kernel[1])))
        image = (int(dice.integers(1, 3)), int(dice.integers(1, 14)), int(dice.integers(1, 26)))
        channels, copies = int(dice.integers(2, 50)), int(dice.choice((1, 1, 2, 3)))
        shape = Shape(image, channels, 0, kernel, stride, padding, copies=copies)
        if min(shape.output) > 0:
            return shape


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_windows_equal_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    dice = np.random.default_rng(43)
    given = [*WINDOWS, *LANES, *(random_window(dice) for _ in range(6))]
    made = [case(dice, shape, EPILOGUES[i % len(EPILOGUES)], i % 5 == 2) for i, shape in enumerate(given)]
    steps = [plan.steps[-1] for plan in plans_on(BOARD, made[: len(WINDOWS) + len(LANES)])]
    assert {step.kernel for step in steps[: len(WINDOWS)]} == {"mve_depthwise_windows_s8"}
    lanes = {"mve_depthwise_lanes_s8", "mve_depthwise_alone_s8"}  # the latter of one pixel
    assert {step.kernel for step in steps[len(WINDOWS) :]} == lanes
    assert len({step.core.name for step in steps if step.core}) > 6
    assert_equal(made, tmp_path, toolchain)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_random_windows_equal_the_reference(seed: int, tmp_path: Path) -> None:
    dice = np.random.default_rng(2000 + seed)
    made = [
        case(dice, random_window(dice), EPILOGUES[int(dice.integers(len(EPILOGUES)))], bool(dice.integers(2)))
        for _ in range(40)
    ]
    assert_equal(made, tmp_path, "arm-clang")


def assert_equal(made: list[Case], folder: Path, toolchain: Toolchain) -> None:
    (folder / "host").mkdir()
    wanted = run_cases(made, folder / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_the_reference(stride: int, toolchain: Toolchain, tmp_path: Path) -> None:
    """Of 3x3, which is in most nets: with a stride of one as 2x2 outputs."""
    made = cases(41, shapes(stride))
    every = [plan.steps[-1] for plan in plans_on(BOARD, made)]
    # Small images are rather made with channels in lanes.
    steps = [step for step in every if step.kernel == "mve_depthwise_windows_s8"]
    assert len(steps) > len(every) // 2
    assert {step.params.pairs for step in steps} == {stride == 1}
    # Whole rows and strips of them.
    assert {step.params.strip < step.params.output.x for step in steps} == {
        False,
        True,
    }
    assert_equal(made, tmp_path, toolchain)


def test_other_shapes_go_elsewhere() -> None:
    made = [case(np.random.default_rng(1), shape, PLAIN) for shape in ELSEWHERE]
    assert not any(plan.steps[-1].kernel.startswith("mve_") for plan in plans_on(BOARD, made))


def test_one_other_weight_is_noticed() -> None:
    given = case(np.random.default_rng(3), Shape((1, 9, 9), 8, 0, (3, 3), copies=1), EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]
