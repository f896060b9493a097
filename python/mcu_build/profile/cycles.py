"""Executed instructions → modelled cycles, by address. docs/cycle-model.md has rules and errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcu_build.hardware import MemoryTiming
from mcu_build.image.decode import Instruction
from mcu_build.profile.blocks import Edge, Flow, flow
from mcu_build.profile.core import Core
from mcu_build.profile.issue import Pipeline, Prepared, prepare
from mcu_build.profile.memory import fetch_waits
from mcu_build.profile.operations import Operation

# How many instructions before a block a pipeline is filled with, and from how many places at most a block is
# taken to be reached: more changes nothing that can be seen, and time stays linear in the code.
_BEFORE = 16
_WAYS = 3


@dataclass
class _Costs:
    core: Core
    flow: Flow
    prepared: Sequence[Sequence[Prepared]]
    ways: Sequence[Sequence[Edge]]  # by block, the most frequent first
    cycles: dict[int, float] = field(default_factory=dict)


def model(
    counts: Mapping[int, int],
    code: Mapping[int, Instruction],
    core: Core,
    fetched_from: MemoryTiming | None = None,
) -> dict[int, float]:
    """Cycles of the core at each address that was executed; they add up to those of all.

    `fetched_from` is the memory of the code, where it makes the core wait.
    """
    blocks = flow(counts, code)
    ways: list[list[Edge]] = [[] for _ in blocks.blocks]
    for edge in blocks.edges:
        ways[edge.target].append(edge)
    costs = _Costs(
        core,
        blocks,
        [[prepare(instruction, core) for instruction in block.instructions] for block in blocks.blocks],
        [sorted(edges, key=lambda edge: -edge.count)[:_WAYS] for edges in ways],
    )
    for number in range(len(blocks.blocks)):
        _add_block(costs, number)
        _add_branch(costs, number)
    if fetched_from is not None:
        for address, waits in fetch_waits(blocks, costs.cycles, fetched_from).items():
            costs.cycles[address] += waits
    return costs.cycles


def total(cycles: Mapping[int, float]) -> int:
    """Whole cycles."""
    return round(sum(cycles.values()))


def _add_block(costs: _Costs, number: int) -> None:
    """Each way into a block on its own: what was under way then decides when its instructions start."""
    left = costs.flow.blocks[number].count
    for edge in costs.ways[number]:
        count = min(edge.count, left)
        left -= count
        _execute(costs, number, _before(costs, edge), edge.taken, count)
    if left:
        _execute(costs, number, [], True, left)


def _execute(costs: _Costs, number: int, before: Sequence[Prepared], branched: bool, count: int) -> None:
    pipeline = Pipeline(costs.core)
    for item in before:
        pipeline.execute(item)
    if branched:
        pipeline.branch()
    end = pipeline.end
    for item in costs.prepared[number]:
        pipeline.execute(item)
        address = item.instruction.address
        costs.cycles[address] = costs.cycles.get(address, 0.0) + count * (pipeline.end - end)
        end = pipeline.end


def _before(costs: _Costs, edge: Edge) -> Sequence[Prepared]:
    """The instructions that ran before `edge` was gone, as most often."""
    previous: list[Prepared] = []
    number = edge.source
    while len(previous) < _BEFORE:
        previous = [*costs.prepared[number][-(_BEFORE - len(previous)) :], *previous]
        if not costs.ways[number] or len(costs.prepared[number]) >= _BEFORE:
            break
        number = costs.ways[number][0].source
    return previous


def _add_branch(costs: _Costs, number: int) -> None:
    """What the end of a block costs where it branches."""
    last = costs.prepared[number][-1]
    block, taken = costs.flow.blocks[number], costs.flow.taken[number]
    extra = costs.core.taken.get(last.operation, 0.0) * taken
    if last.operation is Operation.BRANCH_CONDITIONAL:
        extra += costs.core.mispredicted * min(taken, block.count - taken)
    if last.operation is Operation.LOOP_END:
        extra = costs.core.loop_entry * (block.count - taken)
    address = last.instruction.address
    costs.cycles[address] = costs.cycles.get(address, 0.0) + extra
