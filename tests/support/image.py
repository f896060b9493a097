"""Small test images straight from C++, without a model and without CMake."""

import os
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.target import Image, Target, Toolchain, platform_sources, target
from mcu_build.resources import data_dir

CROSS: tuple[Toolchain, ...] = ("arm-clang", "arm-gcc")

# Eight bytes in, eight bytes out, some of them shared: output[i] = 3 * input[i] + 1.
_HEADER = """#pragma once
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
_SOURCE = """#include "fake.h"
#include <cstdint>
alignas(16) __attribute__((section(".bss.mcu_arena.fake"))) unsigned char arena[16];
extern const unsigned char weights[2];
alignas(16) __attribute__((section(".rodata.mcu_constants.fake"))) const unsigned char weights[2] = {3, 1};
static volatile uint32_t initialised = 0x12345678, zero;
static int corrupt = 0;
BEFORE
namespace fake {
std::span<std::byte> input_bytes(std::size_t) { return std::as_writable_bytes(std::span(arena + 4, 8)); }
std::span<std::byte> output_bytes(std::size_t) { return std::as_writable_bytes(std::span(arena, 8)); }
void run() {
    if (initialised != 0x12345678 || zero != 0) return;
    BODY
    const volatile unsigned char* const w = weights;
    for (int i = 0; i < 8; ++i) arena[i] = static_cast<unsigned char>(w[0] * arena[i + 4] + w[1]);
    arena[7] = static_cast<unsigned char>(arena[7] + corrupt);
}
}
"""


class Mode(IntEnum):
    """A vector's first byte tells the misbehaving model what to do. Other values do nothing special."""

    HANG = 200
    EXIT_OK = 201
    EXIT_77 = 202
    CORRUPT = 203
    BIG_FRAME = 204
    OVERFLOW = 205
    UNDEFINED = 206
    DIVIDE = 207
    BUS = 208
    GUARD = 209
    LOCKUP = 210
    INTERRUPT = 211
    BRANCH = 212
    SVC = 213


_MISBEHAVE = """
#include "mcu/platform.h"
using mcu::platform::Status;
static volatile int zero_divisor = 0;
static volatile int quotient;
[[gnu::noinline]] static int deep(int n) {
    volatile char block[64];
    block[n & 63] = static_cast<char>(n);
    return n == 0 ? 0 : deep(n - 1) + block[(n + 1) & 63];
}
[[gnu::noinline]] static void big_frame() {
    volatile char block[1024];
    for (volatile char& byte : block) byte = 1;
}
#if defined(__arm__)
extern "C" unsigned __mcu_stack_limit[];
static volatile unsigned& word(unsigned address) { return *reinterpret_cast<volatile unsigned*>(address); }
static void misbehave_core(int what) {
    switch (what) {
        case UNDEFINED: __asm volatile("udf #1"); break;
        case DIVIDE: quotient = 100 / zero_divisor; break;
        case BUS: word(0xE8000000) = 1; break;
        case GUARD: static_cast<volatile unsigned*>(__mcu_stack_limit)[1] = 0; break;
#if !defined(__ARM_ARCH_6M__)
        case LOCKUP: word(0xE000ED08) = 0xE8000000; __asm volatile("udf #1"); break;
#endif
        case INTERRUPT: word(0xE000E100) = 8; word(0xE000E200) = 8; __asm volatile("dsb; isb"); break;
        case BRANCH: reinterpret_cast<void (*)()>(0xE8000001)(); break;
        case SVC: __asm volatile("svc #0"); break;
    }
}
#else
static void misbehave_core(int what) {
    if (what == BUS) *static_cast<volatile int*>(nullptr) = 1;
}
#endif
static void misbehave(int what) {
    corrupt = what == CORRUPT;
    switch (what) {
        case HANG: for (;;) quotient = 1;
        case EXIT_OK: mcu::platform::exit(Status::kOk);
        case EXIT_77: mcu::platform::exit(static_cast<Status>(77));
        case BIG_FRAME: big_frame(); break;
        case OVERFLOW: quotient = deep(100000); break;
        default: misbehave_core(what);
    }
}
"""


def fake_model(body: str = "", before: str = "") -> dict[str, str]:
    """Files of a model written by hand; `body` runs at the start of run(), `before` stands at file level."""
    return {"fake.h": _HEADER, "fake.cpp": _SOURCE.replace("BEFORE", before).replace("BODY", body)}


def misbehaving_model() -> dict[str, str]:
    """The same model, which does what a vector's first byte says before it computes."""
    modes = ", ".join(f"{mode.name} = {mode.value}" for mode in Mode)
    return fake_model("misbehave(arena[4]);", f"enum {{ {modes} }};{_MISBEHAVE}")


def vector(first: int) -> bytes:
    """One vector of the fake model that starts with `first`."""
    return bytes([first, 1, 2, 3, 250, 251, 252, 253])


def expected(inputs: bytes) -> bytes:
    """What the fake model makes of its inputs."""
    return bytes((3 * value + 1) & 0xFF for value in inputs)


def build_image(
    folder: Path,
    board: Board,
    toolchain: Toolchain,
    files: Mapping[str, str],
    image: Image = "test",
    with_harness: bool = True,
) -> Path:
    """Write `files`, compile those that end in .cpp, with platform and harness, and link. It must succeed."""
    finished = link(folder, board, toolchain, files, image, with_harness)
    assert finished.status == 0, finished.stderr
    return folder / "firmware.elf"


def link(
    folder: Path,
    board: Board,
    toolchain: Toolchain,
    files: Mapping[str, str],
    image: Image = "test",
    with_harness: bool = True,
) -> process.Finished:
    """Like build_image, but a failure of the link is the caller's to judge."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    options, firmware = _target(board, toolchain), data_dir() / "firmware"
    sources = [folder / name for name in files if name.endswith(".cpp")]
    sources += [firmware / name for name in platform_sources(board, image)]
    if with_harness:
        sources.append(firmware / "app/harness.cpp")
    objects = [_compile(folder, options, source) for source in sources]
    script: list[str | Path] = []
    if not board.is_host:
        (folder / "memory.ld").write_text(linker_script(board))
        script = ["-T", folder / "memory.ld", f"-Wl,-Map={folder / 'firmware.map'}"]
    output = folder / "firmware.elf"
    return process.run(
        [options.cxx, *options.link_options, *script, *objects, *options.libraries, "-o", output]
    )


@cache
def _target(board: Board, toolchain: Toolchain) -> Target:
    return target(board, toolchain)


def _compile(folder: Path, options: Target, source: Path) -> Path:
    """The object. Files of `folder` are named from there, so that ccache knows them in every folder."""
    output = folder / f"{source.stem}.o"
    launcher = os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER")
    finished = process.run(
        [
            *([launcher] if launcher else []),
            options.cxx,
            *options.compile_options,
            *(f"-D{define}" for define in options.defines),
            '-DMCU_MODEL_HEADER="fake.h"',
            "-DMCU_MODEL=fake",
            f"-I{data_dir() / 'firmware/include'}",
            "-I.",
            "-c",
            source.name if source.parent == folder else source,
            "-o",
            output.name,
        ],
        cwd=folder,
    )
    assert finished.status == 0, finished.stderr
    return output
