"""Weights of 4 bits: packed and rounded well, and the kernel equals its definition."""

import numpy as np
import pytest

from mcu_build.arithmetic.int4 import GROUP, fit_in_pairs, integers_of, pack, row_bytes, scales_of, unpack
from tests.host.kernels.definitions import differing, share_that_varies
from tests.support.cases import run_cases
from tests.support.int4_cases import cases, definition, layer


def test_the_kernel_equals_its_definition(tmp_path):
    made = list(cases())
    outputs = run_cases(made, tmp_path)
    assert differing(made, outputs, definition) == []
    assert share_that_varies(outputs) > 0.8


def test_one_other_weight_is_noticed(tmp_path):
    given = layer(np.random.default_rng(3), (1, 40), 4)
    changed = definition(given).copy()
    changed.flat[1] += 1
    (outputs,) = run_cases([given], tmp_path)
    assert differing([given], [outputs], lambda case: changed) == [0]


@pytest.mark.parametrize("inputs", [*range(1, 70), 100])
def test_packed_weights_come_back(inputs):
    weights = np.random.default_rng(inputs).integers(-8, 8, (3, inputs)).astype(np.int8)
    packed = pack(weights)
    assert packed.shape == (3, row_bytes(inputs)) and row_bytes(inputs) == (inputs + 1) // 2
    assert np.array_equal(unpack(packed, inputs), weights)


def test_a_pair_of_outputs_fits_in_a_byte():
    weights = np.random.default_rng(1).integers(-8, 8, (7, 500)).astype(np.int8)
    fitting = fit_in_pairs(weights).astype(int)
    assert (16 * fitting[:6:2] + fitting[1::2]).min() == -128
    assert weights.min() == fitting[6].min() == -8
    changed = fitting != weights
    assert np.abs(fitting - weights).max() == 1 and 0 < changed.mean() < 1 / 50


@pytest.mark.parametrize("grouped", [False, True])
def test_scales_are_better_than_those_of_the_largest_weight(grouped):
    """And a scale for each group is better than one for each output where groups are unlike."""
    dice = np.random.default_rng(7)
    unlike = np.exp2(dice.integers(-3, 3, (16, 4))).repeat(GROUP, axis=1)
    weights = dice.standard_normal((16, 4 * GROUP)) * unlike

    def error(scales):
        return np.square(
            weights
            - integers_of(weights, scales) * scales.repeat(weights.shape[1] // scales.shape[1], axis=1)
        ).sum()

    found = scales_of(weights, grouped)
    parts = np.abs(weights.reshape(16, found.shape[1], -1)).max(axis=2)
    assert error(found) < 0.9 * error(parts / 7)
    if grouped:
        assert error(found) < 0.5 * error(scales_of(weights, grouped=False))
        factors = found / found.max(axis=1, keepdims=True) * 255
        assert np.allclose(factors, np.rint(factors)) and factors.min() >= 1
