"""Small test images straight from C++, without a model and without CMake."""

from collections.abc import Mapping
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.target import Image, Target, Toolchain, platform_sources, target
from mcu_build.resources import data_dir

CROSS: tuple[Toolchain, ...] = ("arm-clang", "arm-gcc")

# Eight bytes in, eight bytes out, some of them shared: output[i] = 3 * input[i] + 1.
FAKE_HEADER = """#pragma once
#include <cstddef>
#include <span>
namespace fake {
inline constexpr std::size_t input_count = 1, output_count = 1;
std::span<std::byte> input_bytes(std::size_t index);
std::span<std::byte> output_bytes(std::size_t index);
void run();
}
"""
FAKE_SOURCE = """#include "fake.h"
#include <cstdint>
alignas(16) __attribute__((section(".mcu_arena.fake"))) unsigned char arena[16];
extern const unsigned char weights[2];
alignas(16) __attribute__((section(".mcu_constants.fake"))) const unsigned char weights[2] = {3, 1};
static volatile uint32_t initialised = 0x12345678, zero;
BEFORE
namespace fake {
std::span<std::byte> input_bytes(std::size_t) { return std::as_writable_bytes(std::span(arena + 4, 8)); }
std::span<std::byte> output_bytes(std::size_t) { return std::as_writable_bytes(std::span(arena, 8)); }
void run() {
    if (initialised != 0x12345678 || zero != 0) return;
    const volatile unsigned char* const w = weights;
    for (int i = 0; i < 8; ++i) arena[i] = static_cast<unsigned char>(w[0] * arena[i + 4] + w[1]);
    BODY
}
}
"""


def fake_model(body: str = "", before: str = "") -> dict[str, str]:
    """Files of a model written by hand; `body` runs at the end of run(), `before` stands at file level."""
    return {"fake.h": FAKE_HEADER, "fake.cpp": FAKE_SOURCE.replace("BEFORE", before).replace("BODY", body)}


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
    options, firmware = target(board, toolchain), data_dir() / "firmware"
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


def _compile(folder: Path, options: Target, source: Path) -> Path:
    output = folder / f"{source.stem}.o"
    finished = process.run(
        [
            options.cxx,
            *options.compile_options,
            *(f"-D{define}" for define in options.defines),
            '-DMCU_MODEL_HEADER="fake.h"',
            "-DMCU_MODEL=fake",
            f"-I{data_dir() / 'firmware/include'}",
            f"-I{folder}",
            "-c",
            source,
            "-o",
            output,
        ]
    )
    assert finished.status == 0, finished.stderr
    return output
