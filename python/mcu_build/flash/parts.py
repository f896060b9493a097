"""What pyocd knows of a board's chip, held against the board's file."""

from collections.abc import Iterator, Sequence

from mcu_build.board import Board
from mcu_build.hardware import Memory

Range = tuple[int, int]


def differences(board: Board) -> list[str] | None:
    """Where the memories are not those of pyocd's target; None where pyocd has none built in."""
    from pyocd.core.memory_map import MemoryType
    from pyocd.target import TARGET

    ways = board.flash.pyocd
    target = TARGET.get(ways.target) if ways else None
    if ways is None or target is None:
        return None
    known = [(region.type, (region.start, region.start + region.length)) for region in target.MEMORY_MAP]
    flash = [span for kind, span in known if kind is MemoryType.FLASH]
    ram = [span for kind, span in known if kind is MemoryType.RAM]
    return list(_problems(board, ways.target, flash, ram))


def _problems(board: Board, target: str, flash: Sequence[Range], ram: Sequence[Range]) -> Iterator[str]:
    for memory in board.memory:
        kind, spans = ("RAM", ram) if "w" in memory.access else ("flash", flash)
        reached = _reached(memory, spans)
        if reached < memory.origin + memory.size:
            yield f"memory {memory.name!r}: pyocd's {target} has no {kind} at {reached:#010x}"


def _reached(memory: Memory, spans: Sequence[Range]) -> int:
    """How far `spans`, one behind the other, hold the memory."""
    reached = memory.origin
    for start, end in sorted(spans):
        if start <= reached < end:
            reached = end
    return reached
