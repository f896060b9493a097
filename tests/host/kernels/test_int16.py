"""The kernels on int16 activations equal their definitions, and these what they stand for in float."""

from collections.abc import Iterator

import numpy as np
import pytest

from mcu_build.reference_int16 import DEFINITIONS, exp2_table
from tests.host.kernels.definitions import differing, share_that_varies
from tests.support.cases import CHANNELS_LAST, Case, T, run_cases
from tests.support.int16_cases import constant, definition, int16_case, int16s, layer, layers


def cases() -> Iterator[Case]:
    """Every operator over small shapes, both ends of its numbers, and some layouts."""
    dice = np.random.default_rng(16)
    yield from layers(dice)
    yield from _boundaries(dice)
    yield from _pairs(dice)
    yield from _pools(dice)
    yield from _rows(dice)


def _boundaries(dice: np.random.Generator) -> Iterator[Case]:
    for shape, order in (((1,), None), ((3, 5), None), ((2, 3, 4, 5), CHANNELS_LAST)):
        wide = T(int16s(dice, shape), order)
        narrow = T(dice.integers(-128, 128, shape).astype(np.int8), order)
        for zero_point in (-128, 127, 3):
            yield int16_case("rescale_s16", narrow, zero_point, 1 << 30, 23, 0, -32768, 32767, 16)
            yield int16_case("rescale_s16", wide, 0, 1 << 30, 38, zero_point, -128, 127, 8)
        for multiplier, shift, low in (
            (2147483647, 30, 0),
            (1 << 30, 30, -7),
            (3, 1, -32768),
            (99, 62, -32768),
        ):
            yield int16_case("rescale_s16", wide, 0, multiplier, shift, 0, low, 20000, 16)
        for bits in (4, 8):
            table = constant(int16s(dice, ((1 << (16 - bits)) + 1,)), "int16")
            yield int16_case("lookup_s16", wide, table, bits)


def _pairs(dice: np.random.Generator) -> Iterator[Case]:
    for first, second in (((7,), (7,)), ((2, 3, 4), (3, 1)), ((1, 4, 1), (3, 1, 5)), ((5, 6), (1,))):
        a, b = T(int16s(dice, first)), T(int16s(dice, second))
        for multipliers, shift in (((32767, 32766), 15), ((1, -30000), 13), ((5, 7), 0), ((40000, 9), 16)):
            yield int16_case("add_s16", a, b, *multipliers, shift, -30000, 32767)
        for multiplier, shift in ((2147483647, 46), (1 << 30, 45), (12345, 29)):
            yield int16_case("mul_s16", a, b, multiplier, shift, -32768, 32000)
    for batch, rows, columns, inner in ((1, 1, 1, 1), (2, 3, 5, 7), (1, 4, 2, 300)):
        left, right = T(int16s(dice, (batch, rows, inner))), T(int16s(dice, (batch, columns, inner)))
        yield int16_case("matmul_s16", left, right, (1 << 23) - 1, 40)


def _pools(dice: np.random.Generator) -> Iterator[Case]:
    for shape, kernel, stride, padding, dilation in (
        ((1, 3, 5, 6), [2, 3], [1, 2], [0, 1], [1, 1]),
        ((2, 1, 4, 4), [4, 4], [4, 4], [0, 0], [1, 1]),
        ((1, 17, 7, 5), [3, 3], [2, 2], [1, 1], [2, 1]),
    ):
        image = T(int16s(dice, shape), CHANNELS_LAST)
        for rounds_up in (False, True):
            yield int16_case("max_pool2d_s16", image, kernel, stride, padding, dilation, rounds_up)
            counts = np.maximum(np.arange(kernel[0] * kernel[1] + 1), 1)
            multipliers = constant(np.rint(1.7 * 2**29 / counts))
            yield int16_case("avg_pool2d_s16", image, kernel, stride, padding, rounds_up, multipliers, 29)


def _rows(dice: np.random.Generator) -> Iterator[Case]:
    table = constant(exp2_table())
    for multiplier, shift in ((1 << 30, 25), (2047, 10), (1, 62)):
        for shape, dimension in (((1, 1), 1), ((2, 9), -1), ((3, 4, 5), 1), ((40,), 0)):
            yield int16_case("softmax_s16", T(int16s(dice, shape)), dimension, table, multiplier, shift)
        for rows in (1, 3):
            mask = T((dice.random((1, rows, 6)) < 0.5).astype(np.int8))
            yield int16_case("masked_softmax_s16", T(int16s(dice, (2, 3, 6))), mask, table, multiplier, shift)
    for shape, order, groups in (((3, 8), None, 1), ((2, 6, 4, 5), CHANNELS_LAST, 3), ((1, 4, 7), None, 4)):
        for entries, centered, epsilon in ((1, True, 0), (shape[1], True, 1 << 40), (shape[1], False, 17)):
            weight = constant(dice.integers(-(1 << 29), 1 << 29, entries))
            bias = constant(dice.integers(-(1 << 24), 1 << 24, entries))
            x = T(int16s(dice, shape), order)
            yield int16_case("norm_s16", x, weight, bias, groups, centered, epsilon, 24)


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
    from mcu_build.lower.int16_build import factor

    values = int16s(np.random.default_rng(5), (50, 12))
    octaves = factor(scale * np.log2(np.e) * (1 << 16), 1 << 16)
    found = DEFINITIONS["softmax_s16"](values, 1, exp2_table(), *octaves) / 32768
    powers = np.exp((values - values.max(axis=1, keepdims=True).astype(np.float64)) * scale)
    assert np.abs(found - powers / powers.sum(axis=1, keepdims=True)).max() < 1.1 / 32768


@pytest.mark.parametrize("real", [3e-9, 0.7, 0.99999999999, 1.0, 5000.0])
@pytest.mark.parametrize("largest", [1, 1 << 16, (1 << 31) - 1, 1 << 40])
def test_factors_are_near_and_leave_room(real, largest):
    from mcu_build.lower.int16_build import factor

    multiplier, shift = factor(real, largest)
    assert 0 < shift <= 62
    assert multiplier * largest + (1 << shift >> 1) < 1 << 63
    assert multiplier < 1 << 31
    if shift < 62:
        assert multiplier / 2**shift == pytest.approx(real, rel=2.0 ** -min(30, 60 - largest.bit_length()))
