"""Reductions and functions along a dimension equal PyTorch's.

Sums of floats: PyTorch adds in another order, and n numbers added in any order are within n roundings of
the sum of their magnitudes. The numbers here are below 10 and lines shorter than 100, so a sum is within
100 * 2^-24 * 1000 = 6e-3 at the very worst and some 1e-5 in practice: 1e-4 is asked for, and 1e-6 of
normalized values below 10, whose errors are relative to 1. Everything else is exact.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.ir.plan import DType
from mcu_build.ir.program import KernelCall, Program, TensorListValue, TensorValue
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

CL = CHANNELS_LAST
SUM = {"relative": 1e-5, "absolute": 1e-4}
NORMAL = {"relative": 1e-5, "absolute": 1e-5}
DIMENSIONS = [[0], [1], [-1], [0, 2], [1, 2], [0, 1, 2], []]
STATISTICS_UNUSED = (True, False, False)


def reals(shape: tuple[int, ...], order: tuple[int, ...] | None = None) -> T:
    return T((np.random.default_rng(11).standard_normal(shape) * 2).astype(np.float32), order)


def whole(shape: tuple[int, ...], dtype: str) -> T:
    return T(np.random.default_rng(12).integers(-99, 100, shape).astype(dtype))


def sums() -> list[Checked]:
    x, image, number = reals((4, 5, 6)), reals((2, 6, 4, 5), CL), whole((4, 5, 6), "int32")
    listed = []
    for dimensions in DIMENSIONS:
        for keep in (False, True):
            listed.append(call("aten::sum.IntList_out", x, dimensions, keep, None, **SUM))
            listed.append(call("aten::mean.out", x, dimensions, keep, None, **SUM))
            listed.append(call("aten::sum.IntList_out", number, dimensions, keep, None))
    listed.append(call("aten::mean.out", image, [2, 3], True, None, order=CL, **SUM))
    listed.append(call("aten::mean.out", image, [2, 3], False, None, **SUM))
    listed.append(call("aten::mean.dtype_out", x, None, **SUM))
    listed += [call("aten::sum.IntList_out", image, [d], True, None, order=CL, **SUM) for d in range(4)]
    listed += [call("aten::prod.int_out", T(x.array / 2), 1, False, None, relative=1e-5)]
    listed += [call("aten::prod.int_out", whole((3, 4), "int64"), 0, True, None)]
    listed += [call("aten::cumsum.out", t, d, None, **SUM) for t in (x, number) for d in (0, 1, -1)]
    return listed


def medians() -> list[Checked]:
    listed = []
    for dtype in ("int8", "int32", "int64", "float32"):
        distinct = T((np.random.default_rng(14).permutation(100) - 50).astype(dtype).reshape(4, 5, 5))
        listed += [
            call("aten::median.dim_values", distinct, d, keep) for d in (0, 1, -1) for keep in (False, True)
        ]
    image = T(np.random.default_rng(15).permutation(240).astype(np.float32).reshape(2, 6, 4, 5), CL)
    listed += [call("aten::median.dim_values", image, d, True, order=CL) for d in range(4)]
    equal = T(np.array([[3, 1, 3, 1, 2, 2], [5, 5, 5, 5, 5, 5]], np.int32))
    broken = T(np.array([[1, np.nan, 3], [np.inf, 2, -np.inf]], np.float32))
    return [
        *listed,
        *(call("aten::median.dim_values", t, 1, False, used=(True, False)) for t in (equal, broken)),
    ]


def extremes() -> list[Checked]:
    listed = []
    for dtype in ("int8", "int16", "int32", "int64", "float32"):
        x = reals((4, 5, 6)) if dtype == "float32" else whole((4, 5, 6), dtype)
        for name in ("max", "min"):
            listed += [
                call(f"aten::a{name}.out", x, d, keep)
                for d in ([0], [0, 2], [-1], [])
                for keep in (False, True)
            ]
            listed.append(call(f"aten::{name}.unary_out", x))
            listed += [call(f"aten::arg{name}.out", x, d, False) for d in (0, 1, -1, None)]
            distinct = T(np.random.default_rng(13).permutation(100).astype(dtype).reshape(4, 5, 5))
            for used in ((True, True), (True, False)):
                listed.append(call(f"aten::{name}.dim_{name}", distinct, 1, True, used=used))
    image = reals((2, 6, 4, 5), CL)
    listed += [call("aten::amax.out", image, [1], True, order=CL), call("aten::argmax.out", image, 1, False)]
    listed.append(call("aten::argmax.out", image, None, False))
    broken = T(np.array([[1, np.nan, 3], [4, 2, np.inf]], np.float32))
    listed += [call(f"aten::{name}.out", broken, [1], False) for name in ("amax", "amin")]
    listed.append(call("aten::argmax.out", broken, 1, False))
    booleans = T(np.array([[True, False], [False, False], [True, True]]))
    listed += [call(f"aten::{name}.out", booleans, 1, True) for name in ("any", "all")]
    listed += [call("aten::any.dims_out", booleans, [0, 1], False), call("aten::any.all_out", booleans)]
    listed.append(call("aten::any.out", whole((3, 4), "int8"), 0, False))
    for narrow in (booleans, T(np.arange(250, 256, dtype=np.uint8).reshape(2, 3))):
        listed += [call(f"aten::{name}.out", narrow, [1], False) for name in ("amax", "amin")]
        listed.append(call("aten::max.dim_max", T(narrow.array[::-1].copy()), 0, False))
        listed.append(
            call(
                "aten::sum.IntList_out",
                narrow,
                [1],
                True,
                None,
                like=torch.from_numpy(narrow.array).sum(1, True, dtype=torch.int32),
            )
        )
    return listed


def scans() -> list[Checked]:
    x, number = reals((4, 5, 6)), whole((4, 5, 6), "int32")
    ties = T(np.array([[1, 3, 3, 2, np.nan, 5]], np.float32))
    listed = [call("aten::cumprod.out", t, d, None, relative=1e-5) for t in (x, number) for d in (0, 1, -1)]
    for name in ("cummax", "cummin"):
        listed += [call(f"aten::{name}.out", t, d) for t in (x, number) for d in (0, -1)]
        listed += [call(f"aten::{name}.out", ties, 1), call(f"aten::{name}.out", whole((9,), "int8"), 0)]
    return listed


def spreads() -> list[Checked]:
    x = reals((4, 5, 6))
    return [
        *[
            call("aten::var.correction_out", x, d, c, keep, **NORMAL)
            for d, c, keep in (([-1], 1, False), ([0, 2], 0, True), (None, None, False))
        ],
        call("aten::var.out", x, [1], True, False, **NORMAL),
        call("aten::var_mean.correction_out", x, [2], 1, True, **NORMAL),
    ]


def softmaxes() -> list[Checked]:
    x, image = reals((4, 5, 6)), reals((2, 6, 4, 5), CL)
    listed = []
    for name in ("_softmax", "_log_softmax"):
        listed += [call(f"aten::{name}.out", x, d, False, **NORMAL) for d in (0, 1, -1)]
        listed.append(call(f"aten::{name}.out", image, 1, False, order=CL, **NORMAL))
        listed.append(call(f"aten::{name}.out", T(x.array * 100), 2, False, **NORMAL))
    masked = np.where(np.tri(6, dtype=bool), x.array[0, 0], -np.inf).astype(np.float32)
    listed.append(call("aten::_softmax.out", T(masked), -1, False, **NORMAL))
    return listed


def norms() -> list[Checked]:
    x, image, plain = reals((2, 5, 16)), reals((2, 6, 4, 5), CL), reals((1, 6, 4, 5))
    w, b = T(reals((16,)).array, constant=True), T(reals((16,)).array[::-1].copy(), constant=True)
    cw, cb = T(w.array[:6].copy(), constant=True), T(b.array[:6].copy(), constant=True)
    variance = T(np.abs(w.array[4:10]) + 0.2, constant=True)
    layer, group, batch, instance = (
        f"aten::{name}"
        for name in (
            "native_layer_norm.out",
            "native_group_norm.out",
            "_native_batch_norm_legit_no_training.out",
            "_native_batch_norm_legit.no_stats_out",
        )
    )
    near = {"used": STATISTICS_UNUSED, **NORMAL}
    trained = "aten::_native_batch_norm_legit.out"
    return [
        call(layer, x, [16], w, b, 1e-5, **NORMAL),
        call(layer, x, [5, 16], None, None, 1e-5, **NORMAL),
        call(group, image, cw, cb, 2, 6, 20, 3, 1e-5, order=CL, **NORMAL),
        call(trained, image, cw, cb, cb, variance, False, 0.1, 1e-5, order=CL, **near),
        call(instance, image, cw, cb, True, 0.1, 1e-5, order=CL, **NORMAL),
        call(instance, T(image.array), None, cb, True, 0.1, 1e-5, **near),
        call(layer, x, [16], w, b, 1e-5, **near),
        call(layer, x, [16], None, None, 1e-5, **near),
        call(layer, x, [5, 16], None, None, 1e-3, **near),
        call(group, image, cw, cb, 2, 6, 20, 3, 1e-5, order=CL, **near),
        call(group, plain, cw, cb, 1, 6, 20, 2, 1e-5, **near),
        call(group, plain, None, None, 1, 6, 20, 6, 1e-5, **near),
        call(batch, image, cw, cb, cb, variance, 0.1, 1e-5, order=CL, **near),
        call(batch, reals((3, 6)), cw, cb, cb, variance, 0.1, 1e-5, **near),
        call(instance, plain, cw, cb, True, 0.1, 1e-5, **near),
        call(instance, T(plain.array, CL), None, None, True, 0.1, 1e-5, order=CL, **near),
    ]


@pytest.mark.parametrize("family", [sums, medians, extremes, scans, spreads, softmaxes, norms])
def test_computes_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_another_dimension_is_noticed(tmp_path):
    checked = call("aten::_softmax.out", reals((4, 4)), 0, False, **NORMAL)
    wrong = Case(checked.case.operator, [checked.case.arguments[0], 1, False], checked.case.outputs)
    assert differs(wrong, checked, tmp_path)


def test_unused_indices_take_no_step():
    used, unused = (
        call("aten::max.dim_max", reals((4, 5)), 1, True, used=used).case
        for used in ((True, True), (True, False))
    )
    steps = [len(compile_program(program_of(case)[0], "case").steps) for case in (used, unused)]
    assert steps == [2, 1]


def norm_and_then(*later: KernelCall) -> Program:
    """A layer norm whose mean is value 4, at byte 64. Values 7 and 8 share that place."""

    def placed(start: int, *shape: int) -> TensorValue:
        return TensorValue(DType.F32, shape, tuple(range(len(shape))), None, (1, start))

    results = (placed(32, 2, 4), placed(64, 2, 1), placed(80, 2, 1))
    values = (
        placed(0, 2, 4),
        (4,),
        None,
        *results,
        TensorListValue((3, 4, 5)),
        placed(64, 2),
        placed(64, 2, 4),
    )
    norm = KernelCall("aten::native_layer_norm.out", (0, 1, 2, 2, 9, 3, 4, 5, 6))
    return Program("forward", (*values, 1e-5, placed(96, 2)), (norm, *later), (0,), (3,), (), ())


def test_a_view_of_statistics_is_a_use():
    plan = compile_program(norm_and_then(KernelCall("aten::sigmoid.out", (7, 10, 10))), "case")
    assert {step.kernel for step in plan.steps} == {"mean_f32", "layer_norm_f32", "sigmoid_f32"}


def test_another_tensor_in_the_place_of_statistics_is_none():
    square = KernelCall("aten::sigmoid.out", (3, 8, 8))
    plan = compile_program(norm_and_then(square, KernelCall("aten::relu.out", (8, 3, 3))), "case")
    assert [step.kernel for step in plan.steps] == ["layer_norm_f32", "sigmoid_f32", "clamp_f32"]


def test_scratch_memory_in_the_place_of_statistics_is_none():
    program = norm_and_then(
        KernelCall("cortex_m::quantized_avg_pool2d.out", (11, 14, 15, 16, 17, 18, 19, 20, 13, 12, 12))
    )
    image, pooled = (
        TensorValue(DType.I8, (1, 1, 2, size), (0, 1, 2, 3), None, (1, start))
        for size, start in ((8, 96), (4, 112))
    )
    scratch = TensorValue(DType.U8, (4,), (0,), None, (1, 64))
    rest = (image, pooled, scratch, (1, 2), (1, 2), (0, 0), False, 0, 1 << 30, 1)
    values = (*program.values, *rest)
    plan = compile_program(replace(program, values=values, inputs=(0, 11)), "case")
    assert {step.source for step in plan.steps} == {"norm_f32", "pool"}


def test_a_batch_norm_that_trains_fails_the_build():
    plain = [T(np.ones(4, np.float32)) for _ in range(4)]
    outputs = [Out((2, 4), "float32"), *[Out((4,), "float32", None, False)] * 2]
    case = Case("aten::_native_batch_norm_legit.out", [reals((2, 4)), *plain, True, 0.1, 1e-5], outputs)
    with pytest.raises(McuError, match=r"model\.eval"):
        compile_program(program_of(case)[0], "case")


def test_a_mean_of_integers_fails_the_build():
    case = Case("aten::mean.out", [whole((2, 3), "int8"), [1], False, None], [Out((2,), "int8")])
    with pytest.raises(McuError, match="no kernel for int8"):
        compile_program(program_of(case)[0], "case")
