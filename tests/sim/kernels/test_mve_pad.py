"""Helium's pad equals the reference kernel bit for bit, on the simulated core."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import run_cases_on

SHAPES = [(5,), (3, 40), (2, 3, 4), (2, 3, 4, 5), (1, 3, 8, 9), (1, 2, 3, 40), (2, 4, 2, 1), (3, 2, 1, 2)]


def pad(dice: np.random.Generator, shape: Sequence[int], dtype: str, order: tuple[int, ...] | None) -> Case:
    x = (dice.integers(-100, 100, shape) * 1.5).astype(dtype)
    before, after = (dice.integers(0, 4, len(shape)).tolist() for _ in range(2))
    # Given in memory order.
    output = list(shape)
    for place, dimension in enumerate(order or range(len(shape))):
        output[dimension] += before[place] + after[place]
    none = [0] * (4 - len(shape))
    arguments = [T(x, order), none + before, none + after, int(dice.integers(-128, 128))]
    return Case("cortex_m::pad.out", arguments, [Out(tuple(output), dtype, order)])


def cases() -> list[Case]:
    dice = np.random.default_rng(71)
    orders = {4: (None, CHANNELS_LAST)}
    return [
        pad(dice, shape, dtype, order)
        for shape in SHAPES
        for dtype in ("int8", "int16", "float32")
        for order in orders.get(len(shape), (None,))
    ]


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases()
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on("corstone-300", made, toolchain), wanted) == []


def test_another_value_is_noticed() -> None:
    given = cases()[0]
    other = Case(given.operator, [*given.arguments[:3], given.arguments[3] + 1], given.outputs)  # type: ignore[operator]
    outputs = run_cases_on("corstone-300", [given, other])
    assert differing(outputs[:1], outputs[1:]) == [0]
