"""The kernels of our own int8 operators equal their definitions, and these what they stand for in float."""

from collections.abc import Sequence

import numpy as np
import pytest

from mcu_build.arithmetic.int8 import DEFINITIONS, norm
from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import differing, integers, same, share_that_varies
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of, run_cases


def definition(case: Case) -> np.ndarray:
    name = case.operator.removeprefix("mcu_build::").removesuffix(".out")
    return DEFINITIONS[name](*[a.array if isinstance(a, T) else a for a in case.arguments])


def case(name: str, x: T, *arguments: object) -> Case:
    shape = definition(Case(f"mcu_build::{name}.out", [x, *arguments], [])).shape
    return Case(f"mcu_build::{name}.out", [x, *arguments], [Out(shape, "int8", x.dim_order)])


def constant(values: object, dtype: str = "int32") -> T:
    return T(np.array(values, dtype), constant=True)


SHAPES: Sequence[tuple[tuple[int, ...], tuple[int, ...] | None]] = (
    ((1, 1), None),
    ((7, 3), None),
    ((2, 6, 5), None),
    ((2, 6, 4, 5), None),
    ((2, 6, 4, 5), CHANNELS_LAST),
    ((1, 17, 1, 1), CHANNELS_LAST),
    ((3, 1, 4, 1), CHANNELS_LAST),
)


