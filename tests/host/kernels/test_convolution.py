"""The convolutions equal the Python definitions bit for bit."""

from collections.abc import Callable

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import (
    definition,
    differing,
    integers,
    same,
    share_that_varies,
    with_output,
)
from tests.host.kernels.exact import requantize, transpose_conv2d
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of, run_cases

# (batch, height, width), (in, out) channels, groups, kernel, stride, padding, dilation
CONVOLUTIONS = [
    ((1, 5, 6), (3, 4), 1, (3, 3), (1, 1), (1, 1), (1, 1)),
    ((2, 7, 5), (1, 8), 1, (3, 3), (2, 2), (1, 1), (1, 1)),
    ((1, 1, 1), (17, 5), 1, (1, 1), (1, 1), (0, 0), (1, 1)),
    ((1, 1, 1), (1, 1), 1, (1, 1), (1, 1), (0, 0), (1, 1)),
    ((1, 9, 8), (5, 3), 1, (2, 3), (4, 5), (0, 1), (1, 1)),
    ((1, 9, 9), (4, 6), 1, (3, 3), (1, 1), (2, 2), (2, 2)),
    ((1, 8, 11), (6, 4), 2, (3, 2), (1, 2), (1, 0), (2, 3)),
    ((1, 4, 4), (16, 16), 4, (3, 3), (1, 1), (1, 1), (1, 1)),
    ((1, 6, 6), (7, 14), 7, (3, 3), (1, 1), (1, 1), (1, 1)),
    ((1, 1, 20), (3, 5), 1, (1, 7), (1, 3), (0, 3), (1, 1)),
    ((1, 20, 1), (2, 33), 1, (5, 1), (2, 1), (4, 0), (2, 1)),
    ((3, 3, 3), (19, 2), 1, (3, 3), (3, 3), (0, 0), (1, 1)),
]
# (batch, height, width), in channels, depth multiplier, kernel, stride, padding, dilation
DEPTHWISE = [
    ((1, 5, 6), 4, 1, (3, 3), (1, 1), (1, 1), (1, 1)),
    ((2, 7, 5), 17, 1, (3, 3), (2, 2), (1, 1), (1, 1)),
    ((1, 4, 5), 3, 4, (3, 3), (1, 1), (1, 1), (1, 1)),
    ((1, 6, 7), 1, 8, (3, 5), (1, 2), (1, 2), (1, 1)),
    ((1, 1, 1), 5, 1, (1, 1), (1, 1), (0, 0), (1, 1)),
    ((1, 9, 9), 2, 2, (3, 3), (1, 1), (2, 2), (2, 2)),
    ((1, 9, 8), 6, 1, (2, 2), (4, 5), (0, 0), (1, 1)),
    ((1, 8, 1), 20, 1, (3, 1), (1, 1), (3, 0), (3, 1)),
]
# (batch, height, width), (in, out) channels, kernel, stride, padding, output padding, dilation
TRANSPOSED = [
    ((1, 3, 4), (3, 4), (2, 2), (2, 2), (0, 0), (0, 0), (1, 1)),
    ((2, 4, 3), (5, 2), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)),
    ((1, 4, 4), (1, 1), (3, 3), (1, 1), (0, 0), (0, 0), (1, 1)),
    ((1, 1, 1), (17, 3), (1, 1), (1, 1), (0, 0), (0, 0), (1, 1)),
    ((1, 3, 5), (2, 6), (3, 2), (1, 3), (2, 0), (0, 2), (2, 1)),
    ((1, 4, 3), (4, 3), (2, 3), (4, 5), (0, 1), (1, 3), (1, 2)),
    ((1, 5, 5), (3, 2), (4, 4), (2, 2), (1, 1), (0, 0), (1, 1)),
]


def scales(dice, channels: int, terms: int) -> tuple[T, T]:
    """Multipliers and shifts that spread sums of `terms` products over int8, the corners among them."""
    shift = -6 - int(np.log2(terms) / 2)
    shifts = dice.integers(shift - 1, shift + 2, channels).astype(np.int32)
    multipliers = dice.integers(1 << 30, 1 << 31, channels).astype(np.int32)
    if channels > 4:
        shifts[:4] = [0, -32, -45, 2]
    return T(multipliers, constant=True), T(shifts, constant=True)


