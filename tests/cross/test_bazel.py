"""Bazel: the shared example as targets; what is built again and what is not; the same image as with CMake."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mcu_build import process
from mcu_build.resources import data_dir
from tests.support.bazel import Workspace
from tests.support.drift import commands, differences, words_of
from tests.support.firmware import NINJA, Project
from tests.support.fronts import copied_examples

FIRMWARE = str(data_dir() / "firmware")
CONSUMER = data_dir() / "examples" / "consumer"
BOARD = "corstone-300"
IMAGES = ("demo.elf", "demo.hex", "demo.bin", "demo-ddr.bin")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A checkout in which everything is built and tested, and what that took."""
    top = tmp_path_factory.mktemp("bazel")
    made = Workspace(top / "first", disk_cache=top / "cache").make()
    done = made.run("test", "//...", "--test_output=all")
    assert done.status == 0, done.told
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
    assert "all 288 equal the quantized program's exactly" in done.told
    assert re.search(r"//:demo_test\s+PASSED", done.told)
    assert done.count()["McuGenerate"] == done.count()["McuExpect"] == 1


def test_touching_nothing_does_nothing(workspace):
    made, _ = workspace
    done = made.run("test", "//...")
    assert not done.steps
    assert re.search(r"//:demo_test\s+\(cached\) PASSED", done.told)


def test_touching_the_application_compiles_one_file(workspace):
    made, _ = workspace
    with made.changed("main.cpp", '"done\\n"', '"done.\\n"'):
        done = made.built("//:demo")
    assert done.count() == {"CppCompile": 1, "McuLink": 1, "McuObjcopy": 3}
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
        assert done.status == 0, done.told
        assert done.steps and not done.count()
        for name in (*IMAGES, "demo.map", "knock.program/program.pte"):
            assert second.output(name).read_bytes() == made.output(name).read_bytes()
    finally:
        second.shut_down()


def test_images_are_those_of_cmake(workspace, cmake):
    made, _ = workspace
    for name in IMAGES:
        assert made.output(name).read_bytes() == (cmake.tree / name).read_bytes(), name


def of_cmake(cmake, examples):
    lines = process.run([NINJA, "-C", cmake.tree, "-t", "commands", "demo.elf"]).stdout.splitlines()
    roots = {FIRMWARE: "firmware", f"{examples}/consumer": "app", f"{cmake.tree}/mcu/models/knock": "model"}
    return commands(map(words_of, lines), "demo.elf", roots)


def of_scons(examples):
    folder = examples / "scons"
    finished = process.run(["scons", "-Q", "--dry-run", "build/demo.elf"], cwd=folder)
    assert finished.status == 0, finished.stderr
    models = "build/mcu/corstone-300/models/knock"
    # Some paths are told from the root, others from the project.
    roots = {
        FIRMWARE: "firmware",
        f"{examples}/consumer": "app",
        models: "model",
        f"{folder}/{models}": "model",
    }
    return commands(map(words_of, finished.stdout.splitlines()), "demo.elf", roots)


def of_bazel(workspace):
    made, _ = workspace
    actions = made.actions('mnemonic("CppCompile|McuLink", deps(//:demo))')
    # Of both images, those that the application's is made of.
    others = ("/_objs/test/", "/_objs/demo.knock/")
    lines = [words for words in actions if not any(part in word for word in words for part in others)]
    generated = next(word for words in lines for word in words if word.endswith("/knock.mcu/knock.cpp"))
    roots = {
        "external/mcu_boards/firmware": "firmware",
        "external/consumer": "app",
        generated.removesuffix("/knock.cpp"): "model",
    }
    return commands(lines, "demo.elf", roots)


