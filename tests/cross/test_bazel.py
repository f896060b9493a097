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
def cmake(tmp_path_factory):
    """The same application with CMake."""
    made = Project(tmp_path_factory.mktemp("cmake"))
    lists = f"""
        mcu_add_model(knock MODEL {CONSUMER}/knock.py BOARD {BOARD} NPU none)
        mcu_add_firmware(demo SOURCES {CONSUMER}/main.cpp MODELS knock)
    """
    return made.write(lists).made("arm-clang")


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


@pytest.fixture(scope="module")
def both(workspace, cmake):
    """The commands of Bazel and of CMake that make the same image."""
    made, _ = workspace
    lines = process.run([NINJA, "-C", cmake.tree, "-t", "commands", "demo.elf"]).stdout.splitlines()
    roots = {
        str(data_dir() / "firmware"): "firmware",
        str(CONSUMER): "app",
        str(cmake.tree / "mcu/models/knock"): "model",
    }
    ninja = commands(map(words_of, lines), "demo.elf", roots)
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
    return commands(lines, "demo.elf", roots), ninja


# Bazel compiles every kernel of a board once, for all models.
LIBRARY = ("firmware/kernels/", "firmware/drivers/")


def test_bazel_and_cmake_have_not_drifted_apart(both):
    bazel, ninja = both
    assert {
        "app/main.cpp",
        "model/knock.cpp",
        "firmware/platform/cortex_m/startup.cpp",
    } <= ninja.compiles.keys()
    assert any(source.startswith("firmware/kernels/mve/") for source in ninja.compiles)
    assert differences(ninja, bazel, LIBRARY) == []


def test_a_drift_is_found(both):
    bazel, ninja = both
    source = "firmware/platform/cortex_m/startup.cpp"
    command = bazel.compiles[source]
    changes = {
        "options": replace(command, options=("-O3", *command.options)),
        "warnings": replace(command, warnings=command.warnings - {"-Werror"}),
        "defines": replace(command, defines=command.defines | {"MCU_INTERRUPTS=95"}),
        "includes": replace(command, includes=command.includes[1:]),
    }
    for name, changed in changes.items():
        drifted = replace(bazel, compiles={**bazel.compiles, source: changed})
        (told,) = differences(ninja, drifted, LIBRARY)
        assert told.startswith(f"{source}: {name}: ")
    missing = {name: command for name, command in bazel.compiles.items() if name != source}
    assert differences(ninja, replace(bazel, compiles=missing), LIBRARY) == [
        f"{source}: only the first compiles it"
    ]
    more = {**bazel.compiles, "firmware/app/more.cpp": command}
    assert len(differences(ninja, replace(bazel, compiles=more), LIBRARY)) == 1
    link = replace(bazel.link, libraries=bazel.link.libraries[::-1])
    assert len(differences(ninja, replace(bazel, link=link), LIBRARY)) == 1


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
