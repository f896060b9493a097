"""Operands of a concatenation are made in its output where they can be, and nothing changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_build.ir.program import KernelCall, Program
from mcu_build.plan.compile import compile_program
from tests.support.cases import Case, Out, T, program_of, run_plans

OPERATOR = "cortex_m::quantized_activation.out"


def joined_tables(sizes: tuple[int, ...], shape: tuple[int, ...] = (), dimension: int = 0) -> Program:
    """Tables of inputs [size, *shape], one each, joined along a dimension."""
    dice = np.random.default_rng(len(sizes))
    tall = [(size, *shape) if dimension == 0 else (*shape, size) for size in sizes]
    given = [T(np.zeros(one, np.int8)) for one in tall]
    total = list(tall[0])
    total[dimension] = sum(sizes)
    whole, _ = program_of(Case("aten::cat.out", [given, dimension], [Out(tuple(total), "int8")]))
    values, calls, inputs = list(whole.values), [], []
    for feed, one in zip(whole.inputs, tall, strict=True):
        table = T(dice.integers(-128, 128, 256).astype(np.int8), constant=True)
        made, _ = program_of(Case(OPERATOR, [T(np.zeros(one, np.int8)), table], [Out(one, "int8")]))
        shift, (result,) = len(values), made.outputs
        values += made.values
        inputs += [id + shift for id in made.inputs]
        calls += [
            KernelCall(call.operator, tuple(feed if id == result else id + shift for id in call.arguments))
            for call in made.instructions
            if isinstance(call, KernelCall)
        ]
    return replace(
        whole,
        values=tuple(values),
        inputs=tuple(inputs),
        instructions=(*calls, *whole.instructions),
    )


def concats(program: Program) -> int:
    return [step.kernel for step in compile_program(program, "m").steps].count("concat")


def test_parts_are_made_in_place(tmp_path: Path) -> None:
    from mcu_build.oracle.reference import evaluate

    program = joined_tables((16, 32, 5), (2,))
    dice = np.random.default_rng(3)
    inputs = [dice.integers(-128, 128, (size, 2)).astype(np.int8) for size in (16, 32, 5)]
    plan = compile_program(program, "m")
    assert [step.kernel for step in plan.steps] == ["lookup_s8"] * 3
    (expected,) = evaluate(program, inputs)
    found = np.frombuffer(run_plans([plan], inputs, tmp_path), np.int8)
    np.testing.assert_array_equal(found, expected.reshape(-1))
    # Spoilt: the second part half a line further on.
    moved = next(id for id, tensor in plan.tensors.items() if tensor.alias_offset == 32)
    tensors = {**plan.tensors, moved: replace(plan.tensors[moved], alias_offset=40)}
    spoilt = run_plans([replace(plan, tensors=tensors)], inputs, tmp_path)
    assert spoilt != found.tobytes()


@pytest.mark.parametrize(
    ("program", "left"),
    [
        (joined_tables((5, 16)), 1),
        (joined_tables((16, 16), (2,), dimension=1), 2),
    ],
    ids=["not where a tensor may begin", "not in one piece"],
)
def test_others_are_copied(program: Program, left: int) -> None:
    assert concats(program) == left


def test_an_operand_that_the_application_sees_is_copied() -> None:
    program = joined_tables((16, 16))
    first = program.instructions[0]
    assert isinstance(first, KernelCall)
    assert concats(program) == 0
    assert concats(replace(program, outputs=(*program.outputs, first.arguments[-1]))) == 1
