"""Bazel: the shared example as targets; what is built again and what is not; the same image as with CMake."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.fronts.options import respelt
from mcu_build.image.elf import read_elf
from mcu_build.resources import data_dir
from tests.support.bazel import Workspace
from tests.support.boards import empty_board, until
from tests.support.drift import commands, differences, words_of
from tests.support.firmware import CMAKE, NINJA, Project
from tests.support.fronts import BAD, copied_examples

FIRMWARE = str(data_dir() / "firmware")
CONSUMER = data_dir() / "examples" / "consumer"
IMAGES = ("demo.elf", "demo.hex", "demo.bin", "demo-ddr.bin")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A checkout in which everything is built and tested, and what that took."""
    top = tmp_path_factory.mktemp("bazel")
    made = Workspace(top / "first", disk_cache=top / "cache").make()
    done = made.run("test", "//...", "--test_output=all")
    assert done.status == 0, done.printed
    yield made, done
    made.shut_down()


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The examples once more: the front end runs once for CMake and SCons."""
    return copied_examples(tmp_path_factory.mktemp("others"))


@pytest.fixture(scope="module")
def cmake(examples):
    """The same application with CMake."""
    made = Project(examples / "cmake_consumer")
    configured = made.configure("arm-clang")
    assert configured.status == 0, configured.stderr
    made.build()
    return made


def test_the_firmware_is_tested_in_the_simulator_with_a_log_of_its_own(workspace):
    _, done = workspace
    assert "all 288 equal the quantized program's exactly" in done.printed
    assert re.search(r"//:demo_test\s+PASSED", done.printed)
    assert done.count()["McuGenerate"] == done.count()["McuExpect"] == 1


def test_touching_nothing_does_nothing(workspace):
    made, _ = workspace
    done = made.run("test", "//...")
    assert not done.steps
    assert re.search(r"//:demo_test\s+\(cached\) PASSED", done.printed)


def test_touching_the_application_compiles_one_file(workspace):
    made, _ = workspace
    with made.changed("main.cpp", '"done\\n"', '"done.\\n"'):
        done = made.built("//:demo")
    # .hex, and a .bin for each memory that images are loaded into.
    assert done.count() == {"CppCompile": 1, "McuLink": 1, "McuObjcopy": 4}
    assert done.objects() == ["main.o"]
    assert not made.built("//:demo").count()


def test_touching_a_file_that_the_model_reads_lowers_again_and_compiles_no_kernel(workspace):
    made, _ = workspace
    with made.changed("knocks.csv", "tap,100,", "tap,90,"):
        done = made.built("//:demo")
    assert done.count()["McuGenerate"] == done.count()["McuLink"] == 1
    # main.cpp includes knock.h, which tells the scales.
    assert {"knock.o", "knock_constants.o"} <= set(done.objects())
    assert set(done.objects()) <= {"knock.o", "knock_arena.o", "knock_constants.o", "main.o"}
    assert not made.built("//:demo").count()


def test_a_second_checkout_with_the_same_cache_builds_nothing_and_has_the_same_bytes(workspace):
    made, _ = workspace
    second = replace(made, top=made.top.with_name("second")).make()
    try:
        done = second.run("test", "//...")
        assert done.status == 0, done.printed
        assert done.steps and not done.count()
        for name in (*IMAGES, "demo.map", "knock.program/program.pte"):
            assert second.output(name).read_bytes() == made.output(name).read_bytes()
        # It watches its own files, and the first checkout does not.
        with second.changed("knocks.csv", "tap,100,", "tap,85,"):
            assert second.built("//:demo").count()["McuGenerate"] == 1
            assert second.output("demo.elf").read_bytes() != made.output("demo.elf").read_bytes()
            assert not made.built("//:demo").count()
    finally:
        second.shut_down()


def test_images_are_those_of_cmake(workspace, cmake):
    made, _ = workspace
    for name in IMAGES:
        assert made.output(name).read_bytes() == (cmake.tree / name).read_bytes(), name


def of_cmake(project, image, roots):
    lines = process.run([NINJA, "-C", project.tree, "-t", "commands", image]).stdout.splitlines()
    return commands(map(words_of, lines), image, {FIRMWARE: "firmware", **roots})


def of_scons(folder, image, roots):
    finished = process.run(["scons", "-Q", "--dry-run", image], cwd=folder)
    assert finished.status == 0, finished.stderr
    # Some paths are told from the root, others from the project.
    roots = {FIRMWARE: "firmware", **roots, **{f"{folder}/{path}": name for path, name in roots.items()}}
    return commands(map(words_of, finished.stdout.splitlines()), image.rpartition("/")[2], roots)


def of_bazel(made, target, others, models, roots):
    """`others` are folders of the objects of test images; `models` have their names in `roots`."""
    actions = made.actions(f'mnemonic("CppCompile|McuLink", deps({target}))')
    lines = [words for words in actions if not any(part in word for word in words for part in others)]
    text = {word for words in lines for word in words}
    folders = {
        word.removesuffix(f"/{model}.cpp"): name
        for model, name in models.items()
        for word in text
        if word.endswith(f"/{model}.mcu/{model}.cpp")
    }
    # Beside the models' folders lies what else is generated.
    made_there = {folder.rpartition("/")[0]: "made" for folder in folders}
    found = {"external/mcu_boards/firmware": "firmware", **folders, **made_there, **roots}
    return commands(lines, f"{target.rpartition(':')[2]}.elf", found)


@pytest.fixture(scope="module")
def fronts(workspace, cmake, examples):
    """The commands that make the same image, in each build system."""
    app, models = {f"{examples}/consumer": "app"}, "build/mcu/corstone-300/models/knock"
    others = ("/_objs/test/", "/_objs/demo.knock/")
    return {
        "cmake": of_cmake(cmake, "demo.elf", {**app, f"{cmake.tree}/mcu/models/knock": "model"}),
        "scons": of_scons(examples / "scons", "build/demo.elf", {**app, models: "model"}),
        "bazel": of_bazel(workspace[0], "//:demo", others, {"knock": "model"}, {"external/consumer": "app"}),
    }


# Bazel compiles every kernel of a board once, for all models.
MORE = {"scons": (), "bazel": ("firmware/kernels/", "firmware/drivers/")}


@pytest.mark.parametrize("name", MORE)
def test_build_systems_have_not_drifted_apart(fronts, name):
    cmake = fronts["cmake"]
    assert {
        "app/main.cpp",
        "model/knock.cpp",
        "firmware/platform/cortex_m/startup.cpp",
    } <= cmake.compiles.keys()
    assert any(source.startswith("firmware/kernels/mve/") for source in cmake.compiles)
    assert differences(cmake, fronts[name], MORE[name]) == []


@pytest.mark.parametrize("name", MORE)
def test_a_drift_is_found(fronts, name):
    cmake, other = fronts["cmake"], fronts[name]
    source = "firmware/platform/cortex_m/startup.cpp"
    command = other.compiles[source]
    changes = {
        "compiler": replace(command, compiler="/usr/bin/clang++"),
        "options": replace(command, options=("-O3", *command.options)),
        "warnings": replace(command, warnings=command.warnings - {"-Werror"}),
        "defines": replace(command, defines=command.defines | {"MCU_INTERRUPTS=95"}),
        "includes": replace(command, includes=command.includes | {"elsewhere"}),
        "system_includes": replace(command, system_includes=command.system_includes[::-1]),
    }
    for field, changed in changes.items():
        drifted = replace(other, compiles={**other.compiles, source: changed})
        (text,) = differences(cmake, drifted, MORE[name])
        assert text.startswith(f"{source}: {field}: ")
    missing = {name: command for name, command in other.compiles.items() if name != source}
    (text,) = differences(cmake, replace(other, compiles=missing), MORE[name])
    assert text == f"{source}: only the first compiles it"
    more = {**other.compiles, "firmware/app/more.cpp": command}
    assert len(differences(cmake, replace(other, compiles=more), MORE[name])) == 1
    link = replace(other.link, libraries=other.link.libraries[::-1])
    assert len(differences(cmake, replace(other, link=link), MORE[name])) == 1


BOTH = {
    "main.cpp": """
