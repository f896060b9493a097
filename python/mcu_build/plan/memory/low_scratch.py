"""Less memory for the steps that would make the arena larger, and only for them.

A kernel that works in strips needs less scratch memory the narrower they are, and more time. Each step gets
the widest that the arena has room for: steps elsewhere than at its peak usually keep all they want.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.memory.allocate import live_bytes


def choose_low_scratch(plan: Plan, allowance: float) -> Plan:
    """Take ways with less scratch memory where the arena's bound would else grow by more than `allowance`.

    The bound is that of the plan with the least; `allowance` is a share of it.
    """
    limit = (1 + allowance) * max(live_bytes(leanest(plan)), default=0)

    def first_that_fits(step: Step, live: Sequence[int]) -> Step:
        fitting = (way for way, nbytes in zip(_ways(step), live, strict=True) if nbytes <= limit)
        return replace(next(fitting), low_scratch=())

    return _chosen(plan, first_that_fits)


def leanest(plan: Plan) -> Plan:
    """The plan with each step done in the way that needs the fewest live bytes."""
    return _chosen(plan, lambda step, live: _ways(step)[live.index(min(live))])


def _ways(step: Step) -> tuple[Step, ...]:
    return step, *step.low_scratch


def _chosen(plan: Plan, choose: Callable[[Step, Sequence[int]], Step]) -> Plan:
    """The plan with one of each step's ways, by the bytes that are live while it runs in each of them.

    They depend on no other step's way: scratch memory is one step's alone.
    """
    most = max((len(step.low_scratch) for step in plan.steps), default=0)
    live = [
        live_bytes(
            replace(plan, steps=tuple(_ways(step)[min(number, len(step.low_scratch))] for step in plan.steps))
        )
        for number in range(most + 1)
    ]
    steps = [
        choose(step, [live[number][index + 1] for number in range(len(step.low_scratch) + 1)])
        if step.low_scratch
        else step
        for index, step in enumerate(plan.steps)
    ]
    return replace(plan, steps=tuple(steps))
