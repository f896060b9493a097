"""What a core waits for memories, as a board file describes them: `timing` of each memory."""

from collections.abc import Mapping, Sequence

from mcu_build.board import Board
from mcu_build.hardware import MemoryTiming
from mcu_build.profile.blocks import Flow
from mcu_build.simulate.plugin import Waiting


def waiting(board: Board) -> Sequence[Waiting]:
    """The memories of `board` whose reads of data wait."""
    spans = []
    for memory in board.memory:
        timing = memory.timing
        if timing is not None and timing.waits:
            start = board.address(memory.name)
            lines = max(1, (timing.cache or 0) // timing.line)
            spans.append(Waiting(start, start + memory.size, timing.waits, timing.line, lines))
    return spans


def code_timing(board: Board) -> MemoryTiming | None:
    """How the memory that code is executed from waits; None where it does not."""
    if board.placement is None:
        return None
    timing = board.memory_named(board.placement.code).timing
    return timing if timing is not None and timing.waits and not timing.cache else None


def fetch_waits(flow: Flow, cycles: Mapping[int, float], timing: MemoryTiming) -> dict[int, float]:
    """Cycles that each block waits for its code, at the address of its first instruction.

    A line is opened where execution goes on into it, and where it is branched to from another line. With
    prefetch, a line that is gone on into has been on its way while the one before it executed. A cache in
    front of code is taken to hold what loops: then nothing waits, and this is not called.
    """
    by_address: dict[int, float] = {}
    for edge in flow.edges:
        source, target = flow.blocks[edge.source].last, flow.blocks[edge.target]
        if (source.address + source.size - 1) // timing.line == target.start // timing.line:
            continue
        waits = timing.waits if edge.taken else _behind(flow, edge.source, cycles, timing)
        by_address[target.start] = by_address.get(target.start, 0.0) + waits * edge.count
    for number, block in enumerate(flow.blocks):
        end = block.last.address + block.last.size - 1
        lines = end // timing.line - block.start // timing.line
        if lines:
            waits = lines * block.count * _behind(flow, number, cycles, timing)
            by_address[block.start] = by_address.get(block.start, 0.0) + waits
    return by_address


def _behind(flow: Flow, number: int, cycles: Mapping[int, float], timing: MemoryTiming) -> float:
    """The wait for a line that is gone on into from block `number`."""
    if not timing.prefetch:
        return timing.waits
    block = flow.blocks[number]
    size = block.last.address + block.last.size - block.start
    each = sum(cycles.get(instruction.address, 0.0) for instruction in block.instructions) / max(
        block.count, 1
    )
    return max(0.0, timing.waits - each * timing.line / size)
