"""Models small enough to compile in a second, and CMake projects around them."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import ninja
import numpy as np

import cmake
from mcu_build import process
from mcu_build.board import Board, find_board
from mcu_build.codegen.cmake import board_files
from mcu_build.codegen.model import generate
from mcu_build.codegen.target import Toolchain
from mcu_build.ir.plan import Optimize
from mcu_build.plan.compile import compile_program
from mcu_build.resources import data_dir
from tests.support.cases import Case, Out, T, program_of
from tests.support.preloaded import environment

CMAKE = Path(cmake.CMAKE_BIN_DIR) / "cmake"
NINJA = Path(ninja.BIN_DIR) / "ninja"
# As the environment's own bin folder is on PATH for a user.
COMMAND = Path(sys.executable).with_name("mcu-build")


def quantizer(elements: int = 64) -> Case:
    """Float to int8, one kernel and no constants."""
    x = T(np.zeros((1, elements), dtype=np.float32))
    return Case("cortex_m::quantize_per_tensor.out", [x, 0.1, 0, -128, 127, 1], [Out((1, elements), "int8")])


def dequantizer(elements: int = 64) -> Case:
    """Int8 to float, from the same kernel source."""
    x = T(np.zeros((1, elements), dtype=np.int8))
    arguments = [x, 0.1, 0, -128, 127, 1]
    return Case("cortex_m::dequantize_per_tensor.out", arguments, [Out((1, elements), "float32")])


def concatenation() -> Case:
    """Two int8 tensors, one of them constant: a model with constants and with another kernel source."""
    x = T(np.zeros((1, 24), dtype=np.int8))
    weights = T(np.arange(-20, 20, dtype=np.int8).reshape(1, 40), constant=True)
    return Case("aten::cat.out", [[x, weights], 1], [Out((1, 64), "int8")])


def model_sources(case: Case, name: str, memories: tuple[str, str] = ("", "")) -> dict[str, str]:
    """The generated files of a model of one call, in `memories` for activations and for constants."""
    program, _ = program_of(case)
    return generate(replace(compile_program(program, name), first_memories=memories))


def write_model(
    case: Case,
    name: str,
    board: Board | str,
    toolchain: Toolchain,
    folder: Path,
    optimize: Optimize = "speed",
    memories: tuple[str, str] = ("", ""),
) -> Path:
    """What `mcu-build generate` writes, for a model of one call."""
    chosen = find_board(board) if isinstance(board, str) else board
    folder.mkdir(parents=True, exist_ok=True)
    facts = board_files(chosen, toolchain, optimize=optimize)
    for file, text in {**model_sources(case, name, memories), **facts}.items():
        (folder / file).write_text(text)
    return folder


@dataclass(frozen=True)
class Project:
    """A user's CMake project."""

    folder: Path
    tree_name: str = "build"

    @property
    def tree(self) -> Path:
        """The build tree."""
        return self.folder / self.tree_name

    def write(self, text: str, languages: str = "CXX", **sources: str) -> "Project":
        """CMakeLists.txt with `text` behind find_package; `sources` by stem are .cpp files."""
        head = f"cmake_minimum_required(VERSION 3.24)\nproject(user LANGUAGES {languages})\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "CMakeLists.txt").write_text(f"{head}find_package(McuBuild REQUIRED)\n{text}\n")
        for stem, source in sources.items():
            (self.folder / f"{stem}.cpp").write_text(source)
        return self

    def configure(self, toolchain: Toolchain | None, *words: str, program: Path = CMAKE) -> process.Finished:
        """Run CMake."""
        chosen = (
            [f"-DCMAKE_TOOLCHAIN_FILE={data_dir() / 'toolchains' / toolchain}.cmake"] if toolchain else []
        )
        generator = () if "-G" in words else ("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}")
        return process.run(
            [
                program,
                *("-S", self.folder, "-B", self.tree, *generator),
                f"-DMcuBuild_DIR={data_dir() / 'cmake'}",
                f"-DMCU_BUILD_COMMAND={COMMAND}",
                *chosen,
                *words,
            ],
            env=environment(),
        )

    def build(self, *targets: str) -> str:
        """Build, and return what was said. AssertionError with it on a failure."""
        wanted = [word for target in targets for word in ("--target", target)]
        finished = process.run([CMAKE, "--build", self.tree, *wanted], env=environment())
        assert finished.status == 0, finished.stdout + finished.stderr
        return finished.stdout

    def made(self, toolchain: Toolchain | None) -> "Project":
        """Configure and build all. AssertionError on a failure."""
        finished = self.configure(toolchain)
        assert finished.status == 0, finished.stderr
        self.build()
        return self