#include "first.h"
#include "second.h"
int main() {
    first::run();
    second::run();
    return static_cast<int>(first::output()[0] + second::output()[0]);
}
""",
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.24)
project(both LANGUAGES CXX)
find_package(McuBuild REQUIRED)
foreach(name first second)
    mcu_add_model(${name} MODEL net.pte BOARD corstone-300 NPU none OPTIMIZE size)
endforeach()
mcu_add_firmware(both SOURCES main.cpp MODELS first second SHARE_ARENA)
""",
    "SConstruct": """
from mcu_build import scons
options = {"MCU_BOARD": "corstone-300", "MCU_NPU": "none", "MCU_OPTIMIZE": "size"}
env = Environment(tools=["default", scons.tool], **options)
models = [env.McuModel("net.pte", name=name) for name in ("first", "second")]
env.McuFirmware("both", ["main.cpp", *models], share_arena=True)
""",
    "BUILD.bazel": """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_model")
MODELS = ["first", "second"]
[
    mcu_model(name = name, pte = "net.pte", board = "corstone-300", npu = "none", optimize = "size")
    for name in MODELS
]
mcu_firmware(
    name = "both",
    srcs = ["main.cpp"],
    models = MODELS,
    board = "corstone-300",
    optimize = "size",
    share_arena = True,
)
""",
}


