"""The driver of Ethos-U in QEMU, against an NPU that adds 1 to bytes of the scratch region."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.target import Toolchain
from mcu_build.errors import Exit, McuError
from mcu_build.npu.memory import Memory
from mcu_build.resources import data_dir
from mcu_build.simulate import Outcome, cosim, qemu
from mcu_build.simulate.gdb_remote import connect
from mcu_build.simulate.guest_memory import GuestMemory
from tests.support import npu
from tests.support.image import CROSS, build_image

BOARD = find_board("corstone-300")

# A vector: what to do, the CONFIG and ID that the stream is for, and eight bytes for the NPU. What comes out:
# the bytes, the driver's error, STATUS, QREAD, cycles, beats.
_INPUT, _OUTPUT = struct.Struct("<III8s"), struct.Struct("<8sIIIQ4I")
INTERRUPT, POLL, MISALIGNED, UNREACHABLE, COUNT, LARGE = range(6)
(
    NONE,
    ALIGNMENT,
    NO_NPU,
    RESET,
    PRODUCT,
    MACS,
    STREAM_VERSION,
    ARCHITECTURE,
    BUS,
    COMMAND,
    WATCHDOG,
    ECC,
    BRANCH,
    INCOMPLETE,
) = range(14)

HEADER = """#pragma once
#include <cstddef>
#include <span>
namespace fake {
inline constexpr std::size_t input_count = 1, output_count = 1;
std::span<std::byte> input_bytes(std::size_t index);
std::span<std::byte> output_bytes(std::size_t index);
inline constexpr std::size_t state_size = 0;
void run();
inline void reset() {}
inline std::span<std::byte> state() { return {}; }
}
"""
SOURCE = """#include "fake.h"
#include <cstdint>
#include <cstring>
#include "mcu/drivers/ethos_u.h"
#include "mcu/platform.h"
namespace npu = mcu::ethos_u;
struct Vector { uint32_t mode, configuration, id; unsigned char bytes[8]; };
struct [[gnu::packed]] Answer {
    unsigned char bytes[8];
    uint32_t error, status, command;
    uint64_t cycles;
    uint32_t beats[4];
};
static Vector in;
static Answer out;
extern const uint32_t commands[4];
alignas(16) __attribute__((section(".rodata.mcu_constants.fake"))) const uint32_t commands[4] = {8, 0, 0, 0};
alignas(32) __attribute__((section(".bss.mcu_arena.fake"))) std::byte arena[128];
alignas(16) static std::byte unreachable[16];
namespace fake {
std::span<std::byte> input_bytes(std::size_t) { return std::as_writable_bytes(std::span(&in, 1)); }
std::span<std::byte> output_bytes(std::size_t) { return std::as_writable_bytes(std::span(&out, 1)); }
void run() {
    const int offset = in.mode == 2 ? 8 : in.mode == 5 ? 16 : 0;
    std::byte* const scratch = in.mode == 3 ? unreachable : arena + offset;
    std::memcpy(scratch, in.bytes, 8);
    const npu::Job job{.commands = {commands, sizeof commands}, .configuration = in.configuration,
                       .id = in.id, .weights = {}, .scratch = {scratch, in.mode == 5 ? 88u : 16u}};
    npu::Counters counters{};
    const npu::Result result = npu::run(job, in.mode == 1 ? npu::Wait::kPoll : npu::Wait::kInterrupt,
                                        in.mode == 4 ? &counters : nullptr);
    if (result.error != npu::Error::kNone) {
        mcu::platform::write_console(npu::in_words(result.error));
        mcu::platform::write_console("\\n");
    }
    std::memcpy(out.bytes, scratch, 8);
    out.error = static_cast<uint32_t>(result.error);
    out.status = result.status;
    out.command = result.command;
    out.cycles = counters.cycles;
    for (int i = 0; i < 2; ++i) {
        out.beats[i] = counters.read_beats[i];
        out.beats[2 + i] = counters.write_beats[i];
    }
}
}
"""
FILES = {
    "fake.h": HEADER,
    "fake.cpp": SOURCE,
    "driver.cpp": f'#include "{data_dir()}/firmware/drivers/ethos_u/ethos_u.cpp"\n',
}
DATA = bytes([0, 1, 2, 127, 128, 200, 254, 255])
ADDED = bytes((byte + 1) & 0xFF for byte in DATA)


def vector(mode: int, identity: tuple[int, int] = npu.U55_128, data: bytes = DATA) -> bytes:
    return _INPUT.pack(mode, identity[1], identity[0], data)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[Toolchain, Path]:
    return {name: build_image(tmp_path_factory.mktemp(name), BOARD, name, FILES) for name in CROSS}


@pytest.fixture(params=CROSS)
def image(images: dict[Toolchain, Path], request: pytest.FixtureRequest) -> Path:
    return images[request.param]


Make = Callable[[Memory], npu.AddOne]


def run(image: Path, *vectors: bytes, make: Make = npu.AddOne, timeout: float = 60) -> Outcome:
    return cosim.run(BOARD, image, b"".join(vectors), timeout, "ethos-u55", make)


def answers(outcome: Outcome) -> list[tuple[int, ...]]:
    return list(_OUTPUT.iter_unpack(outcome.outputs))


def one(image: Path, mode: int, make: Make = npu.AddOne, identity: tuple[int, int] = npu.U55_128) -> tuple:
    (answer,) = answers(run(image, vector(mode, identity), make=make))
    return answer


@pytest.mark.parametrize("mode", [INTERRUPT, POLL])
def test_a_job_is_done(image: Path, mode: int) -> None:
    other = bytes(reversed(DATA))
    outcome = run(image, vector(mode), vector(mode, data=other), vector(1 - mode))
    results = answers(outcome)
    assert [result[0] for result in results] == [ADDED, bytes(reversed(ADDED)), ADDED]
    assert [result[1:4] for result in results] == [(NONE, npu.END | (npu.IRQ), 16)] * 3
    assert outcome.npu is not None and outcome.console == ""
    assert (outcome.npu.interrupts, outcome.npu.bytes_written) == (3, 24)


@pytest.mark.parametrize("identity", [npu.U55_128, npu.U65_256])
@pytest.mark.parametrize("mode", [INTERRUPT, POLL])
def test_the_registers_hold_the_job_when_it_starts(
    images: dict[Toolchain, Path], identity: tuple[int, int], mode: int
) -> None:
    made: list[npu.AddOne] = []

    def make(memory: Memory) -> npu.AddOne:
        made.append(npu.AddOne(memory, identity))
        return made[0]

    answer = one(images["arm-clang"], mode, make, identity)
    assert answer[:2] == (ADDED, NONE)
    log = made[0].log
    start = next(index for index, (offset, value) in enumerate(log) if offset == npu.CMD and value & npu.RUN)
    held = dict(log[:start])
    sram, ddr = BOARD.address("sram"), BOARD.address("ddr")
    assert log[0] == (npu.RESET, 1)
    assert held[npu.BASEP1] == sram and held[npu.BASEP1 + 4] == 0
    assert ddr <= held[npu.QBASE] < ddr + 256 and held[npu.QBASE + 4] == 0
    assert held[npu.QSIZE] == 16
    # commands by AXI_LIMIT2; weights by 3, scratch by 0, fast scratch by 1
    assert (held[0x1C], held[0x3C]) == (2, 0b01_00_11)
    assert [held[0x40 + 4 * n] for n in range(4)] == [0x0F1F0000] * 4
    assert held[0x10] % 16 == held[npu.BASEP1] % 16 == 0
    assert [value for offset, value in log[start:] if offset == npu.CMD] == [
        0x4 | npu.RUN,
        0x4 | npu.CLEAR_IRQ,
        0xC,
    ]


def test_u85_has_its_own_ports_and_counters(image: Path) -> None:
    made: list[npu.AddOne] = []

    def make(memory: Memory) -> npu.AddOne:
        made.append(npu.AddOne(memory, npu.U85_256))
        return made[0]

    outcome = cosim.run(BOARD, image, vector(COUNT, npu.U85_256), 20, "ethos-u85", make)
    (answer,) = answers(outcome)
    assert answer[:2] == (ADDED, NONE) and answer[4] == (5 << 32) + 1234
    held = dict(made[0].log)
    assert [held[0x40 + 4 * n] for n in range(4)] == [0, 0, 4, 4]
    assert (held[0x50], held[0x54]) == (0x21F3F, 0x21F3F)


def test_counters(image: Path) -> None:
    answer = one(image, COUNT)
    assert answer[4:] == ((5 << 32) + 1234, 10, 12, 11, 13)
    assert one(image, INTERRUPT)[4:] == (0, 0, 0, 0, 0)


def changed(identity: tuple[int, int], id_xor: int = 0, config_xor: int = 0) -> tuple[int, int]:
    return identity[0] ^ id_xor, identity[1] ^ config_xor


@pytest.mark.parametrize(
    ("identity", "error", "words"),
    [
        (npu.U65_256, PRODUCT, "for another Ethos-U"),
        ((npu.U55_128[0], 0x00003008), MACS, "for another number of MACs"),
        (changed(npu.U55_128, config_xor=0x10), STREAM_VERSION, "in another format"),
        ((0x10204201, npu.U55_128[1]), ARCHITECTURE, "for a later architecture"),
        ((0x20104201, npu.U55_128[1]), ARCHITECTURE, "for a later architecture"),
        ((0x10004201, npu.U55_128[1]), NONE, ""),
    ],
)
def test_a_stream_for_another_npu_is_refused_before_it_runs(
    image: Path, identity: tuple[int, int], error: int, words: str
) -> None:
    made: list[npu.AddOne] = []

    def make(memory: Memory) -> npu.AddOne:
        made.append(npu.AddOne(memory))
        return made[0]

    outcome = run(image, vector(INTERRUPT, identity), make=make)
    (answer,) = answers(outcome)
    assert answer[0] == (DATA if error else ADDED) and answer[1] == error
    assert words in outcome.console and bool(words) == bool(outcome.console)
    started = any(offset == npu.CMD and value & npu.RUN for offset, value in made[0].log)
    assert started == (error == NONE)


@pytest.mark.parametrize("mode", [INTERRUPT, POLL])
@pytest.mark.parametrize(
    ("ends_with", "error"),
    [
        (npu.BUS, BUS),
        (npu.PARSE, COMMAND),
        (1 << 7 | npu.END, WATCHDOG),
        (1 << 8 | npu.END, ECC),
        (1 << 9, BRANCH),
        (0, INCOMPLETE),
        (npu.END, NONE),
    ],
)
def test_the_status_is_decoded(images: dict[Toolchain, Path], mode: int, ends_with: int, error: int) -> None:
    answer = one(images["arm-gcc"], mode, lambda memory: npu.AddOne(memory, ends_with=ends_with))
    assert answer[1:3] == (error, ends_with | npu.IRQ)


def test_an_npu_that_does_not_answer_or_reset_is_told(images: dict[Toolchain, Path]) -> None:
    image = images["arm-clang"]
    assert one(image, INTERRUPT, lambda memory: npu.AddOne(memory, identity=(0, 0)))[1] == NO_NPU
    # another privilege or security level than asked for
    assert one(image, INTERRUPT, lambda memory: npu.AddOne(memory, prot=3))[1] == RESET
    assert one(image, INTERRUPT, lambda memory: npu.AddOne(memory, resets_slowly=99))[1] == NONE
    assert one(image, INTERRUPT, lambda memory: npu.AddOne(memory, resets_slowly=1 << 30))[1] == RESET


def test_a_misaligned_region_is_refused(image: Path) -> None:
    assert one(image, MISALIGNED)[:2] == (DATA, ALIGNMENT)


def test_memory_that_the_npu_does_not_reach_is_a_bus_error(image: Path) -> None:
    # The firmware reports it as an output; that the NPU met an error is never taken for success.
    with pytest.raises(McuError) as caught:
        run(image, vector(UNREACHABLE))
    assert caught.value.exit_code == Exit.FIRMWARE
    assert "8 bytes at 0x3000" in caught.value.message
    assert "cannot be read: the NPU reaches no such memory" in caught.value.message
    assert "bus error: the NPU cannot reach that memory" in caught.value.message


def test_a_wrong_result_is_seen(image: Path) -> None:
    class AddTwo(npu.AddOne):
        def _run(self) -> None:
            super()._run()
            self.irq = False
            super()._run()

    assert one(image, INTERRUPT, AddTwo)[0] != ADDED


class SystemControl:
    """CCR and the cache operations of the core, which QEMU does not have: a data cache is on, or off."""

    INVALIDATE, CLEAN, CLEAN_INVALIDATE = 0xE000EF5C, 0xE000EF68, 0xE000EF70

    def __init__(self, log: list[tuple[str, int]], is_on: bool) -> None:
        self.log, self.ccr = log, is_on << 16

    def windows(self) -> list[cosim.Window]:
        operations = (self.INVALIDATE, self.CLEAN, self.CLEAN_INVALIDATE)
        names = ("invalidate", "clean", "clean and invalidate")
        return [
            cosim.Window(0xE000ED14, 4, self),
            *(
                cosim.Window(place, 4, Operation(self.log, name))
                for place, name in zip(operations, names, strict=True)
            ),
        ]

    def read(self, offset: int) -> int:
        return self.ccr

    def write(self, offset: int, value: int) -> None:
        self.ccr = value


@dataclass
class RaisesOnce(npu.AddOne):
    """No interrupt but that of the first job."""

    def _run(self) -> None:
        super()._run()
        self.raises = False


@pytest.mark.parametrize("first", [INTERRUPT, POLL])
def test_the_interrupt_of_an_earlier_job_ends_no_other(image: Path, first: int) -> None:
    with pytest.raises(McuError) as caught:
        run(image, vector(first), vector(INTERRUPT), make=RaisesOnce, timeout=2)
    assert caught.value.exit_code == Exit.TIMEOUT
    assert "the NPU does not run and has raised no interrupt" in caught.value.message


@dataclass
class Operation:
    """One cache operation."""

    log: list[tuple[str, int]]
    name: str

    def read(self, offset: int) -> int:
        raise AssertionError("cache operations are written")

    def write(self, offset: int, value: int) -> None:
        self.log.append((self.name, value))


def cache_operations(image: Path, folder: Path, is_on: bool) -> list[tuple[str, int]]:
    """What the driver does to the cache before and after the NPU runs."""
    log: list[tuple[str, int]] = []

    class Watched(npu.AddOne):
        def _run(self) -> None:
            super()._run()
            log.append(("run", 0))
            memory.settle()

    (folder / "inputs.bin").write_bytes(vector(LARGE))
    command = [*qemu.command(BOARD, image), "-S", "-gdb", "unix:gdb.sock,server=on,wait=off"]
    with process.started(command, cwd=folder) as simulator, connect(folder / "gdb.sock", 5) as remote:
        remote.handshake()
        memory = GuestMemory(remote, BOARD)
        device = Watched(memory)
        windows = [*SystemControl(log, is_on).windows(), cosim.Window(BOARD.npu_address, 0x1000, device)]
        core = cosim.Core(remote, windows, cosim.spare(BOARD))
        core.watch()
        remote.resume()
        while (stop := remote.wait(20)).exit_status is None:
            assert stop.watched is not None
            before = device.irq
            core.serve()
            if device.irq and not before:
                core.pend(56)
            remote.resume()
        assert simulator.finish(5).status == 0
    ((data, error, *_),) = _OUTPUT.iter_unpack((folder / "outputs.bin").read_bytes())
    assert (data, error) == (ADDED, NONE)
    return log


def test_caches_are_written_before_and_dropped_after(image: Path, tmp_path: Path) -> None:
    arena, commands = BOARD.address("sram"), BOARD.address("ddr")
    assert cache_operations(image, tmp_path, is_on=True) == [
        ("clean", commands),
        *(("clean and invalidate", arena + line) for line in (0, 32, 64, 96)),
        ("run", 0),
        # The first and the last line hold other data too.
        ("clean and invalidate", arena),
        ("invalidate", arena + 32),
        ("invalidate", arena + 64),
        ("clean and invalidate", arena + 96),
    ]


def test_caches_that_are_off_are_left_alone(image: Path, tmp_path: Path) -> None:
    assert cache_operations(image, tmp_path, is_on=False) == [("run", 0)]
