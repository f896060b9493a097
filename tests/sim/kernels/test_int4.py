"""The kernels on weights of 4 bits equal their definition on simulated cores."""

import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.test_int16 import CORES, OTHERS, equals_the_definitions
from tests.support.cases_on_board import plans_on
from tests.support.int4_cases import cases, definition


@pytest.mark.parametrize(("board", "toolchain"), CORES[1:])
def test_equal_their_definition(board: str, toolchain: Toolchain) -> None:
    equals_the_definitions(board, toolchain, cases, definition)
    kernels = [step.kernel for plan in plans_on(board, list(cases())) for step in plan.steps]
    assert kernels.count("mve_linear_w4") == len(kernels) - 1


@pytest.mark.slow
@pytest.mark.parametrize(("board", "toolchain"), [CORES[0], *OTHERS])
def test_equal_their_definition_elsewhere(board: str, toolchain: Toolchain) -> None:
    equals_the_definitions(board, toolchain, cases, definition)
