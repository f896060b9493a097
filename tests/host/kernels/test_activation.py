"""Table look-up equals its definition; softmax equals its definition evaluated in float64."""

import math

import numpy as np

from tests.host.kernels.definitions import (
    definition,
    differing,
    integers,
    same,
    share_that_varies,
    with_output,
)
from tests.support.cases import CHANNELS_LAST, Case, T, run_cases

# What the exporter makes of input scales: multiplier and shift of scale * 2^26.
SCALES = (0.003, 0.0117, 0.031, 0.0625, 0.1, 0.25, 1.0, 7.9)
SHAPES = [
    ((1, 10), -1),
    ((4, 1), -1),
    ((3, 2), 0),
    ((2, 8, 33), -1),
    ((2, 8, 33), 1),
    ((5, 3, 4), 0),
    ((1, 600), 1),
    ((1, 512), 1),
    ((7,), 0),
]


def fixed_scale(scale: float) -> list[int]:
    mantissa, shift = math.frexp(scale * (1 << 26))
    return [round(mantissa * (1 << 31)), shift]


def softmax_case(x: T, dim: int, scale: float, order=None) -> Case:
    return with_output("softmax", [x, dim, 3, -128, *fixed_scale(scale), -248], order)


def softmax_cases() -> list[Case]:
    dice = np.random.default_rng(50)
    found = [softmax_case(T(integers(dice, shape)), dim, s) for shape, dim in SHAPES for s in SCALES]
    image = T(integers(dice, (2, 5, 3, 4)), CHANNELS_LAST)
    found += [softmax_case(image, dim, 0.02, CHANNELS_LAST) for dim in range(4)]
    # Equal values: ties such as 256 / 512.
    found += [softmax_case(T(np.full((1, n), 7, np.int8)), 1, 0.1) for n in (1, 2, 3, 512, 1024)]
    return found


def in_float64(case: Case) -> np.ndarray:
    """The definition's formula (softmax_impl) with every float32 made a float64."""
    x, dim, zero_point, output_zero_point, multiplier, shift, _ = case.arguments
    scale = math.ldexp(multiplier / (1 << 31), shift) / (1 << 26)
    exponents = (x.array.astype(np.float64) - zero_point) * scale
    parts = np.exp(exponents - exponents.max(axis=dim, keepdims=True))
    share = parts / parts.sum(axis=dim, keepdims=True)
    return np.clip(np.rint(share * 256) + output_zero_point, -128, 127).astype(np.int8)


def test_softmax_is_the_definition_in_float64(tmp_path):
    cases = softmax_cases()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, in_float64) == []
    assert share_that_varies(outputs) > 0.6


def test_softmax_and_its_float32_definition(tmp_path, record_property):
    """float32 may round the other way where a value lies next to a tie; never by more than one step."""
    dice = np.random.default_rng(51)
    rows = 1_000_000 // (4 * 10)
    cases = [softmax_case(T(integers(dice, (rows, 10))), 1, scale) for scale in (0.004, 0.0117, 0.03, 0.09)]
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, in_float64) == []
    distance = np.concatenate(
        [
            output.astype(int).ravel() - definition(case).astype(int).ravel()
            for case, (output,) in zip(cases, outputs, strict=True)
        ]
    )
    assert distance.size == 1_000_000
    assert np.abs(distance).max() <= 1
    differing_share = np.count_nonzero(distance) / distance.size
    record_property("outputs that differ from float32", np.count_nonzero(distance))
    assert differing_share < 1e-4


def test_another_scale_is_noticed(tmp_path):
    dice = np.random.default_rng(52)
    case = softmax_case(T(integers(dice, (200, 10))), 1, 0.02)
    off = softmax_case(case.arguments[0], 1, 0.0201)
    ((output,),) = run_cases([off], tmp_path)
    assert not np.array_equal(output, in_float64(case))
    assert same(output, in_float64(off))


def lookups() -> list[Case]:
    dice = np.random.default_rng(53)
    every = np.arange(-128, 128).astype(np.int8)
    found = []
    for x in (T(every), T(integers(dice, (1,))), T(integers(dice, (2, 3, 4, 5)), CHANNELS_LAST)):
        table = T(integers(dice, (256,)), constant=True)
        found.append(with_output("quantized_activation", [x, table], x.dim_order))
    return found


def test_lookup(tmp_path):
    cases = lookups()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs) == []
    assert share_that_varies(outputs) == 1


def test_one_entry_of_a_table_is_noticed(tmp_path):
    case = lookups()[0]
    table = case.arguments[1].array.copy()
    table[255] ^= 1
    off = Case(case.operator, [case.arguments[0], T(table, constant=True)], case.outputs)
    ((output,),) = run_cases([off], tmp_path)
    assert np.count_nonzero(output != definition(case)) == 1
