"""The tile of the DSP cores: how steps are split into rounds, and what the cycle model says of the cores."""

import pytest

from mcu_build.kernels.dsp.tile_core import Loop, TileEpilogue, emit, loop_of
from tests.support.emitted import loop_cycles


@pytest.mark.parametrize("small", [False, True])
def test_one_count_of_steps_is_made_without_a_step_too_many(small: bool) -> None:
    for steps in range(2, 400, 2):
        loop = loop_of([steps], small)
        assert loop.padded(steps) == steps and not loop.skips
        assert loop.first + loop.each <= 16


def test_several_counts_share_a_core() -> None:
    loop = loop_of([2, 4, 4, 8])
    assert loop.padded(2) == 2 and loop.padded(4) == 4 and loop.padded(8) == 8 and loop.skips
    assert loop_of([8, 8]) == Loop(8)
    assert not loop_of([20, 36]).skips


@pytest.mark.parametrize(("core", "most"), [("cortex-m4", 1.12), ("cortex-m33", 1.05), ("cortex-m7", 0.65)])
def test_cycles_of_a_product(core: str, most: float) -> None:
    """Of 64 products, with the rescaling of their sums: 8 sums of a quad."""
    loop = loop_of([32])
    emitted = emit(loop, TileEpilogue(), core == "cortex-m7")
    taken = loop_cycles(core, emitted, {"2": (32 - loop.first) // loop.each})
    assert taken / (8 * 64) < most
