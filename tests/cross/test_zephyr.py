"""The module for Zephyr, with a stand-in for its CMake; tests/sim/test_zephyr_tree.py has Zephyr itself."""

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
mcu_add_model(second GENERATED second)
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
_BOOLEANS = (
    *("CPP", "STD_CPP11", "STD_CPP17", "STD_CPP20", "CPU_CORTEX_M", "REQUIRES_FULL_LIBCPP", "XIP"),
    *("CPU_HAS_FPU", "CPU_HAS_FPU_DOUBLE_PRECISION", "FPU_SHARING", "ARMV8_M_DSP", "ARMV8_1_M_MVEI"),
    *("ETHOS_U", "ETHOS_U65_256"),
    *(f"CPU_CORTEX_{core}" for core in ("M0PLUS", "M3", "M4", "M7", "M23", "M33", "M55", "M85")),
)
KCONFIG = "".join(
    (
        *(f'config {name}\n\tbool "{name}"\n' for name in _BOOLEANS),
        'config FPU\n\tbool "FPU"\n\tdepends on CPU_HAS_FPU\n',
        'config ARM_ETHOS_U\n\tbool "NPU"\n',
        'config ARM_ETHOS_U_NPU_NAME\n\tstring\n\tdefault "ethos-u55-256" if ARM_ETHOS_U\n',
        'config BOARD\n\tstring\n\tdefault "listener"\n',
        "config FLASH_SIZE\n\tint\n\tdefault 256\nconfig SRAM_SIZE\n\tint\n\tdefault 64\n",
        "config FLASH_BASE_ADDRESS\n\thex\n\tdefault 0x0\n",
        "config SRAM_BASE_ADDRESS\n\thex\n\tdefault 0x20000000\n",
        'source "{module}/Kconfig"\n',
    )
)


def kconfig(folder, *settings):
    """Kconfig with our module and a prj.conf."""
    (folder / "Kconfig").write_text(KCONFIG.replace("{module}", str(MODULE)))
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


CPP = ("CPU_CORTEX_M=y", "CPP=y", "STD_CPP17=y", "XIP=y")
FLOATS = ("CPU_HAS_FPU=y",)
HELIUM = ("CPU_CORTEX_M55=y", *FLOATS, "ARMV8_M_DSP=y", "ARMV8_1_M_MVEI=y")
ENABLED = (*CPP, *HELIUM, "MCU_BUILD=y")


def test_the_module_and_its_samples_name_files_that_are_there():
    text = yaml.safe_load((MODULE / "module.yml").read_text())
    assert text["name"] == "mcu-build"
    assert (data_dir() / text["build"]["cmake"] / "CMakeLists.txt").is_file()
    assert (data_dir() / text["build"]["kconfig"]).is_file()
    submanifest = yaml.safe_load((MODULE / "submanifest.yaml").read_text())["manifest"]
    assert submanifest["projects"][0]["remote"] == submanifest["remotes"][0]["name"]
    (samples,) = text["samples"]
    for folder in (data_dir() / samples).iterdir():
        assert yaml.safe_load((folder / "sample.yaml").read_text())["tests"], folder
        settings = (folder / "prj.conf").read_text().split()
        assert settings == ["CONFIG_CPP=y", "CONFIG_STD_CPP17=y", "CONFIG_MCU_BUILD=y"]


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        (CPP, "y"),
        ((*CPP[:2], "STD_CPP20=y"), "y"),
        ((*CPP[:2], "STD_CPP11=y"), "n"),
        (CPP[1:], "n"),
        (("CPU_CORTEX_M=y", "STD_CPP17=y"), "n"),
    ],
)
def test_kconfig_enables_what_can_be_compiled(tmp_path, settings, enabled):
    found = kconfig(tmp_path, *settings, *FLOATS, "MCU_BUILD=y")
    selected = ("MCU_BUILD", "REQUIRES_FULL_LIBCPP", "FPU")
    assert {found.syms[name].str_value for name in selected} == {enabled}


def test_kconfig_asks_for_the_npu_of_zephyrs_driver(tmp_path):
    assert kconfig(tmp_path, *ENABLED).syms["MCU_BUILD_NPU"].str_value == "none"
    assert kconfig(tmp_path, *ENABLED, "ARM_ETHOS_U=y").syms["MCU_BUILD_NPU"].str_value == "ethos-u55-256"
    later = kconfig(tmp_path, *ENABLED, "ETHOS_U=y", "ETHOS_U65_256=y").syms
    assert later["MCU_BUILD_NPU"].str_value == "ethos-u65-256"
    assert later["MCU_BUILD_ETHOS_U"].str_value == "y"


