"""Several layers that run row by row, as one operation."""

from dataclasses import dataclass

from mcu_build.ir.calls.call import Call, Reads, Writes


@dataclass(frozen=True)
class Rows(Call):
    """Layers that run row by row: what they read and make together, the last one's output first.

    `buffers` hold the rows that stay within. `layers` is the layer of each inner step, and `alive` says for
    each layer which buffers hold something while it runs.
    """

    reads: Reads
    outputs: Writes
    buffers: Writes
    layers: tuple[int, ...]
    alive: tuple[frozenset[int], ...]
