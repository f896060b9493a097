"""Run single operator calls on a board's simulated core, with the kernels that a build for it would take.

All cases become one image: a model whose inputs and outputs are those of every case, under the harness of
test images. Before a case runs, every byte of its arena that holds no input is poisoned.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from mcu_build import process
from mcu_build.board import Board, find_board
from mcu_build.codegen.cmsis_nn import CmsisNn
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.model import generate, kernel_sources
from mcu_build.codegen.target import Target, Toolchain, kernel_folders, platform_sources, target
from mcu_build.ir.plan import Optimize, Plan
from mcu_build.plan.compile import Settings, compile_program
from mcu_build.resources import data_dir
from mcu_build.simulate import run
from tests.support.cases import Case, included, program_of, split_outputs

_HEADER = """#pragma once
#include <cstddef>
#include <span>
namespace cases {
// How many there are is known to the linker: the harness is one object for all tests.
struct Inputs {
    constexpr bool operator>(int) const { return true; }
    operator std::size_t() const;
};
struct Outputs {
    constexpr bool operator>(int) const { return true; }
    operator std::size_t() const;
};
inline constexpr Inputs input_count;
inline constexpr Outputs output_count;
std::span<std::byte> input_bytes(std::size_t index);
std::span<std::byte> output_bytes(std::size_t index);
inline constexpr std::size_t state_size = 0;
inline std::span<std::byte> state() { return {}; }
void run();
inline void reset() {}
}
"""
_POISON = """
// What a kernel reads but nobody wrote must not look like zeros.
static void poison(unsigned char* arena, std::size_t size, std::size_t count,
                   std::span<std::byte> (*inputs)(std::size_t)) {
    for (unsigned char* byte = arena; byte != arena + size; ++byte) {
        bool keep = false;
        for (std::size_t index = 0; index < count; ++index) {
            const auto offset = reinterpret_cast<std::byte*>(byte) - inputs(index).data();
            keep = keep || (offset >= 0 && offset < static_cast<std::ptrdiff_t>(inputs(index).size()));
        }
        *byte = keep ? *byte : 0xA5;
    }
}
"""


def plans_on(
    board_id: str,
    cases: Sequence[Case],
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> list[Plan]:
    """The plan of each case for a board: which kernels serve it there."""
    folders = kernel_folders(find_board(board_id), cmsis_nn)
    return [
        compile_program(program_of(case)[0], f"case_{index}", Settings(folders, optimize=optimize))
        for index, case in enumerate(cases)
    ]


def run_cases_on(
    board_id: str,
    cases: Sequence[Case],
    folder: Path,
    toolchain: Toolchain = "arm-clang",
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> list[list[np.ndarray]]:
    """The used outputs of every case, in the model's dimensions. `folder` is for the build (tmp_path)."""
    board, plans = find_board(board_id), plans_on(board_id, cases, cmsis_nn, optimize)
    image = build_cases(board, toolchain, plans, folder, cmsis_nn, optimize)
    inputs = b"".join(array.tobytes() for case in cases for array in program_of(case)[1])
    return split_outputs(run(board, image, inputs, timeout=300).outputs, cases)


def build_cases(
    board: Board,
    toolchain: Toolchain,
    plans: Sequence[Plan],
    folder: Path,
    cmsis_nn: CmsisNn | None = None,
    optimize: Optimize = "speed",
) -> Path:
    """The image that runs every plan once, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    options, firmware = target(board, toolchain, cmsis_nn, optimize), data_dir() / "firmware"
    files: dict[str, str] = {}
    for plan in plans:
        files.update(generate(plan))
    files["cases.h"] = _HEADER
    files["cases.cpp"] = _aggregate(plans)
    files["memory.ld"] = linker_script(board)
    for name, text in files.items():
        (folder / name).write_text(text)
    stems = sorted({stem for plan in plans for stem in kernel_sources(plan)})
    sources = [_kernel(firmware, options, stem) for stem in stems]
    sources += [firmware / name for name in platform_sources(board, "test")]
    sources += [firmware / "app/harness.cpp", folder / "cases.cpp"]
    objects = [_object(source, options, firmware, folder) for source in sources]
    image = folder / "firmware.elf"
    script: list[str | Path] = ["-T", folder / "memory.ld", f"-Wl,-Map={folder / 'firmware.map'}"]
    _check([options.cxx, *options.link_options, *script, *objects, *options.libraries, "-o", image], folder)
    return image


# Calls of kernels need no optimizing compiler, which would take four times as long over them.
_CALLS = """#ifdef __clang__
#pragma clang optimize off
#else
#pragma GCC optimize("O0")
#endif"""


