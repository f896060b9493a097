"""A permute that undoes another one is gone, and nothing changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_build.plan.compile import compile_program
from mcu_build.program import KernelCall, Program
from tests.support.cases import Case, Out, T, program_of, run_plans
from tests.support.chains import join

SHAPE = (2, 5, 3, 4)
INPUT = np.random.default_rng(1).integers(-128, 128, SHAPE).astype(np.int8)


def transposed(shape: tuple[int, ...], order: list[int]) -> Program:
    made = Out(tuple(shape[d] for d in order), "int8")
    return program_of(Case("cortex_m::transpose.out", [T(np.zeros(shape, np.int8)), order], [made]))[0]


def table(shape: tuple[int, ...]) -> Program:
    entries = np.random.default_rng(2).integers(-128, 128, 256).astype(np.int8)
    given = [T(np.zeros(shape, np.int8)), T(entries, constant=True)]
    return program_of(Case("cortex_m::quantized_activation.out", given, [Out(shape, "int8")]))[0]


def twice(shape: tuple[int, ...]) -> Program:
    """x + x, with a zero point of each."""
    x = T(np.zeros(shape, np.int8))
    given = [x, 3, 1 << 30, 0, x, -5, 1676959986, -1, 7, 1190280823, -18, -128, 127]
    program, _ = program_of(Case("cortex_m::quantized_add.out", given, [Out(shape, "int8")]))
    one, *others = program.inputs
    calls = tuple(
        KernelCall(call.operator, tuple(one if id in others else id for id in call.arguments))
        for call in program.instructions
        if isinstance(call, KernelCall)
    )
    return replace(program, inputs=(one,), instructions=calls)


def chain(*programs: Program) -> Program:
    first, *others = programs
    for other in others:
        first = join(first, other)
    return first


def there_and_back(order: list[int], back: list[int]) -> Program:
    middle = tuple(SHAPE[d] for d in order)
    return chain(transposed(SHAPE, order), table(middle), twice(middle), transposed(middle, back))


def run(program: Program, folder: Path) -> np.ndarray:
    plan = compile_program(program, "m")
    return np.frombuffer(run_plans([plan], [INPUT], folder), np.int8)


def expected(program: Program) -> np.ndarray:
    from mcu_build.reference import evaluate

    (output,) = evaluate(program, [INPUT])
    return np.ascontiguousarray(output).reshape(-1)


@pytest.mark.parametrize(
    ("order", "back", "left"),
    [
        ([0, 2, 3, 1], [0, 3, 1, 2], 0),
        ([3, 1, 0, 2], [2, 1, 3, 0], 0),
        ([0, 2, 3, 1], [0, 2, 3, 1], 2),
        ([3, 1, 0, 2], [3, 1, 0, 2], 2),
    ],
)
def test_only_what_is_undone_goes(order: list[int], back: list[int], left: int, tmp_path: Path) -> None:
    program = there_and_back(order, back)
    kernels = [step.kernel for step in compile_program(program, "m").steps]
    assert kernels.count("permute") == left and len(kernels) == 2 + left
    wanted = expected(program)
    assert np.unique(wanted).size > 20
    np.testing.assert_array_equal(run(program, tmp_path), wanted)


def test_what_is_read_elsewhere_stays(tmp_path: Path) -> None:
    """The table's output in the permuted order is an output of the model."""
    program = there_and_back([0, 2, 3, 1], [0, 3, 1, 2])
    between = program.instructions[1]
    assert isinstance(between, KernelCall)
    both = replace(program, outputs=(*program.outputs, between.arguments[-1]))
    assert [step.kernel for step in compile_program(both, "m").steps].count("permute") == 2
