"""The convolutions of cores without DSP instructions equal the reference kernel, on simulated cores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from mcu_build.kernels.thumb.tile_core import loop_of
from mcu_build.resources import data_dir
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
from tests.support.cases import T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

# Armv6-M with memory for all cases; the microbit's own core refuses what only larger ones can.
ARMV6_M = str(data_dir() / "benchmarks/mlperf_tiny/cortex-m0.toml")
CORES: list[tuple[str, Toolchain]] = [
    ("mps2-an385", "arm-clang"),
    ("mps2-an385", "arm-gcc"),
    (ARMV6_M, "arm-clang"),
    (ARMV6_M, "arm-gcc"),
]


def names(value: str) -> str:
    """A board without the folder of its file, a toolchain as it is."""
    return Path(value).stem


SHAPES = [
    Shape((1, 5, 5), 64, 12),
    Shape((2, 3, 1), 8, 7),
    Shape((1, 1, 1), 17, 5),
    Shape((1, 2, 2), 1, 1),
    Shape((1, 7, 6), 16, 8, stride=(2, 2)),
    Shape((1, 6, 5), 16, 9, (3, 3), padding=(1, 1)),
    Shape((2, 7, 5), 3, 8, (3, 3), (2, 2), (1, 1)),
    Shape((1, 6, 6), 3, 8, (3, 3), (2, 2), (0, 0), behind=(1, 1)),
    Shape((1, 9, 9), 5, 3, (2, 3), (4, 5), (0, 1)),
    Shape((1, 1, 20), 3, 5, (1, 7), (1, 3), (0, 3)),
    Shape((1, 20, 1), 2, 33, (5, 1), (2, 1), (4, 0)),
    Shape((1, 3, 3), 4, 6, (3, 3), padding=(3, 3)),
    Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), (4, 1), copies=20),
    Shape((1, 6, 5), 1, 0, (3, 3), padding=(1, 1), copies=7),
    Shape((2, 6, 5), 12, 18, (3, 3), (2, 2), padding=(1, 1), groups=6),
    Shape((1, 4, 5), 8, 8, groups=4),
    Shape((1, 1, 30), 8, 9, (1, 3), padding=(0, 4), dilation=(1, 4)),
    Shape((1, 9, 5), 4, 10, (3, 2), padding=(2, 1), dilation=(2, 3), groups=2),
    Shape((1, 6, 5), 5, 0, (3, 3), padding=(1, 1), copies=3),
    Shape((1, 9, 70), 6, 0, (1, 3), dilation=(1, 30), copies=1),
]


@pytest.mark.parametrize(("board", "toolchain"), CORES, ids=names)
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(61, SHAPES, extra=2)
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize(
    ("shape", "epilogue", "kernel", "core"),
    [
        (Shape((1, 5, 5), 64, 12), EPILOGUES[0], "thumb_pointwise", "tile_4_each_plain"),
        (Shape((1, 5, 5), 8, 12), EPILOGUES[2], "thumb_pointwise", "tile_4_half_away"),
        (Shape((1, 9, 9), 16, 12, (3, 3)), EPILOGUES[4], "thumb_conv2d", "tile_6_each_half_away_clamps"),
        (Shape((1, 9, 9), 3, 12, (3, 3)), EPILOGUES[0], "thumb_conv2d", "tile_7_each_plain"),
        (
            Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), copies=20),
            EPILOGUES[0],
            "thumb_conv2d",
            "tile_5_each_plain",
        ),
    ],
)
def test_the_kernel_is_the_one_for_the_shape(
    shape: Shape, epilogue: Sequence[int], kernel: str, core: str
) -> None:
    (plan,) = plans_on("microbit", [case(np.random.default_rng(1), shape, epilogue)])
    (step,) = plan.steps
    assert step.core is not None
    assert (step.kernel, step.core.name) == (kernel, core)


def test_loops_make_few_products_of_zeros() -> None:
    for products in range(1, 2000):
        for small in (False, True):
            blocks = -(-products // 2)
            made = loop_of(products, small).padded(blocks)
            assert blocks <= made <= blocks + max(3, blocks // 25)


def test_one_other_weight_is_noticed() -> None:
    given = case(np.random.default_rng(3), Shape((1, 9, 9), 64, 12), EPILOGUES[2])
    outputs = run_cases_on("mps2-an385", [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]


def test_extreme_blocks_are_exact(tmp_path: Path) -> None:
    """Products at both ends of what 16 bits hold, in every place of a block."""
    dice = np.random.default_rng(5)
    made = []
    for epilogue in EPILOGUES:
        given = case(dice, Shape((1, 5, 3), 64, 12), epilogue)
        pixels, weights = given.arguments[0], given.arguments[1]
        assert isinstance(pixels, T) and isinstance(weights, T)
        pixels.array[:] = dice.choice((-128, 127), pixels.array.shape)
        weights.array[:] = dice.choice((-127, 127), weights.array.shape)
        weights.array[..., ::2] = dice.choice((-128, 127), weights.array[..., ::2].shape)
        made.append(given)
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    for board in ("mps2-an385", "microbit"):
        assert all("thumb" in plan.steps[0].kernel for plan in plans_on(board, made))
        assert differing(run_cases_on(board, made), wanted) == []


@pytest.mark.parametrize(
    ("argument", "values"), [(9, [1]), (2, [1 << 29]), (1, [-128, -128])], ids=["shift", "bias", "block"]
)
def test_what_leaves_its_range_stays_with_the_reference(argument: int, values: list[int]) -> None:
    given = case(np.random.default_rng(6), Shape((1, 5, 5), 64, 12), PLAIN)
    operand = given.arguments[argument]
    assert isinstance(operand, T)
    operand.array.reshape(-1)[: len(values)] = values
    (plan,) = plans_on("mps2-an385", [given])
    assert [step.kernel for step in plan.steps] == ["conv2d_s8"]
