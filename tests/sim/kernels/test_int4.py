"""The kernels on weights of 4 bits equal their definition on simulated cores."""

from pathlib import Path

import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.test_int16 import CORES, OTHERS, equals_the_definitions
from tests.support.int4_cases import cases, definition


@pytest.mark.parametrize(("board", "toolchain"), CORES[1:])
def test_equal_their_definition(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    equals_the_definitions(board, toolchain, tmp_path, cases, definition)


@pytest.mark.slow
@pytest.mark.parametrize(("board", "toolchain"), [CORES[0], *OTHERS])
def test_equal_their_definition_elsewhere(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    equals_the_definitions(board, toolchain, tmp_path, cases, definition)