@pytest.fixture(scope="module")
def both(workspace):
    """Two models in one image, for size and with one arena, as a project of each build system."""
    made, _ = workspace
    folder = made.folder / "both"
    folder.mkdir()
    for name, text in BOTH.items():
        (folder / name).write_text(text)
    shutil.copy(made.output("knock.program/program.pte"), folder / "net.pte")
    project = Project(folder)
    configured = project.configure("arm-clang")
    assert configured.status == 0, configured.stderr
    yield project
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", MORE)
def test_they_have_not_drifted_apart_for_size_and_with_one_arena(workspace, both, name):
    names = {"first": "first", "second": "second"}
    models = {f"{both.tree}/mcu/models/{name}": name for name in names}
    cmake = of_cmake(both, "both.elf", {**models, str(both.tree): "made", str(both.folder): "app"})
    assert {"app/main.cpp", "made/both_arena.cpp", "second/second.cpp"} <= cmake.compiles.keys()
    assert all("-Oz" in command.options for command in cmake.compiles.values())
    if name == "scons":
        folder = "build/mcu/corstone-300-size"
        roots = {f"{folder}/models/{name}": name for name in names}
        other = of_scons(both.folder, "both.elf", {**roots, folder: "made", "main.cpp": "app/main.cpp"})
    else:
        others = ("/_objs/test/", "/_objs/both.first/", "/_objs/both.second/")
        other = of_bazel(workspace[0], "//both:both", others, names, {"both": "app"})
    assert differences(cmake, other, MORE[name]) == []


@pytest.mark.parametrize("name", ["scons", pytest.param("bazel", marks=pytest.mark.slow)])
def test_images_for_size_with_one_arena_are_the_same(workspace, both, name):
    made, _ = workspace
    both.build()
    arenas = [symbol for symbol in read_elf(both.tree / "both.elf").symbols if symbol.name.endswith("_arena")]
    assert len(arenas) == 3 and len({symbol.address for symbol in arenas}) == 1
    if name == "scons":
        finished = process.run(["scons", "-Q"], cwd=both.folder)
        assert finished.status == 0, finished.stderr
        other = both.folder / "both.elf"
    else:
        made.built("//both")
        other = made.output("both/both.elf")
    assert other.read_bytes() == (both.tree / "both.elf").read_bytes()


