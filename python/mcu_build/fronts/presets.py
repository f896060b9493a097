"""Boards → cmake/presets.json: a preset for each board and compiler, for a user's own presets to include."""

import json
from collections.abc import Iterator
from typing import Any

from mcu_build.board import board_files, load_board

# 4 knows ${fileDir}, the folder of the file of presets itself: CMake 3.23.
_VERSION = 4


def presets() -> str:
    """The text of presets.json: `cmake --preset <board>`, <board>-gcc with the other compiler."""
    listed = list(_configure_presets())
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


def _configure_presets() -> Iterator[dict[str, Any]]:
    yield {
        "name": "mcu-build",
        "hidden": True,
        "generator": "Ninja",
        "binaryDir": "${sourceDir}/build/${presetName}",
        "cacheVariables": {"McuBuild_DIR": "${fileDir}"},
    }
    for id, file in board_files().items():
        board = load_board(file)
        compilers = {"": "host"} if board.is_host else {"": "arm-clang", "-gcc": "arm-gcc"}
        for suffix, toolchain in compilers.items():
            yield {
                "name": id + suffix,
                "inherits": "mcu-build",
                "displayName": f"{board.name}, {toolchain}",
                "toolchainFile": f"${{fileDir}}/../toolchains/{toolchain}.cmake",
                "cacheVariables": {"MCU_BOARD": id},
            }
