"""Operators on pairs equal PyTorch's: broadcasting, promotion, memory layouts, integers that overflow.

One float operation is rounded once here and there, so floats are compared exactly too, except pow and
atan2 (four units in the last place: two library functions that promise one or two each) and alpha, which
PyTorch fuses into one rounding (two units of the larger term).
"""

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

FOUR_UNITS = 4 * 2.0**-23
INTEGERS = ["int8", "int16", "int32", "int64"]
CL = CHANNELS_LAST


def reals(shape: tuple[int, ...], seed: int = 3, order: tuple[int, ...] | None = None) -> T:
    dice = np.random.default_rng(seed)
    return T((dice.standard_normal(shape) * 3).astype(np.float32), order)


def whole(shape: tuple[int, ...], dtype: str, seed: int = 4) -> T:
    """Integers over their whole range, without 0 (a divisor)."""
    info = np.iinfo(dtype)
    values = np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)
    return T(np.where(values == 0, np.array(1, dtype), values))


def small(shape: tuple[int, ...], dtype: str, seed: int = 5) -> T:
    return T(np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype))


def broadcasts() -> list[Checked]:
    shapes = [
        ((2, 3), (2, 3)),
        ((2, 3, 4), (4,)),
        ((3, 1), (1, 4)),
        ((2, 1, 3, 1, 5), (4, 1, 2, 1)),
        ((), (2, 3)),
    ]
    listed = [call("aten::add.out", reals(a), reals(b, 9), 1) for a, b in shapes]
    listed += [call("aten::sub.out", reals(b), reals(a, 9), 1) for a, b in shapes]
    image, other = reals((2, 3, 4, 5), 1, CL), reals((2, 3, 4, 5), 2, CL)
    channel = reals((1, 3, 1, 1))
    listed += [call("aten::mul.out", image, b, order=o) for b in (other, channel) for o in (CL, None)]
    listed += [
        call("aten::mul.out", image, reals((2, 3, 4, 5)), order=CL),
        call("aten::div.out", reals((3, 4, 5)), image, order=CL),
    ]
    return listed


def arithmetic() -> list[Checked]:
    a, b = reals((4, 7)), reals((4, 7), 8)
    names = [
        "div.out",
        "minimum.out",
        "maximum.out",
        "fmod.Tensor_out",
        "remainder.Tensor_out",
        "floor_divide.out",
    ]
    listed = [call(f"aten::{name}", a, b) for name in names]
    listed += [call("aten::div.out_mode", a, b, mode) for mode in (None, "trunc", "floor")]
    listed += [call(f"aten::{name}.Scalar_out", a, 2.5) for name in ("mul", "div", "fmod", "remainder")]
    listed += [call(f"aten::{name}.Scalar_out", a, 2.5, 1) for name in ("add", "sub", "rsub")]
    near = {"relative": 2 * FOUR_UNITS, "absolute": 12 * FOUR_UNITS}
    listed += [call(f"aten::{name}.out", a, b, -0.7, **near) for name in ("add", "sub")]
    listed.append(call("aten::rsub.Scalar_out", a, 2.0, 3, **near))
    listed.append(call("aten::atan2.out", a, b, relative=FOUR_UNITS))
    positive = T(np.abs(a.array) + 0.1)
    listed.append(call("aten::pow.Tensor_Tensor_out", positive, b, relative=FOUR_UNITS))
    listed.append(call("aten::pow.Scalar_out", 2.5, b, relative=FOUR_UNITS))
    listed.append(
        call("aten::div.out_mode", T(np.array([1, -1, 0], np.float32)), T(np.zeros(3, np.float32)), "floor")
    )
    listed.append(call("aten::clamp.Tensor_out", a, T(np.float32(-1)), T(np.array([[1.5]], np.float32))))
    return listed


def integers() -> list[Checked]:
    listed = []
    for dtype in INTEGERS:
        a, b = whole((5, 40), dtype), whole((5, 40), dtype, 6)
        listed += [call(f"aten::{name}.out", a, b, 1) for name in ("add", "sub")]
        listed += [
            call("aten::add.out", a, b, 3),
            call("aten::mul.out", a, b),
            call("aten::mul.Scalar_out", a, 3),
        ]
        listed += [call(f"aten::{name}.Scalar_out", a, 2, 1) for name in ("add", "sub", "rsub")]
        for x, y in ((a, b), (small((60,), dtype), T(np.array([-3, -2, -1, 1, 2, 3] * 10, dtype)))):
            listed += [call("aten::div.out_mode", x, y, mode) for mode in ("trunc", "floor")]
            listed += [call(f"aten::{name}.Tensor_out", x, y) for name in ("fmod", "remainder")]
        listed += [call(f"aten::bitwise_{name}.Tensor_out", a, b) for name in ("and", "or", "xor")]
        listed += [call(f"aten::{name}.out", a, b) for name in ("minimum", "maximum")]
        exponent = T(np.array([0, 1, 2, 3, 9], dtype).repeat(8))
        listed.append(call("aten::pow.Tensor_Tensor_out", a, exponent))
        negative = T(np.array([-1, -2], dtype))
        listed.append(call("aten::pow.Tensor_Tensor_out", T(np.array([[-1], [1], [3]], dtype)), negative))
        listed += [call("aten::pow.Tensor_Scalar_out", a, 2), call("aten::pow.Scalar_out", 3, exponent)]
        bits = T(np.array([0, 1, 3, 7, 64], dtype).repeat(8))
        listed += [call(f"aten::bitwise_{way}_shift.Tensor_out", a, bits) for way in ("left", "right")]
        listed.append(call("aten::__rshift__.Scalar_out", a, 2))
        listed.append(call("aten::div.out", small((9,), dtype), T(np.arange(1, 10).astype(dtype))))
    return listed


