"""Boards → presets of CMake: one for each board and compiler."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcu_build.board import board_files, load_board

_VERSION = 4  # CMake 3.23


def presets(folder: Path, project: Path | None = None) -> str:
    """The text of CMakeUserPresets.json: `cmake --preset <board>`, <board>-gcc with the other compiler.

    `folder` is where find_package(McuBuild) finds us; boards of `project`, a folder, are among them.
    """
    listed = list(_configure_presets(folder, project))
    names = [preset["name"] for preset in listed if not preset.get("hidden")]
    document = {
        "version": _VERSION,
        "configurePresets": listed,
        "buildPresets": [{"name": name, "configurePreset": name} for name in names],
        "testPresets": [
            {"name": name, "configurePreset": name, "output": {"outputOnFailure": True}} for name in names
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _configure_presets(folder: Path, project: Path | None) -> Iterator[dict[str, Any]]:
    yield {
        "name": "mcu-build",
        "hidden": True,
        "generator": "Ninja",
        "binaryDir": "${sourceDir}/build/${presetName}",
        "cacheVariables": {"McuBuild_DIR": folder.as_posix()},
    }
    for id, file in board_files(project).items():
        board = load_board(file)
        compilers = {"": "host"} if board.is_host else {"": "arm-clang", "-gcc": "arm-gcc"}
        for suffix, toolchain in compilers.items():
            yield {
                "name": id + suffix,
                "inherits": "mcu-build",
                "displayName": f"{board.name}, {toolchain}",
                "toolchainFile": (folder.parent / "toolchains" / f"{toolchain}.cmake").as_posix(),
                "cacheVariables": {"MCU_BOARD": id},
            }