def _aggregate(plans: Sequence[Plan]) -> str:
    kernels = KernelSet.of(step for plan in plans for step in plan.steps)
    lines = ['#include "cases.h"', "#include <cstdint>"]
    # Kernels that are emitted for a shape are compiled as in a build; what is included again is skipped.
    lines += ["".join((*kernels.includes(), *kernels.emitted())), _CALLS]
    lines += [line for plan in plans for line in included(plan)]
    ports = {
        "input_bytes": [(plan.name, index) for plan in plans for index in range(len(plan.inputs))],
        "output_bytes": [(plan.name, index) for plan in plans for index in range(len(plan.outputs))],
    }
    lines += [_POISON, "namespace cases {", *_tables(ports), "void run() {"]
    for plan in plans:
        name = plan.name
        lines += [
            f"    poison({name}_arena, {name}::arena_size, {name}::input_count, {name}::input_bytes);",
            f"    {name}::run();",
        ]
    return "\n".join([*lines, "}", "}"]) + "\n"


def _tables(ports: Mapping[str, Sequence[tuple[str, int]]]) -> list[str]:
    lines = []
    for kind, entries in zip(("Inputs", "Outputs"), ports.values(), strict=True):
        lines.append(f"{kind}::operator std::size_t() const {{ return {len(entries)}; }}")
    for function, entries in ports.items():
        lines.append(f"std::span<std::byte> {function}(std::size_t index) {{\n    switch (index) {{")
        lines += [
            f"        case {number}: return {name}::{function}({index});"
            for number, (name, index) in enumerate(entries)
        ]
        lines.append("        default: return {};\n    }\n}")
    return lines


def _kernel(firmware: Path, options: Target, stem: str) -> Path:
    candidates = [firmware / "kernels" / folder / f"{stem}.cpp" for folder in options.kernel_folders]
    return next(path for path in candidates if path.is_file())


def _object(source: Path, options: Target, firmware: Path, folder: Path) -> Path:
    """The compiled source. Those of the firmware are kept between runs under the hash of what goes in."""
    flags = [
        *options.compile_options,
        *(f"-D{define}" for define in options.defines),
        '-DMCU_MODEL_HEADER="cases.h"',
        "-DMCU_MODEL=cases",
        f"-I{firmware / 'include'}",
    ]
    if source.is_relative_to(folder):
        made = folder / f"{source.stem}.o"
        _check([options.cxx, *flags, f"-I{folder}", "-c", source, "-o", made], folder)
        return made
    digest = hashlib.sha256(repr((options.cxx, flags, _HEADER)).encode() + _headers(firmware))
    digest.update(source.read_bytes())
    kept = data_dir() / "build" / "test-kernels" / f"{source.stem}-{digest.hexdigest()[:16]}.o"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}.o")
        _check([options.cxx, *flags, f"-I{folder}", "-c", source, "-o", partial], kept.parent)
        partial.rename(kept)
    return kept


@cache
def _headers(firmware: Path) -> bytes:
    """The hash of every header that a source of the firmware may include."""
    digest = hashlib.sha256()
    for folder in ("include", "kernels"):
        for file in sorted((firmware / folder).rglob("*.h")):
            digest.update(file.read_bytes())
    return digest.digest()


def _check(command: Sequence[str | Path], cwd: Path) -> None:
    finished = process.run(command, cwd=cwd, timeout=600)
    assert finished.status == 0, finished.stderr
