"""What the NPU reads and writes through its bus."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol


class Channel(Enum):
    """The reader or writer of an access, as STATUS numbers the faulting channel."""

    COMMANDS = 0
    IFM = 1
    WEIGHTS = 2
    SCALES = 3
    DMA_READ = 4
    OFM = 8
    DMA_WRITE = 9


class MemoryRefusedError(Exception):
    """An access to addresses that do not answer."""


class Memory(Protocol):
    """The NPU's view of the system. Both raise MemoryRefusedError where any byte cannot be reached."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        ...


class HostMemory:
    """Memory areas in this process: (address, bytes) each; `read_only` areas refuse writes."""

    def __init__(
        self, areas: Sequence[tuple[int, bytearray]], read_only: Sequence[tuple[int, bytes]] = ()
    ) -> None:
        self._writable = [(address, memoryview(data)) for address, data in areas]
        self._all = [*self._writable, *((address, memoryview(data)) for address, data in read_only)]

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        for start, view in self._all:
            if start <= address and address + size <= start + len(view):
                return bytes(view[address - start : address - start + size])
        raise MemoryRefusedError(f"{size} bytes at {address:#x} cannot be read")

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        for start, view in self._writable:
            if start <= address and address + len(data) <= start + len(view):
                view[address - start : address - start + len(data)] = data
                return
        raise MemoryRefusedError(f"{len(data)} bytes at {address:#x} cannot be written")