def operands(dice, image, channels, weights, terms, explicit) -> tuple[T, T, T | None, T, T]:
    # The output channels are the last dimension of depthwise weights, the first of all others.
    outputs = np.prod(weights) // terms
    n, h, w = image
    x = T(integers(dice, (n, h, w, channels) if explicit else (n, channels, h, w)))
    if not explicit:
        x = T(x.array, CHANNELS_LAST)
    bias = T(dice.integers(-3000, 3000, outputs).astype(np.int32), constant=True)
    return (
        x,
        T(integers(dice, weights), constant=True),
        bias if dice.integers(3) else None,
        *scales(dice, outputs, terms),
    )


def ends(dice) -> list[int]:
    """Offset of the input (minus its zero point) and zero point of the output."""
    return [-int(dice.choice((-128, 127, 0, 11))), int(dice.choice((-128, 127, 0, -7)))]


def activation(dice) -> list[int]:
    return [[-128, 127], [-128, 127], [-20, 40]][int(dice.integers(3))]


def convolutions() -> list[Case]:
    dice = np.random.default_rng(20)
    found = []
    for image, (inputs, outputs), groups, kernel, stride, padding, dilation in CONVOLUTIONS * 2:
        for explicit in (False, True):
            weights = (outputs, *kernel, inputs // groups)
            x, w, bias, *scale = operands(dice, image, inputs, weights, np.prod(weights[1:]), explicit)
            geometry = [list(stride), list(padding), list(dilation)]
            arguments = [x, w, bias, *geometry, *ends(dice), *scale, *activation(dice), scratch()]
            found.append(convolution_case("quantized_conv2d", arguments, explicit))
    return found


def depthwise() -> list[Case]:
    dice = np.random.default_rng(21)
    found = []
    for image, inputs, copies, kernel, stride, padding, dilation in DEPTHWISE * 3:
        for explicit in (False, True):
            weights = (1, *kernel, inputs * copies)
            x, w, bias, *scale = operands(dice, image, inputs, weights, np.prod(kernel), explicit)
            geometry = [list(stride), list(padding), list(dilation), copies]
            arguments = [x, w, bias, *geometry, *ends(dice), *scale, *activation(dice), scratch()]
            found.append(convolution_case("quantized_depthwise_conv2d", arguments, explicit))
    return found


def transposed() -> list[Case]:
    dice = np.random.default_rng(22)
    found = []
    for image, (inputs, outputs), kernel, stride, padding, extra, dilation in TRANSPOSED * 3:
        for explicit in (False, True):
            weights = (outputs, *kernel, inputs)
            x, w, bias, *scale = operands(dice, image, inputs, weights, np.prod(weights[1:]), explicit)
            geometry = [list(stride), list(padding), list(extra), list(dilation)]
            arguments = [x, w, bias, *geometry, *ends(dice), *scale, *activation(dice), scratch(), scratch()]
            found.append(convolution_case("quantized_transpose_conv2d", arguments, explicit))
    return found


def scratch() -> T:
    return T(np.zeros(1, np.uint8))


def expected(case: Case) -> np.ndarray:
    """The definition; where it dilates, the definition of the same sums without dilation.

    torch has no dilated convolution of integers, so that definition cannot run. Weights with zeros between
    them are the same convolution.
    """
    dilation = case.arguments[5]
    if "transpose" in case.operator or dilation == [1, 1]:
        return definition(case)
    arguments = list(case.arguments)
    arguments[1], arguments[5] = T(spread(case.arguments[1].array, dilation)), [1, 1]
    return definition(Case(case.operator, arguments, case.outputs))


def spread(weights: np.ndarray, dilation: list[int]) -> np.ndarray:
    """Weights [.][ky][kx][.] with dilation - 1 zeros between neighbours."""
    first, height, width, last = weights.shape
    size = [(height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1]
    found = np.zeros((first, *size, last), weights.dtype)
    found[:, :: dilation[0], :: dilation[1]] = weights
    return found


def convolution_case(operator: str, arguments: list[object], explicit: bool) -> Case:
    order = None if explicit else CHANNELS_LAST
    return with_output(operator + "_nhwc" * explicit, arguments, order, expected)


@pytest.mark.parametrize("make", [convolutions, depthwise, transposed])
def test_exact(make: Callable[[], list[Case]], tmp_path):
    cases = make()
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs, expected) == []
    assert share_that_varies(outputs) > 0.9
    # Between the ends too, not only clamped values.
    assert np.mean([((o > -100) & (o < 100)).any() for (o,) in outputs]) > 0.8


def test_an_image_that_is_not_channels_last_is_reordered(tmp_path):
    case = next(case for case in convolutions() if case.operator == "cortex_m::quantized_conv2d.out")
    plain = Case(case.operator, [T(case.arguments[0].array), *case.arguments[1:]], case.outputs)
    ((output,),) = run_cases([plain], tmp_path)
    assert same(output, definition(case))


def test_sums_beyond_the_float_definition(tmp_path):
    """Above 2^24 the transposed convolution's definition, in float32, rounds; integers are the truth."""
    dice = np.random.default_rng(23)
    x = T(dice.integers(100, 128, (1, 700, 2, 2)).astype(np.int8), CHANNELS_LAST)
    w = T(dice.integers(100, 128, (2, 2, 2, 700)).astype(np.int8), constant=True)
    bias = T(np.array([1 << 26, 12345], np.int32), constant=True)
    multipliers = T(np.array([(1 << 31) - 1, (1 << 30) + 12345], np.int32), constant=True)
    shifts = T(np.array([-19, -17], np.int32), constant=True)
    geometry = [[1, 1], [0, 0], [0, 0], [1, 1]]
    arguments = [x, w, bias, *geometry, 128, -128, multipliers, shifts, -128, 127, scratch(), scratch()]
    case = Case(
        "cortex_m::quantized_transpose_conv2d.out", arguments, [Out((1, 2, 3, 3), "int8", CHANNELS_LAST)]
    )
    ((output,),) = run_cases([case], tmp_path)
    sums = transpose_conv2d(x.array, w.array, (1, 1), (0, 0), (0, 0), (1, 1), 128)
    sums += bias.array.reshape(1, -1, 1, 1)
    assert np.abs(sums).max() > 1 << 24
    want = np.stack(
        [requantize(sums[:, o], int(multipliers.array[o]), int(shifts.array[o])) for o in range(2)], axis=1
    )
    assert same(output, np.clip(want - 128, -128, 127).astype(np.int8))
    assert np.unique(output).size > 3


def test_the_independent_definition_is_the_same_where_floats_are_exact():
    for case in transposed()[:12]:
        if "_nhwc" in case.operator:
            continue
        x, w, bias, stride, padding, extra, dilation, offset, zero, multipliers, shifts, low, high, *_ = (
            a.array if isinstance(a, T) else a for a in case.arguments
        )
        sums = transpose_conv2d(x, w, stride, padding, extra, dilation, offset)
        sums += 0 if bias is None else bias.reshape(1, -1, 1, 1)
        scaled = [requantize(sums[:, o], int(multipliers[o]), int(shifts[o])) for o in range(sums.shape[1])]
        found = np.clip(np.stack(scaled, axis=1) + zero, low, high).astype(np.int8)
        assert same(found, definition(case))


def test_spread_weights_are_a_dilated_convolution():
    import torch

    dice = np.random.default_rng(24)
    x = torch.from_numpy(integers(dice, (1, 2, 9, 11))).double()
    weights = integers(dice, (3, 2, 3, 2))
    dilated, plain = (
        torch.nn.functional.conv2d(x, torch.from_numpy(w).double().permute(0, 3, 1, 2), dilation=dilation)
        for w, dilation in ((weights, (3, 2)), (spread(weights, [3, 2]), (1, 1)))
    )
    assert torch.equal(dilated, plain)


@pytest.mark.parametrize(("argument", "change"), [(1, 1), (8, 1 << 22), (9, 1)])
def test_a_changed_weight_multiplier_or_shift_is_noticed(argument, change, tmp_path):
    case = convolutions()[0]
    array = case.arguments[argument].array.copy()
    array.flat[-1] -= change
    arguments = list(case.arguments)
    arguments[argument] = T(array, constant=True)
    ((output,),) = run_cases([Case(case.operator, arguments, case.outputs)], tmp_path)
    assert not np.array_equal(output, definition(case))


def test_grouped_transposed_convolution_is_refused():
    case = transposed()[0]
    arguments = [*case.arguments[:1], T(np.zeros((4, 2, 2, 1), "int8"), constant=True), *case.arguments[2:]]
    with pytest.raises(McuError, match="do not take 3 channels to 4"):
        compile_program(program_of(Case(case.operator, arguments, case.outputs))[0], "grouped")