def bytes_() -> list[Checked]:
    """uint8, of which PyTorch keeps the low bits, too."""
    dice = np.random.default_rng(6)
    a, b = (T(dice.integers(low, 256, (5, 40)).astype(np.uint8)) for low in (0, 1))
    pairs = ("mul.out", "minimum.out", "maximum.out", "fmod.Tensor_out", "remainder.Tensor_out")
    return [
        *(call(f"aten::{name}.out", a, b, 1) for name in ("add", "sub")),
        *(call(f"aten::{name}", a, b) for name in pairs),
        *(call(f"aten::bitwise_{name}.Tensor_out", a, b) for name in ("and", "or", "xor")),
        *(call("aten::div.out_mode", a, b, mode) for mode in ("trunc", "floor")),
        call("aten::mul.out", a, T(np.array(3, np.uint8), constant=True)),
        call("aten::lt.Tensor_out", a, b),
    ]


def promotions() -> list[Checked]:
    a, b = small((3, 4), "int8"), small((3, 4), "int64", 6)
    constant = T(np.array([3], np.int64), constant=True)
    booleans = T(np.array([[True, False, True, True]]))
    return [
        call("aten::add.out", a, b, 1),
        call("aten::mul.out", a, reals((3, 4))),
        call("aten::add.Scalar_out", a, 0.5, 1),
        call("aten::mul.out", constant, reals((3, 4))),
        call("aten::mul.out", booleans, reals((3, 4))),
        call("aten::mul.out", booleans, booleans),
        call("aten::eq.Tensor_out", a, b),
        call("aten::lt.Tensor_out", a, reals((4,))),
        call("aten::gt.Scalar_out", a, 0.5),
    ]


def comparisons() -> list[Checked]:
    listed = []
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        for dtype in [*INTEGERS, "float32"]:
            listed.append(call(f"aten::{name}.Tensor_out", small((4, 5), dtype), small((5,), dtype, 6)))
            listed.append(call(f"aten::{name}.Scalar_out", small((4, 5), dtype), 1))
        special = T(np.array([np.nan, np.inf, -np.inf, 1.0], np.float32))
        listed.append(call(f"aten::{name}.Scalar_out", special, -np.inf))
        listed.append(call(f"aten::{name}.Tensor_out", special, special))
    for name in ("and", "or", "xor"):
        a, b = T(np.array([True, True, False, False])), T(np.array([True, False, True, False]))
        listed += [call(f"aten::logical_{name}.out", a, b), call(f"aten::bitwise_{name}.Tensor_out", a, b)]
        listed.append(call(f"aten::logical_{name}.out", small((4, 5), "float32"), small((5,), "int32", 6)))
    return listed


def choices() -> list[Checked]:
    dice = np.random.default_rng(7)
    mask = T(dice.random((2, 3, 4, 5)) < 0.5)
    narrow = T(dice.random((3, 1, 1)) < 0.5)
    listed = []
    for dtype in [*INTEGERS, "float32"]:
        a, b = small((2, 3, 4, 5), dtype), small((2, 3, 4, 5), dtype, 8)
        listed += [call("aten::where.self_out", condition, a, b) for condition in (mask, narrow)]
        listed.append(call("aten::masked_fill.Scalar_out", T(a.array, CL), mask, 7, order=CL))
    scalars = [T(np.array(value, np.float32)) for value in (-np.inf, 0.0)]
    listed.append(call("aten::where.self_out", T(mask.array[0, 0]), *scalars))
    listed.append(
        call(
            "aten::where.self_out",
            T(mask.array, CL),
            T(small((1, 3, 1, 1), "int8").array),
            scalars[1],
            order=CL,
        )
    )
    return listed


@pytest.mark.parametrize(
    "family", [broadcasts, arithmetic, integers, bytes_, promotions, comparisons, choices]
)
def test_computes_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_not_numbers(tmp_path):
    x = T(np.array([np.nan, 1.0, np.inf, -np.inf], np.float32))
    y = T(np.array([1.0, np.nan, np.inf, 2.0], np.float32))
    compare([call(f"aten::{name}.out", x, y) for name in ("minimum", "maximum", "div", "mul")], tmp_path)


def test_division_by_zero_is_defined(tmp_path):
    a, zero = T(np.array([-7, 0, 7], np.int32)), T(np.zeros(3, np.int32))
    quotient = Case("aten::div.out_mode", [a, zero, "floor"], [Out((3,), "int32")])
    rest = Case("aten::remainder.Tensor_out", [a, zero], [Out((3,), "int32")])
    compare([Checked(quotient, (zero.array,)), Checked(rest, (a.array,))], tmp_path)


def test_swapped_operands_are_noticed(tmp_path):
    checked = call("aten::sub.out", reals((3, 3)), reals((3, 3), 9), 1)
    first, second, alpha = checked.case.arguments
    assert differs(Case("aten::sub.out", [second, first, alpha], checked.case.outputs), checked, tmp_path)


def test_a_type_without_a_kernel_fails_the_build():
    x = T(np.zeros((2, 2), np.int8))
    program, _ = program_of(Case("aten::atan2.out", [x, x], [Out((2, 2), "int8")]))
    with pytest.raises(McuError, match=r"aten::atan2.out: no kernel for int8"):
        compile_program(program, "case")
