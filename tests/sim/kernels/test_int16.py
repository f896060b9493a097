"""The kernels on int16 activations equal their definitions on simulated cores."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.host.kernels.definitions import differing, share_that_varies
from tests.support.cases import Case
from tests.support.cases_on_board import run_cases_on
from tests.support.int16_cases import cases, definition

CORES: list[tuple[str, Toolchain]] = [
    ("mps2-an386", "arm-clang"),
    ("corstone-300", "arm-clang"),
]
OTHERS: list[tuple[str, Toolchain]] = [
    ("mps2-an386", "arm-gcc"),
    ("corstone-300", "arm-gcc"),
    ("mps2-an500", "arm-clang"),
    ("mps2-an505", "arm-gcc"),
    ("microbit", "arm-clang"),
    ("mps2-an385", "arm-clang"),
]


def equals_the_definitions(
    board: str,
    toolchain: Toolchain,
    given: Callable[[], Iterable[Case]] = cases,
    right: Callable[[Case], np.ndarray] = definition,
) -> None:
    made = list(given())
    size = len(made)
    if board == "microbit":  # 16 KB of RAM hold the operands of a few small cases
        made, size = [case for case in made if case.arguments[0].array.nbytes < 1500], 12
    parts = [made[at : at + size] for at in range(0, len(made), size)]
    ran = [run_cases_on(board, part, toolchain) for at, part in enumerate(parts)]
    outputs = [output for part in ran for output in part]
    assert differing(made, outputs, right) == []
    assert share_that_varies(outputs) > 0.8


@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_equal_their_definitions(board: str, toolchain: Toolchain) -> None:
    equals_the_definitions(board, toolchain)


@pytest.mark.slow
@pytest.mark.parametrize(("board", "toolchain"), OTHERS)
def test_equal_their_definitions_elsewhere(board: str, toolchain: Toolchain) -> None:
    equals_the_definitions(board, toolchain)
