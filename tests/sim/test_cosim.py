"""Registers served from the host while QEMU runs an unmodified image, and what is told when it goes wrong."""

import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from mcu_build.npu.memory import Memory
from mcu_build.simulate import Outcome, cosim, run
from mcu_build.simulate.observed import NpuModel
from tests.support import npu
from tests.support.image import build_image

BOARD = find_board("corstone-300")
COMMON = """#include "fake.h"
#include <cstdint>
#include <cstring>
#include <span>
#include "mcu/platform.h"
alignas(16) static uint32_t in[4], out[32];
alignas(16) __attribute__((section(".bss.mcu_arena.fake"))) uint32_t arena[16];
extern const uint32_t commands[4];
alignas(16) __attribute__((section(".rodata.mcu_constants.fake"))) const uint32_t commands[4] = {8, 0, 0, 0};
inline volatile uint32_t& word(uintptr_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }
inline volatile uint32_t& npu(uintptr_t offset) { return word(MCU_NPU_BASE + offset); }
inline void start() {
    npu(0x0C) = 1;
    while (npu(0x04) & 8) {
    }
    npu(0x10) = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(commands));
    npu(0x20) = sizeof(commands);
    npu(0x88) = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(arena));
    npu(0x08) = 1;
}
inline void enable() { word(0xE000E100 + 4 * (MCU_NPU_IRQ / 32)) = 1u << (MCU_NPU_IRQ % 32); }
inline void sleep_forever() { for (;;) __asm volatile("wfi"); }
BEFORE
namespace fake {
std::span<std::byte> input_bytes(std::size_t) { return std::as_writable_bytes(std::span(in)); }
std::span<std::byte> output_bytes(std::size_t) { return std::as_writable_bytes(std::span(out)); }
void run() { BODY }
}
"""
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
VECTOR = bytes(range(16))
Build = Callable[..., Path]
Make = Callable[[Memory], NpuModel]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def image(body: str, before: str = "") -> Path:
        source = COMMON.replace("BODY", body).replace("BEFORE", before)
        return build_image(tmp_path, BOARD, "arm-clang", {"fake.h": HEADER, "fake.cpp": source})

    return image


def simulate(image: Path, make: Make = npu.AddOne, timeout: float = 20, kind: str = "ethos-u55") -> Outcome:
    return cosim.run(BOARD, image, VECTOR, timeout, kind, make)


def words(outcome: Outcome) -> tuple[int, ...]:
    return struct.unpack(f"<{len(outcome.outputs) // 4}I", outcome.outputs)


def failure(image: Path, make: Make = npu.AddOne, timeout: float = 20) -> McuError:
    with pytest.raises(McuError) as caught:
        simulate(image, make, timeout)
    return caught.value


