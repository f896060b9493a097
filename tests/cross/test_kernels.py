"""Every kernel with instructions of its own compiles for size, where asm may find fewer registers."""

import shutil
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.target import Toolchain, machine_options, target
from mcu_build.export.contents import PROLOGUE
from mcu_build.resources import data_dir

# `vmsr p0, pc`: clang 19 makes it of a vector that a constant selects.
_UNDEFINED = bytes.fromhex("edee10fa")

CORES = [
    ("mps2-an386", "dsp"),
    ("corstone-300", "dsp"),
    ("corstone-300", "mve"),
    ("mps2-an385", "thumb2"),
    ("mps2-an385", "thumb"),
    ("microbit", "thumb"),
]


@pytest.mark.parametrize("toolchain", ["arm-gcc", "arm-clang"])
@pytest.mark.parametrize(("board", "folder"), CORES)
def test_kernels_compile_for_size(board: str, folder: str, toolchain: Toolchain, tmp_path: Path) -> None:
    options = target(find_board(board), toolchain, optimize="size")
    assert folder in options.kernel_folders
    firmware = data_dir() / "firmware"
    sources = sorted((firmware / "kernels" / folder).glob("*.cpp"))
    command = [options.cxx, *options.compile_options, f"-I{firmware / 'include'}", "-c", *sources]
    finished = process.run(command, cwd=tmp_path, timeout=300)
    assert finished.status == 0, finished.stderr
    objects = list(tmp_path.glob("*.o"))
    assert len(objects) == len(sources) > 0
    assert not any(_UNDEFINED in one.read_bytes() for one in objects)


@pytest.mark.parametrize("toolchain", ["arm-gcc", "arm-clang"])
def test_the_platform_calls_nothing_that_throws(toolchain: Toolchain, tmp_path: Path) -> None:
    """No image links the C++ library, which `substr` and `at` call where they are not inlined."""
    options = target(find_board("mps2-an386"), toolchain, optimize="size")
    firmware = data_dir() / "firmware"
    folders = [firmware / "platform" / name for name in ("console", "cortex_m")]
    sources = [file for folder in folders for file in folder.glob("*.cpp")]
    machine = ["-DMCU_INTERRUPTS=32", "-DMCU_UART_BASE=0x40000000", "-DMCU_UART_DIVIDER=16"]
    command = [options.cxx, *options.compile_options, *machine, f"-I{firmware / 'include'}", "-c", *sources]
    finished = process.run(command, cwd=tmp_path, timeout=300)
    assert finished.status == 0, finished.stderr
    assert (tmp_path / "rtt.o").exists()
    needed = process.run(["arm-none-eabi-nm", "--undefined-only", *tmp_path.glob("*.o")]).stdout
    assert "memcpy" in needed and "_ZSt" not in needed


# What compilers' own library offers to cores without division or floating point.
_COMPILERS = ("__aeabi_", "__clz", "__gnu_thumb1_case_", "_ZN3mcu7kernels")
_LIBC = {"memcpy", "memmove", "memset"}
# Bare-metal GCC, and versions that Debian has for Linux on Arm (none of which has all).
_GCC = ("arm-none-eabi-g++", *(f"arm-linux-gnueabihf-g++-{version}" for version in range(10, 16)))
# What GCC for Linux on Arm does otherwise. Its C library's headers are those of hard floats.
_AS_BARE_METAL = ("-fno-pie", "-fshort-enums", "-ffreestanding")
# An IDE's release build, and its debug build.
_LEVELS = {"-Os": ("-fno-threadsafe-statics", "-fno-use-cxa-atexit", "-DNDEBUG"), "-O0": ("-g3",)}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", _GCC)
@pytest.mark.parametrize(
    ("board", "folder"), [*CORES, ("mps2-an386", "reference"), ("microbit", "reference")]
)
def test_kernels_as_other_build_systems_compile_them(
    board: str, folder: str, compiler: str, tmp_path: Path
) -> None:
    """gnu++17 without warnings; nothing to construct, no variables, of the C library three functions."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed: kernels were not compiled with it")
    firmware = data_dir() / "firmware"
    sources = sorted((firmware / "kernels" / folder).glob("*.cpp"))
    (tmp_path / "prologue.h").write_text(PROLOGUE)
    (tmp_path / "gnu").mkdir()
    (tmp_path / "gnu/stubs-soft.h").touch()
    words = ["-std=gnu++17", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]
    words += ["-ffunction-sections", f"-I{firmware / 'kernels'}", f"-I{firmware / 'include'}", "-c"]
    words += ["-include", tmp_path / "prologue.h", "-isystem", tmp_path]
    words += _AS_BARE_METAL if "linux" in compiler else ()
    for level, more in _LEVELS.items():
        (made := tmp_path / level).mkdir()
        command = [compiler, *machine_options(find_board(board)), *words, level, *more, *sources]
        finished = process.run(command, cwd=made, timeout=300)
        assert finished.status == 0, finished.stderr
        objects = list(made.glob("*.o"))
        assert len(objects) == len(sources) > 0
        _check_objects(objects)


def _check_objects(objects: list[Path]) -> None:
    needed = process.run(["arm-none-eabi-nm", "--undefined-only", *objects]).stdout.splitlines()
    names = {line.split()[1] for line in needed if line.startswith(" ")}
    assert names and not {name for name in names - _LIBC if not name.startswith(_COMPILERS)}
    defined = process.run(["arm-none-eabi-nm", "--defined-only", *objects]).stdout
    assert not [line for line in defined.splitlines() if line.split()[1:2] in (["b"], ["B"], ["d"], ["D"])]
    sections = process.run(["arm-none-eabi-readelf", "-SW", *objects]).stdout
    assert "init_array" not in sections and ".ctors" not in sections
