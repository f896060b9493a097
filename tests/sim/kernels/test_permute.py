"""The permutes of Helium and DSP cores move what the reference kernel moves, on the simulated core."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing
from tests.support.cases import Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

# Shapes and orders: one of both lines long, none, dimensions before them, elements that stay together.
ORDERS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((3, 64), (1, 0)),
    ((64, 3), (1, 0)),
    ((1, 9, 5, 7), (0, 3, 1, 2)),
    ((2, 3, 5, 4), (3, 2, 1, 0)),
    ((2, 17, 3), (1, 0, 2)),
    ((3, 4, 20), (1, 0, 2)),
    ((2, 3, 4, 5, 2), (4, 2, 0, 3, 1)),
    ((2, 13, 4, 9), (0, 2, 3, 1)),
    ((7, 4), (1, 0)),
    ((2, 8, 37), (0, 2, 1)),
    ((2, 37, 12), (0, 2, 1)),
]


def transpose(dice: np.random.Generator, shape: Sequence[int], order: Sequence[int], dtype: str) -> Case:
    x = (dice.integers(-100, 100, shape) * 1.5).astype(dtype)
    output = Out(tuple(shape[dimension] for dimension in order), dtype)
    return Case("aten::permute_copy.out", [T(x), list(order)], [output])


def cases() -> list[Case]:
    dice = np.random.default_rng(72)
    types = ("int8", "int16", "float32", "int64")
    return [transpose(dice, shape, order, dtype) for shape, order in ORDERS for dtype in types]


@pytest.mark.parametrize("board", ["corstone-300", "mps2-an386"])
@pytest.mark.parametrize("toolchain", ["arm-clang", pytest.param("arm-gcc", marks=pytest.mark.slow)])
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases()
    assert {step.kernel for plan in plans_on(board, made) for step in plan.steps} == {"permute"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []


def test_another_order_is_noticed() -> None:
    given = transpose(np.random.default_rng(3), (2, 16, 16), (0, 2, 1), "int8")
    other = Case(given.operator, [given.arguments[0], [2, 0, 1]], [Out((16, 2, 16), "int8")])
    outputs = run_cases_on("corstone-300", [given, other])
    assert not np.array_equal(outputs[0][0].ravel(), outputs[1][0].ravel())
