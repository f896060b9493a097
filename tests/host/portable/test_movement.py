"""Operators that move elements give what PyTorch gives, bit for bit, in every memory layout."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from mcu_build.ir.plan import DType
from mcu_build.ir.program import KernelCall, Program, TensorValue
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

DTYPES = ["bool", "int8", "int16", "int32", "int64", "float32"]
CL = CHANNELS_LAST


def tensor(shape: tuple[int, ...], dtype: str = "int8", order: tuple[int, ...] | None = None) -> T:
    """A tensor with random bits of its type (no NaN: they differ from themselves)."""
    dice = np.random.default_rng(sum(shape) + len(shape))
    if dtype == "float32":
        return T(dice.standard_normal(shape).astype(dtype), order)
    low, high = (0, 2) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return T(dice.integers(low, high, shape).astype(dtype), order)


def views() -> Iterator[Checked]:
    for dtype in DTYPES:
        yield call("aten::view_copy.out", tensor((2, 3, 4), dtype), [4, -1])
    yield call("aten::view_copy.out", tensor((2, 3, 4, 5), "int8", CL), [2, 60])
    yield call("aten::view_copy.out", tensor((2, 6, 5), "float32"), [2, 3, 2, 5], order=CL)
    yield call("aten::view_copy.out", tensor((2, 8, 1, 1), "int8", CL), [2, 8])
    yield call("aten::view_copy.out", tensor((1,)), [])
    yield call("aten::squeeze_copy.dims_out", tensor((2, 1, 3, 1), "int32", CL), [1, 3])
    yield call("aten::squeeze_copy.dim_out", tensor((2, 1, 3)), -2)
    yield call("aten::unsqueeze_copy.out", tensor((2, 3)), -1)
    yield call("aten::unsqueeze_copy.out", tensor((2, 3, 4), "int16"), 0, order=CL)


def copies() -> Iterator[Checked]:
    for dtype in DTYPES:
        yield call("aten::permute_copy.out", tensor((2, 3, 4), dtype), [2, 0, 1])
    yield call("aten::permute_copy.out", tensor((2, 3, 4, 5), "int8", CL), [0, 2, 3, 1])
    yield call("aten::permute_copy.out", tensor((2, 3, 4, 5), "int8", CL), [3, -2, 1, 0], order=CL)
    yield call("aten::permute_copy.out", tensor((2, 3, 2, 3, 2)), [4, 3, 2, 1, 0])
    yield call("aten::transpose_copy.int_out", tensor((3, 4, 5), "float32"), -1, 0)
    yield call("aten::transpose_copy.int_out", tensor((2, 3, 4, 5), "int64", CL), 1, 2)
    yield call("aten::t_copy.out", tensor((3, 4)))
    yield call("aten::t_copy.out", tensor((3,)))
    for order_in, order_out in ((CL, None), (None, CL), (CL, CL)):
        x = tensor((2, 3, 4, 5), "int8", order_in)
        yield call("aten::clone.out", x, None, order=order_out)
        clone = Case("dim_order_ops::_clone_dim_order.out", [x, False, list(order_out or range(4))], [])
        yield Checked(
            Case(clone.operator, clone.arguments, [Out(x.array.shape, "int8", order_out)]), (x.array,)
        )


def parts() -> Iterator[Checked]:
    x = tensor((4, 5, 6), "int16")
    for dimension, start, end, step in ((0, 1, 3, 1), (1, -3, 2**63 - 1, 1), (2, 0, 6, 2), (-1, 1, -1, 3)):
        yield call("aten::slice_copy.Tensor_out", x, dimension, start, end, step)
    yield call("aten::slice_copy.Tensor_out", x, 0, None, None, 1)
    yield call("aten::slice_copy.Tensor_out", tensor((2, 8, 3, 3), "int8", CL), 1, 3, 7, 2, order=CL)
    yield call("aten::slice_copy.Tensor_out", tensor((2, 8, 3, 3), "float32", CL), 1, 3, 7, 2)
    yield call("aten::narrow_copy.out", x, 1, -4, 3)
    for dimension, index in ((0, 2), (1, -1), (-1, 3)):
        yield call("aten::select_copy.int_out", x, dimension, index)
    yield call("aten::select_copy.int_out", tensor((2, 3, 4, 5), "int8", CL), 1, 1)
    yield call("aten::flip.out", x, [0, -1])
    yield call("aten::flip.out", tensor((2, 3, 4, 5), "int8", CL), [1], order=CL)
    yield call("aten::expand_copy.out", tensor((3, 1, 4)), [2, 3, 5, -1])
    yield call("aten::expand_copy.out", tensor((1,), "float32"), [2, 3])
    yield call("aten::expand_copy.out", tensor((2, 3, 1, 1), "int8", CL), [2, 3, 4, 5], order=CL)
    yield call("aten::repeat.out", tensor((2, 3), "int64"), [2, 1, 3])
    yield call("aten::repeat.out", tensor((1, 3, 4, 5), "int8", CL), [1, 2, 1, 1], order=CL)
    yield call("aten::pixel_shuffle.out", tensor((2, 12, 3, 2)), 2)
    yield call("aten::pixel_shuffle.out", tensor((2, 12, 3, 2), "float32", CL), 2)


def windows() -> Iterator[Checked]:
    x, image = tensor((4, 5, 6), "int16"), tensor((2, 5, 4, 3), "int8", CL)
    for offset, first, second in ((0, 0, 1), (2, 1, 2), (-3, 2, 0), (9, 0, 1)):
        yield call("aten::diagonal_copy.out", x, offset, first, second)
    yield call("aten::diagonal_copy.out", image, 1, 1, 2)
    for dimension, size, step in ((0, 2, 1), (1, 3, 2), (-1, 6, 4), (2, 1, 5)):
        yield call("aten::unfold_copy.out", x, dimension, size, step)
    yield call("aten::unfold_copy.out", image, 1, 2, 2)
    yield call("aten::as_strided_copy.out", x, [3, 4], [2, 7], 5)
    yield call("aten::as_strided_copy.out", tensor((4, 5), "float32"), [2, 3, 3], [0, 1, 2], None)
    for shifts, dimensions in (([2], [1]), ([-1, 7], [0, 2]), ([3], []), ([0], [0]), ([5], [1])):
        yield call("aten::roll.out", x, shifts, dimensions)
    yield call("aten::roll.out", image, [1, -2], [1, 2], order=CL)
    yield call("aten::pixel_unshuffle.out", tensor((2, 3, 4, 6), "int8", CL), 2)
    yield call("aten::pixel_unshuffle.out", tensor((2, 3, 4, 6), "float32"), 2)


def lists() -> Iterator[Checked]:
    for dtype in DTYPES:
        yield call("aten::cat.out", [tensor((2, 3), dtype), tensor((2, 5), dtype)], 1)
    many = [tensor((2, n, 3), "float32") for n in (1, 4, 2, 3, 5)]
    yield call("aten::cat.out", many, -2)
    yield call("aten::cat.out", [tensor((2, 3)), tensor((4, 3))], 0)
    yield call("aten::cat.out", [tensor((0,)), tensor((4, 3))], 0)
    mixed = [tensor((2, 3, 4, 5), "int8", CL), tensor((2, 2, 4, 5), "int8")]
    yield call("aten::cat.out", mixed, 1, order=CL)
    yield call("aten::cat.out", mixed, 1)
    yield call("aten::cat.out", [tensor((2, 3), "int32"), tensor((2, 1), "float32")], 1)
    for dimension in (0, 1, -1):
        yield call("aten::stack.out", [tensor((2, 3), "int16"), tensor((2, 3), "int16")], dimension)
    yield call("aten::stack.out", [tensor((3, 4, 5)), tensor((3, 4, 5))], 1, order=CL)


def splits() -> Iterator[Checked]:
    """Their outputs are a list, which is one argument of the call."""
    x, image = tensor((4, 6, 5), "int8"), tensor((1, 6, 4, 4), "float32", CL)
    yield call("aten::split_copy.Tensor_out", x, 4, 1)
    yield call("aten::split_with_sizes_copy.out", x, [1, 3, 2], -2)
    yield call("aten::split_with_sizes_copy.out", image, [4, 2], 1, order=CL)
    yield call("aten::unbind_copy.int_out", x, 1)
    yield call("aten::unbind_copy.int_out", x, 0)


def casts() -> Iterator[Checked]:
    values = {"float32": [-3.7, -0.5, 0.0, 0.5, 2.5, 100.9], "bool": [True, False]}
    for from_type in [*DTYPES, "uint8"]:
        x = np.array(values.get(from_type, [0, 1, 100, 127]), from_type)
        for to_type in [*DTYPES, "uint8"]:
            if from_type == "float32" and to_type == "uint8":
                x = np.abs(x)
            result = torch.from_numpy(x).to(getattr(torch, to_type))
            yield call("aten::_to_copy.out", T(x), False, None, like=result)
    wide = np.array([2**31 + 5, -(2**40) - 3, 2**53 + 1, -1, 300])
    for to_type in DTYPES:
        yield call(
            "aten::_to_copy.out",
            T(wide),
            False,
            None,
            like=torch.from_numpy(wide).to(getattr(torch, to_type)),
        )
    image = tensor((2, 3, 4, 5), "int8", CL)
    yield call(
        "dim_order_ops::_to_dim_order_copy.out",
        image,
        False,
        None,
        like=torch.from_numpy(image.array).float(),
    )


@pytest.mark.parametrize("family", [views, copies, parts, windows, lists, splits, casts])
def test_moves_as_pytorch_does(family, tmp_path):
    compare(list(family()), tmp_path)


def test_a_float_out_of_range_saturates(tmp_path):
    x = T(np.array([np.inf, -np.inf, np.nan, 3e9, -3e9, 2147483520.0, -129.0], np.float32))
    limits = {"int8": (127, -128), "int32": (2**31 - 1, -(2**31)), "int64": (2**63 - 1, -(2**63))}
    listed = []
    for dtype, (high, low) in limits.items():
        finite = [3e9, -3e9, 2147483520, -129]
        want = [high, low, 0, *(int(min(max(v, low), high)) for v in finite)]
        listed.append(
            call("aten::_to_copy.out", x, False, None, like=torch.tensor(want, dtype=getattr(torch, dtype)))
        )
    compare(listed, tmp_path)


def test_a_wrong_permutation_is_noticed(tmp_path):
    checked = call("aten::permute_copy.out", tensor((3, 3, 3)), [2, 0, 1])
    wrong = Case(checked.case.operator, [checked.case.arguments[0], [2, 1, 0]], checked.case.outputs)
    assert differs(wrong, checked, tmp_path)


@pytest.mark.parametrize(
    "checked",
    [
        call("aten::view_copy.out", tensor((2, 3, 4)), [6, 4]),
        call("aten::slice_copy.Tensor_out", tensor((4, 3)), 0, 1, 3, 1),
        call("aten::select_copy.int_out", tensor((4, 3)), 0, 2),
        call("aten::unbind_copy.int_out", tensor((4, 3)), 0),
        call("aten::permute_copy.out", tensor((2, 3, 4, 5), "int8", CL), [0, 2, 3, 1]),
        call("aten::clone.out", tensor((2, 3, 4, 5), "int8", CL), None, order=CL),
    ],
    ids=lambda checked: checked.case.operator,
)
def test_what_moves_nothing_executes_nothing(checked):
    plan = compile_program(program_of(checked.case)[0], "case")
    # Outputs of the model may not share the input's bytes: that copy is all there is.
    assert {step.operator for step in plan.steps} <= {"copy"}


@pytest.mark.parametrize(("order", "kernels"), [(CL, ["permute"]), ((0, 1, 2, 3), [])])
def test_a_shared_place_is_a_view_in_the_order_of_the_model(order, kernels):
    """ExecuTorch makes every view_copy a shared place, which is wrong for channels-last sources."""
    image = TensorValue(DType.F32, (1, 4, 3, 3), order, None, (1, 0))
    made = replace(image, location=(1, 144))
    view = TensorValue(DType.F32, (1, 2, 2, 9), (0, 1, 2, 3), None, (1, 144))
    calls = (KernelCall("aten::neg.out", (0, 1, 1)), KernelCall("aten::neg.out", (2, 3, 3)))
    program = Program(
        "forward", (image, made, view, replace(view, location=(1, 0))), calls, (0,), (3,), (), ()
    )
    steps = [step.kernel for step in compile_program(program, "case").steps]
    assert steps == ["neg_f32", *kernels, "neg_f32"]
