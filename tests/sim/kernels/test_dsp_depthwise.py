"""The depthwise convolutions with SMLAD equal the reference kernel bit for bit, on simulated cores."""

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
from tests.support.cases import run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
# In every run each instruction set and each compiler.
CORES = [
    ("mps2-an386", "arm-clang"),
    ("mps2-an505", "arm-gcc"),
    pytest.param("mps2-an386", "arm-gcc", marks=pytest.mark.slow),
    pytest.param("mps2-an500", "arm-clang", marks=pytest.mark.slow),
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
ROWS = [
    Shape((1, 13, 5), 8, 0, (3, 3), padding=(1, 1), copies=1),
    Shape((2, 8, 13), 7, 0, (3, 3), (2, 2), (1, 1), copies=1),
    Shape((1, 9, 24), 6, 0, (3, 3), (2, 2), (1, 1), copies=1),
    Shape((1, 9, 13), 9, 0, (5, 5), padding=(2, 2), copies=1),
    Shape((1, 14, 11), 5, 0, (7, 7), (2, 2), (2, 3), copies=1),
    Shape((1, 12, 8), 7, 0, (4, 4), (1, 1), (2, 1), copies=1),
    Shape((1, 20, 3), 4, 0, (9, 1), (3, 1), (4, 0), copies=1),
    Shape((1, 3, 24), 4, 0, (1, 15), padding=(0, 7), copies=1),
    Shape((1, 16, 9), 5, 0, (2, 6), (4, 2), (0, 2), copies=1),
    Shape((1, 1, 9), 12, 0, (1, 2), copies=1),
    Shape((1, 1, 40), 8, 0, (1, 5), padding=(0, 4), dilation=(1, 2), copies=1),  # with zeros between
    Shape((1, 2, 9), 520, 0, (3, 3), padding=(1, 1), copies=1),  # stores do not reach the last output
]
GROUPS = [
    Shape((1, 7, 9), 3, 0, (3, 3), padding=(1, 1), copies=1),
    Shape((2, 6, 8), 6, 0, (3, 3), (2, 2), (1, 1), copies=2),
    Shape((1, 9, 13), 1, 0, (3, 3), padding=(1, 1), copies=8),
    Shape((1, 8, 16), 1, 0, (5, 3), (2, 2), (1, 1), copies=5),
    Shape((1, 7, 12), 6, 12, (3, 3), padding=(1, 1), groups=3),
    Shape((1, 6, 13), 12, 12, (3, 2), (1, 2), (1, 0), groups=3),
    Shape((1, 9, 7), 6, 8, (3, 3), padding=(1, 1), groups=2),
    Shape((1, 6, 10), 3, 7, (3, 3), padding=(1, 1)),
    Shape((1, 4, 24), 16, 16, groups=8),
]


@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases(51, [*SQUARE, *OTHERS], extra=2)
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any memory for speed, which such small images would not be given."""
    monkeypatch.setattr("mcu_build.plan.compile._ROOM_FOR_SPEED", 100)


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(("board", "toolchain"), CORES[:2])
def test_rows_equal_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made, groups = cases(53, ROWS), cases(55, GROUPS)
    assert {step.kernel for plan in plans_on(board, made) for step in plan.steps} == {"dsp_depthwise_rows"}
    assert {step.kernel for plan in plans_on(board, groups) for step in plan.steps} == {"dsp_group_rows"}
    made += [*cases(54, ROWS, extra=1)[-len(ROWS) :], *groups]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("shape", [SQUARE[0], SQUARE[4], OTHERS[3]])
def test_where_memory_is_short_taps_are_pointed_at(shape: Shape) -> None:
    (plan,) = plans_on(BOARD, [case(np.random.default_rng(1), shape, PLAIN)])
    square = "3x3_" if shape in SQUARE else ""
    assert [step.kernel for step in plan.steps] == [f"dsp_depthwise_{square}relu"]


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize("shape", [SQUARE[4], ROWS[0], GROUPS[4]])
def test_one_other_weight_is_noticed(shape: Shape) -> None:
    given = case(np.random.default_rng(3), shape, EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]
