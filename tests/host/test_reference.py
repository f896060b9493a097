"""The evaluator agrees with executorch's definitions where those run, and with float operators elsewhere."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mcu_build.arithmetic.integer import STAND_INS, requantize
from mcu_build.errors import McuError
from mcu_build.ir.plan import DType
from mcu_build.ir.program import KernelCall, Program, TensorValue
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.oracle.reference import evaluate
from tests.support.lowering import take
from tests.support.lowering_cases import CASES

with quiet():
    import executorch.backends.cortex_m.passes  # noqa: F401  defines torch.ops.cortex_m
    from executorch.backends.cortex_m.passes.passes_utils import quantize_multiplier_aot, requantize_cmsis

Random = np.random.Generator


def _int8(random: Random, *shape: int) -> np.ndarray:
    return random.integers(-128, 128, shape).astype(np.int8)


def _scales(random: Random, count: int, terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts that bring sums of `terms` products into the range of int8."""
    scales = random.uniform(0.2, 1, count) * 60 / (74 * 74 * terms**0.5)
    pairs = [quantize_multiplier_aot(float(scale)) for scale in scales]
    return tuple(np.array(column, np.int32) for column in zip(*pairs, strict=True))


def _definition(operator: str, *arguments: Any) -> np.ndarray:
    wrapped = [
        torch.from_numpy(np.ascontiguousarray(a)) if isinstance(a, np.ndarray) else a for a in arguments
    ]
    return getattr(torch.ops.cortex_m, operator).default(*wrapped).numpy()


def _both(operator: str, *arguments: Any) -> np.ndarray:
    """The stand-in's result, after comparing it with the definition's."""
    ours = STAND_INS[f"cortex_m::{operator}.out"](*arguments)
    np.testing.assert_array_equal(ours, _definition(operator, *arguments))
    assert len(np.unique(ours)) > 1
    return ours


