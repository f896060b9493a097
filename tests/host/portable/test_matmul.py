"""Products of float matrices equal PyTorch's.

A sum of fewer than 20 products below 10, in another order: within 20 roundings of 200, 2.4e-4 at the very
worst and some 1e-6 in practice. 2e-5 is asked for.
"""

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.portable.against_torch import Checked, call, compare, differs
from tests.support.cases import Case, Out, T, program_of

NEAR = {"relative": 1e-5, "absolute": 2e-5}


def reals(*shape: int, constant: bool = False) -> T:
    dice = np.random.default_rng(sum(shape) + 41)
    return T(dice.standard_normal(shape).astype(np.float32), constant=constant)


def products() -> list[Checked]:
    weight, bias = reals(7, 16, constant=True), reals(7, constant=True)
    transposed = T(np.ascontiguousarray(weight.array), (1, 0))
    return [
        *[
            call("aten::linear.out", reals(*s), weight, b, **NEAR)
            for s in ((3, 16), (2, 3, 16), (16,))
            for b in (bias, None)
        ],
        call("aten::linear.out", reals(3, 16), transposed, bias, **NEAR),
        call("aten::mm.out", reals(4, 5), reals(5, 6), **NEAR),
        call("aten::mm.out", reals(1, 1), reals(1, 1), **NEAR),
        call("aten::mm.out", T(reals(4, 5).array, (1, 0)), T(reals(5, 6).array, (1, 0)), **NEAR),
        call("aten::mm.out", reals(4, 5), reals(5, 6), order=(1, 0), **NEAR),
        call("aten::bmm.out", reals(3, 4, 5), reals(3, 5, 2), **NEAR),
        call("aten::matmul.out", reals(2, 3, 4, 5), reals(2, 3, 5, 6), **NEAR),
        call("aten::matmul.out", reals(2, 3, 4, 5), reals(5, 6), **NEAR),
        call("aten::matmul.out", reals(4, 5), reals(3, 5, 6), **NEAR),
        call("aten::matmul.out", reals(5), reals(5), **NEAR),
        call("aten::matmul.out", reals(3, 5), reals(5), **NEAR),
        call("aten::addmm.out", reals(6), reals(4, 5), reals(5, 6), 1, 1, **NEAR),
        call("aten::addmm.out", reals(4, 6), reals(4, 5), reals(5, 6), 0.5, -2, **NEAR),
        call("aten::addmm.out", reals(4, 1), reals(4, 5), reals(5, 6), 1, 1, **NEAR),
        call("aten::baddbmm.out", reals(3, 4, 6), reals(3, 4, 5), reals(3, 5, 6), 1, 0.5, **NEAR),
    ]


def distances() -> list[Checked]:
    listed = []
    for p in (0.0, 1.0, 2.0, 3.5, float("inf")):
        listed.append(call("aten::_cdist_forward.out", reals(2, 4, 6), reals(2, 5, 6), p, None, **NEAR))
        listed.append(call("aten::_pdist_forward.out", reals(5, 6), p, **NEAR))
    listed.append(call("aten::_cdist_forward.out", reals(3, 1, 4, 6), reals(2, 30, 6), 2.0, None, **NEAR))
    return listed


@pytest.mark.parametrize("family", [products, distances])
def test_computes_as_pytorch_does(family, tmp_path):
    compare(family(), tmp_path)


def test_another_weight_is_noticed(tmp_path):
    checked = call("aten::mm.out", reals(4, 4), reals(4, 4), **NEAR)
    first, second = checked.case.arguments
    wrong = Case("aten::mm.out", [first, T(second.array.T.copy())], checked.case.outputs)
    assert differs(wrong, checked, tmp_path)


def test_macs_are_counted():
    plan = compile_program(program_of(products()[0].case)[0], "case")
    assert [step.macs for step in plan.steps] == [3 * 7 * 16]


def test_a_product_of_integers_fails_the_build():
    x = T(np.zeros((2, 2), np.int8))
    case = Case("aten::mm.out", [x, x], [Out((2, 2), "int8")])
    with pytest.raises(McuError, match="no kernel for int8"):
        compile_program(program_of(case)[0], "case")
