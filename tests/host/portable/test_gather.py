"""Operators that read at given positions, make constants or pad equal PyTorch's, bit for bit."""

import numpy as np
import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

CL = CHANNELS_LAST
DTYPES = ["bool", "int8", "int16", "int32", "int64", "float32"]


def tensor(shape: tuple[int, ...], dtype: str = "int8", order: tuple[int, ...] | None = None) -> T:
    values = np.random.default_rng(31).integers(-100, 100, shape)
    return T((values > 0 if dtype == "bool" else values).astype(dtype), order)


def positions(shape: tuple[int, ...], size: int, dtype: str = "int64", low: int = 0) -> T:
    return T(np.random.default_rng(32).integers(low, size, shape).astype(dtype))


def lookups() -> list[Checked]:
    table = T(tensor((20, 6), "float32").array, constant=True)
    listed = [
        call("aten::embedding.out", table, positions((2, 7), 20), -1, False, False),
        call("aten::embedding.out", table, positions((3,), 20, "int32"), -1, False, False),
        call("aten::embedding.out", tensor((5, 3)), positions((2, 2, 2), 5), 0, False, False),
    ]
    for dtype in DTYPES:
        listed += [
            call("aten::index_select.out", tensor((4, 5, 6), dtype), d, positions((7,), 4))
            for d in (0, 1, -1)
        ]
        listed.append(call("aten::gather.out", tensor((4, 5, 6), dtype), 1, positions((3, 7, 6), 5), False))
    image = tensor((2, 5, 4, 3), "int8", CL)
    listed.append(call("aten::index_select.out", image, 1, positions((4,), 5)))
    listed.append(call("aten::index_select.out", image, 2, positions((4,), 4), order=CL))
    listed.append(call("aten::gather.out", image, 2, positions((2, 5, 6, 3), 4), False))
    listed.append(call("aten::gather.out", tensor((6,), "float32"), 0, positions((4,), 6), False))
    return listed


def indexing() -> list[Checked]:
    x, image = tensor((4, 5, 6, 3), "float32"), tensor((4, 5, 6, 3), "int8", CL)
    first, second = positions((2, 3), 4, low=-4), positions((3,), 5, low=-5)
    listed = []
    for source in (x, image):
        listed += [
            call("aten::index.Tensor_out", source, [first]),
            call("aten::index.Tensor_out", source, [None, second]),
            call("aten::index.Tensor_out", source, [first, second]),
            call("aten::index.Tensor_out", source, [None, first, second]),
            call("aten::index.Tensor_out", source, [None, first, None, positions((2, 1), 3)]),
            call("aten::index.Tensor_out", source, [first, second, positions((1, 3), 6), positions((3,), 3)]),
        ]
    constant = T(np.array([2, 0, 1]), constant=True)
    return [*listed, call("aten::index.Tensor_out", image, [None, constant], order=CL)]


def largest() -> list[Checked]:
    listed = []
    for dtype in ("int8", "int32", "int64", "float32"):
        distinct = T((np.random.default_rng(33).permutation(120) - 60).astype(dtype).reshape(4, 5, 6))
        for dimension, count, biggest in ((-1, 2, True), (0, 4, False), (1, 1, True)):
            listed.append(call("aten::topk.values", distinct, count, dimension, biggest, True))
    return listed


def sorts() -> list[Checked]:
    listed = []
    for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64", "float32"):
        # Few values, many ties: equal entries keep their order in both directions.
        x = tensor((4, 37, 3), dtype)
        x = T(x.array if dtype == "bool" else (x.array % 5).astype(dtype))
        for dimension, descending in ((0, False), (1, True), (-2, False), (-1, True)):
            listed.append(call("aten::sort.values_stable", x, True, dimension, descending))
    distinct = np.random.default_rng(34).permutation(60)
    image = T(distinct.astype(np.float32).reshape(1, 5, 4, 3), CL)
    listed += [
        call("aten::sort.values", image, 1, False, order=CL),
        call("aten::sort.values", T(distinct), 0, True),
        call("aten::sort.values", T(np.array([3, np.nan, -np.inf, 1], np.float32)), 0, True),
        call("aten::sort.values", tensor((3, 1)), 1, False),
        call("aten::topk.values", image, 2, 1, True, True, order=CL),
        call("aten::topk.values", T(distinct[:9].astype(np.uint8)), 3, 0, True, True),
    ]
    return listed


def bags() -> list[Checked]:
    table = tensor((20, 6), "float32")
    index, offsets = positions((11,), 20), T(np.array([0, 3, 3, 7]))
    factors = T(np.arange(11, dtype=np.float32) / 4)
    listed = []
    for name in ("_embedding_bag", "_embedding_bag_forward_only"):
        for mode, weights, padding in ((0, None, -1), (0, factors, -1), (1, None, 5), (2, None, -1)):
            arguments = [table, index, offsets, False, mode, False, weights, False, padding]
            used = (True, False, False, False)
            listed.append(call(f"aten::{name}.out", *arguments, used=used, relative=1e-6))
    return listed


