"""Depthwise convolutions of the DSP cores: which products make an output, and what the cycle model says."""

import numpy as np
import pytest

from mcu_build.kernels.dsp.depthwise_rows_core import Segment, core_of, emit, records, segments
from mcu_build.kernels.function import Epilogue
from tests.support.emitted import loop_cycles


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("columns", range(1, 16))
def test_each_output_has_each_weight_on_its_column_once(columns: int, stride: int, phase: int) -> None:
    for output in range(4):
        found = []
        for segment in segments(columns, stride, phase):
            for one in segment.products(4):
                if one.output == output:
                    found += [(2 * segment.first + w, 2 * segment.first + x) for w, x in _pairs(segment, one)]
        assert sorted(found) == [(i, phase + stride * output + i) for i in range(columns)]


def _pairs(segment: Segment, one) -> list[tuple[int, int]]:
    """Weight and column of each product of an instruction."""
    weights = segment.pairs[one.weights]
    if one.word == "smlad":
        return [(weights[half], 2 * one.pixels + half) for half in (0, 1)]
    halves = [0 if half == "b" else 1 for half in one.word[-2:]]
    return [(weights[halves[0]], 2 * one.pixels + halves[1])]


def test_records_hold_doubled_weights() -> None:
    weights = np.arange(-9, 9, dtype=np.int8).reshape(2, 3, 3)
    scales = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])
    core = core_of(3, 3, 1, 1, 5, Epilogue(), 8)
    assert core is not None and core.record == 10
    found = records(core, weights, scales)
    assert (
        found.shape == (2, 10) and found[:, 0].tolist() == [1, 5] and found[:, -3:].tolist()[1] == [6, 7, 8]
    )
    halves = found[0, 1:3].astype("<i4").view("<i2")
    assert halves.tolist() == [-18, -16, -16, -14]


@pytest.mark.parametrize(
    ("window", "stride", "most"),
    [((3, 3), 1, 2.3), ((3, 3), 2, 2.45), ((5, 5), 1, 1.65), ((7, 7), 1, 1.45), ((1, 15), 1, 1.8)],
)
def test_cycles_of_a_product(window: tuple[int, int], stride: int, most: float) -> None:
    """Of a Cortex-M4, for rows of 48 outputs."""
    core = core_of(*window, stride, 1, 48, Epilogue(), 8)
    assert core is not None
    assert loop_cycles("cortex-m4", emit(core), {"2": 12}) / (48 * window[0] * window[1]) < most
