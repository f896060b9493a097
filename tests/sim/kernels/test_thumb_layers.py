"""Depthwise and linear layers of cores without DSP instructions equal the reference kernels bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from mcu_build.ir.plan import Optimize
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
from tests.sim.kernels.test_dsp_depthwise import OTHERS, SQUARE
from tests.sim.kernels.test_dsp_linear import SIZES, layer
from tests.sim.kernels.test_mve_elementwise import short_sum, sums
from tests.sim.kernels.test_thumb_conv2d import ARMV6_M, CORES, names
from tests.support.cases import Case, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

SHAPES = [*SQUARE, *OTHERS]
# Rows of one block, of several, and with some left; windows of several threes; few channels.
WINDOWS = [
    Shape((2, 7, 13), 17, 0, (3, 3), (2, 2), (1, 1), copies=1),
    Shape((1, 6, 5), 9, 0, (3, 3), padding=(1, 1), copies=1),
    Shape((1, 9, 8), 6, 0, (5, 7), padding=(2, 3), copies=1),
    Shape((1, 1, 30), 3, 0, (1, 15), padding=(0, 7), copies=1),
    Shape((1, 16, 9), 2, 0, (2, 4), (4, 5), (0, 2), copies=1),
    Shape((1, 5, 16), 3, 0, (3, 3), padding=(4, 4), dilation=(1, 4), copies=1),
]


def extreme_row(inputs: int) -> Case:
    """Sums as large as they come: every input and every weight at the same end."""
    given = layer(4, (1, inputs, 5), EPILOGUES[2])
    row, weights = given.arguments[:2]
    assert isinstance(row, T) and isinstance(weights, T)
    row.array[:], weights.array[:] = -128, -128
    weights.array[1::2] = 127
    weights.array[:, inputs // 2 :] = 0 if inputs % 2 else weights.array[:, inputs // 2 :]
    return given


# In every run each instruction set and each compiler: convolutions are tried with all pairs.
TURNS = [
    pytest.param(*pair, marks=[] if place in (0, 3) else pytest.mark.slow) for place, pair in enumerate(CORES)
]


@pytest.mark.parametrize(("board", "toolchain"), TURNS, ids=names)
def test_equal_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(71, [*SHAPES, *WINDOWS], extra=1)
    made += [extreme_row(inputs) for inputs in (504, 505, 1013)]
    made += [layer(seed, size, epilogue) for seed, size in enumerate(SIZES) for epilogue in EPILOGUES]
    made += [*sums()[:2], *(short_sum(count) for count in (1, 3, 4, 33))]
    assert plans_on(board, made)[-1].steps[0].kernel in ("thumb_add_21_s8", "thumb_add_22_s8")
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("shape", [*SHAPES, *WINDOWS])
def test_the_kernel_of_depthwise_layers(shape: Shape) -> None:
    (plan,) = plans_on("microbit", [case(np.random.default_rng(1), shape, PLAIN)])
    assert [step.kernel for step in plan.steps] == ["thumb_depthwise"]


@pytest.mark.parametrize(
    ("width", "optimize", "outputs"), [(5, "speed", 5), (12, "speed", 6), (3, "size", 3), (7, "size", 4)]
)
def test_blocks_of_a_row(width: int, optimize: Optimize, outputs: int) -> None:
    given = case(
        np.random.default_rng(1), Shape((1, 6, width), 8, 0, (3, 3), padding=(1, 1), copies=1), PLAIN
    )
    (plan,) = plans_on("microbit", [given], optimize=optimize)
    core = plan.steps[0].core
    assert core is not None and core.name == f"depthwise_3_stride_1_dilation_1_by_{outputs}_plain"


def test_a_window_too_wide_is_brought_together() -> None:
    given = case(np.random.default_rng(1), Shape((1, 1, 70), 4, 0, (1, 3), dilation=(1, 30), copies=1), PLAIN)
    (plan,) = plans_on("microbit", [given])
    assert [step.kernel for step in plan.steps] == ["thumb_conv2d"]


@pytest.mark.parametrize("size", SIZES)
def test_the_kernel_of_linear_layers(size: tuple[int, int, int]) -> None:
    """Some rows are cheaper as pixels of a convolution, but for one whose sums are made in parts."""
    wanted = "thumb_pointwise" if size in ((3, 17, 5), (4, 8, 8)) else "thumb_linear"
    for board in ("mps2-an385", "microbit"):
        (plan,) = plans_on(board, [layer(1, size, EPILOGUES[2])])
        assert [step.kernel for step in plan.steps] == [wanted]


@pytest.mark.parametrize("board", ["mps2-an385", ARMV6_M], ids=names)
def test_one_other_weight_is_noticed(board: str) -> None:
    given = [case(np.random.default_rng(3), SHAPES[0], EPILOGUES[2]), layer(3, SIZES[0], EPILOGUES[2])]
    outputs = run_cases_on(board, [*given, *map(with_weight_changed, given)])
    assert differing(outputs[:2], outputs[2:]) == [0, 1]