# Each block reads and writes eight words at r4, which are registers of the NPU or plain memory; r0 to r3, r5,
# r6, r8 and the flags are its state. What it leaves must be the same from both.
BLOCKS = {
    "narrow offsets": "ldr r0, [r4, #4]; str r1, [r4, #8]; ldr r2, [r4]; str r2, [r4, #12]",
    "wide offsets": "ldr.w r8, [r4, #4]; str.w r8, [r4, #28]; add r5, r4, #64; ldr r5, [r5, #-56]",
    "index registers": "movs r0, #8; str r1, [r4, r0]; movs r2, #3; ldr.w r3, [r4, r2, lsl #2]",
    "pre-indexed": "mov r5, r4; ldr r0, [r5, #4]!; str r1, [r5, #8]!; sub r5, r5, r4",
    "post-indexed": "add r5, r4, #16; ldr r0, [r5], #-4; str r1, [r5], #8; sub r5, r5, r4",
    "pairs": (
        "ldrd r0, r3, [r4, #8]; strd r1, r2, [r4, #16]; add r5, r4, #4; ldrd r6, r8, [r5], #4; sub r5, r5, r4"
    ),
    "acquire and release": "add r5, r4, #4; lda r0, [r5]; stl r1, [r5]; sub r5, r5, r4",
    "base is overwritten": "add r5, r4, #4; ldr r5, [r5]; mov r0, r5",
    "loop": (
        "movs r5, #8; mov r6, r4; 1: ldr r0, [r6]; adds r0, #1; str r0, [r6], #4; "
        "subs r5, #1; bne 1b; sub r6, r6, r4"
    ),
    "low-overhead loop": (
        "mov r6, r4; movs r5, #8; dls lr, r5; 1: ldr r0, [r6], #4; adds r2, r2, r0; le lr, 1b; sub r6, r6, r4"
    ),
    "condition holds": "cmp r1, r1; it eq; ldreq r0, [r4, #4]; mov r2, r0",
    "condition does not hold": "cmp r1, r1; ite ne; ldrne r0, [r4, #4]; ldreq r0, [r4, #8]",
    "four conditions": (
        "cmp r1, r1; ittet eq; ldreq r0, [r4, #4]; streq r1, [r4, #8]; "
        "ldrne r2, [r4, #12]; ldreq r3, [r4, #16]"
    ),
    "conditions behind": "cmp r1, r1; itete eq; streq r1, [r4]; movne r0, #1; moveq r2, #2; movne r3, #3",
    "flags live on": "cmp r1, #1; ldr r0, [r4, #4]; ite eq; moveq r2, #10; movne r2, #20",
}
COMPARE = """
struct State { uint32_t r[8]; uint32_t words[8]; };
[[gnu::noinline]] static void block(uintptr_t at, State& state) {
    for (int i = 0; i < 8; ++i) word(at + 4 * i) = 0x1000 * i + 0x11;
    register uint32_t r4 __asm("r4") = at;
    register State* r9 __asm("r9") = &state;
    __asm volatile("movs r0, #100\\n movs r1, #101\\n movs r2, #102\\n movs r3, #103\\n movs r5, #105\\n"
                   "movs r6, #106\\n mov r8, #108\\n ASM\\n"
                   "mrs r10, apsr\\n stm r9, {r0, r1, r2, r3, r5, r6, r8, r10}\\n"
                   :
                   : "r"(r4), "r"(r9)
                   : "r0", "r1", "r2", "r3", "r5", "r6", "r8", "r10", "lr", "cc", "memory");
    for (int i = 0; i < 8; ++i) state.words[i] = word(at + 4 * i);
}
"""


@pytest.mark.parametrize("name", BLOCKS)
def test_registers_behave_as_memory_does(build: Build, name: str) -> None:
    text = "\\n ".join(part.strip() for part in BLOCKS[name].split(";"))
    body = (
        "static State states[2]; block(MCU_NPU_BASE + 0x80, states[0]); "
        "block(reinterpret_cast<uintptr_t>(arena), states[1]); std::memcpy(out, states, sizeof(out));"
    )
    outcome = simulate(build(body, COMPARE.replace("ASM", text)))
    found = words(outcome)
    assert found[:16] == found[16:]
    # The block did something that can be seen.
    untouched = (100, 101, 102, 103, 105, 106, 108)
    assert found[:7] != untouched or found[8:16] != tuple(0x1000 * i + 0x11 for i in range(8))
    assert outcome.npu is not None and outcome.npu.reads >= 8 and outcome.npu.writes >= 8


def test_accesses_are_counted(build: Build) -> None:
    body = "out[0] = npu(0); npu(0x80) = 5; npu(0x84) = 6; out[1] = npu(0x80);"
    outcome = simulate(build(body))
    assert words(outcome)[:2] == (npu.U55_128[0], 5)
    use = outcome.npu
    assert use is not None
    assert (use.reads, use.writes, use.interrupts, use.bytes_read, use.bytes_written) == (2, 2, 0, 0, 0)
    # four packets for each access, and less than twenty to begin and to end
    assert 16 <= use.round_trips < 36


def test_the_non_secure_view_is_served_too(build: Build) -> None:
    assert BOARD.npu is not None and BOARD.npu.base != BOARD.npu_address
    outcome = simulate(
        build(
            f"out[0] = word({BOARD.npu.base:#x}); npu(0x80) = 7; out[1] = word({BOARD.npu.base:#x} + 0x80);"
        )
    )
    assert words(outcome)[:2] == (npu.U55_128[0], 7)