FLASHED = {
    "main.cpp": """
#include "mcu/platform.h"
int main() { mcu::platform::write_console("WORDS\\n"); }
""",
    "CMakeLists.txt": """
cmake_minimum_required(VERSION 3.24)
project(flashed LANGUAGES CXX)
find_package(McuBuild REQUIRED)
mcu_add_model(net MODEL net.pte BOARD netduinoplus2)
mcu_add_firmware(flashed SOURCES main.cpp MODELS net)
""",
    "SConstruct": """
from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="netduinoplus2")
env.McuFirmware("flashed", ["main.cpp", env.McuModel("net.pte")])
""",
    "BUILD.bazel": """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_model")
mcu_model(name = "net", pte = "net.pte", board = "netduinoplus2")
mcu_firmware(name = "flashed", srcs = ["main.cpp"], models = [":net"], board = "netduinoplus2")
""",
}


@pytest.mark.slow
def test_every_front_flashes_a_board_through_a_gdb_server(workspace, tmp_path, monkeypatch):
    """The machine starts empty; what runs at the end says which front has written it."""
    made, _ = workspace
    folder = made.folder / "flashed"
    folder.mkdir()
    for name, text in FLASHED.items():
        (folder / name).write_text(text)
    shutil.copy(made.output("knock.program/program.pte"), folder / "net.pte")
    project = Project(folder)

    def with_cmake():
        assert project.configure("arm-clang").status == 0
        return process.run([CMAKE, "--build", project.tree, "--target", "flashed.flash"])

    fronts = {
        "cmake": with_cmake,
        "scons": lambda: process.run(["scons", "-Q", "flashed.flash"], cwd=folder),
        "bazel": lambda: made.command("run", "//flashed:flashed.flash"),
    }
    board = find_board("netduinoplus2")
    for name, flash in fronts.items():
        (folder / "main.cpp").write_text(FLASHED["main.cpp"].replace("WORDS", f"by {name}"))
        with empty_board(board, tmp_path / name) as target:
            monkeypatch.setenv("MCU_VIA", f"gdb {target.via}")
            finished = flash()
            assert finished.status == 0, finished.stdout + finished.stderr
            assert f"via gdb {target.via}" in finished.stdout
            assert "written, verified, running" in finished.stdout
            until(lambda target=target, name=name: target.uart == f"by {name}\n")
    shutil.rmtree(folder)


REFUSED = """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_firmware_test", "mcu_model")

mcu_model(name = "undeclared", model = "undeclared.py", board = "corstone-300", npu = "none")

mcu_model(name = "no_module", model = "no_module.py", board = "corstone-300", npu = "none")

mcu_model(name = "executorch", model = "no_module.py", board = "corstone-300", runtime = "executorch")

mcu_model(name = "no_python", model = "no_module.py", board = "corstone-300", deps = ["knocks.csv"])

mcu_firmware(name = "larger", models = ["//:knock"], board = "corstone-300", optimize = "size")

mcu_firmware_test(name = "zeros_test", firmware = "//:demo", inputs = "zeros.npz")
"""


UNDECLARED = """
import torch

{read}
model = torch.nn.Linear(4, 2)
example_inputs = (torch.ones(1, 4),)
"""


