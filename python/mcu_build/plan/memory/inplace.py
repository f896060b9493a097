"""How far an output may reach into an input that the same step uses up.

Output and input may share bytes if the output starts at least so many bytes below the input as the call says
(Call.inplace_distances). A kernel that works on some channels after the others needs more: an output that
starts a multiple of a pixel's bytes below the input, so that channels meet only themselves.
"""

from dataclasses import replace

from mcu_build.ir.plan import Plan, Step


def allow_inplace(plan: Plan) -> Plan:
    """Note on every step how its inputs and its output may share bytes."""
    return replace(plan, steps=tuple(_annotate(plan, step) for step in plan.steps))


def _annotate(plan: Plan, step: Step) -> Step:
    return replace(step, inplace=step.call.inplace_distances(plan.tensors))
