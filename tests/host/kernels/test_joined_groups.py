"""Groups that the DSP cores compute as one: as many as take the fewest modelled cycles."""

import numpy as np
import pytest

from mcu_build.plan.specialize.dsp_taps import joined_groups


@pytest.mark.parametrize(
    ("groups", "shape", "joined"),
    [
        (3, (3, 3, 3, 1), 3),  # depthwise of three channels: a plain convolution
        (16, (32, 1, 1, 2), 8),
        (4, (32, 3, 3, 8), 1),
        (2, (64, 3, 3, 32), 1),
        (1000, (1000, 1, 1, 1), 20),
    ],
)
def test_small_groups_are_computed_as_one(groups: int, shape: tuple[int, int, int, int], joined: int) -> None:
    assert joined_groups(np.zeros(shape, np.int8), groups, dense=True) == joined