@pytest.fixture(scope="module")
def bad(workspace):
    """A package in which nothing is right, and what came of it."""
    made, _ = workspace
    folder = made.folder / "bad"
    folder.mkdir()
    targets = [
        f'mcu_model(name = "{name}", model = "{bad.model}", board = "{bad.board}", npu = "{bad.npu}")\n'
        for name, bad in BAD.items()
    ]
    (folder / "BUILD.bazel").write_text(REFUSED + "\n".join(targets))
    for one in BAD.values():
        (folder / one.model).write_bytes(one.content or b"")
    (folder / BAD["no_such_model"].model).unlink()
    (folder / "no_module.py").write_text(UNDECLARED.format(read="import shapes"))
    (folder / "shapes.py").touch()
    shutil.copy(CONSUMER / "knocks.csv", folder / "knocks.csv")
    np.savez(folder / "zeros.npz", input_0=np.zeros((3, 1, 32), np.float32))
    # The sandbox shows the whole machine: an absolute path leads out of it.
    read = f"open({str(folder / 'knocks.csv')!r}).read()"
    (folder / "undeclared.py").write_text(UNDECLARED.format(read=read))
    done = made.run("test", "--keep_going", "//bad:all", "--test_output=errors")
    yield made, done
    shutil.rmtree(folder)


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_as_by_the_command(bad, case):
    made, done = bad
    assert done.status == 1
    output = BAD[case].told_by_the_command(made.folder, Path("bad", BAD[case].model))
    message, hint = (respelt(text, "bazel") for text in output)
    if case == "no_such_model":
        # Bazel looks for files itself.
        assert "missing input file '//bad:knick.py'" in done.printed
        return
    assert message in done.printed
    # Bazel's own language knows no nearest names: there all are listed.
    offered = hint.partition("? ")[2] if case == "no_such_board" else hint
    assert offered in done.printed


def test_attributes_that_cannot_be_are_refused(bad):
    _, done = bad
    assert "//bad:executorch: runtime: there is no ExecuTorch for corstone-300" in done.printed
    assert 'mcu_boards(executorch = {"corstone-300": "<folder>"}) names an install' in done.printed
    assert "//bad:no_python: deps: bad/knocks.csv: not Python" in done.printed
    assert "//bad:larger: optimize: //:knock has other compiler options" in done.printed


def test_a_model_may_read_only_what_its_target_declares(bad):
    made, done = bad
    assert "bad/no_module.py: line 4: ModuleNotFoundError: No module named 'shapes'" in done.printed
    assert "has to be among the `deps` of the target" in done.printed
    assert (
        f"bad/undeclared.py: it reads what its target does not declare: {made.folder / 'bad/knocks.csv'}"
        in done.printed
    )


def test_a_test_that_proves_nothing_fails_with_its_log(bad):
    _, done = bad
    assert re.search(r"//bad:zeros_test\s+FAILED", done.printed)
    assert "3 vectors on corstone-300" in done.printed
    assert "every vector gives the same outputs: the comparison proves nothing" in done.printed


@pytest.mark.slow
def test_actions_give_the_same_bytes_in_another_folder_without_a_cache(workspace):
    made, _ = workspace
    other = Workspace(made.top.with_name("elsewhere") / "deeper").make()
    try:
        assert other.built("//:demo", "//:demo_test").count()["McuGenerate"] == 1
        # The first has packages of other tests too.
        first, second = made.outputs(), other.outputs()
        assert {"demo.elf", "demo.map", "knock.program/vectors.npz", "libmodel_knock.a"} <= second.keys()
        assert [name for name in second if first.get(name) != second[name]] == []
    finally:
        other.shut_down()


NPU = """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_firmware_test", "mcu_model")

py_library(name = "signals", srcs = ["@consumer//:signals.py"])

py_library(name = "modules", deps = [":signals"])

mcu_model(
    name = "knock",
    board = "corstone-300",
    data = ["@consumer//:knocks.csv"],
    model = "@consumer//:knock.py",
    npu = "ethos-u55-128",
    deps = [":modules"],
)

mcu_firmware(name = "demo", models = [":knock"], board = "corstone-300")

mcu_firmware_test(name = "demo_test", firmware = ":demo")
"""


@pytest.mark.slow
def test_a_model_on_the_npu_is_tested_with_the_npu_beside_the_simulator(workspace):
    made, _ = workspace
    folder = made.folder / "npu"
    folder.mkdir()
    (folder / "BUILD.bazel").write_text(NPU)
    done = made.run("test", "//npu:demo_test", "--test_output=all")
    shutil.rmtree(folder)
    assert done.status == 0, done.printed
    assert "all 288 equal the quantized program's exactly" in done.printed
    assert "npu        ethos-u55-128, modelled" in done.printed
