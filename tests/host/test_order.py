"""The order of steps: the one that needs the fewest live bytes, of all that compute the same."""

import random
from dataclasses import replace
from itertools import permutations

import pytest

from mcu_build.ir.calls.moves import Concat, ConcatParams
from mcu_build.ir.plan import Step
from mcu_build.plan.memory.allocate import live_bytes
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.order import reordered
from tests.host.test_memory import plan_of, step, tensor
from tests.support.cases import run_plans
from tests.support.row_chains import Draw


def branches(seed, count=7):
    """A random graph, in the order in which it was drawn; some steps work in place."""
    dice = random.Random(seed)
    tensors, steps = [tensor(0, 64)], []
    for id in range(1, count + 1):
        read = sorted(dice.sample(range(id), min(id, dice.choice([1, 1, 2]))))
        tensors.append(tensor(id, dice.choice([16, 48, 64, 160, 320])))
        steps.append(step(read, [id], {read[0]: dice.choice([0, 32])} if dice.random() < 0.5 else None))
    used = {id for one in steps for id in one.reads}
    return plan_of(tensors, steps, [0], [id for id in range(1, count + 1) if id not in used])


def runs(plan, order):
    """Whether each step of an order finds what it reads."""
    there = set(plan.inputs)
    for index in order:
        if not set(plan.steps[index].reads) <= there:
            return False
        there |= set(plan.steps[index].writes)
    return True


def in_order(plan, order):
    return replace(plan, steps=tuple(plan.steps[index] for index in order))


def test_no_order_needs_less():
    better = 0
    for seed in range(25):
        plan = branches(seed)
        orders = (order for order in permutations(range(len(plan.steps))) if runs(plan, order))
        every = [max(live_bytes(in_order(plan, order))) for order in orders]
        given, least, found = max(live_bytes(plan)), min(every), reordered(plan)
        assert runs(found, range(len(found.steps)))
        assert sorted(map(id, found.steps)) == sorted(map(id, plan.steps))
        assert max(live_bytes(found)) == (least if least <= 0.99 * given else given), seed
        better += least < given
        # Else any order would do.
        assert max(every) > least or len(every) == 1
    assert better >= 5


def test_what_joins_branches_is_made_as_they_come(tmp_path):
    draw = Draw(5, 24, 16, 8)
    image = draw.convolution(draw.input, 8, True)
    parts = [draw.convolution(draw.table(image), 8, True) for _ in range(4)]
    output = draw.convolution(image, 32, True)
    draw.steps.pop()
    for place, part in enumerate(parts):
        call = Concat(ConcatParams(24 * 16, 8, 32, 8 * place), part, output)
        draw.steps.append(Step.of("cat", "", call))
    plan = allow_inplace(draw.plan("given", [draw.convolution(output, 4, True)]))
    found = replace(reordered(plan), name="found")
    assert max(live_bytes(found)) < 0.8 * max(live_bytes(plan))
    kinds = [type(one.call).__name__ for one in found.steps]
    assert kinds.index("Concat") < len(kinds) - 1 - kinds[::-1].index("Lookup")
    # What is written later is not read before: the results are the same.
    from mcu_build.plan.memory.allocate import place
    from mcu_build.plan.specialize import specialize

    given = draw.dice.integers(-128, 128, 24 * 16 * 8).astype("int8")
    made = [place(specialize(one, ("reference",))) for one in (plan, found)]
    results = run_plans(made, [given, given], tmp_path)
    half = len(results) // 2
    assert results[:half] == results[half:] and len(set(results)) > 5


@pytest.mark.parametrize("count", [40, 2000])
def test_too_many_orders_are_left_alone_in_time(count):
    # All of them can run in any order: 2 to the power of so many sets.
    tensors = [tensor(id, 16 + 16 * (id % 7)) for id in range(2 * count + 1)]
    steps = [step([0], [id]) for id in range(1, count + 1)]
    steps += [step([id], [id + count]) for id in range(1, count + 1)]
    plan = plan_of(tensors, steps, [0], [2 * count])
    assert reordered(plan) is plan
    # One behind the other there is one order.
    line = plan_of(tensors, [step([id], [id + 1]) for id in range(2 * count)], [0], [2 * count])
    assert reordered(line) is line
