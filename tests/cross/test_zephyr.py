"""The module for Zephyr, with a stand-in for Zephyr's CMake; Zephyr itself is not at hand."""

import json
from pathlib import Path

import kconfiglib
import pytest
import yaml

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.target import include_folders, target
from mcu_build.resources import data_dir
from tests.support.firmware import CMAKE, COMMAND, NINJA, concatenation, write_model

MODULE = data_dir() / "zephyr"
STAND_IN = Path(__file__).with_name("zephyr")
LISTS = """
cmake_minimum_required(VERSION 3.24)
find_package(Zephyr REQUIRED)
project(listener)
{text}
"""
MODEL = """
mcu_add_model(first GENERATED first)
target_sources(app PRIVATE main.cpp)
target_link_libraries(app PRIVATE mcu::model::first)
"""
MAIN = """
#include "first.h"
int main() {
    first::run();
    return first::output()[0];
}
"""
# What of Zephyr's own Kconfig ours refers to.
KCONFIG = """
config STD_CPP20
	bool "C++20"
config STD_CPP2B
	bool
config CPU_CORTEX_M4
	bool "M4"
config CPU_CORTEX_M55
	bool "M55"
source "{module}/Kconfig"
"""


def kconfig(folder, *settings):
    """Kconfig with our module and a prj.conf."""
    (folder / "Kconfig").write_text(KCONFIG.format(module=MODULE))
    (folder / "prj.conf").write_text("".join(f"CONFIG_{setting}\n" for setting in settings))
    found = kconfiglib.Kconfig(str(folder / "Kconfig"), warn_to_stderr=False)
    found.load_config(str(folder / "prj.conf"))
    return found


def configure(folder, text, *settings):
    """Configure an application of the stand-in with a prj.conf."""
    symbols = kconfig(folder, *settings).unique_defined_syms
    lines = [
        f'set(CONFIG_{symbol.name} "{symbol.str_value}")\n' for symbol in symbols if symbol.str_value != "n"
    ]
    (folder / "settings.cmake").write_text("".join(lines))
    (folder / "CMakeLists.txt").write_text(LISTS.format(text=text))
    (folder / "main.cpp").write_text(MAIN)
    board = find_board("corstone-300")
    tools = target(board, "arm-clang")
    includes = ";".join(include_folders(tools.cxx, tools.compile_options))
    return process.run(
        [
            *(CMAKE, "-S", folder, "-B", folder / "build", "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}"),
            *(f"-DZephyr_DIR={STAND_IN}", f"-DZEPHYR_EXTRA_MODULES={data_dir()}"),
            *(f"-DAPPLICATION_SETTINGS={folder / 'settings.cmake'}", f"-DSYSTEM_INCLUDES={includes}"),
            *(f"-DMCU_BUILD_COMMAND={COMMAND}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"),
            f"-DCMAKE_TOOLCHAIN_FILE={data_dir() / 'toolchains/arm-clang.cmake'}",
        ]
    )


ENABLED = ("STD_CPP20=y", "CPU_CORTEX_M55=y", "MCU_BUILD=y")


def test_the_module_names_files_that_are_there():
    told = yaml.safe_load((MODULE / "module.yml").read_text())
    assert told["name"] == "mcu-build"
    assert (data_dir() / told["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (data_dir() / told["build"]["kconfig"]).is_file()


@pytest.mark.parametrize(
    ("settings", "enabled", "board"),
    [
        (ENABLED, "y", "corstone-300"),
        (("STD_CPP20=y", "CPU_CORTEX_M4=y", "MCU_BUILD=y"), "y", "mps2-an386"),
        ((*ENABLED, 'MCU_BUILD_BOARD="boards/own.toml"'), "y", "boards/own.toml"),
        (("CPU_CORTEX_M55=y", "MCU_BUILD=y"), "n", ""),
        (("STD_CPP20=y", "CPU_CORTEX_M55=y"), "n", ""),
    ],
)
def test_kconfig_chooses_the_board_by_the_core(tmp_path, settings, enabled, board):
    found = kconfig(tmp_path, *settings)
    assert found.syms["MCU_BUILD"].str_value == enabled
    assert found.syms["MCU_BUILD_BOARD"].str_value == board


def test_boards_that_kconfig_names_have_that_core():
    for line in (MODULE / "Kconfig").read_text().splitlines():
        if line.startswith("\tdefault "):
            _, board, _, symbol = line.split()
            core = find_board(board.strip('"')).core
            assert symbol == f"CPU_{core.upper().replace('-', '_')}"


def test_a_model_is_compiled_with_zephyrs_options_and_those_that_decide_results(tmp_path):
    write_model(concatenation(), "first", "corstone-300", "arm-clang", tmp_path / "first")
    configured = configure(tmp_path, MODEL, *ENABLED)
    assert configured.status == 0, configured.stderr
    built = process.run([CMAKE, "--build", tmp_path / "build"])
    assert built.status == 0, built.stdout
    commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
    by_name = {Path(entry["file"]).name: entry["command"].split() for entry in commands}
    assert {"first.cpp", "first_constants.cpp", "main.cpp"} < by_name.keys()
    decisive = {"-ffp-contract=off", "-fno-math-errno"}
    assert not decisive & set(by_name.pop("main.cpp")), "an application keeps its own options"
    for name, words in by_name.items():
        assert {"-Os", "-imacros", *decisive} <= set(words), name
        assert not {"-O2", "-Werror", "-fno-rtti"} & set(words), name


def test_without_the_setting_there_is_no_function(tmp_path):
    configured = configure(tmp_path, MODEL, "STD_CPP20=y", "CPU_CORTEX_M55=y")
    assert configured.status != 0
    assert "mcu_add_model" in configured.stderr


REFUSED = {
    "mcu_add_model(kws MODEL kws.py)": "kws.py: no such file",
    "mcu_add_model(kws MODEL main.cpp NPU ethos-u55-128)": "NPU: Zephyr has no driver of ours for it",
    "mcu_add_firmware(demo MODELS kws)": "Zephyr links the image",
    "mcu_add_model(kws MODEL broken.pte)": "broken.pte",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(tmp_path, text):
    (tmp_path / "broken.pte").write_bytes(b"no program")
    configured = configure(tmp_path, text, *ENABLED)
    assert configured.status != 0
    assert REFUSED[text] in " ".join(configured.stderr.split())
