"""Operators that write at positions, or at a part of a tensor, equal PyTorch's.

Values are small integers, so that sums of floats are exact in any order. Where several values meet in one
place PyTorch does not say which stays: the firmware keeps the last.
"""

import itertools

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

CL = CHANNELS_LAST


def tensor(shape: tuple[int, ...], dtype: str = "float32", order: tuple[int, ...] | None = None) -> T:
    values = np.random.default_rng(sum(shape)).integers(-9, 10, shape)
    return T((values > 0 if dtype == "bool" else values).astype(dtype), order)


def positions(shape: tuple[int, ...], size: int, dtype: str = "int64", low: int = 0) -> T:
    return T(np.random.default_rng(32).integers(low, size, shape).astype(dtype))


def distinct(shape: tuple[int, ...], size: int, dimension: int) -> T:
    """Positions of which no two along `dimension` are equal."""
    dice = np.random.default_rng(7)
    order = np.argsort(dice.random((*shape[:dimension], size, *shape[dimension + 1 :])), dimension)
    return T(order.take(range(shape[dimension]), dimension).astype(np.int64))


def scatters() -> list[Checked]:
    listed = []
    for dtype in ("bool", "int8", "int16", "int32", "int64", "float32"):
        x, source = tensor((4, 5, 6), dtype), tensor((3, 5, 4), dtype)
        for dimension in (0, 1, -1):
            index = distinct((3, 4, 4), x.array.shape[dimension], dimension % 3)
            listed.append(call("aten::scatter.src_out", x, dimension, index, source))
            value = dtype == "bool" or 3
            listed.append(call("aten::scatter.value_out", x, dimension, index, value))
    image = tensor((2, 5, 4, 3), "float32", CL)
    index, source = positions((2, 5, 6, 3), 4), tensor((2, 5, 6, 3), "float32", CL)
    listed += [
        call("aten::scatter_add.out", image, 2, index, source, order=CL),
        call("aten::scatter.value_out", tensor((6,)), 0, positions((3,), 6), 1.5),
        call("aten::scatter.reduce_out", image, 2, index, source, "multiply"),
        call("aten::scatter.value_reduce_out", image, 2, index, 2.0, "add"),
    ]
    return listed


def reductions() -> list[Checked]:
    listed = []
    for how, included, dtype in itertools.product(
        ("sum", "prod", "mean", "amax", "amin"), (True, False), ("float32", "int64", "int32")
    ):
        x, source = tensor((4, 7), dtype), tensor((4, 5), dtype)
        close = {"relative": 1e-6} if how == "mean" else {}
        index = positions((4, 5), 7)
        arguments = [x, 1, index, source, how, included]
        listed.append(call("aten::scatter_reduce.two_out", *arguments, **close))
        if how != "sum":
            arguments = [tensor((7, 3), dtype), 0, positions((4,), 7), tensor((4, 3), dtype), how, included]
            listed.append(call("aten::index_reduce.out", *arguments, **close))
    return listed


def puts() -> list[Checked]:
    listed = []
    one, other = distinct((3,), 4, 0), distinct((3,), 5, 0)
    for x in (tensor((4, 5, 6, 3)), tensor((4, 5, 6, 3), "int8", CL), tensor((4, 5, 6, 3), "int64")):
        dtype, order = str(x.array.dtype), x.dim_order
        listed += [
            call("aten::index_put.out", x, [one], tensor((3, 5, 6, 3), dtype), False, order=order),
            call("aten::index_put.out", x, [None, other], tensor((6, 3), dtype), False, order=order),
            call("aten::index_put.out", x, [one, other], tensor((3, 6, 3), dtype), False),
            call("aten::index_put.out", x, [one, None, other], tensor((3, 5, 1), dtype), False),
        ]
    repeated = positions((8,), 4, low=-4)
    x = tensor((4, 5, 6))
    listed += [
        call("aten::index_put.out", x, [repeated], tensor((8, 5, 6)), True),
        call("aten::index_put.out", x, [repeated, positions((8,), 5)], tensor((8, 6)), True),
        call("aten::index_put.out", x, [tensor((4, 5), "bool")], tensor((6,)), False),
        call("aten::index_put.out", x, [tensor((4, 5, 6), "bool")], tensor(()), False),
    ]
    for mask in (tensor((4, 5, 6), "bool"), tensor((5, 6), "bool"), tensor((5, 1), "bool")):
        for dtype in ("float32", "int8", "int64"):
            listed.append(
                call("aten::masked_scatter.out", tensor((4, 5, 6), dtype), mask, tensor((130,), dtype))
            )
    return listed


def parts() -> list[Checked]:
    x, image = tensor((4, 5, 6)), tensor((2, 5, 4, 4), "int8", CL)
    square = tensor((3, 5, 5), "int16")
    return [
        call("aten::copy.out", x, tensor((5, 1), "int64"), False),
        call("aten::select_scatter.out", x, tensor((4, 6)), 1, 3),
        call("aten::select_scatter.out", image, tensor((2, 4, 4), "int8"), 1, -2, order=CL),
        call("aten::slice_scatter.out", x, tensor((4, 2, 6)), 1, 1, 4, 2),
        call("aten::slice_scatter.out", x, tensor((4, 5, 3)), -1, None, 3, 1),
        call("aten::slice_scatter.out", x, tensor((4, 5, 0)), 2, 4, 4, 1),
        call("aten::slice_scatter.out", image, tensor((2, 3, 4, 4), "int8"), 1, 2, 1 << 62, 1, order=CL),
        call("aten::diagonal_scatter.out", square, tensor((3, 4), "int16"), -1, 1, 2),
        call("aten::diagonal_scatter.out", square, tensor((5, 1), "int16"), 2, 2, 0),
        call("aten::as_strided_scatter.out", x, tensor((2, 3)), [2, 3], [40, 7], 4),
    ]


@pytest.mark.parametrize("family", [scatters, reductions, puts, parts])
def test_writes_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_the_last_of_several_values_stays_and_none_is_written_outside(tmp_path):
    x, index = T(np.zeros(3, np.int8)), T(np.array([1, 3, 1, -1, 2**40, -4]))
    source = T(np.arange(1, 7, dtype=np.int8))
    case = Case("aten::scatter.src_out", [x, 0, index, source], [Out((3,), "int8")])
    compare([Checked(case, (np.array([0, 3, 4], np.int8),))], tmp_path)


def test_a_source_that_ends_early_leaves_the_rest(tmp_path):
    mask, source = T(np.array([True, False, True, True])), T(np.array([7.0, 8.0], np.float32))
    case = Case("aten::masked_scatter.out", [tensor((4,)), mask, source], [Out((4,), "float32")])
    want = tensor((4,)).array.copy()
    want[[0, 2]] = 7, 8
    compare([Checked(case, (want,))], tmp_path)


def test_another_position_is_noticed(tmp_path):
    checked = call("aten::scatter.value_out", tensor((4, 5)), 1, distinct((4, 2), 5, 1), 100.0)
    x, dimension, index, value = checked.case.arguments
    wrong = Case(checked.case.operator, [x, dimension, T((index.array + 1) % 5), value], checked.case.outputs)
    assert differs(wrong, checked, tmp_path)


def test_as_many_values_as_a_mask_has_fail_the_build():
    arguments = [tensor((3, 2)), [T(np.array([True, False, True]))], tensor((2, 2)), False]
    case = Case("aten::index_put.out", arguments, [Out((3, 2), "float32")])
    with pytest.raises(McuError, match="a mask decides"):
        compile_program(program_of(case)[0], "case")
