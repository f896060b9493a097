"""What Bazel's repository rule needs to know: every board with its compilers, and where our code lies."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcu_build import process
from mcu_build.board import Board, board_files, load_board
from mcu_build.cache import versions
from mcu_build.codegen.cmake import slot_script
from mcu_build.codegen.cmsis_nn import find_cmsis_nn
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.target import Toolchain, default_toolchain, include_folders
from mcu_build.codegen.toolchain_config import ToolchainConfig, is_cxx_only, toolchain_config
from mcu_build.errors import McuError
from mcu_build.executorch.package import linkage
from mcu_build.resources import data_dir

# Where bazel/repositories.bzl puts firmware/, for the compiler.
_FIRMWARE = "external/mcu_boards/firmware"


def describe(
    own: Sequence[Path], executorch: Mapping[str, Path], cmsis_nn: Mapping[str, Path]
) -> dict[str, Any]:
    """All that bazel/repositories.bzl writes; `own` are board files of the user's. Without None.

    `executorch` are installs of ExecuTorch by the board that they are for, `cmsis_nn` those of CMSIS-NN.
    """
    files = {f"boards/{file.name}": file for file in board_files().values()}
    files |= {f"own/{file.name}": file for file in own}
    boards = {label: load_board(file) for label, file in files.items()}
    for word, folders in (("executorch", executorch), ("cmsis_nn", cmsis_nn)):
        unknown = sorted(folders.keys() - {board.id for board in boards.values()})
        if unknown:
            raise McuError(f"{word}: no board is called '{unknown[0]}'", "`mcu-build boards` lists them.")
    libraries = {board: find_cmsis_nn(folder) for board, folder in cmsis_nn.items()}
    return {
        "python": sys.executable,
        "package": str(Path(__file__).parents[1]),
        "data": str(data_dir()),
        "versions": python_versions(),
        "linker_scripts": {name: text for board in boards.values() for name, text in _scripts(board).items()},
        "executorch": {board.id: _executorch(executorch.get(board.id), board) for board in boards.values()},
        "cmsis_nn": {
            board: {"include": str(library.include), "archive": str(library.archive)}
            for board, library in libraries.items()
        },
        "boards": [_board(label, board) for label, board in boards.items()],
    }


def _executorch(prefix: Path | None, board: Board) -> dict[str, Any]:
    """How to compile against ExecuTorch and to link it; empty where there is none. McuError for a wrong one.

    For the host it is the wheel's, where nothing else is given.
    """
    if prefix is None and not board.is_host:
        return {}
    try:
        package = linkage(prefix, board)
    except McuError:
        if prefix is not None:
            raise
        return {}
    return {
        "prefix": str(package.prefix),
        "includes": package.includes,
        "defines": package.defines,
        "library": str(package.library),
        "link_options": package.link_options,
    }


def python_versions() -> str:
    """What the result of a stage depends on besides our own code, one a line."""
    packages = ("torch", "torchao", "executorch", "ethos-u-vela", "tosa-tools", "numpy")
    return "".join(f"{line}\n" for line in (f"Python {sys.version}", *map(versions, packages)))


def _scripts(board: Board) -> dict[str, str]:
    """Linker scripts by name: the board's, and for MCUboot's slot."""
    if board.is_host:
        return {}
    in_slot = {f"{board.id}-mcuboot.ld": text for text in slot_script(board).values()}
    return {f"{board.id}.ld": linker_script(board), **in_slot}


def _board(label: str, board: Board) -> dict[str, Any]:
    return {
        "name": board.id,
        "file": label,
        "linker_script": "" if board.is_host else f"{board.id}.ld",
        "slot_script": f"{board.id}-mcuboot.ld" if slot_script(board) else "",
        "platforms": _platforms(board),
    }


def _platforms(board: Board) -> list[dict[str, Any]]:
    """For every compiler that is installed a platform for speed and one for size. McuError for none."""
    first = default_toolchain(board)
    lines = []
    for compiler in (first, "arm-gcc") if first == "arm-clang" else (first,):
        name = board.id if compiler == first else f"{board.id}-{compiler}"
        constraint = "native" if board.is_host else compiler
        config = _config(board, compiler)
        smaller = _options(toolchain_config(board, compiler, optimize="size"))
        lines += [
            {"name": name, "compiler": constraint, "optimize": "speed", "config": config},
            {"name": f"{name}-size", "compiler": constraint, "optimize": "size", "config": config | smaller},
        ]
    return lines


def _config(board: Board, compiler: Toolchain) -> dict[str, Any]:
    config = toolchain_config(board, compiler)
    return {
        **asdict(config),
        **_options(config),
        "cc": config.cc,
        # Caches are shared between machines: their compilers have to be the same.
        "compiler": process.run([config.cxx, "--version"]).stdout.partition("\n")[0],
        "default_npu": board.npu.default if board.npu else "none",
        # Starlark sorts the keys of JSON.
        "binaries": list(config.binaries.items()),
        "kernels": kernel_files(config),
        "system_includes": include_folders(Path(config.cxx), config.compile_options),
    }


def _options(config: ToolchainConfig) -> dict[str, Any]:
    """What differs between configurations for speed and for size."""
    options = [option.replace(str(data_dir() / "firmware"), _FIRMWARE) for option in config.compile_options]
    return {
        "compile_options": options,
        "c_compile_options": [option for option in options if not is_cxx_only(option)],
        "link_options": config.link_options,
    }


def kernel_files(config: ToolchainConfig) -> list[str]:
    """Sources of every kernel of a board with their drivers, by paths below firmware/, in order of names."""
    firmware = data_dir() / "firmware"
    best: dict[str, Path] = {}
    for folder in reversed(config.kernel_folders):
        best |= {file.stem: file for file in (firmware / "kernels" / folder).glob("*.cpp")}
    files = []
    for stem in sorted(best):
        driver = firmware / "drivers" / stem / f"{stem}.cpp"
        files += [best[stem], *([driver] if driver.is_file() else [])]
    return [str(file.relative_to(firmware)) for file in files]