# The handler counts; the job's start stands in an IT block, and so does what follows it.
HANDLER = """
static volatile uint32_t interrupts;
extern "C" void mcu_handle_npu() { npu(0x08) = 2; interrupts = interrupts + 1; }
inline uint32_t sum() {
    extern const uint32_t first[] __asm("__mcu_code_start"), last[] __asm("__mcu_code_end");
    uint32_t total = 0;
    for (const uint32_t* at = first; at < last; ++at) total = total * 31 + *at;
    return total;
}
"""


def test_an_interrupt_is_taken_once_and_leaves_no_trace(build: Build) -> None:
    body = """
    std::memcpy(arena, in, sizeof(in)); enable();
    out[0] = sum(); start(); out[1] = sum(); out[2] = interrupts;
    uint32_t r0 = 1, r1 = 2, r2 = 3;
    __asm volatile("cmp r0, r0\\n itett eq\\n streq %[run], [%[cmd]]\\n"
        "addne %[b], #100\\n addeq %[a], #10\\n moveq %[c], #7"
        : [a] "+l"(r0), [b] "+l"(r1), [c] "+l"(r2)
        : [run] "l"(1), [cmd] "l"(MCU_NPU_BASE + 8) : "cc", "memory");
    out[3] = interrupts; out[4] = r0; out[5] = r1; out[6] = r2; out[7] = sum();
    std::memcpy(out + 8, arena, 8);
    """
    image = build(body, HANDLER)
    digest = hashlib.sha256(image.read_bytes()).digest()
    found = words(simulate(image))
    assert found[0] == found[1] == found[7] != 0
    assert found[2:7] == (1, 2, 11, 2, 7)
    assert struct.pack("<2I", *found[8:10]) == bytes(byte + 2 for byte in range(8))
    assert hashlib.sha256(image.read_bytes()).digest() == digest


def test_an_interrupt_waits_until_the_core_takes_it(build: Build) -> None:
    body = (
        '__asm volatile("cpsid i"); enable(); start(); out[0] = interrupts;'
        '__asm volatile("wfi"); out[1] = interrupts;'
        '__asm volatile("cpsie i\\n isb"); out[2] = interrupts;'
    )
    assert words(simulate(build(body, HANDLER)))[:3] == (0, 0, 1)


def test_no_interrupt_no_end(build: Build) -> None:
    image = build('enable(); start(); while (!interrupts) __asm volatile("wfi");', HANDLER)
    assert simulate(image).npu is not None
    error = failure(image, lambda memory: npu.AddOne(memory, raises=False), timeout=2)
    assert error.exit_code == Exit.TIMEOUT
    assert "no end after 2 s; the NPU does not run and has raised no interrupt" in error.message
    assert "the core waits for an interrupt (wfi) at pc 0x1000" in error.message


def test_an_npu_that_hangs_is_told(build: Build) -> None:
    error = failure(
        build("start(); sleep_forever();"), lambda memory: npu.AddOne(memory, hangs=True), timeout=2
    )
    assert error.exit_code == Exit.TIMEOUT
    assert "the NPU still runs and has raised no interrupt; the core waits" in error.message


def test_an_interrupt_that_is_not_enabled_is_told(build: Build) -> None:
    error = failure(build("start(); sleep_forever();"), timeout=2)
    assert error.exit_code == Exit.TIMEOUT
    assert "the NPU has raised interrupt 56 and nothing has cleared it; the core waits" in error.message


def test_a_missing_handler_is_told(build: Build) -> None:
    error = failure(build("enable(); start(); sleep_forever();"))
    assert error.exit_code == Exit.FIRMWARE
    assert "nothing handles interrupt 56" in error.message


