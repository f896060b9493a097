"""A convolution pads by itself exactly where that gives the same, and the pad is gone."""

import numpy as np
import pytest

from mcu_build.plan.compile import compile_program
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of, run_plans
from tests.support.chains import join

INPUT_ZERO_POINT = -5


def padded_convolution(
    value=INPUT_ZERO_POINT, before=(0, 1, 0, 0), after=(0, 0, 2, 0), depthwise=False, stride=2
):
    """A program: pad, then a convolution with padding of its own, and an input."""
    dice = np.random.default_rng(4)
    x = dice.integers(-128, 128, (1, 3, 5, 6)).astype(np.int8)
    channels = 3 if depthwise else 4
    weights = dice.integers(-127, 128, (1, 3, 2, 3) if depthwise else (4, 3, 2, 3)).astype(np.int8)
    grown = (1, 3, 5 + before[1] + after[1], 6 + before[2] + after[2])
    size = ((grown[2] + 2 - 3) // stride + 1, (grown[3] + 2 - 2) // stride + 1)
    pad = Case(
        "cortex_m::pad.out",
        [T(x, CHANNELS_LAST), list(before), list(after), value],
        [Out(grown, "int8", CHANNELS_LAST)],
    )
    middle = T(np.zeros(grown, np.int8), CHANNELS_LAST)
    constants = [
        T(dice.integers(-900, 900, channels).astype(np.int32), constant=True),
        T(np.full(channels, 1 << 30, np.int32), constant=True),
        T(np.full(channels, -7, np.int32), constant=True),
    ]
    name = "quantized_depthwise_conv2d" if depthwise else "quantized_conv2d"
    scratch = T(np.zeros(1, np.uint8), constant=True)
    convolution = Case(
        f"cortex_m::{name}.out",
        [middle, T(weights, constant=True), constants[0], [stride, stride], [1, 1], [1, 1]]
        + ([1] if depthwise else [])
        + [-INPUT_ZERO_POINT, 3, constants[1], constants[2], -128, 127, scratch],
        [Out((1, channels, *size), "int8", CHANNELS_LAST)],
    )
    return join(program_of(pad)[0], program_of(convolution)[0]), x


def nhwc(array):
    return np.ascontiguousarray(array.transpose(CHANNELS_LAST))


def kernels(program):
    return [step.kernel for step in compile_program(program, "m").steps]


@pytest.mark.parametrize("depthwise", [False, True])
def test_the_pad_is_gone_and_nothing_changes(depthwise, tmp_path):
    from mcu_build.reference import evaluate

    program, x = padded_convolution(depthwise=depthwise)
    assert "pad_x8" not in kernels(program)
    (expected,) = evaluate(program, [x])
    assert np.unique(expected).size > 20
    plan = compile_program(program, "fused")
    found = np.frombuffer(run_plans([plan], [nhwc(x)], tmp_path), np.int8)
    np.testing.assert_array_equal(found, nhwc(expected).reshape(-1))


@pytest.mark.parametrize(
    "kept",
    [
        {"value": 0},
        {"stride": 1},
        {"before": (0, -1, 0, 0)},
        {"before": (0, 0, 0, 1), "after": (0, 0, 0, -1)},
    ],
)
def test_another_pad_stays(kept):
    program, _ = padded_convolution(**kept)
    assert "pad_x8" in kernels(program)
