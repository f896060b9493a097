"""The NPU's view of a simulated board's memory: what it reaches, and that pages arrive where they belong."""

import random

import pytest

from mcu_build.board import find_board
from mcu_build.npu.memory import MemoryRefusedError
from mcu_build.simulate.guest_memory import GuestMemory

BOARD = find_board("corstone-300")
SRAM = BOARD.memory_named("sram")


class Simulated:
    """In place of the stub: bytes by address, and what was asked of it."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        self.reads: list[tuple[int, int]] = []
        self.writes: list[tuple[int, int]] = []

    def read_memory(self, address: int, size: int) -> bytes:
        self.reads.append((address, size))
        return bytes(self.bytes.get(at, at & 0xFF ^ at >> 12 & 0xFF) for at in range(address, address + size))

    def write_memory(self, address: int, data: bytes) -> None:
        self.writes.append((address, len(data)))
        self.bytes |= {address + index: byte for index, byte in enumerate(data)}


def fresh() -> tuple[Simulated, GuestMemory]:
    simulated = Simulated()
    return simulated, GuestMemory(simulated, BOARD)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_reads_and_writes_are_those_of_plain_memory(seed: int) -> None:
    simulated, memory = fresh()
    pick, base, size = random.Random(seed), SRAM.origin, 5 * 4096
    plain = bytearray(simulated.read_memory(base, size))
    for _ in range(60):
        start = pick.randrange(size)
        count = pick.choice((0, 1, 7, 100, 4096, 9000))
        count = min(count, size - start)
        action = pick.randrange(5)
        if action < 2:
            assert memory.read(base + start, count) == plain[start : start + count]
        elif action < 4:
            plain[start : start + count] = data = pick.randbytes(count)
            memory.write(base + start, data)
        else:
            memory.settle()
            assert simulated.read_memory(base, size) == plain
            # The core writes while it runs.
            plain[start] = 0x5A
            simulated.write_memory(base + start, b"\x5a")
    memory.settle()
    assert simulated.read_memory(base, size) == plain


def test_a_page_is_read_once_and_written_once() -> None:
    simulated, memory = fresh()
    base = SRAM.origin
    for offset in range(0, 8192, 64):
        memory.write(base + offset, memory.read(base + offset, 64))
    assert simulated.reads == [(base, 4096), (base + 4096, 4096)] and simulated.writes == []
    memory.settle()
    assert simulated.writes == [(base, 8192)]
    assert (memory.bytes_read, memory.bytes_written) == (8192, 8192)
    memory.settle()
    assert len(simulated.writes) == 1
    memory.read(base, 1)
    assert len(simulated.reads) == 3


def test_whole_pages_are_written_unread() -> None:
    simulated, memory = fresh()
    memory.write(SRAM.origin, bytes(3 * 4096))
    memory.settle()
    assert simulated.reads == [] and simulated.writes == [(SRAM.origin, 3 * 4096)]


@pytest.mark.parametrize(
    ("address", "size", "reads", "writes"),
    [
        (0x21000000, 64, True, True),
        (0x31000000, 4 << 20, True, True),
        (0x31000000, (4 << 20) + 1, False, False),
        (0x20FFFFFF, 2, False, False),
        (0x28000000, 4, True, False),
        (0x38000000, 4, True, False),
        (0x20000000, 4, False, False),
        (0x10000000, 4, False, False),
        (0xE000E100, 4, False, False),
        (0x1_60000000, 4, False, False),
    ],
)
def test_the_npu_reaches_what_the_board_says(address: int, size: int, reads: bool, writes: bool) -> None:
    _, memory = fresh()
    for done, action, word in (
        (reads, lambda: memory.read(address, size), "read"),
        (writes, lambda: memory.write(address, bytes(size)), "written"),
    ):
        if done:
            action()
        else:
            with pytest.raises(MemoryRefusedError, match=f"{size} bytes at {address:#010x} cannot be {word}"):
                action()
