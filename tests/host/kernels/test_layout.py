"""transpose and pad equal the Python definitions bit for bit, whatever the memory layout."""

import itertools

import numpy as np
import pytest

from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import definition, differing, integers, share_that_varies, with_output
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of, run_cases

DTYPES = ("int8", "int16", "int32", "float32", "int64")


def values(dice, shape, dtype):
    return dice.standard_normal(shape).astype(dtype) if dtype == "float32" else integers(dice, shape, dtype)


def transposes() -> list[Case]:
    dice = np.random.default_rng(2)
    found = []
    for rank in range(1, 7):
        orders = list(itertools.permutations(range(rank)))
        for index in dice.permutation(len(orders))[:10]:
            shape = tuple(int(n) for n in dice.integers(1, 5, rank))
            dtype = DTYPES[int(dice.integers(len(DTYPES)))]
            # Every third case reads memory in another order, every fourth writes it so.
            read = tuple(int(d) for d in dice.permutation(rank)) if index % 3 == 0 else None
            write = tuple(int(d) for d in dice.permutation(rank)) if index % 4 == 0 else None
            perm = list(orders[index])
            x = T(values(dice, shape, dtype), read)
            found.append(
                Case("cortex_m::transpose.out", [x, perm], [Out(tuple(shape[d] for d in perm), dtype, write)])
            )
    image = T(values(dice, (2, 3, 5, 4), "int8"), CHANNELS_LAST)
    found.append(Case("cortex_m::transpose.out", [image, [0, 2, 3, 1]], [Out((2, 5, 4, 3), "int8")]))
    found.append(Case("cortex_m::transpose.out", [image, [0, -1, 1, -2]], [Out((2, 4, 3, 5), "int8")]))
    return found


def pads() -> list[Case]:
    dice = np.random.default_rng(3)
    found = []
    shapes = [(5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (1, 1, 3, 4), (2, 4, 1, 1), (1, 3, 1, 2), (1, 1, 1, 1)]
    for shape in shapes:
        for dtype, order in itertools.product(("int8", "int16", "float32"), (None, CHANNELS_LAST)):
            if order and len(shape) != 4:
                continue
            x = values(dice, shape, dtype)
            offset = 4 - len(shape)
            before, after = ([0] * offset + dice.integers(0, 4, len(shape)).tolist() for _ in range(2))
            arguments = [T(x, order), before, after, int(dice.integers(-128, 128))]
            found.append(with_output("pad", arguments, order))
    return found


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return transposes() + pads()


def test_exact(cases, tmp_path):
    outputs = run_cases(cases, tmp_path)
    assert differing(cases, outputs) == []
    assert share_that_varies(outputs) > 0.9


def test_another_permutation_is_noticed(tmp_path):
    x = T(np.arange(24, dtype=np.int8).reshape(2, 3, 4))
    case = Case("cortex_m::transpose.out", [x, [0, 2, 1]], [Out((2, 4, 3), "int8")])
    ((output,),) = run_cases([case], tmp_path)
    assert (output != x.array.reshape(2, 4, 3)).any()
    np.testing.assert_array_equal(output, definition(case))


def test_a_permutation_that_moves_nothing_costs_nothing():
    moved = Case("cortex_m::transpose.out", [T(np.zeros((1, 5, 1, 3), "int8")), [2, 1, 0, 3]], [])
    moved = Case(moved.operator, moved.arguments, [Out((1, 5, 1, 3), "int8")])
    sources = [step.source for step in compile_program(program_of(moved)[0], "still").steps]
    assert "permute" not in sources


def test_seven_dimensions_that_all_move_take_several_copies(tmp_path):
    """A kernel has six of them."""
    x = T(np.arange(-64, 64, dtype=np.int8).reshape((2,) * 7))
    case = Case("cortex_m::transpose.out", [x, [6, 5, 4, 3, 2, 1, 0]], [Out((2,) * 7, "int8")])
    ((output,),) = run_cases([case], tmp_path)
    np.testing.assert_array_equal(output, definition(case))
    assert len(compile_program(program_of(case)[0], "deep").steps) > 1
