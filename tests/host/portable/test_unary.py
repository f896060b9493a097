"""Functions of one tensor equal PyTorch's: integers and exact functions exactly, others to a few units.

Four units in the last place of a float are 4.8e-7 of its value. The C library and PyTorch's vectorised
functions each promise one or two, so their difference is within that. Where a sum cancels (gelu, silu near
zeros of 1 + erf), the bound is absolute: units of the terms, not of the result.
"""

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

FOUR_UNITS = 4 * 2.0**-23
EXACT = ["abs", "ceil", "floor", "neg", "round", "sign", "trunc", "relu", "reciprocal"]
ANYWHERE = [
    "asinh",
    "atan",
    "cos",
    "cosh",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "sigmoid",
    "sin",
    "sinh",
    "tan",
    "tanh",
]
# PyTorch takes square roots from a library that rounds them less well than IEEE 754 asks.
POSITIVE = ["sqrt", "log", "log10", "log2", "log1p", "rsqrt"]
INTEGERS = ["int8", "int16", "int32", "int64"]


def reals() -> np.ndarray:
    dice = np.random.default_rng(2)
    corners = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 20.0, -20.0, 1e-20, -1e-6]
    return np.concatenate([corners, dice.uniform(-6, 6, 67)]).astype(np.float32).reshape(2, 4, 2, 5)


def image(array: np.ndarray) -> T:
    return T(array, CHANNELS_LAST)


def floats() -> list[Checked]:
    x = reals()
    listed = [call(f"aten::{name}.out", T(x)) for name in EXACT]
    listed += [
        call(f"aten::{name}.out", image(x), order=CHANNELS_LAST, relative=FOUR_UNITS, absolute=1e-37)
        for name in ANYWHERE
    ]
    listed += [
        call(f"aten::{name}.out", T(np.abs(x) + 0.01), relative=FOUR_UNITS, absolute=1e-8)
        for name in POSITIVE
    ]
    inside = np.clip(x / 20, -0.999, 0.999)
    listed += [
        call(f"aten::{name}.out", T(inside), relative=FOUR_UNITS) for name in ("acos", "asin", "atanh")
    ]
    listed.append(call("aten::acosh.out", T(np.abs(x) + 1.01), relative=FOUR_UNITS))
    return listed


def activations() -> list[Checked]:
    x = reals()
    near = {"relative": FOUR_UNITS, "absolute": 20 * 2.0**-23}
    return [
        call("aten::silu.out", T(x), **near),
        call("aten::hardswish.out", T(x), **near),
        call("aten::hardsigmoid.out", T(x), **near),
        call("aten::gelu.out", T(x), "none", **near),
        call("aten::gelu.out", T(x), "tanh", **near),
        call("aten::leaky_relu.out", T(x), 0.01),
        call("aten::elu.out", T(x), 1.0, 1, 1, **near),
        call("aten::elu.out", image(x), 1.6732632423543772, 1.0507009873554805, 0.5, **near),
        call("aten::hardtanh.out", T(x), 0, 6),
        call("aten::clamp.out", T(x), -1.5, 2),
        call("aten::clamp.out", image(x), None, 0.25, order=CHANNELS_LAST),
        *[
            call("aten::pow.Tensor_Scalar_out", T(np.abs(x) + 0.1), p, relative=16 * FOUR_UNITS)
            for p in (2, 0.5, -0.5, -1, 3, 1.7)
        ],
    ]


def integers() -> list[Checked]:
    listed = []
    for dtype in INTEGERS:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        x = np.array([low, low + 1, -7, -1, 0, 1, 5, high - 1, high], dtype)
        listed += [
            call(f"aten::{name}.out", T(x)) for name in ("abs", "neg", "sign", "relu", "bitwise_not", "floor")
        ]
        listed += [call("aten::clamp.out", T(x), *bounds) for bounds in ((-5, 3), (None, 1), (-1, None))]
        listed.append(call("aten::logical_not.out", T(x)))
        listed.append(call("aten::sqrt.out", T(np.abs(x[2:7])), relative=FOUR_UNITS))
    quantized = np.arange(-128, 128).astype(np.int8).reshape(2, 8, 4, 4)
    listed.append(call("aten::clamp.out", image(quantized), -128, -43, order=CHANNELS_LAST))
    listed.append(call("aten::clamp.out", image(quantized), -128, None))
    booleans = T(np.array([True, False]))
    listed.append(call("aten::bitwise_not.out", T(np.arange(256, dtype=np.uint8))))
    return [*listed, call("aten::bitwise_not.out", booleans), call("aten::logical_not.out", booleans)]


def not_numbers() -> list[Checked]:
    x = T(np.array([np.nan, np.inf, -np.inf, 1.0], np.float32))
    names = [
        "abs",
        "neg",
        "relu",
        "floor",
        "sigmoid",
        "tanh",
        "exp",
        "hardswish",
        "hardsigmoid",
        "isnan",
        "isinf",
    ]
    listed = [call(f"aten::{name}.out", x, relative=FOUR_UNITS) for name in names]
    listed += [call("aten::clamp.out", x, -1.0, 1.0), call("aten::clamp.out", x, 2.0, -2.0)]
    return [*listed, call("aten::leaky_relu.out", x, 0.5)]


@pytest.mark.parametrize("family", [floats, activations, integers, not_numbers])
def test_computes_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_one_thousandth_off_is_noticed(tmp_path):
    checked = call("aten::tanh.out", T(reals()), relative=FOUR_UNITS, absolute=1e-37)
    wrong = Case("aten::tanh.out", [T(reals() * np.float32(1.001))], checked.case.outputs)
    assert differs(wrong, checked, tmp_path)


@pytest.mark.parametrize("operator", ["aten::hardswish.out", "aten::silu.out", "aten::leaky_relu.out"])
def test_a_float_function_of_integers_is_refused(operator):
    arguments = [T(np.zeros((2, 3), np.int8)), *([0.1] if "leaky" in operator else [])]
    program, _ = program_of(Case(operator, arguments, [Out((2, 3), "int8")]))
    with pytest.raises(McuError, match=r"no kernel for int8"):
        compile_program(program, "case")


def test_expected_values_vary():
    # The expected values vary: an implementation of zeros would fail every family.
    assert all(np.unique(c.expected[0]).size > 1 for c in floats() + activations() + integers())
