"""The memory of a simulated board as its NPU sees it: through QEMU's GDB stub, page by page."""

import itertools
from collections.abc import Iterable, Iterator

from mcu_build.board import Board
from mcu_build.npu.memory import MemoryRefusedError
from mcu_build.simulate.gdb_remote import GdbRemote

_PAGE = 4096


class GuestMemory:
    """Memory that the board marks with npu = true; all else is refused, as the bus would.

    While the core stands still, pages are kept here: `settle` writes those that have changed and forgets all,
    and has to come before the core goes on. `bytes_read` and `bytes_written` count what the NPU moved.
    """

    def __init__(self, remote: GdbRemote, board: Board) -> None:
        self._remote = remote
        self._ranges = [
            (start, memory)
            for memory in board.memory
            if memory.npu
            for start in {memory.address(secure=False), memory.address(secure=board.trustzone)}
        ]
        self._pages: dict[int, bytearray] = {}
        self._changed: set[int] = set()
        self.bytes_read = self.bytes_written = 0

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes. MemoryRefusedError where the NPU does not reach all of them."""
        self._check(address, size, "read")
        self.bytes_read += size
        self._fetch(range(address // _PAGE, -(-(address + size) // _PAGE)))
        return b"".join(self._pages[page][first:last] for page, first, last in _parts(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Store bytes. MemoryRefusedError where the NPU does not reach all of them, or may not write."""
        size = len(data)
        if "w" not in self._check(address, size, "written"):
            raise MemoryRefusedError(f"{size} bytes at {address:#010x} cannot be written: read-only memory")
        self.bytes_written += size
        parts = list(_parts(address, size))
        self._fetch(page for page, first, last in parts if last - first < _PAGE)
        position = 0
        for page, first, last in parts:
            self._pages.setdefault(page, bytearray(_PAGE))[first:last] = data[
                position : position + last - first
            ]
            position += last - first
            self._changed.add(page)

    def settle(self) -> None:
        """Bring the simulated memory up to date."""
        for start, count in _runs(self._changed):
            pages = (self._pages[page] for page in range(start, start + count))
            self._remote.write_memory(start * _PAGE, b"".join(pages))
        self._pages.clear()
        self._changed.clear()

    def _fetch(self, pages: Iterable[int]) -> None:
        for start, count in _runs(page for page in pages if page not in self._pages):
            data = self._remote.read_memory(start * _PAGE, count * _PAGE)
            for index in range(count):
                self._pages[start + index] = bytearray(data[index * _PAGE : (index + 1) * _PAGE])

    def _check(self, address: int, size: int, what: str) -> str:
        for start, memory in self._ranges:
            if start <= address and address + size <= start + memory.size:
                return memory.access
        raise MemoryRefusedError(
            f"{size} bytes at {address:#010x} cannot be {what}: the NPU reaches no such memory"
        )


def _parts(address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """The pages of a range: number, first byte and the byte behind the last, within the page."""
    end = address + size
    while address < end:
        page, first = divmod(address, _PAGE)
        last = min(_PAGE, first + end - address)
        yield page, first, last
        address += last - first


def _runs(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Pages that follow each other: the first and how many."""
    numbered = enumerate(sorted(set(pages)))
    for _, group in itertools.groupby(numbered, key=lambda pair: pair[1] - pair[0]):
        run = [page for _, page in group]
        yield run[0], len(run)
