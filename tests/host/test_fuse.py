"""A convolution pads by itself exactly where that gives the same, and the pad is gone."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.ir.calls.boundary import Dequantize, DequantizeParams, Quantize, QuantizeParams
from mcu_build.ir.calls.call import Portable
from mcu_build.ir.calls.portable import AdaptivePoolParams, PlanePoolParams, Planes
from mcu_build.ir.plan import DType, Plan, Step, Tensor
from mcu_build.plan.compile import compile_program
from mcu_build.plan.fuse import fuse_float_pools
from mcu_build.plan.memory.allocate import place
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
    from mcu_build.oracle.reference import evaluate

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


def pool_in_floats(number, pool, function, size, made, kept=False):
    """Dequantize, an average of floats, quantize; `kept`: something else reads the floats, too."""
    shapes = [(1, *size), (1, *size), (1, *made), (1, *made)]
    types = (DType.I8, DType.F32, DType.F32, DType.I8)
    tensors = {
        id: Tensor(id, f"t{id}", dtype, shape, CHANNELS_LAST)
        for id, (dtype, shape) in enumerate(zip(types, shapes, strict=True))
    }
    counts = [tensors[id].elements for id in (1, 2)]
    calls = [
        Dequantize(DequantizeParams(counts[0], 0.037, -11), 0, 1, DType.I8),
        Portable(pool, function, "plane_pool", (1,), (2,)),
        Quantize(QuantizeParams(counts[1], 1 / 0.021, 5, -128, 127), 2, 3, DType.I8),
    ]
    steps = tuple(Step.of("op", "", call) for call in calls)
    return Plan(f"pool{number}", tensors, steps, (0,), (3, 1) if kept else (3,))


def planes(height, width, channels):
    return Planes(1, channels, 1, height, width, 0, 1, 0, width * channels, channels)


def test_an_average_in_floats_reads_and_writes_int8(tmp_path):
    source = planes(6, 5, 3)
    window = {"kernel": (1, 3, 3), "stride": (1, 2, 2), "padding": (0, 1, 1), "dilation": (1, 1, 1)}
    pools = [
        (PlanePoolParams(source, planes(3, 3, 3), **window, count_padding=count, divisor=by), "avg_pool_f32")
        for count, by in ((False, 0), (True, 0), (False, 7))
    ]
    pools.append((AdaptivePoolParams(source, planes(3, 3, 3)), "adaptive_avg_pool_f32"))
    plans, image = [], np.random.default_rng(2).integers(-128, 128, 90).astype(np.int8)
    for number, (pool, function) in enumerate(pools):
        plain = pool_in_floats(number, pool, function, (6, 5, 3), (3, 3, 3))
        fused = fuse_float_pools(plain)
        assert [step.kernel for step in fused.steps] == [function.replace("f32", "quantized_s8")]
        plans += [place(plain), place(replace(fused, name=f"fused{number}"))]
        assert plans[-1].arena.size < plans[-2].arena.size / 2
    found = run_plans(plans, [image] * len(plans), tmp_path)
    each = [found[at : at + 27] for at in range(0, len(found), 27)]
    assert each[::2] == each[1::2]
    # They differ from one another: what is compared depends on the parameters.
    assert len(set(each)) == len(pools)


def test_floats_that_others_read_stay():
    pool = AdaptivePoolParams(planes(6, 5, 3), planes(1, 1, 3))
    plan = pool_in_floats(0, pool, "adaptive_avg_pool_f32", (6, 5, 3), (1, 1, 3), kept=True)
    assert fuse_float_pools(plan).steps == plan.steps
