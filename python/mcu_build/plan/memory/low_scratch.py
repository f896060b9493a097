"""Less memory for the steps that would make the arena larger, and only for them.

A kernel that works in strips needs less scratch memory the narrower they are, and more time. Each step gets
the widest that the arena has room for: steps elsewhere than at its peak usually keep all they want.
"""

from collections.abc import Sequence
from dataclasses import replace

from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.memory.allocate import live_bytes


def choose_low_scratch(plan: Plan, allowance: float) -> Plan:
    """Take ways with less scratch memory where the arena's bound would else grow by more than `allowance`.

    The bound is that of the plan with the least; `allowance` is a share of it.
    """
    steps = list(leanest(plan).steps)
    choices = {index: (step, *step.low_scratch) for index, step in enumerate(plan.steps) if step.low_scratch}
    limit = (1 + allowance) * max(live_bytes(replace(plan, steps=tuple(steps))), default=0)
    for index, ways in choices.items():
        fitting = (way for way in ways if _live(plan, steps, index, way) <= limit)
        steps[index] = replace(next(fitting), low_scratch=())
    return replace(plan, steps=tuple(steps))


def leanest(plan: Plan) -> Plan:
    """The plan with each step done in the way that needs the fewest live bytes."""
    steps = list(plan.steps)
    for index, step in enumerate(plan.steps):
        ways = (step, *step.low_scratch)
        if len(ways) > 1:
            _, chosen = min((_live(plan, steps, index, way), number) for number, way in enumerate(ways))
            steps[index] = ways[chosen]
    return replace(plan, steps=tuple(steps))


def _live(plan: Plan, steps: Sequence[Step], index: int, way: Step) -> int:
    """Bytes that are live at step `index` if it is done this way."""
    changed = (*steps[:index], way, *steps[index + 1 :])
    return live_bytes(replace(plan, steps=changed))[index + 1]
