"""Concatenations of samples at equal distances, what dilated windows of a stream read: one step for all."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mcu_build.ir.calls.moves import Concat, GatherRows, GatherRowsParams
from mcu_build.ir.plan import Plan


def fuse_samples(plan: Plan) -> Plan:
    """The plan with one step in place of those that bring parts of one tensor together."""
    joined: dict[int, list[int]] = defaultdict(list)
    for index, step in enumerate(plan.steps):
        if isinstance(step.call, Concat):
            joined[step.call.output].append(index)
    steps, gone = list(plan.steps), set[int]()
    for indices in joined.values():
        calls = [call for index in indices if isinstance(call := plan.steps[index].call, Concat)]
        if (gathered := _gathered(plan, calls)) is not None:
            *others, last = indices
            gone.update(others)
            steps[last] = steps[last].calling(gathered)
    return replace(plan, steps=tuple(step for index, step in enumerate(steps) if index not in gone))


def _gathered(plan: Plan, calls: Sequence[Concat]) -> GatherRows | None:
    """What does the same as `calls`, which are all of an output; None where it is no such gathering."""
    output, all_params = plan.tensors[calls[0].output], [call.params for call in calls]
    size, sources = all_params[0].bytes, [plan.tensors[call.input] for call in calls]
    parent = sources[0].alias_of
    dense = [(1, size, size * row) for row in range(len(calls))]
    if parent is None or [(params.rows, params.bytes, params.offset) for params in all_params] != dense:
        return None
    starts = [source.alias_offset for source in sources]
    distance = starts[-1] // max(len(calls) - 1, 1)
    alike = all(source.alias_of == parent for source in sources) and output.nbytes == size * len(calls)
    if not alike or len(calls) < 2 or starts != [row * distance for row in range(len(calls))]:
        return None
    return GatherRows(GatherRowsParams(len(calls), size, distance), parent, output.id)
