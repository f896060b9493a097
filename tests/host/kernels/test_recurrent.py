"""The kernels of recurrent layers, of int8 and int16, equal their definitions."""

from functools import partial

import numpy as np
import pytest

from mcu_build.arithmetic.recurrent import DEFINITIONS, MULTIPLIER_BITS, tanh_table
from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from tests.host.kernels.definitions import integers, same, share_that_varies
from tests.support.cases import Case, Out, T, program_of, run_cases

GATES = {"lstm": 4, "gru": 3, "rnn": 1}
TABLE = T(tanh_table(), constant=True)


def int16s(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return dice.integers(-(1 << 15), 1 << 15, shape).astype(np.int16)


def definition(case: Case) -> list[np.ndarray]:
    name = case.operator.removeprefix("mcu_build::").removesuffix(".out")
    found = DEFINITIONS[name](*[a.array if isinstance(a, T) else a for a in case.arguments])
    return list(found) if isinstance(found, tuple) else [found]


def drawn(
    dice: np.random.Generator,
    name: str,
    sizes: tuple[int, int, int, int],
    *,
    batch_first: bool,
    given: bool,
    zero_point: int,
    table: T | None = TABLE,
    loud: float = 1.0,
    cell_used: bool = True,
    resumed: bool = False,
    shift: int = 32,
    bits: int = 8,
) -> Case:
    """A layer of `sizes` (steps, batches, inputs, units) whose gates spread over the table, or beyond.

    `resumed` gives a GRU its state of 16 bits in place of h. With 16 `bits` x and h are int16.
    """
    steps, batches, inputs, units = sizes
    rows = GATES[name] * units
    values = integers if bits == 8 else int16s
    x = values(dice, (batches, steps, inputs) if batch_first else (steps, batches, inputs))
    hidden = T(values(dice, (1, batches, units))) if given else None
    states = [hidden]
    if name == "lstm":
        cell = (dice.standard_normal((1, batches, units)) * 8).astype(np.float32)
        states.append(T(cell) if given else None)
    if name == "gru":
        s = dice.integers(-(1 << 15), 1 << 15, (1, batches, units)).astype(np.float32) / (1 << 14)
        states = [None, T(s)] if resumed else [hidden, None]
    lowest = -128 if loud > 1 else -127  # ours are symmetric
    weights = [
        T(np.maximum(integers(dice, (rows, count)), lowest), constant=True) for count in (inputs, units)
    ]
    spread = 74 << (bits - 8)
    most = 2 ** MULTIPLIER_BITS[bits] - 1
    largest = int(min(loud * 2.0 ** (shift + 11) / (74 * spread * np.sqrt(inputs)), most))
    multipliers = T(dice.integers(0, largest + 1, (2, rows), np.int32), constant=True)
    biases = T(dice.integers(-9000, 9000, 4 * units if name == "gru" else rows, np.int32), constant=True)
    last = [14, 1 << 21, 13] if name == "gru" else []
    shown = [20_000, 22] if table else [1, 7]
    if bits == 16:
        last = [14, 20_001, 14] if name == "gru" else []
        shown, zero_point = [20_000, 14] if table else [2, 1], 0
    out = Out((*x.shape[:2], units), f"int{bits}")
    cells = [Out((1, batches, units), "float32", used=cell_used)] if name != "rnn" else []
    return Case(
        f"mcu_build::{name}.out",
        [T(x), *states, *weights, multipliers, biases, table, batch_first, shift, zero_point, *shown, *last],
        [out, *cells],
    )


def cases(name: str, bits: int = 8) -> list[Case]:
    dice, draw = np.random.default_rng(71), partial(drawn, bits=bits)
    found = []
    for sizes, zero_point in (
        ((1, 1, 1, 1), 0),
        ((7, 2, 5, 3), -128),
        ((3, 3, 16, 17), 127),
        ((40, 1, 33, 8), -9),
    ):
        for batch_first in (False, True):
            for given in (False, True):
                options = {"batch_first": batch_first, "given": given, "zero_point": zero_point}
                found.append(draw(dice, name, sizes, **options))
        found.append(draw(dice, name, sizes, batch_first=True, given=True, zero_point=zero_point, loud=40.0))
    # The shifts to either side of where 32 bits are enough, and of where the upper half is.
    for shift in (1, 20, 29, 30, 31, 33, 40):
        options = {"batch_first": True, "given": True, "zero_point": 7, "shift": shift}
        found.append(draw(dice, name, (4, 1, 9, 6), **options))
    if name != "rnn":
        found.append(
            draw(dice, name, (4, 2, 3, 5), batch_first=True, given=True, zero_point=1, cell_used=False)
        )
    if name == "gru":
        resumed = {"batch_first": True, "given": False, "zero_point": 5, "resumed": True}
        found += [draw(dice, name, sizes, **resumed) for sizes in ((6, 2, 4, 7), (1, 1, 9, 5))]
    if name == "rnn":
        found += [
            draw(dice, name, (6, 2, 5, 9), batch_first=first, given=first, zero_point=-100, table=None)
            for first in (False, True)
        ]
    return found


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", GATES)
def test_the_kernel_is_the_definition(name, bits, tmp_path):
    tried = cases(name, bits)
    outputs = run_cases(tried, tmp_path)
    for case, found in zip(tried, outputs, strict=True):
        for output, wanted in zip(found, definition(case), strict=False):
            assert same(output, wanted)
    assert share_that_varies([found[:1] for found in outputs]) > 0.8


def test_steps_resume_where_the_last_call_ended():
    """A GRU called twice with its state gives what one call does; with h alone, of 8 bits, it does not."""
    dice = np.random.default_rng(75)
    options = {"batch_first": True, "given": False, "zero_point": 5}
    case = drawn(dice, "gru", (40, 1, 4, 30), **options)
    x, weights = case.arguments[0].array, [a.array if isinstance(a, T) else a for a in case.arguments[3:]]
    whole, end = DEFINITIONS["gru"](x, None, None, *weights)
    first, state = DEFINITIONS["gru"](x[:, :15], None, None, *weights)
    rest, last = DEFINITIONS["gru"](x[:, 15:], None, state, *weights)
    assert same(np.concatenate([first, rest], 1), whole)
    assert same(last, end)
    by_h, _ = DEFINITIONS["gru"](x[:, 15:], first[:, -1:].transpose(1, 0, 2), None, *weights)
    assert not np.array_equal(by_h, rest)


def test_an_infinite_cell_and_nan_are_the_ends(tmp_path):
    dice = np.random.default_rng(72)
    case = drawn(dice, "lstm", (1, 1, 2, 4), batch_first=True, given=True, zero_point=0)
    case.arguments[2].array[...] = [np.inf, -np.inf, np.nan, 1e30]
    ((_, cell),) = run_cases([case], tmp_path)
    assert same(cell, definition(case)[1])
    assert np.isfinite(cell).all()


def test_another_step_bias_or_order_is_noticed():
    dice = np.random.default_rng(73)
    for name in GATES:
        case = drawn(dice, name, (5, 1, 4, 6), batch_first=True, given=True, zero_point=3)
        right = definition(case)[0]
        index = 5 if name == "rnn" else 6
        case.arguments[index].array[0] += 3000
        biased = definition(case)[0]
        assert not np.array_equal(right, biased)
        case.arguments[index].array[0] -= 3000
        case.arguments[0].array[:] = case.arguments[0].array[:, ::-1].copy()
        assert not np.array_equal(right[:, -1], definition(case)[0][:, -1])


def test_weights_that_do_not_fit_are_refused():
    dice = np.random.default_rng(74)
    case = drawn(dice, "gru", (2, 1, 4, 6), batch_first=True, given=False, zero_point=3)
    case.arguments[6] = T(np.zeros(18, np.int32), constant=True)
    with pytest.raises(McuError, match="weights"):
        compile_program(program_of(case)[0], "m")


@pytest.mark.parametrize(("index", "value", "why"), [(2, 127, "leave 32 bits"), (4, 1 << 29, "multipliers")])
def test_sums_of_int16_that_could_overflow_are_refused(index, value, why):
    case = drawn(
        np.random.default_rng(76), "rnn", (1, 1, 520, 2), batch_first=True, given=False, zero_point=0, bits=16
    )
    compile_program(program_of(case)[0], "m")
    case.arguments[index].array[...] = value
    with pytest.raises(McuError, match=why):
        compile_program(program_of(case)[0], "m")