def prelu_cases() -> list[Case]:
    dice = np.random.default_rng(61)
    found = []
    for (shape, order), zero_points in zip(
        SHAPES, [(-128, 127), (127, -128), (0, 0), (-3, 5)] * 2, strict=False
    ):
        x = T(integers(dice, shape), order)
        for shift in (1, 17, 22, 30):
            largest = min(1 << 22, 1 << (shift + 1)) - 1
            slopes = dice.integers(-largest, largest + 1, shape[1])
            positive = int(dice.integers(largest // 2, largest + 1))
            found.append(case("prelu", x, constant(slopes), positive, shift, *zero_points))
    return found


def test_prelu(tmp_path):
    cases = prelu_cases()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []
    assert share_that_varies(outputs) > 0.5


def norm_cases() -> list[Case]:
    dice = np.random.default_rng(62)
    found = []
    for shape, order in SHAPES:
        x = T(integers(dice, shape), order)
        for groups in {1, shape[1], 2 if shape[1] % 2 == 0 else 1}:
            for entries in (1, shape[1]):
                weight = constant(dice.integers(-(1 << 29), 1 << 29, entries))
                bias = constant(dice.integers(-(1 << 23), 1 << 23, entries))
                for centered, epsilon, zero_points, shift in (
                    (True, 0, (-128, 3), 27),
                    (True, 1 << 61, (127, -128), 20),
                    (False, 17, (5, 127), 26),
                ):
                    found.append(
                        case("norm", x, weight, bias, groups, centered, epsilon, *zero_points, shift)
                    )
    flat = T(np.full((2, 8), 9, np.int8))
    found.append(case("norm", flat, constant([1 << 28]), constant([1 << 20]), 1, True, 0, 0, 0, 28))
    return found


def test_norm(tmp_path):
    cases = norm_cases()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []
    assert share_that_varies(outputs[:-1]) > 0.5


def test_a_norm_is_the_real_one_to_a_step():
    dice = np.random.default_rng(63)
    q = integers(dice, (20, 48))
    x = (q.astype(np.float64) - 7) * 0.05
    real = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    epsilon = round(1e-5 * 48**2 / 0.05**2)
    one = np.array([round(2**24 / 0.03)], np.int32)
    given = norm(q, one, np.zeros(1, np.int32), 1, True, epsilon, 7, 0, 27)
    assert np.abs(given - real / 0.03).max() <= 0.5 + 1e-3


def run_of(dice: np.random.Generator, outputs: int, inputs: int, taps: int) -> tuple[T, T]:
    """Starts and weights of an axis, the weights of an output 2 together at most."""
    starts = dice.integers(0, inputs - taps + 1, outputs)
    starts[-1] = inputs - taps
    weights = dice.integers(-(1 << 15) // taps, (1 << 15) // taps, (outputs, taps))
    return constant(starts), constant(weights, "int16")


def resample_cases() -> list[Case]:
    dice = np.random.default_rng(65)
    found = []
    for (n, channels, height, width), output, taps, zero_points, scaling in (
        ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0), (1 << 30, -20)),
        ((2, 5, 4, 6), (8, 12), (2, 2), (-128, 127), (1 << 30, -20)),
        ((1, 17, 7, 3), (3, 5), (4, 3), (127, -128), (1_500_000_000, -21)),
        ((1, 3, 1, 9), (1, 20), (1, 9), (-7, 4), (2_000_000_000, -22)),
    ):
        x = T(integers(dice, (n, channels, height, width)), CHANNELS_LAST)
        rows = run_of(dice, output[0], height, taps[0])
        columns = run_of(dice, output[1], width, taps[1])
        found.append(case("resample", x, *rows, *columns, *zero_points, *scaling))
    return found


def test_resample(tmp_path):
    cases = resample_cases()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []
    assert share_that_varies(outputs) == 1


def test_runs_beyond_an_image_and_weights_that_overflow_are_refused():
    x = T(np.zeros((1, 1, 3, 3), np.int8), CHANNELS_LAST)
    one, all_of_it = (constant([0]), constant([[1 << 14]], "int16")), constant([[9000, 9000, 9000]], "int16")
    for rows, message in (
        ((constant([1]), all_of_it), "reaches beyond 3"),
        ((constant([0]), constant([[12_000, -12_000, 12_000]], "int16")), "more than 2"),
    ):
        wrong = Case(
            "mcu_build::resample.out", [x, *rows, *one, 0, 0, 1 << 30, -20], [Out((1, 1, 1, 1), "int8")]
        )
        with pytest.raises(McuError, match=message):
            compile_program(program_of(wrong)[0], "m")


def exponentials(scale: float) -> T:
    return T(np.rint(np.exp(-np.arange(256) * scale) * 2**31).astype(np.uint32).view(np.int32), constant=True)


def masked_softmax_cases() -> list[Case]:
    dice = np.random.default_rng(66)
    found = []
    for shape, own, dtype in (
        ((1, 1, 1), (1, 1, 1), "bool"),
        ((4, 5, 7), (1, 5, 7), "bool"),
        ((4, 5, 7), (4, 1, 7), "int8"),
        ((2, 3, 33), (2, 3, 33), "bool"),
    ):
        mask = (dice.random(own) < 0.7).astype(dtype)
        mask[-1, -1] = 0  # a row without anything
        for scale, octaves in ((0.003, 3), (0.1, 0), (5.0, 15)):
            x = T(integers(dice, shape))
            found.append(case("masked_softmax", x, T(mask), exponentials(scale), octaves))
    return found


def test_softmax_in_finer_steps(tmp_path):
    dice = np.random.default_rng(69)
    cases = [
        case("softmax", T(integers(dice, shape), order), exponentials(scale), octaves)
        for shape, order in (((2, 5, 170), None), ((2, 17, 3, 40), CHANNELS_LAST), ((3, 1), None))
        for scale in (0.0004, 0.03, 2.0)
        for octaves in (0, 1, 6, 15)
    ]
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []
    assert share_that_varies(outputs) > 0.4
    # 170 shares that are nearly equal: 1.5 steps of 1/256, 96 of steps 64 times finer, more than 255.
    coarse, _, fine, finest = (output.astype(int) + 128 for (output,) in outputs[:4])
    assert coarse.max() == 2 and 85 < fine.min() < fine.max() < 110 and finest.min() == 255


def test_masked_softmax(tmp_path):
    cases = masked_softmax_cases()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []
    assert share_that_varies(outputs) > 0.6
    for each, (output,) in zip(cases, outputs, strict=True):
        hidden = np.broadcast_to(each.arguments[1].array == 0, output.shape)
        assert (output[hidden] == -128).all()


def test_log_softmax(tmp_path):
    dice = np.random.default_rng(67)
    cases = [
        case(
            "log_softmax", T(integers(dice, (rows, columns))), exponentials(scale), step, octave, shift, zero
        )
        for rows, columns in ((1, 1), (3, 10), (2, 300))
        for scale, step, octave, shift, zero in ((0.05, 1 << 29, 90_000, 30, 127), (2.0, 77, 3, 8, 4))
    ]
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []
    assert share_that_varies(outputs) > 0.6


def test_max_pool_beyond_the_image(tmp_path):
    dice = np.random.default_rng(68)
    cases = []
    for shape, kernel, stride, padding in (
        ((1, 3, 8, 9), [3, 3], [2, 2], [0, 0]),
        ((2, 17, 5, 6), [2, 3], [2, 2], [1, 1]),
        ((1, 1, 1, 7), [1, 4], [1, 3], [0, 2]),
    ):
        x = T(integers(dice, shape), CHANNELS_LAST)
        cases.append(case("max_pool2d", x, kernel, stride, padding))
        for dilation, rounds_up in (([1, 2], True), ([1, 2], False)):
            cases.append(case("max_pool2d_dilated", x, kernel, stride, padding, dilation, rounds_up))
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, definition) == []


def test_another_zero_point_or_epsilon_is_noticed(tmp_path):
    dice = np.random.default_rng(64)
    x = T(integers(dice, (4, 32)))
    weight, bias = constant([1 << 28]), constant([0])
    right, *wrong = (
        case("norm", x, weight, bias, 1, False, epsilon, zero_point, 0, 26)
        for epsilon, zero_point in ((50, 3), (50_000_000, 3), (50, 4))
    )
    (output,), *others = run_cases([right, *wrong], tmp_path)
    assert same(output, definition(right))
    assert all(not np.array_equal(output, other) for (other,) in others)
