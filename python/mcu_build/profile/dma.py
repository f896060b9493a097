"""What a DMA does beside the core.

In the simulator the core copies in its place. That is not counted; the time that the DMA would take is.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from mcu_build.board import Board
from mcu_build.image.elf import Symbol
from mcu_build.plan.memory.copy_ahead import CYCLES_OF_BYTE
from mcu_build.profile.attribute import Counts, Step

_OURS = "_ZN3mcu"


def without_copies(
    spans: Sequence[Step], kernels: Sequence[str], symbols: Sequence[Symbol], run: Symbol
) -> list[Step]:
    """Steps whose dma_start() counts without the copy that mcu_dma_start() makes.

    `symbols` are the image's functions in the order of their addresses, `run` is the model's run().
    """
    starts = [symbol.address for symbol in symbols]

    def is_ours(address: int) -> bool:
        symbol = symbols[max(bisect_right(starts, address) - 1, 0)]
        return symbol.name.startswith(_OURS) or symbol.address == run.address

    def own(counts: Counts) -> Counts:
        return Counts({address: count for address, count in counts.items() if is_ours(address)})

    return [
        Step(own(step.counts), own(step.waits)) if kernel == "dma_start" else step
        for step, kernel in zip(spans, kernels, strict=True)
    ]


def waits(rows: Sequence[Mapping[str, Any]], cycles: Sequence[int], board: Board) -> list[int]:
    """For each row of operators the cycles that it waits for the DMA: dma_wait() alone does.

    `cycles` are those of the rows. A copy takes what reads of its memory wait, and a cycle for four bytes.
    That the core reads from the same memory meanwhile is not modelled.
    """
    waited, left = [0] * len(rows), 0.0
    for index, row in enumerate(rows):
        if row["kernel"] == "dma_wait":
            waited[index] = round(max(0.0, left - cycles[index]))
        left -= cycles[index] + waited[index]
        if copied := row.get("copied"):
            left = copied["bytes"] * (_wait_of_byte(board, copied["memory"]) + CYCLES_OF_BYTE)
    return waited


def _wait_of_byte(board: Board, memory: str | None) -> float:
    assert board.placement is not None
    timing = board.memory_named(memory or board.placement.constants).timing
    return timing.wait_of_byte if timing else 0.0
