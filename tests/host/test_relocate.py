"""Moving tensors within the arena: it gets smaller, and the model computes the same."""

import numpy as np

from mcu_build.ir.plan import Plan
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.compile import compile_program
from mcu_build.plan.memory.allocate import place
from mcu_build.plan.memory.relocate import allocate_with_relocation
from tests.host.test_memory import overlaps, step


def chain(layers, size, distance):
    """Layers that each write `distance` bytes below what they read."""
    tensors = {i: Tensor(i, f"t{i}", DType.I8, (size,), (0,)) for i in range(layers + 1)}
    steps = tuple(step([i], [i + 1], {i: distance}) for i in range(layers))
    return Plan("m", tensors, steps, (0,), (layers,))


def test_a_long_chain_does_not_walk_down():
    plan = chain(8, 3200, 640)
    assert place(plan).arena.size > 5000
    moved = allocate_with_relocation(plan)
    assert moved.arena.size == moved.arena.lower_bound == 3200 + 640
    assert not overlaps(moved)
    copies = [one for one in moved.steps if one.kernel == "copy"]
    assert 0 < len(copies) < 8
    # Every step reads what the one before it, moved or not, wrote.
    written = moved.inputs[0]
    for one in moved.steps:
        assert one.reads == (written,)
        written = one.writes[0]
    assert moved.outputs == (written,)


def test_nothing_moves_where_that_gains_nothing():
    plan = chain(1, 3200, 640)
    assert allocate_with_relocation(plan).steps == plan.steps


def test_a_moved_chain_computes_the_same(tmp_path):
    from mcu_build.oracle.reference import evaluate
    from tests.support.cases import run_plans
    from tests.support.chains import depthwise_chain

    program, x = depthwise_chain(layers=5)
    (expected,) = evaluate(program, [x])
    assert np.unique(expected).size > 20
    plan = compile_program(program, "chain")
    assert any(step.kernel == "copy" for step in plan.steps)
    found = np.frombuffer(
        run_plans([plan], [np.ascontiguousarray(x.transpose(0, 2, 3, 1))], tmp_path), np.int8
    )
    np.testing.assert_array_equal(found, expected.transpose(0, 2, 3, 1).reshape(-1))