@pytest.fixture(scope="module")
def fronts(workspace, cmake, examples):
    """The commands that make the same image, in each build system."""
    return {"cmake": of_cmake(cmake, examples), "scons": of_scons(examples), "bazel": of_bazel(workspace)}


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
        "includes": replace(command, includes=command.includes[1:]),
        "system_includes": replace(command, system_includes=command.system_includes[::-1]),
    }
    for field, changed in changes.items():
        drifted = replace(other, compiles={**other.compiles, source: changed})
        (told,) = differences(cmake, drifted, MORE[name])
        assert told.startswith(f"{source}: {field}: ")
    missing = {name: command for name, command in other.compiles.items() if name != source}
    (told,) = differences(cmake, replace(other, compiles=missing), MORE[name])
    assert told == f"{source}: only the first compiles it"
    more = {**other.compiles, "firmware/app/more.cpp": command}
    assert len(differences(cmake, replace(other, compiles=more), MORE[name])) == 1
    link = replace(other.link, libraries=other.link.libraries[::-1])
    assert len(differences(cmake, replace(other, link=link), MORE[name])) == 1


BAD = """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware_test", "mcu_model")

mcu_model(name = "damaged", pte = "damaged.pte", board = "corstone-300")

mcu_model(name = "undeclared", model = "undeclared.py", board = "corstone-300", npu = "none")

mcu_model(name = "no_such_npu", pte = "damaged.pte", board = "corstone-300", npu = "ethos-u99")

mcu_firmware_test(name = "zeros_test", firmware = "//:demo", vectors = "zeros.npz")
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
    (folder / "BUILD.bazel").write_text(BAD)
    (folder / "damaged.pte").write_bytes(b"this is no program")
    shutil.copy(CONSUMER / "knocks.csv", folder / "knocks.csv")
    np.savez(folder / "zeros.npz", input_0=np.zeros((3, 1, 32), np.float32))
    # The sandbox shows the whole machine: an absolute path leads out of it.
    read = f"open({str(folder / 'knocks.csv')!r}).read()"
    (folder / "undeclared.py").write_text(UNDECLARED.format(read=read))
    done = made.run("test", "--keep_going", "//bad:all", "--test_output=errors")
    yield made, done
    shutil.rmtree(folder)


def test_bad_input_is_told_as_the_command_tells_it(bad, tmp_path):
    made, done = bad
    assert done.status == 1
    for words in (
        ("--board", BOARD, "bad/damaged.pte"),
        ("--board", BOARD, "--npu", "ethos-u99", "bad/damaged.pte"),
    ):
        finished = process.run(["mcu-build", "generate", "--output", tmp_path, *words], cwd=made.folder)
        told = finished.stderr[finished.stderr.index("error: ") :].strip()
        assert told in done.told


def test_a_model_may_read_only_what_its_target_declares(bad):
    made, done = bad
    assert (
        f"bad/undeclared.py: it reads what its target does not declare: {made.folder / 'bad/knocks.csv'}"
        in done.told
    )


def test_a_test_that_proves_nothing_fails_with_its_log(bad):
    _, done = bad
    assert re.search(r"//bad:zeros_test\s+FAILED", done.told)
    assert "3 vectors on corstone-300" in done.told
    assert "every vector gives the same outputs: the comparison proves nothing" in done.told


@pytest.mark.slow
def test_actions_give_the_same_bytes_in_another_folder_without_a_cache(workspace):
    made, _ = workspace
    other = Workspace(made.top.with_name("elsewhere") / "deeper").make()
    try:
        assert other.built("//:demo", "//:demo_test").count()["McuGenerate"] == 1
        first, second = made.outputs(), other.outputs()
        assert {"demo.elf", "demo.map", "knock.program/vectors.npz", "libmodel_knock.a"} <= first.keys()
        assert [name for name in first.keys() | second.keys() if first.get(name) != second.get(name)] == []
    finally:
        other.shut_down()


NPU = """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_firmware_test", "mcu_model")

mcu_model(
    name = "knock",
    board = "corstone-300",
    data = ["@consumer//:knocks.csv"],
    model = "@consumer//:knock.py",
    npu = "ethos-u55-128",
    deps = ["@consumer//:signals.py"],
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
    assert done.status == 0, done.told
    assert "all 288 equal the quantized program's exactly" in done.told
    assert "npu        ethos-u55-128, modelled" in done.told
