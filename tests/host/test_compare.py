"""A comparison finds every difference, and says when it could not have found one."""

import numpy as np
import pytest

from mcu_build.vectors.compare import accuracy, compare, custom_allowance


def outputs(dtype=np.int8):
    return np.arange(24).reshape(4, 6).astype(dtype)


def test_equal_outputs():
    result = compare([outputs()], [outputs()], [0])
    assert (result.mismatches, result.differing, result.max_abs_difference, result.first) == (0, 0, 0.0, None)
    assert (result.vectors, result.elements, result.outputs_vary) == (4, 24, True)


def test_one_corrupt_element_is_found():
    corrupt = outputs()
    corrupt[2, 3] += 1
    result = compare([outputs()], [corrupt], [0])
    assert (result.mismatches, result.max_abs_difference) == (1, 1.0)
    assert (result.first.vector, result.first.index, result.first.expected, result.first.found) == (
        2,
        (3,),
        15,
        16,
    )


def test_outputs_that_never_change_are_told():
    same = np.ones((4, 6), np.int8)
    assert not compare([same], [same], [0]).outputs_vary


def test_int8_extremes_do_not_wrap():
    low, high = np.array([[-128]], np.int8), np.array([[127]], np.int8)
    assert compare([low], [high], [0]).max_abs_difference == 255


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_floats_that_are_not_numbers(bad):
    want, have = outputs(np.float32), outputs(np.float32)
    have[0, 0] = bad
    assert compare([want], [have], [1.0]).mismatches == 1
    assert compare([have], [have], [0]).mismatches == 0


def test_allowance_for_operators_of_the_user():
    want = outputs(np.float32)
    near = want * np.float32(1 + 1e-7)
    allowed = custom_allowance([want], [None])
    result = compare([want], [near], allowed)
    assert result.differing > 0
    assert result.mismatches == 0
    assert compare([want], [want * np.float32(1.001)], allowed).mismatches > 0
    assert custom_allowance([want], [0.5]) == [0.5]


def test_accuracy():
    scores = np.array([[0, 1], [3, 2], [1, 5]])
    assert accuracy(scores, np.array([1, 0, 0])) == pytest.approx(2 / 3)
