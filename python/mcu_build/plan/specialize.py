"""Kernels of the core in place of reference kernels, with weights laid out as they want them.

A folder of firmware/kernels that holds kernels with a layout of their own has one in kernels/, whose table
names the families for each kind of call. Where several take a call, each has a price in modelled cycles of
its core, and the cheapest that is worth its code replaces the step (choice.py). A kernel that takes what
the reference kernel takes needs nothing there: the build finds it by its file's name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcu_build.ir.plan import DUAL_ISSUE, Optimize, Plan, Step
from mcu_build.kernels import cmsis_nn
from mcu_build.kernels.codebooks import codebook_step, with_codebooks
from mcu_build.kernels.context import Context, Table, Way
from mcu_build.kernels.dsp import table as dsp
from mcu_build.kernels.helium import table as helium
from mcu_build.kernels.thumb import table as thumb
from mcu_build.plan.choice import choose
from mcu_build.plan.memory.fit import constant_bytes
from mcu_build.plan.rows.kernels import specialized_rows

# A layer's weights are worth a slower kernel where they would take so many bytes more, and a quarter more.
_LARGE = 4096

TABLES: Mapping[str, Table] = {
    "cmsis_nn": cmsis_nn.TABLE,
    "dsp": dsp.TABLE,
    "mve": helium.TABLE,
    "thumb": thumb.TABLE,
    "thumb2": thumb.TABLE_2,
}


def specialize(
    plan: Plan, kernel_folders: Sequence[str], optimize: Optimize = "speed", room: int | None = None
) -> Plan:
    """Replace steps by those of the best folder that has a kernel for them, `kernel_folders` best first.

    A kernel may want weights in more bytes than the program has them in. A step keeps the program's weights,
    and the reference kernel, where its own would take much more and `optimize` is size; and, those first that
    take the most more, where constants would else take more than `room` bytes. Where `optimize` is size,
    weights of few values are codes with a table of them.
    """
    context = Context(plan, optimize, DUAL_ISSUE in kernel_folders)
    ways = [[] if step.inner else _ways(context, step, kernel_folders) for step in plan.steps]

    def of_a_row(step: Step) -> Step:
        return choose([step], [_ways(context, step, kernel_folders)], optimize)[0]

    steps = [
        specialized_rows(context, step, of_a_row) if step.inner else step
        for step in choose(plan.steps, ways, optimize)
    ]
    coded = [codebook_step(context, step) if optimize == "size" else None for step in plan.steps]
    made = replace(plan, tensors=context.tensors, program_constants=constant_bytes(plan))
    costs = [
        _constants(made, after) - _constants(made, before)
        for before, after in zip(plan.steps, steps, strict=True)
    ]
    total = constant_bytes(replace(made, steps=tuple(steps)))
    kept = 0
    for index in sorted(range(len(steps)), key=lambda index: -costs[index]):
        grows = costs[index] > max(_LARGE, _constants(made, plan.steps[index]) // 4)
        over = room is not None and total > room and costs[index] > 0
        if over or (optimize == "size" and grows):
            steps[index] = plan.steps[index]
            total -= costs[index]
            kept += over
    saved = [
        0 if code is None else _constants(made, step) - _constants(made, code)
        for step, code in zip(steps, coded, strict=True)
    ]
    steps = with_codebooks(steps, coded, saved)
    return replace(made, steps=tuple(steps), plain_steps=kept)


def _constants(plan: Plan, step: Step) -> int:
    """Bytes of the constants that a step reads."""
    tensors = {plan.owner(id).id: plan.owner(id) for id in step.arguments if id is not None}
    return sum(tensor.nbytes for tensor in tensors.values() if tensor.is_constant)


def price(plan: Plan, step: Step, kernel_folders: Sequence[str]) -> float | None:
    """Modelled cycles of the kernel that a step of portable kernels gets; None where no price is known."""
    ways = _ways(Context(plan, "speed"), step, kernel_folders)
    return (min(way.cycles for way in ways) if ways else 0) or None


def _ways(context: Context, step: Step, kernel_folders: Sequence[str]) -> Sequence[Way]:
    """The kernels of the best folder that has any for a step."""
    for folder in kernel_folders:
        ways = [way for rule in TABLES.get(folder, ()) for way in rule.ways(context, step)]
        if ways:
            return ways
    return []
