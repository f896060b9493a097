"""Real-Time Transfer, the host's side: characters that firmware leaves in RAM, read through a probe.

Layout: firmware/platform/console/rtt.cpp. It is found in any firmware that has one, by the characters that
its control block begins with.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mcu_build.board import Board
from mcu_build.flash.probe import Probe

_ID = b"SEGGER RTT".ljust(16, b"\0")
_COUNTS = 8
_UP = 24
# In an up-buffer: name, buffer, size, write offset, read offset, flags.
_READ = 16
_CHUNK = 4096


@dataclass(frozen=True)
class Terminal:
    """Up-buffer 0 of the control block at `address`: what firmware prints."""

    address: int

    def read(self, probe: Probe) -> bytes | None:
        """What was printed since the last call. None where there is no control block any more."""
        raw = probe.read_memory(self.address, len(_ID) + _COUNTS + _UP)
        if not raw.startswith(_ID):
            return None
        up = len(_ID) + _COUNTS
        _, buffer, size, write, read, _ = (
            int.from_bytes(raw[at : at + 4], "little") for at in range(up, up + _UP, 4)
        )
        if not size or write >= size or read >= size:
            return None
        if write == read:
            return b""
        parts = [(read, write)] if read < write else [(read, size), (0, write)]
        data = b"".join(probe.read_memory(buffer + start, end - start) for start, end in parts if start < end)
        probe.write_memory(self.address + up + _READ, write.to_bytes(4, "little"))
        return data


def find(probe: Probe, board: Board) -> Terminal | None:
    """The first control block in the memory of the board's variables; None where there is none yet."""
    assert board.placement is not None, "the host has no probe"
    memory = board.memory_named(board.placement.data)
    for start, data in _chunks(probe, board.address(memory.name), memory.size):
        at = data.find(_ID)
        if at >= 0:
            return Terminal(start + at)
    return None


def _chunks(probe: Probe, origin: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The memory in pieces that overlap by less than an ID."""
    tail = b""
    for start in range(origin, origin + size, _CHUNK):
        data = tail + probe.read_memory(start, min(_CHUNK, origin + size - start))
        yield start - len(tail), data
        tail = data[-len(_ID) + 1 :]
