"""Norms in 32 bits equal the reference bit for bit, on both cores."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

CORES = {"corstone-300": "mve", "mps2-an386": "dsp"}
PLAIN = (True, 900, (-3, 5), 27)


def norm(
    shape: tuple[int, ...],
    groups: int,
    how: tuple[bool, int, tuple[int, int], int] = PLAIN,
    *,
    last: bool = False,
    entries: int | None = None,
    spread: int = 128,
) -> Case:
    """`how`: centered, epsilon, zero points, shift. Elements are `spread` from 0 at most."""
    centered, epsilon, zero_points, shift = how
    dice = np.random.default_rng(sum(shape) + shift)
    x = dice.integers(-spread, spread, shape).astype(np.int8)
    count = entries or shape[1]
    weight = dice.integers(-(1 << 29) + 1, 1 << 29, count).astype(np.int32)
    bias = dice.integers(-(1 << 22), 1 << 22, count).astype(np.int32)
    bias[0] = dice.choice((-(1 << 31) + 1, (1 << 31) - 1, 7))
    order = CHANNELS_LAST if last else None
    arguments = [T(x, order), T(weight, constant=True), T(bias, constant=True), groups, centered, epsilon]
    return Case("mcu_build::norm.out", [*arguments, *zero_points, shift], [Out(shape, "int8", order)])


MADE = [
    norm((9, 48), 1),
    norm((5, 17), 1, (True, 0, (-128, 127), 26)),
    norm((4, 3), 1, (False, 17, (127, -128), 27)),
    norm((3, 50), 1, (False, 1 << 61, (5, 0), 31)),
    norm((6, 1), 1, (True, 0, (0, 9), 34)),
    norm((2, 24, 5, 7), 4, last=True),
    norm((1, 13, 3, 3), 13, last=True),
    norm((2, 6, 5, 7), 2, (True, 5, (-7, -100), 30)),
    norm((1, 8, 50), 8, entries=1),
    norm((3, 23), 1, (True, 1, (100, 4), 38), entries=1),
    norm((2, 37), 1, (True, 0, (1, 0), 27), spread=1),
    norm((1, 6, 100, 100), 1, (True, 900, (-3, 5), 29), last=True),
]
# 65,536 elements at most, and shifts that leave 32 bits.
ELSEWHERE = [norm((1, 7, 100, 100), 1), norm((2, 37), 1, (True, 0, (1, 0), 20))]


def test_what_fits_32_bits_has_a_kernel() -> None:
    for board, core in CORES.items():
        kernels = [plan.steps[0].kernel for plan in plans_on(board, [*MADE, *ELSEWHERE])]
        assert kernels == [f"{core}_norm_rows_s8"] * len(MADE) + ["norm_s8"] * len(ELSEWHERE)


@pytest.mark.parametrize("board", CORES)
@pytest.mark.parametrize("toolchain", ["arm-clang", pytest.param("arm-gcc", marks=pytest.mark.slow)])
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    outputs = run_cases(MADE, tmp_path / "host")
    assert differing(run_cases_on(board, MADE, toolchain), outputs) == []
    assert share_that_varies(outputs) > 0.6


def test_another_zero_point_is_noticed() -> None:
    made = [norm((9, 48), 1, (True, 900, (-3, zero_point), 27)) for zero_point in (5, 6)]
    outputs = run_cases_on("mps2-an386", made)
    assert differing(outputs[:1], outputs[1:]) == [0]
