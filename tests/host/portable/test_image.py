"""Operators on images of plain numbers equal PyTorch's, in every memory layout.

Sums of floats are taken in another order than PyTorch's. The products here are below 10 and fewer than 200
a sum, so a sum is within 200 * 2^-24 * 2000 at the very worst, some 1e-5 in practice: 1e-4 is asked for.
Interpolation adds four products below 10: within 8 roundings of 10, 5e-6. Maxima and copies are exact.
"""

import itertools

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

CL = CHANNELS_LAST
SUM = {"relative": 1e-5, "absolute": 1e-4}
BLEND = {"relative": 1e-6, "absolute": 5e-6}


def reals(shape: tuple[int, ...], order: tuple[int, ...] | None = None, constant: bool = False) -> T:
    dice = np.random.default_rng(sum(shape))
    return T(dice.standard_normal(shape).astype(np.float32), order, constant)


def quantized(shape: tuple[int, ...], order: tuple[int, ...] | None = None) -> T:
    return T(np.random.default_rng(21).integers(-128, 128, shape).astype(np.int8), order)


def convolutions() -> list[Checked]:
    listed = []
    settings = [
        # channels, kernel, stride, padding, dilation, groups
        ((4, 6), (3, 3), [1, 1], [1, 1], [1, 1], 1),
        ((4, 6), (1, 1), [1, 1], [0, 0], [1, 1], 2),
        ((6, 6), (3, 2), [2, 1], [1, 0], [1, 2], 6),
        ((1, 1), (5, 5), [3, 3], [4, 4], [2, 1], 1),
        ((2, 4), (2, 2), [4, 4], [0, 0], [1, 1], 1),
    ]
    for (inputs, outputs), kernel, stride, padding, dilation, groups in settings:
        for order in (None, CL):
            x, bias = reals((2, inputs, 9, 8), order), reals((outputs,), constant=True)
            weight = reals((outputs, inputs // groups, *kernel), order, constant=True)
            arguments = [stride, padding, dilation, False, [0, 0], groups]
            listed.append(call("aten::convolution.out", x, weight, bias, *arguments, order=order, **SUM))
            weight = reals((inputs, outputs // groups, *kernel), order, constant=True)
            arguments = [stride, [0, 0] if kernel == (1, 1) else [1, 1], dilation, True, [0, 0], groups]
            if outputs % groups == 0 and kernel != (2, 2):
                listed.append(call("aten::convolution.out", x, weight, None, *arguments, order=order, **SUM))
    line, weight = reals((2, 4, 11)), reals((6, 2, 3), constant=True)
    listed.append(call("aten::convolution.out", line, weight, None, [2], [1], [2], False, [0], 2, **SUM))
    weight = reals((4, 3, 4), constant=True)
    listed.append(call("aten::convolution.out", line, weight, None, [2], [1], [1], True, [1], 1, **SUM))
    for transposed, weights in ((False, (4, 1, 3, 2, 2)), (True, (2, 2, 3, 2, 2))):
        x, weight = reals((2, 2, 5, 4, 6)), reals(weights, constant=True)
        spatial = [[2, 1, 3], [1, 0, 1], [1, 2, 1], transposed, [0, 0, 0], 2]
        listed.append(call("aten::convolution.out", x, weight, reals((4,)), *spatial, **SUM))
    unequal = reals((3, 4, 4, 4))
    weight = reals((4, 3, 3, 3))
    arguments = [[2, 2], [1, 1], [1, 1], True, [1, 1], 1]
    return [*listed, call("aten::convolution.out", unequal, weight, None, *arguments, order=CL, **SUM)]


def pools() -> list[Checked]:
    listed = []
    windows = [
        ([2, 2], [2, 2], [0, 0], False),
        ([3, 2], [1, 2], [1, 1], False),
        ([3, 3], [2, 2], [1, 1], True),
    ]
    for (kernel, stride, padding, ceil), order in itertools.product(windows, (None, CL)):
        for x in (reals((2, 3, 7, 8), order), quantized((2, 3, 7, 8), order)):
            for used in ((True, True), (True, False)):
                arguments = [x, kernel, stride, padding, [1, 1], ceil]
                listed.append(maximum(*arguments, order=order, used=used))
        for count, divisor in ((True, None), (False, None), (True, 5)):
            arguments = [reals((2, 3, 7, 8), order), kernel, stride, padding, ceil, count, divisor]
            listed.append(call("aten::avg_pool2d.out", *arguments, order=order, **BLEND))
    listed.append(maximum(reals((1, 2, 9, 9)), [3, 3], [], [1, 1], [2, 2], False))
    listed.append(maximum(reals((2, 9, 9)), [2, 2], [2, 2], [0, 0], [1, 1], False))
    broken = reals((1, 1, 4, 4))
    broken.array[0, 0, 1, 1] = np.nan
    listed.append(maximum(broken, [2, 2], [1, 1], [0, 0], [1, 1], False))
    for size in ([1, 1], [2, 3], [7, 8], [9, 10]):
        listed.append(
            call("aten::_adaptive_avg_pool2d.out", reals((2, 3, 7, 8), CL), size, order=CL, **BLEND)
        )
    return listed


def volume_pools() -> list[Checked]:
    """Pools over three dimensions and over one, and maxima over shares of an image."""
    volume, line = reals((2, 3, 5, 7, 6)), reals((2, 3, 11))
    listed = []
    for kernel, stride, padding, ceil in (
        ([2, 2, 2], [2, 2, 2], [0, 0, 0], False),
        ([3, 2, 3], [], [1, 1, 0], True),
        ([2, 3, 2], [1, 2, 3], [1, 1, 1], True),
    ):
        for used in ((True, True), (True, False)):
            arguments = [volume, kernel, stride, padding, [1, 2, 1], ceil]
            listed.append(call("aten::max_pool3d_with_indices.out", *arguments, used=used))
        for count, divisor in ((True, None), (False, None), (True, 5)):
            arguments = [volume, kernel, stride, padding, ceil, count, divisor]
            listed.append(call("aten::avg_pool3d.out", *arguments, **BLEND))
    for stride, padding, ceil, count in (
        ([2], [1], True, True),
        ([2], [1], True, False),
        ([], [0], False, True),
    ):
        listed.append(call("aten::avg_pool1d.out", line, [3], stride, padding, ceil, count, **BLEND))
    listed.append(call("aten::avg_pool1d.out", reals((3, 8)), [2], [2], [0], False, True, **BLEND))
    listed.append(call("aten::adaptive_avg_pool1d.out", line, [4], **BLEND))
    ties = T(np.array([[[[1, 3, 3], [3, 0, np.nan]]]], np.float32))
    listed.append(call("aten::adaptive_max_pool2d.out", ties, [1, 2]))
    for size in ([1, 1, 1], [2, 3, 6], [5, 8, 4]):
        listed.append(call("aten::_adaptive_avg_pool3d.out", volume, size, **BLEND))
        for used in ((True, True), (True, False)):
            listed.append(call("aten::adaptive_max_pool3d.out", volume, size, used=used))
            image = reals((2, 3, 7, 6), CL)
            listed.append(call("aten::adaptive_max_pool2d.out", image, size[1:], order=CL, used=used))
    return listed


def maximum(x: T, *arguments: object, order=None, used=(True, True)) -> Checked:
    """PyTorch pools int8 in float only: small integers are exact in it."""
    wide = T(x.array.astype(np.float32))
    plain = call("aten::max_pool2d_with_indices.out", wide, *arguments)
    outputs = [
        Out(plain.expected[0].shape, str(x.array.dtype), order, used[0]),
        Out(plain.expected[1].shape, "int64", order, used[1]),
    ]
    expected = (plain.expected[0].astype(x.array.dtype), plain.expected[1])
    case = Case("aten::max_pool2d_with_indices.out", [x, *arguments], outputs)
    return Checked(case, tuple(e for e, read in zip(expected, used, strict=True) if read))


def resizes() -> list[Checked]:
    listed = []
    for order in (None, CL):
        x, q = reals((2, 3, 5, 6), order), quantized((2, 3, 5, 6), order)
        factored = (
            [2.0, 2.0],
            [1.5, 2.7],
            [1.1, 2.1],
        )  # the last one leaves 5 rows, and makes 12 columns of 6
        for size, factors in (([7, 9], None), ([3, 4], None), *((None, pair) for pair in factored)):
            listed.append(call("aten::upsample_nearest2d.vec_out", x, size, factors, order=order))
            for align in (False, True):
                listed.append(
                    call("aten::upsample_bilinear2d.vec_out", x, size, align, factors, order=order, **BLEND)
                )
            like = call("aten::upsample_nearest2d.vec_out", T(q.array.astype(np.float32)), size, factors)
            expected = like.expected[0].astype(np.int8)
            case = Case(like.case.operator, [q, size, factors], [Out(expected.shape, "int8", order)])
            listed.append(Checked(case, (expected,)))
        listed.append(call("aten::upsample_nearest2d.out", x, [10, 12], None, None, order=order))
        listed.append(
            call("aten::upsample_bilinear2d.out", x, [10, 12], False, 2.0, 2.0, order=order, **BLEND)
        )
        listed.append(
            call("aten::upsample_bilinear2d.out", x, [1, 1], True, None, None, order=order, **BLEND)
        )
    return listed


def grids() -> list[Checked]:
    """Positions inside, at the ends, outside, and far outside the image. Cubic weights are near 1."""
    dice = np.random.default_rng(5)
    image, volume = reals((2, 3, 5, 6), CL), reals((2, 2, 4, 5, 3))
    flat = (dice.standard_normal((2, 4, 7, 2)) * 1.2).astype(np.float32)
    flat[0, 0, :3] = [[-1, 1], [1, -1], [30, -40]]
    deep = (dice.standard_normal((2, 3, 2, 5, 3)) * 1.2).astype(np.float32)
    listed = []
    for mode, padding, align in itertools.product(range(3), range(3), (False, True)):
        arguments = [T(flat), mode, padding, align]
        listed.append(call("aten::grid_sampler_2d.out", image, *arguments, order=CL, **SUM))
        if mode < 2:
            arguments = [T(deep), mode, padding, align]
            listed.append(call("aten::grid_sampler_3d.out", volume, *arguments, **SUM))
    return listed


@pytest.mark.parametrize("family", [convolutions, pools, volume_pools, resizes, grids])
def test_computes_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_another_padding_is_noticed(tmp_path):
    x, weight = reals((1, 2, 5, 5)), reals((3, 2, 3, 3))
    checked = call("aten::convolution.out", x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, **SUM)
    arguments = [x, T(weight.array[:, :, ::-1].copy()), *checked.case.arguments[2:]]
    assert differs(Case(checked.case.operator, arguments, checked.case.outputs), checked, tmp_path)


def test_unused_indices_take_no_memory():
    x = quantized((1, 4, 8, 8), CL)
    cases = [
        maximum(x, [2, 2], [2, 2], [0, 0], [1, 1], False, order=CL, used=used).case
        for used in ((True, True), (True, False))
    ]
    plans = [compile_program(program_of(case)[0], "case") for case in cases]
    assert [len(plan.steps) for plan in plans] == [2, 1]
    assert plans[1].arena.size == 4 * 8 * 8 + 4 * 4 * 4


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        ("aten::avg_pool2d.out", [[2, 2], [2, 2], [0, 0], False, True, None], "no kernel for int8"),
        ("aten::upsample_bilinear2d.vec_out", [[4, 4], False, None], "no kernel for int8"),
    ],
)
def test_averages_of_integers_fail_the_build(operator, arguments, message):
    case = Case(operator, [quantized((1, 2, 8, 8)), *arguments], [Out((1, 2, 4, 4), "int8")])
    with pytest.raises(McuError, match=message):
        compile_program(program_of(case)[0], "case")