def test_a_firmware_that_forgets_the_npu_is_told(build: Build) -> None:
    error = failure(build("for (;;) in[0] = in[0] + 1;".replace("in[0]", "word(0x30000000)")), timeout=1)
    assert error.exit_code == Exit.TIMEOUT
    assert "it has not touched the NPU; the core runs at pc 0x1000" in error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("npu(0x30) = 1;", "str r1, [r0]: the NPU has no register 0x30"),
        ("out[0] = npu(0x800);", "the NPU has no register 0x800"),
        ("npu(0x04) = 1;", "the NPU's register 0x4 cannot be written"),
        (
            "*reinterpret_cast<volatile uint8_t*>(MCU_NPU_BASE + 8) = 1;",
            "1 bytes at 0x58102008: registers are read and written as words",
        ),
        (
            "*reinterpret_cast<volatile uint16_t*>(MCU_NPU_BASE + 0x80) = 1;",
            "2 bytes at 0x58102080: registers are read and written as words",
        ),
        (
            '__asm volatile("ldm %0, {r0, r1}" :: "r"(MCU_NPU_BASE + 0x80) : "r0", "r1");',
            "a register of the NPU is met by ldm: a load or store of several registers",
        ),
        (
            '__asm volatile("vldr s0, [%0]" :: "r"(MCU_NPU_BASE + 0x80) : "s0");',
            "a register of the NPU is met by a floating-point or vector load or store",
        ),
        (
            '__asm volatile("vldrw.32 q0, [%0]" :: "r"(MCU_NPU_BASE + 0x80) : "q0");',
            "a register of the NPU is met by a floating-point or vector load or store",
        ),
        (
            '__asm volatile("ldrd r0, r1, [%0]" :: "r"(MCU_NPU_BASE + 0xFFC) : "r0", "r1");',
            "0x58103000 lies outside the registers",
        ),
    ],
)
def test_a_wrong_access_is_told_with_its_place(build: Build, body: str, words: str) -> None:
    error = failure(build(body))
    assert error.exit_code == Exit.FIRMWARE
    assert "firmware.elf: pc 0x1000" in error.message and words in error.message


def test_what_stands_behind_the_npu_is_not_the_npu(build: Build) -> None:
    # the timing adapters of Corstone-300; on U85, whose counters lie there, no such adapters exist
    image = build("word(MCU_NPU_BASE + 0x1000) = 1; out[0] = 3;")
    assert words(simulate(image))[0] == 3
    with pytest.raises(McuError, match="the NPU has no register 0x1000"):
        simulate(image, lambda memory: npu.AddOne(memory, npu.U85_256), kind="ethos-u85")


def test_an_error_of_the_npu_is_no_success(build: Build) -> None:
    broken = "npu(0x0C) = 1; npu(0x04); npu(0x10) = 0x20000000; npu(0x20) = 16; npu(0x08) = 1;"
    error = failure(build(broken))
    assert (
        "it reports success, but the NPU met an error: 16 bytes at 0x20000000 cannot be read" in error.message
    )
    error = failure(build(broken + "mcu::platform::exit(mcu::platform::Status(77));"))
    assert "ended with status 77" in error.message
    assert "the NPU: 16 bytes at 0x20000000 cannot be read: the NPU reaches no such memory" in error.message


def test_memory_that_the_npu_writes_is_what_the_core_reads(build: Build) -> None:
    data = bytes((7 * i + i // 256) & 0xFF for i in range(128))

    class Writes(npu.AddOne):
        def write(self, offset: int, value: int) -> None:
            if offset == 0x88:
                self.memory.write(value, data)
                assert self.memory.read(value, len(data)) == data

    body = (
        "npu(0x88) = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(big));"
        "std::memcpy(out, big, sizeof(out));"
    )
    before = 'alignas(16) __attribute__((section(".bss.mcu_arena.big"))) uint32_t big[32];'
    assert simulate(build(body, before), Writes).outputs == data


def test_without_the_model_the_same_image_meets_no_npu(build: Build) -> None:
    image = build("out[0] = npu(0);")
    assert words(simulate(image))[0] == npu.U55_128[0]
    assert words(run(BOARD, image, VECTOR, 20))[0] == 0


def test_what_is_missing_is_told(build: Build, tmp_path: Path) -> None:
    with pytest.raises(McuError, match="there is no such image"):
        simulate(tmp_path / "absent.elf")
    image = build("out[0] = 1;")
    with pytest.raises(McuError, match="mps2-an386: npu: the board has none"):
        cosim.run(find_board("mps2-an386"), image, VECTOR, 5, "ethos-u55", npu.AddOne)
    with pytest.raises(McuError, match="found no vectors"):
        cosim.run(BOARD, image, b"", 5, "ethos-u55", npu.AddOne)