def _convolution(random: Random, dilation: int, depthwise: bool) -> tuple[Any, ...]:
    channels, groups = int(random.integers(1, 7)), 1
    if not depthwise and channels % 2 == 0:
        groups = int(random.choice([1, 2]))
    kernel = random.integers(1, 4, 2)
    out = groups * int(random.integers(1, 5)) if not depthwise else channels * int(random.integers(1, 3))
    weight = (1, *kernel, out) if depthwise else (out, *kernel, channels // groups)
    size = kernel * dilation + random.integers(2, 9, 2)
    multipliers, shifts = _scales(random, out, int(np.prod(weight[1:3])) * channels // groups)
    bias = random.integers(-999, 999, out).astype(np.int32) if random.integers(2) else None
    return (
        _int8(random, int(random.integers(1, 3)), channels, *size),
        _int8(random, *weight),
        bias,
        random.integers(1, 4, 2).tolist(),
        random.integers(0, 3, 2).tolist(),
        [dilation, dilation],
        *([out // channels] if depthwise else []),
        int(random.integers(-40, 40)),
        int(random.integers(-40, 40)),
        multipliers,
        shifts,
        -128,
        int(random.integers(20, 128)),
        np.zeros(0, np.uint8),
    )


@pytest.mark.parametrize("seed", range(25))
def test_convolutions_equal_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    _both("quantized_conv2d", *_convolution(random, 1, depthwise=False))
    _both("quantized_depthwise_conv2d", *_convolution(random, 1, depthwise=True))


@pytest.mark.parametrize("seed", range(25))
def test_dilated_convolutions_are_within_a_step_of_float(seed: int) -> None:
    # The definition cannot run: torch has no dilated convolution on integers.
    random = np.random.default_rng(seed)
    arguments = _convolution(random, 2, depthwise=False)
    image, weight, bias, stride, padding, dilation, offset, zero, multipliers, shifts, low, high, _ = (
        arguments
    )
    ours = STAND_INS["cortex_m::quantized_conv2d.out"](*arguments)
    with pytest.raises(NotImplementedError):
        _definition("quantized_conv2d", *arguments)
    total = F.conv2d(
        torch.from_numpy(image.astype(np.float64) + offset),
        torch.from_numpy(weight.astype(np.float64).transpose(0, 3, 1, 2)),
        None if bias is None else torch.from_numpy(bias.astype(np.float64)),
        stride,
        padding,
        dilation,
        image.shape[1] // weight.shape[3],
    ).numpy()
    scale = multipliers.astype(np.float64) * 2.0 ** (shifts.astype(np.float64) - 31)
    real = np.clip(total * scale[:, None, None] + zero, low, high)
    assert np.abs(ours - real).max() <= 1
    assert ours.std() > 0


@pytest.mark.parametrize("seed", range(25))
def test_transposed_convolution_equals_the_definition_below_2_to_24(seed: int) -> None:
    random = np.random.default_rng(seed)
    channels, out, kernel = int(random.integers(1, 5)), int(random.integers(1, 5)), random.integers(1, 5, 2)
    stride = random.integers(1, 4, 2)
    padding = [int(random.integers(0, k)) for k in kernel]
    more = [int(random.integers(0, s)) for s in stride]
    image = _int8(random, 1, channels, *(kernel + random.integers(1, 4, 2)))
    multipliers, shifts = _scales(random, out, int(np.prod(kernel)) * channels)
    scratch = np.zeros(0, np.uint8)
    bias = random.integers(-9999, 9999, out).astype(np.int32)
    weight = _int8(random, out, *kernel, channels)
    parameters = (stride.tolist(), padding, more, [1, 1], 17, -9, multipliers, shifts, -128, 127)
    _both("quantized_transpose_conv2d", image, weight, bias, *parameters, scratch, scratch)


@pytest.mark.parametrize("seed", range(25))
def test_products_equal_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, inner, columns = random.integers(2, 30, 3)
    (multiplier,), (shift,) = _scales(random, 1, int(inner))
    weight, bias = _int8(random, columns, inner), random.integers(-9999, 9999, columns).astype(np.int32)
    source = _int8(random, 2, rows, inner)
    tail = (11, 0, -5, [int(multiplier)], [int(shift)], 127, -128)
    plain = _both("quantized_linear", source, weight, bias, None, *tail)
    kernel_sum = (weight.astype(np.int32).sum(axis=1) * 11 + bias).reshape(1, -1).astype(np.int32)
    helium = _both("quantized_linear", source, weight, None, kernel_sum, *tail)
    np.testing.assert_array_equal(plain, helium)
    right = _int8(random, 2, columns, inner)
    scratch = np.zeros(0, np.uint8)
    _both("quantized_batch_matmul", source, 3, right, -7, 9, int(multiplier), int(shift), scratch)


@pytest.mark.parametrize("seed", range(25))
def test_average_pool_equals_the_definition_but_for_ties(seed: int) -> None:
    """CMSIS-NN rounds them away from zero, the definition to even on both sides of the zero point."""
    random = np.random.default_rng(seed)
    kernel = random.integers(1, 5, 2)
    padding = [int(random.integers(0, k // 2 + 1)) for k in kernel]
    image = _int8(random, 2, int(random.integers(1, 5)), *(kernel + random.integers(1, 9, 2)))
    stride, ceil_mode = random.integers(1, 4, 2).tolist(), bool(random.integers(2))
    # The scale that lowering gives it: with another one float32 may round a tie either way.
    scale = (1 << 30, 1)
    zero_point = int(random.integers(-128, 128))
    scratch = np.zeros(0, np.uint8)
    geometry = (kernel.tolist(), stride, padding, ceil_mode)
    arguments = (image, *geometry, zero_point, *scale, scratch)
    ours = STAND_INS["cortex_m::quantized_avg_pool2d.out"](*arguments)
    means = torch.nn.functional.avg_pool2d(torch.from_numpy(image).double(), *geometry, False).numpy()
    np.testing.assert_array_equal(ours, np.trunc(means + np.copysign(0.5 + 1e-9, means)))
    is_tie = np.abs(means - np.trunc(means)) == 0.5
    theirs = _definition("quantized_avg_pool2d", *arguments)
    np.testing.assert_array_equal(ours[~is_tie], theirs[~is_tie])


@pytest.mark.parametrize("seed", range(10))
def test_softmax_is_within_a_step_of_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = _int8(random, 5, int(random.integers(2, 40)))
    multiplier, shift = quantize_multiplier_aot(float(random.uniform(1e-3, 0.2)) * (1 << 26))
    arguments = (values, -1, int(random.integers(-128, 128)), -128, multiplier, shift, -100)
    ours = STAND_INS["cortex_m::softmax.out"](*arguments)
    theirs = _definition("softmax", *arguments)
    # float32 may put a share on the other side of a tie.
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours == theirs).mean() > 0.99


def test_requantization_equals_the_definition() -> None:
    random = np.random.default_rng(0)
    values = random.integers(-(1 << 24), 1 << 24, 4000)
    for shift in (-40, -31, -30, -9, -1, 0, 1, 5):
        multiplier = int(random.integers(1 << 30, (1 << 31) - 1))
        ours = requantize(values, multiplier, shift)
        theirs = requantize_cmsis(torch.from_numpy(values), multiplier, shift).numpy()
        np.testing.assert_array_equal(ours.astype(np.int32), theirs)
        if shift > -24:  # the values are below 2^24
            assert np.any(ours != requantize(values, multiplier, shift - 1))


@pytest.fixture(scope="module")
def network() -> Any:
    return take(*CASES["conv, flattened"]())


def test_a_changed_weight_changes_the_answer(network: Any) -> None:
    inputs = [np.random.default_rng(1).normal(size=(1, 3, 6, 6)).astype(np.float32)]
    program: Program = network.program
    before = evaluate(program, inputs)[0]
    np.testing.assert_array_equal(before, evaluate(program, inputs)[0])
    values = list(program.values)
    index = next(
        i
        for i, v in enumerate(values)
        if isinstance(v, TensorValue) and v.data is not None and v.dtype is DType.I8
    )
    weight = values[index]
    assert isinstance(weight, TensorValue) and weight.data is not None
    flipped = bytes(byte ^ 0x40 for byte in weight.data)
    values[index] = TensorValue(weight.dtype, weight.shape, weight.dim_order, flipped)
    damaged = Program(
        program.method,
        tuple(values),
        program.instructions,
        program.inputs,
        program.outputs,
        program.delegates,
        program.planned_sizes,
    )
    assert np.any(evaluate(damaged, inputs)[0] != before)


def test_wrong_inputs_are_refused(network: Any) -> None:
    with pytest.raises(McuError, match="1 inputs, 0 were given"):
        evaluate(network.program, [])
    with pytest.raises(McuError, match=r"input 0 is float32\[3, 6, 6\]"):
        evaluate(network.program, [np.zeros((3, 6, 6), np.float32)])
    with pytest.raises(McuError, match="input 0 is float64"):
        evaluate(network.program, [np.zeros((1, 3, 6, 6))])


def test_an_operator_without_a_definition_is_refused() -> None:
    tensor = TensorValue(DType.F32, (2,), (0,))
    program = Program(
        "forward", (tensor, tensor), (KernelCall("mine::own.out", (0, 1, 1)),), (0,), (1,), (), ()
    )
    with pytest.raises(McuError, match=r"mine::own\.out: no definition"):
        evaluate(program, [np.zeros(2, np.float32)])