# Settings, and what the board has: core, FPU, DSP, Helium.
CORES = {
    ("CPU_CORTEX_M0PLUS=y",): ("cortex-m0plus", "none", False, False),
    ("CPU_CORTEX_M3=y",): ("cortex-m3", "none", False, False),
    ("CPU_CORTEX_M4=y", *FLOATS): ("cortex-m4", "single", True, False),
    ("CPU_CORTEX_M4=y", *FLOATS, "FPU=n"): ("cortex-m4", "none", True, False),
    ("CPU_CORTEX_M7=y", *FLOATS, "CPU_HAS_FPU_DOUBLE_PRECISION=y"): ("cortex-m7", "double", True, False),
    ("CPU_CORTEX_M23=y",): ("cortex-m23", "none", False, False),
    ("CPU_CORTEX_M33=y",): ("cortex-m33", "none", False, False),
    ("CPU_CORTEX_M33=y", *FLOATS, "ARMV8_M_DSP=y"): ("cortex-m33", "single", True, False),
    HELIUM: ("cortex-m55", "double", True, True),
    (*HELIUM[:-1],): ("cortex-m55", "double", True, False),
    ("CPU_CORTEX_M85=y", *HELIUM[1:]): ("cortex-m85", "double", True, True),
}


def described(folder, *settings):
    """The board that the module writes, in CMake's script mode."""
    symbols = kconfig(folder, *CPP, *settings, "MCU_BUILD=y").unique_defined_syms
    lines = [f'set(CONFIG_{one.name} "{one.str_value}")\n' for one in symbols if one.str_value != "n"]
    board = folder / "zephyr.toml"
    lines += [f"include({MODULE}/board.cmake)\n", f"_mcu_zephyr_board({board})\n"]
    (folder / "script.cmake").write_text("".join(lines))
    finished = process.run([CMAKE, "-P", folder / "script.cmake"])
    assert finished.status == 0, finished.stderr
    return find_board(str(board))


@pytest.mark.parametrize("settings", CORES)
def test_zephyrs_configuration_is_the_board(tmp_path, settings):
    board = described(tmp_path, *settings)
    assert (board.core, board.fpu, board.dsp, board.mve) == CORES[settings]
    assert [memory.name for memory in board.memory] == ["flash", "ram"]
    assert board.memory_named("ram").size == 64 << 10


def test_without_execution_in_place_all_is_in_ram(tmp_path):
    board = described(tmp_path, "CPU_CORTEX_M3=y", "XIP=n")
    assert [memory.name for memory in board.memory] == ["ram"]


def test_a_model_is_compiled_with_zephyrs_options_and_those_that_decide_results(tmp_path):
    for name in ("first", "second"):
        write_model(concatenation(), name, "corstone-300", "arm-clang", tmp_path / name)
    configured = configure(tmp_path, MODEL, *ENABLED)
    assert configured.status == 0, configured.stderr
    built = process.run([CMAKE, "--build", tmp_path / "build"])
    assert built.status == 0, built.stdout
    commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
    by_name = {Path(entry["file"]).name: entry["command"].split() for entry in commands}
    assert {"first.cpp", "first_constants.cpp", "second.cpp", "main.cpp"} < by_name.keys()
    decisive = {"-ffp-contract=off", "-fno-math-errno"}
    assert not decisive & set(by_name.pop("main.cpp")), "an application keeps its own options"
    for name, words in by_name.items():
        assert {"-Os", "-imacros", *decisive} <= set(words), name
        assert not {"-O2", "-Werror", "-fno-rtti"} & set(words), name


def test_without_the_setting_there_is_no_function(tmp_path):
    configured = configure(tmp_path, MODEL, *ENABLED[:-1])
    assert configured.status != 0
    assert "mcu_add_model" in configured.stderr


REFUSED = {
    "mcu_add_model(kws MODEL kws.py)": "kws.py: no such file",
    "mcu_add_firmware(demo MODELS kws)": "Zephyr links the image",
    "mcu_add_model(kws MODEL broken.pte)": "broken.pte",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_refused(tmp_path, text):
    (tmp_path / "broken.pte").write_bytes(b"no program")
    configured = configure(tmp_path, text, *ENABLED)
    assert configured.status != 0
    assert REFUSED[text] in " ".join(configured.stderr.split())


def test_the_compiler_of_zephyrs_sdk_will_do(tmp_path, monkeypatch):
    for tool in ("g++", "ar", "objcopy"):
        (tmp_path / f"arm-zephyr-eabi-{tool}").write_text("#!/bin/sh\n")
        (tmp_path / f"arm-zephyr-eabi-{tool}").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = target(find_board("mps2-an386"), "arm-gcc")
    assert found.cxx == tmp_path / "arm-zephyr-eabi-g++"
