"""The convolutions with SMLAD equal the reference kernel bit for bit, on simulated cores."""

from collections.abc import Sequence
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
from tests.support.cases import Case, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
# In every run each instruction set and each compiler.
CORES = [
    ("mps2-an386", "arm-clang"),
    ("mps2-an505", "arm-gcc"),
    pytest.param("mps2-an386", "arm-gcc", marks=pytest.mark.slow),
    pytest.param("mps2-an500", "arm-clang", marks=pytest.mark.slow),
]
SHAPES = [
    Shape((1, 5, 5), 64, 12),
    Shape((2, 3, 1), 8, 7),
    Shape((1, 1, 1), 17, 5),
    Shape((1, 2, 2), 1, 1),
    Shape((1, 3, 3), 6, 16),
    Shape((1, 7, 6), 16, 8, stride=(2, 2)),
    Shape((1, 9, 8), 16, 16, (3, 3), padding=(1, 1)),
    Shape((2, 7, 5), 3, 8, (3, 3), (2, 2), (1, 1)),
    Shape((1, 6, 6), 3, 8, (3, 3), (2, 2), (0, 0), behind=(1, 1)),
    Shape((1, 9, 9), 5, 3, (2, 3), (4, 5), (0, 1)),
    Shape((1, 1, 20), 3, 5, (1, 7), (1, 3), (0, 3)),
    Shape((1, 20, 1), 2, 33, (5, 1), (2, 1), (4, 0)),
    Shape((1, 3, 3), 4, 6, (3, 3), padding=(3, 3)),
    Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), (4, 1), copies=20),
    Shape((1, 6, 5), 1, 0, (3, 3), padding=(1, 1), copies=7),
    # One pixel: rows of a linear layer, but for the second, whose rows of the window are apart.
    Shape((1, 1, 3), 16, 16, (1, 3)),
    Shape((1, 3, 4), 16, 5, (2, 2), (2, 3)),
    Shape((1, 5, 3), 5, 6, (4, 3), (2, 1)),
]


def with_lowest_weights(given: Case) -> Case:
    """The same case with weights of -128, few or many, so that channels cannot share words freely."""
    arguments = list(given.arguments)
    weights = arguments[1]
    assert isinstance(weights, T)
    dice = np.random.default_rng(weights.array.size)
    lowest = dice.random(weights.array.shape) < dice.choice((0.02, 0.5))
    arguments[1] = T(np.where(lowest, np.int8(-128), weights.array), constant=True)
    return Case(given.operator, arguments, given.outputs)


@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(41, SHAPES, extra=2)
    made += [with_lowest_weights(one) for one in cases(42, SHAPES)]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize(
    ("shape", "epilogue", "kernel"),
    [
        (Shape((1, 5, 5), 64, 12), EPILOGUES[0], "dsp_pointwise"),
        (Shape((1, 5, 5), 8, 12), EPILOGUES[2], "dsp_pointwise"),
        (Shape((1, 9, 9), 16, 12, (3, 3)), EPILOGUES[4], "dsp_conv2d"),
        (Shape((1, 20, 9), 1, 0, (10, 4), (2, 2), copies=20), EPILOGUES[0], "dsp_conv2d_bytes"),
    ],
)
def test_the_kernel_is_the_one_for_the_shape(shape: Shape, epilogue: Sequence[int], kernel: str) -> None:
    (plan,) = plans_on(BOARD, [case(np.random.default_rng(1), shape, epilogue)])
    assert [step.kernel for step in plan.steps] == [kernel]


def test_for_size_layers_with_and_without_relu_share_a_core(tmp_path: Path) -> None:
    shapes = (Shape((1, 5, 5), 20, 12), Shape((1, 4, 3), 17, 7))
    made = [
        case(np.random.default_rng(7), shape, epilogue)
        for shape in shapes
        for epilogue in (PLAIN, EPILOGUES[2])
    ]
    names = [[step.core and step.core.name for step in plan.steps] for plan in plans_on(BOARD, made)]
    assert names[0] != names[1]
    names = [
        [step.core and step.core.name for step in plan.steps]
        for plan in plans_on(BOARD, made, optimize="size")
    ]
    assert names[0] == names[1] and names[2] == names[3]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, optimize="size"), wanted) == []


def test_one_other_weight_is_noticed() -> None:
    given = case(np.random.default_rng(3), Shape((1, 9, 9), 64, 12), EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]


@pytest.mark.parametrize(("argument", "value"), [(9, 1), (2, 1 << 30)], ids=["shift", "bias"])
def test_what_leaves_its_range_stays_with_the_reference(argument: int, value: int) -> None:
    given = case(np.random.default_rng(6), Shape((1, 5, 5), 64, 12), PLAIN)
    operand = given.arguments[argument]
    assert isinstance(operand, T)
    operand.array[3] = value
    (plan,) = plans_on(BOARD, [given])
    assert [step.kernel for step in plan.steps] == ["conv2d_s8"]
