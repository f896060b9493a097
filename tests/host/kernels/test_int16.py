"""The kernels on int16 activations equal their definitions, and these what they stand for in float."""

import numpy as np
import pytest

from mcu_build.arithmetic.int16 import DEFINITIONS, exp2_table
from tests.host.kernels.definitions import differing, share_that_varies
from tests.support.cases import run_cases
from tests.support.int16_cases import cases, definition, int16s, layer


def test_kernels_equal_their_definitions(tmp_path):
    made = list(cases())
    outputs = run_cases(made, tmp_path)
    assert {case.operator.split("::")[1].removesuffix(".out") for case in made} == set(DEFINITIONS)
    assert differing(made, outputs, definition) == []
    assert share_that_varies(outputs) > 0.8


def test_one_other_weight_is_noticed(tmp_path):
    given = layer(np.random.default_rng(3), (1, 16, 4))
    changed = definition(given).copy()
    changed.flat[1] += 1
    (outputs,) = run_cases([given], tmp_path)
    assert differing([given], [outputs], lambda case: changed) == [0]


@pytest.mark.parametrize("scale", [0.0001, 0.001])
def test_softmax_is_softmax(scale):
    from mcu_build.lower.integer.int16 import factor

    values = int16s(np.random.default_rng(5), (50, 12))
    octaves = factor(scale * np.log2(np.e) * (1 << 16), 1 << 16)
    found = DEFINITIONS["softmax_s16"](values, 1, exp2_table(), *octaves) / 32768
    powers = np.exp((values - values.max(axis=1, keepdims=True).astype(np.float64)) * scale)
    assert np.abs(found - powers / powers.sum(axis=1, keepdims=True)).max() < 1.1 / 32768


@pytest.mark.parametrize("real", [3e-9, 0.7, 0.99999999999, 1.0, 5000.0])
@pytest.mark.parametrize("largest", [1, 1 << 16, (1 << 31) - 1, 1 << 40])
def test_factors_are_near_and_leave_room(real, largest):
    from mcu_build.lower.integer.int16 import factor

    multiplier, shift = factor(real, largest)
    assert 0 < shift <= 62
    assert multiplier * largest + (1 << shift >> 1) < 1 << 63
    assert multiplier < 1 << 31
    if shift < 62:
        assert multiplier / 2**shift == pytest.approx(real, rel=2.0 ** -min(30, 60 - largest.bit_length()))
