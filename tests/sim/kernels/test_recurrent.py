"""Recurrent layers of each kind of core equal their definitions; products are as quick as linear layers'."""

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.host.kernels.definitions import share_that_varies
from tests.host.kernels.test_recurrent import GATES, cases, definition, drawn
from tests.support.cases import Case, T
from tests.support.cases_on_board import plans_on, run_cases_on
from tests.support.count_on_board import counts_on

BOARDS = ("corstone-300", "mps2-an386", "mps2-an385", "microbit")
BUILDS = [(board, "arm-clang") for board in BOARDS]
BUILDS += [pytest.param(board, "arm-gcc", marks=pytest.mark.slow) for board in BOARDS]
# Instructions a product may take: what the linear kernels take, and a tenth.
MOST = {"corstone-300": 0.16, "mps2-an386": 1.25, "mps2-an385": 2.9, "microbit": 3.9}
MOST_S16 = {"corstone-300": 0.33, "mps2-an386": 1.8, "mps2-an385": 4.7}
# Of a whole layer of 64 units over 64 inputs, gates and states as well.
MOST_OF_A_LAYER = {"corstone-300": 0.33}


def layer(name: str, sizes: tuple[int, int, int, int], bits: int = 8) -> Case:
    return drawn(
        np.random.default_rng(5), name, sizes, batch_first=True, given=False, zero_point=3, bits=bits
    )


def tried(board: str) -> list[Case]:
    """Some of all forms, rows about as long as a group and as the part of a sum, little where RAM is."""
    small = board == "microbit"
    few = [layer(name, (2, 1, inputs, 3)) for name in GATES for inputs in ((17,) if small else (15, 1005))]
    wide = [
        layer(name, (2, 1, inputs, 5), 16) for name in GATES for inputs in ((17,) if small else (15, 900))
    ]
    return [
        *few,
        *wide,
        *(case for name in GATES for case in cases(name)[:: 8 if small else 5]),
        *(case for name in GATES for case in cases(name, 16)[1 :: 12 if small else 7]),
    ]


def unequal(made: list[Case], found: list[list[np.ndarray]]) -> list[str]:
    return [
        f"{index} {case.operator}"
        for index, (case, outputs) in enumerate(zip(made, found, strict=True))
        if any(not np.array_equal(a, b) for a, b in zip(outputs, definition(case), strict=False))
    ]


@pytest.mark.parametrize(("board", "toolchain"), BUILDS)
def test_a_core_gives_the_definition(board: str, toolchain: Toolchain) -> None:
    made = tried(board)
    found = run_cases_on(board, made, toolchain)
    assert unequal(made, found) == []
    assert share_that_varies([outputs[:1] for outputs in found]) > 0.8
    made[0].arguments[0].array[...] ^= 1
    assert unequal(made, found) == [f"0 {made[0].operator}"]


def test_dsp_takes_rows_that_are_pairs() -> None:
    one = layer("gru", (1, 1, 8, 4))
    assert plans_on("mps2-an386", [one])[0].steps[-1].kernel == "dsp_gru_s8"
    assert plans_on("corstone-300", [one])[0].steps[-1].kernel == "mve_gru_s8"
    weights = one.arguments[3]
    assert isinstance(weights, T)
    weights.array[:2] = [[-1], [-128]]
    assert plans_on("mps2-an386", [one])[0].steps[-1].kernel == "gru_s8"


@pytest.mark.parametrize("board", MOST)
def test_products_take_what_linear_layers_take(board: str) -> None:
    """Beside what a gate takes: from the difference between long rows and short ones."""
    short, long = (16, 96) if board == "microbit" else (64, 320)
    made = [layer(name, (2, 1, inputs, 16)) for name in ("lstm", "gru") for inputs in (short, long)]
    if board in MOST_S16:
        made += [layer("lstm", (2, 1, inputs, 16), 16) for inputs in (short, long)]
    whole = [layer(name, (2, 1, 64, 64)) for name in GATES] if board in MOST_OF_A_LAYER else []
    counts = counts_on(board, [*made, *whole])
    for case, count in zip(whole, counts[len(made) :], strict=True):
        products = GATES[case.operator.split("::")[1].removesuffix(".out")] * 2 * 64 * 128
        assert count < MOST_OF_A_LAYER[board] * products, (case.operator, count)
    for index in range(0, len(made), 2):
        gates = 3 if "gru" in made[index].operator else 4
        products = gates * 2 * 16 * (long - short)
        taken = (counts[index + 1] - counts[index]) / products
        assert 0.05 < taken < (MOST if index < 4 else MOST_S16)[board], (index, taken)
