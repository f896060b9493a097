"""Copies that a DMA makes while other steps run: they begin with one step, and are over with another."""

from dataclasses import dataclass

from mcu_build.ir.calls.call import Read, Written
from mcu_build.ir.calls.moves import CopyParams, Movement


@dataclass(frozen=True)
class DmaStart(Movement):
    """Begins to copy. The output is nobody else's until DmaWait, nor are the cache lines that it touches."""

    KERNEL, SOURCE = "dma_start", "dma"

    params: CopyParams
    input: Read
    output: Written


@dataclass(frozen=True)
class DmaWait(Movement):
    """Ends when the copy is there."""

    KERNEL, SOURCE = "dma_wait", "dma"

    params: CopyParams
    output: Written
