"""The depthwise convolutions with SMLAD equal the reference kernel bit for bit, on simulated cores."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import (
    PLAIN,
    STAGES,
    Shape,
    case,
    cases,
    differing,
    share_that_varies,
    with_weight_changed,
)
from tests.support.cases import run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
CORES: list[tuple[str, Toolchain]] = [
    ("mps2-an386", "arm-clang"),
    ("mps2-an386", "arm-gcc"),
    ("mps2-an500", "arm-clang"),
    ("mps2-an505", "arm-gcc"),
]
SQUARE = [
    Shape((1, 5, 6), 4, 0, (3, 3), padding=(1, 1), copies=1),
    Shape((2, 7, 5), 17, 0, (3, 3), (2, 2), (1, 1), copies=1),
    Shape((1, 8, 8), 8, 0, (3, 3), (2, 2), (0, 0), behind=(1, 1), copies=1),
    Shape((1, 3, 3), 64, 0, (3, 3), padding=(1, 1), copies=1),
    Shape((1, 9, 9), 5, 0, (3, 3), padding=(2, 2), dilation=(2, 2), copies=1),
    Shape((1, 6, 9), 12, 0, (3, 3), (1, 2), (0, 3), copies=1),
    Shape((1, 1, 1), 6, 0, (3, 3), padding=(1, 1), copies=1),
]
OTHERS = [
    Shape((1, 1, 1), 5, 0, copies=1),
    Shape((1, 9, 8), 6, 0, (2, 2), (4, 5), copies=1),
    Shape((1, 8, 1), 20, 0, (3, 1), padding=(3, 0), dilation=(3, 1), copies=1),
    Shape((1, 7, 7), 8, 0, (5, 5), padding=(2, 2), copies=1),
]


@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(51, [*SQUARE, *OTHERS], extra=2)
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, tmp_path / "board", toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("shape", [*SQUARE, *OTHERS])
def test_the_kernel_is_the_one_for_the_shape(shape: Shape) -> None:
    (plan,) = plans_on(BOARD, [case(np.random.default_rng(1), shape, PLAIN)])
    assert [step.kernel for step in plan.steps] == [f"dsp_depthwise_{'3x3_' if shape in SQUARE else ''}relu"]


def test_fewer_channels_than_a_word_has_are_gathered() -> None:
    shape = Shape((1, 5, 6), 3, 0, (3, 3), padding=(1, 1), copies=1)
    (plan,) = plans_on(BOARD, [case(np.random.default_rng(1), shape, PLAIN)])
    assert [step.source for step in plan.steps] == ["dsp_conv_taps"]


def test_one_other_weight_is_noticed(tmp_path: Path) -> None:
    given = case(np.random.default_rng(3), SQUARE[0], STAGES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)], tmp_path)
    assert differing(outputs[:1], outputs[1:]) == [0]
