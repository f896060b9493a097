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
