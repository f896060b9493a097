"""ExecuTorch on a core: everything of ours compiles against its headers, and CMake finds it by either name.

No library for a core is there to link with: images of cores are made and run only where a user brings one.
"""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import cmake
from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.executorch import BACKENDS, Deployment, Pools, generate
from mcu_build.codegen.executorch_operators import ADAPTERS
from mcu_build.codegen.executorch_upstream import schemas
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.target import target
from mcu_build.executorch.package import wheel
from mcu_build.ir.calls.outside import UserCall, UserTensor, UserValue
from mcu_build.ir.tensor import DType
from mcu_build.ir.weights import Weight, WeightFile
from mcu_build.plan.compile import compile_program
from tests.support.cases import program_of
from tests.support.firmware import quantizer

ROOT = Path(__file__).resolve().parents[2]


# A custom operator with operands of every kind.
CUSTOM = UserCall(
    "odd::mix",
    (
        UserTensor("image", DType.I8, (1, 3, 2, 2), written=False),
        UserValue("shifts", (1, -2)),
        UserValue("negate", True),
        UserValue("by", 4),
        UserValue("scale", 0.5),
        UserTensor("sums", DType.F32, (1, 3), written=True),
    ),
)
# A tensor of four bytes, and one without dimensions.
WEIGHTS = WeightFile(
    Path("w.ptd"), bytes(16), (Weight("a.b", 1, (2, 2), (0, 1), 0, 4), Weight("c", 6, (), (), 8, 4)), {}
)


@pytest.mark.parametrize(("board", "toolchain"), [("corstone-300", "arm-clang"), ("microbit", "arm-gcc")])
def test_all_sources_compile_for_a_core(tmp_path, board, toolchain):
    program, _ = program_of(quantizer())
    plan = compile_program(program, "tiny")
    custom, theirs = {"odd::mix.out": CUSTOM}, schemas(wheel())
    operators = (*sorted({*ADAPTERS, *theirs}), *custom)
    assert not {name for name in ADAPTERS if name.startswith("cortex_m::")}
    more = {
        "custom": custom,
        "weights": (WEIGHTS,),
        "backends": tuple(BACKENDS),
        "upstream": theirs,
        "kernels": KernelSet.of(plan.steps),
    }
    given = Deployment(plan, program, b"ET12", operators, Pools(1024, 64), **more)
    for name, text in generate(given).items():
        (tmp_path / name).write_text(text)
    tools, headers = target(find_board(board), toolchain), wheel() / "include"
    options = [
        *tools.compile_options,
        *("-fsyntax-only", "-DMCU_NO_HEAP", "-DC10_USING_CUSTOM_GENERATED_MACROS"),
        *(f"-I{ROOT / 'firmware/include'}", f"-I{tmp_path}", f"-isystem{headers}"),
        f"-isystem{headers / 'executorch/runtime/core/portable_type/c10'}",
    ]
    sources = [*(ROOT / "firmware/executorch").rglob("*.cpp"), *tmp_path.glob("*.cpp")]
    assert len(sources) > 12
    finished = process.run([tools.cxx, *options, *sources])
    assert finished.status == 0, finished.stderr


def test_temporary_memory_lies_where_the_npu_reaches():
    program, _ = program_of(quantizer())
    given = Deployment(compile_program(program, "tiny"), program, b"ET12", (), Pools(1024, 64))
    plain, delegated = generate(given), generate(replace(given, backends=("EthosUBackend",)))
    placed = 'section(".bss.mcu_arena.tiny"))) constinit unsigned char temp_pool[64]'
    assert placed in delegated["tiny.cpp"] and "add_ethos_u({})" in delegated["tiny.cpp"]
    assert "list(APPEND MCU_MODEL_BACKENDS ethos_u)" in delegated["model.cmake"]
    assert placed not in plain["tiny.cpp"] and "ethos_u" not in "".join(plain.values())


def test_ram_is_reserved_for_the_plans_of_later_programs():
    program, _ = program_of(quantizer())
    given = Deployment(compile_program(program, "tiny"), program, b"ET12", (), Pools(1024, 64))
    for ram, bytes in ((0, given.arena), (4096, 4096)):
        made = generate(replace(given, ram=ram))
        assert f"tiny_arena[{bytes}]" in made["tiny_arena.cpp"] and f"tiny_arena[{bytes}]" in made["tiny.cpp"]
        assert f"#define TINY_ARENA_SIZE {bytes}\n" in made["tiny.h"]


def configure(folder: Path, prefix: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """CMake asked for the target of the runtime that `prefix` has."""
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.28)\nproject(found LANGUAGES NONE)\n"
        f"include({ROOT}/cmake/McuBuildConfig.cmake)\n"
        "set(CMAKE_CROSSCOMPILING ${CROSS})\n_mcu_find_executorch(call target)\n"
        "if(UPSTREAM)\n_mcu_link_upstream(call model)\nendif()\n"
        'message(NOTICE "found <${target}>")\n'
    )
    program = Path(cmake.CMAKE_BIN_DIR) / "cmake"
    words = [program, "-S", folder, "-B", folder / "build", f"-DMCU_EXECUTORCH_PREFIX={prefix}", *options]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)


def test_a_build_of_executorch_is_found_by_its_bare_target(tmp_path):
    config = tmp_path / "prefix/lib/cmake/ExecuTorch/executorch-config.cmake"
    config.parent.mkdir(parents=True)
    config.write_text("add_library(executorch_core INTERFACE IMPORTED)\n")
    text = configure(tmp_path, tmp_path / "prefix", "-DCROSS=1", "-DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY")
    assert text.returncode == 0 and "found <executorch_core>" in text.stderr, text.stderr
    text = configure(tmp_path, tmp_path / "prefix", "-DCROSS=1", "-DUPSTREAM=1")
    words = " ".join(text.stderr.split())
    assert text.returncode != 0 and "has no cortex_m_kernels and cmsis-nn" in words, words
    assert "--kernels upstream" in words


def test_the_wheel_is_found_by_its_namespaced_target_and_only_for_this_computer(tmp_path):
    text = configure(tmp_path, wheel(), "-DCROSS=0")
    assert text.returncode == 0 and "found <executorch::runtime>" in text.stderr, text.stderr
    text = configure(tmp_path, wheel(), "-DCROSS=1")
    assert text.returncode != 0 and "is for this computer" in text.stderr


def test_a_missing_package_says_where_it_was_looked_for(tmp_path):
    text = configure(tmp_path, tmp_path / "nowhere", "-DCROSS=1")
    assert text.returncode != 0
    words = " ".join(text.stderr.split())
    assert "no ExecuTorch 1.5 with a C++ runtime" in words and "nowhere" in words
    assert "-DMCU_EXECUTORCH_PREFIX=<folder>" in words
