"""The past of a dilated window as a ring: a step then adds its sample, and moves none of the others."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mcu_build.ir.calls.moves import Concat, Copy, GatherRing, GatherRingParams, GatherRows
from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.ir.tensor import Tensor, aligned

# Bytes of a past that are moved more quickly than a ring is kept.
_FEW = 512


def keep_rings(plan: Plan) -> Plan:
    """The plan with rings for windows that lie with their past, and of which gathered rows alone are read."""
    windows = {tensor.state: tensor for tensor in reversed([*plan.tensors.values()])}
    users = defaultdict(list)
    for step in plan.steps:
        for owner in {plan.owner(id).id for id in step.arguments if id is not None}:
            users[owner].append(step)
    for index, offset in enumerate(plan.state_offsets):
        window = windows[offset]
        if (params := _ring(plan, window, users[window.id])) is not None:
            plan = _with_ring(plan, index, window, users[window.id], params)
    return plan


def _with_ring(
    plan: Plan, index: int, window: Tensor, users: Sequence[Step], params: GatherRingParams
) -> Plan:
    append, gather, move = users
    place = aligned(len(plan.initial_state))
    start = Tensor(max(plan.tensors) + 1, "start", DType.I32, (1,), (0,), state=place)
    call = GatherRing(params, append.reads[0], gather.writes[0], window.id, start.id)
    steps = [step.calling(call) if step is gather else step for step in plan.steps]
    rings = list(plan.state_rings)
    rings[index] = (place, window.nbytes)
    return replace(
        plan,
        tensors={**plan.tensors, start.id: start},
        steps=tuple(step for step in steps if step is not append and step is not move),
        initial_state=plan.initial_state.ljust(place + start.nbytes, b"\0"),
        state_rings=tuple(rings),
    )


def _ring(plan: Plan, window: Tensor, users: Sequence[Step]) -> GatherRingParams | None:
    """How rows of a window are gathered, where its users append a sample, gather, and move all down."""
    match [step.call for step in users]:
        case [Concat() as append, GatherRows() as gather, Copy() as move]:
            size, past, params = window.nbytes, append.params.offset, gather.params
            is_sample = append.params.bytes == params.bytes == size - past and append.params.rows == 1
            whole_rows = past % params.bytes == 0 and params.stride % params.bytes == 0
            reads, moved = (plan.offset(id) - plan.offset(window.id) for id in (gather.input, move.input))
            moves_all = (move.params.bytes, moved) == (past, params.bytes)
            if past >= _FEW and is_sample and whole_rows and moves_all and reads == 0:
                return GatherRingParams(params.rows, params.bytes, params.stride, past, size)
    return None