def constants() -> list[Checked]:
    x = tensor((2, 3, 4, 5), "int8", CL)
    return [
        call("aten::full.out", [2, 3], 2.5, like=torch.full((2, 3), 2.5)),
        call("aten::full.out", [7], 2**62 + 1, like=torch.full((7,), 2**62 + 1)),
        call("aten::full.out", [2], True, like=torch.full((2,), True)),
        call(
            "aten::full_like.out", x, -7, None, like=torch.full((2, 3, 4, 5), -7, dtype=torch.int8), order=CL
        ),
        call("aten::scalar_tensor.out", float("-inf"), like=torch.tensor(-torch.inf)),
        call("aten::zeros.out", [3], like=torch.zeros(3)),
        call("aten::ones.out", [3], like=torch.ones(3, dtype=torch.int32)),
        call("aten::arange.out", 5, like=torch.arange(5)),
        call("aten::arange.start_out", 2, 9, 3, like=torch.arange(2, 9, 3)),
        call("aten::arange.start_out", -1.0, 1.0, 0.3, like=torch.arange(-1.0, 1.0, 0.3)),
    ]


def pads() -> list[Checked]:
    listed = []
    for dtype in ("bool", "int8", "int16", "int32", "float32"):
        listed += [
            call("aten::constant_pad_nd.out", tensor((3, 4, 5), dtype), pad, 1)
            for pad in ([1, 2], [0, 0, 2, 1], [1, 0, 0, 3, 2, 2], [-1, 2], [-1, -1, 1, -2])
        ]
    listed += [
        call("aten::constant_pad_nd.out", tensor((2, 3, 4, 5), "int8", CL), [1, 2, 3, 4], -128, order=CL),
        call("aten::constant_pad_nd.out", tensor((2, 3, 4, 5), "float32", CL), [0, 0, 0, 0, 1, 2], -np.inf),
        call("aten::constant_pad_nd.out", tensor((2, 3, 4, 5), "float32"), [0, 0, 0, 0], 0.0),
        call("aten::constant_pad_nd.out", tensor((2, 2, 3, 2, 2)), [1, 1], 5),
        call("aten::constant_pad_nd.out", tensor((2, 2, 3, 2, 2)), [1, 0, 0, 0, 0, 0, 2, 1], 5),
    ]
    return listed


def mirrors() -> list[Checked]:
    listed = []
    for dtype in ("float32", "int64"):
        for name in ("reflection", "replication"):
            listed += [
                call(f"aten::{name}_pad1d.out", tensor((3, 7), dtype), [2, 3]),
                call(f"aten::{name}_pad2d.out", tensor((2, 3, 7, 5), dtype, CL), [0, 4, 3, 1], order=CL),
                call(f"aten::{name}_pad3d.out", tensor((1, 3, 4, 7, 5), dtype), [4, 0, 0, 0, 1, 3]),
                call(f"aten::{name}_pad2d.out", tensor((2, 3, 7, 5), dtype), [0, 0, 0, 0]),
            ]
    return [*listed, call("aten::replication_pad1d.out", tensor((3, 2), "float32"), [5, 9])]


@pytest.mark.parametrize("family", [lookups, indexing, largest, sorts, bags, constants, pads, mirrors])
def test_reads_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_a_position_beyond_the_end_stays_inside(tmp_path):
    table, index = T(np.arange(6, dtype=np.int8).reshape(3, 2)), T(np.array([-9, 3, 2**40, -3], np.int64))
    case = Case("aten::embedding.out", [table, index, -1, False, False], [Out((4, 2), "int8")])
    compare([Checked(case, (table.array[[0, 2, 2, 0]],))], tmp_path)


def test_equal_entries_keep_their_order(tmp_path):
    x = T(np.array([[1, 3, np.nan, 3, 1, -np.inf]], np.float32))
    case = Case("aten::topk.values", [x, 5, 1, True, True], [Out((1, 5), "float32"), Out((1, 5), "int64")])
    want = np.array([[np.nan, 3, 3, 1, 1]], np.float32), np.array([[2, 1, 3, 0, 4]])
    compare([Checked(case, want)], tmp_path)


def test_another_index_is_noticed(tmp_path):
    checked = call("aten::index_select.out", tensor((4, 5)), 0, positions((3,), 4))
    x, dimension, index = checked.case.arguments
    wrong = Case(checked.case.operator, [x, dimension, T((index.array + 1) % 4)], checked.case.outputs)
    assert differs(wrong, checked, tmp_path)


def test_a_mask_as_an_index_fails_the_build():
    mask = T(np.array([True, False, True]))
    case = Case("aten::index.Tensor_out", [tensor((3, 2)), [mask]], [Out((2, 2), "int8")])
    with pytest.raises(McuError, match="positions of type bool"):
        compile_program(program_of(case)[0], "case")


def test_padding_apart_dimensions_fails_the_build():
    checked = call("aten::constant_pad_nd.out", tensor((2, 2, 3, 2, 2)), [0, 0, 1, 1, 0, 0, 2, 1], 5)
    with pytest.raises(McuError, match="padding over 5 separate dimensions"):
        compile_program(program_of(checked.case)[0], "case")
