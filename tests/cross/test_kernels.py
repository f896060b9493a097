"""Every kernel with instructions of its own compiles for size, where asm may find fewer registers."""

from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.target import Toolchain, target
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
_COMPILERS = ("__aeabi_", "__clz", "_ZN3mcu7kernels")
_LIBC = {"memcpy", "memmove", "memset"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("board", "folder"), [*CORES, ("mps2-an386", "reference"), ("microbit", "reference")]
)
def test_kernels_as_other_build_systems_compile_them(board: str, folder: str, tmp_path: Path) -> None:
    """gnu++17 without warnings; nothing to construct, no variables, of the C library three functions."""
    options = target(find_board(board), "arm-gcc")
    firmware = data_dir() / "firmware"
    sources = sorted((firmware / "kernels" / folder).glob("*.cpp"))
    words = ["-std=gnu++17", "-Os", "-Wall", "-Wextra", "-Werror", "-fno-exceptions", "-fno-rtti"]
    words += ["-ffunction-sections", f"-I{firmware / 'include'}", "-c"]
    command = [options.cxx, *options.machine_options, *words, *sources]
    finished = process.run(command, cwd=tmp_path, timeout=300)
    assert finished.status == 0, finished.stderr
    objects = list(tmp_path.glob("*.o"))
    assert len(objects) == len(sources) > 0
    needed = process.run(["arm-none-eabi-nm", "--undefined-only", *objects]).stdout.splitlines()
    names = {line.split()[1] for line in needed if line.startswith(" ")}
    assert names and not {name for name in names - _LIBC if not name.startswith(_COMPILERS)}
    defined = process.run(["arm-none-eabi-nm", "--defined-only", *objects]).stdout
    assert not [line for line in defined.splitlines() if line.split()[1:2] in (["b"], ["B"], ["d"], ["D"])]
    sections = process.run(["arm-none-eabi-readelf", "-SW", *objects]).stdout
    assert "init_array" not in sections and ".ctors" not in sections
