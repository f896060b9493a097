"""Exports of a model for an NPU: in somebody else's firmware, in QEMU with the model of the NPU beside it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.cache import Cache
from mcu_build.export.make import FORMATS, gathered, write
from mcu_build.fronts.options import BuildOptions
from mcu_build.progress import Silent
from mcu_build.stages.request import request_for
from tests.support.cli import mcu_build
from tests.support.export import compiled, linked
from tests.support.firmware import COMMAND

MODEL = Path(__file__).parents[1] / "models" / "half_on_npu.py"
BOARD = "corstone-300"
NPU = "ethos-u55-128"
MACHINE = ["-mcpu=cortex-m55+nomve.fp", "-mthumb", "-mfloat-abi=hard"]
FLAGS = [*MACHINE, "-Os", "-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-ffunction-sections"]
FLAGS += ["-fdata-sections", "-Wall", "-Wextra", "-Werror"]
REFUSED = ("arduino", "stm32cube")
HANDLER = """
#include "half_npu.h"
void interrupt_56(void) { half_npu_interrupt(); }
"""
# All of the hooks, in C++, and no interrupt. The NPU is found at its other address.
HOOKS = """
#include "half_npu.h"
#include <cstdio>
#include <cstdlib>
const uintptr_t half_npu_base = 0x48102000;
const int32_t half_npu_irq = -1;
static size_t translated, lent, taken;
uint64_t half_npu_address(const void* memory) { ++translated; return reinterpret_cast<uintptr_t>(memory); }
static void tell() { std::printf("%d %d %d\\n", translated != 0, lent > taken, taken != 0); }
void half_npu_lend(const void*, size_t bytes, int) {
    if (lent == 0) std::atexit(tell);
    lent += bytes;
}
void half_npu_take_back(void*, size_t bytes) { taken += bytes; }
void interrupt_56() { half_npu_interrupt(); }
"""
NOWHERE = """
#include "half_npu.h"
#include <stdio.h>
#include <stdlib.h>
static uint32_t nothing[64];
const uintptr_t half_npu_base = (uintptr_t)nothing;
void half_npu_failed(const char *what, uint32_t status, uint32_t byte) {
    printf("%s, %u, %u\\n", what, (unsigned)status, (unsigned)byte);
    exit(9);
}
"""
# Beside the NPU the core counts.
BESIDE = """
#include "half.h"
#include "half_npu.h"
#include "half_selftest.h"
#include <stdio.h>
static volatile unsigned ended;
void interrupt_56(void) { half_npu_interrupt(); }
static void note(void *context) { ++*(volatile unsigned *)context; }
int main(void) {
    unsigned jobs = 0;
    for (bool busy = half_start(note, (void *)&ended); busy; busy = half_resume()) ++jobs;
    printf("%u of %u\\n", ended, jobs);
    return (int)half_selftest();
}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder for each format."""
    folder = tmp_path_factory.mktemp("export")
    options = BuildOptions(board=BOARD, npu=NPU, toolchain="arm-gcc")
    request = request_for(MODEL, options, folder)
    contents = gathered(request, "half", "1.2.3", Cache(), Silent())
    for format in FORMATS:
        if format not in REFUSED:
            write(contents, request, format, folder / format)
    return folder


def run(image):
    """Exit status and what was printed, with the NPU beside the core."""
    words = ["run", "--board", BOARD, "--npu", NPU, image]
    finished = process.run([COMMAND, *words], timeout=120)
    return finished.status, finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def exported(made):
    """Objects of the folder's sources and of its self-test."""
    folder = made / "folder"
    (made / "objects").mkdir()
    sources = [*sorted((folder / "src").rglob("*.cpp")), *(folder / "test").glob("*.c")]
    return compiled(made / "objects", sources, [*FLAGS, f"-I{folder / 'src'}", f"-I{folder / 'test'}"])


def image(made, exported, folder, file, text):
    """The exported folder with a file of an application's."""
    (folder / file).write_text(text)
    own = compiled(folder, [folder / file], [*FLAGS, f"-I{made / 'folder/src'}"])
    return linked(folder, [*exported, *own], MACHINE, BOARD)


@pytest.mark.parametrize(
    ("file", "text", "printed"), [("npu.c", HANDLER, ""), ("npu.cpp", HOOKS, "1 1 1\n")], ids=["c", "c++"]
)
def test_the_self_test_passes(made, exported, tmp_path, file, text, printed):
    status, output = run(image(made, exported, tmp_path, file, text))
    assert status == 0, output
    assert output == f"half: PASS: 48 output elements are exact\n{printed}"


def test_a_library_beside_which_the_core_works(made, tmp_path):
    (tmp_path / "main.c").write_text(BESIDE)
    include = [f"-I{made / 'lib' / part}" for part in ("include", "test")]
    sources = [made / "lib/test/half_selftest.c", tmp_path / "main.c"]
    built = [*compiled(tmp_path, sources, [*FLAGS, *include]), made / "lib/lib/libhalf.a"]
    assert run(linked(tmp_path, built, MACHINE, BOARD)) == (0, "2 of 2\n")


def test_the_application_hears_of_an_error(made, exported, tmp_path):
    status, text = run(image(made, exported, tmp_path, "npu.c", NOWHERE))
    assert status == 4 and text.startswith("no NPU answers at its address, 0, 0\n"), text
    assert "it ended with status 9" in text


def test_other_formats_bring_the_driver(made):
    for format in ("platformio", "cmsis-pack", "zephyr"):
        sources = {str(file.relative_to(made / format)) for file in (made / format).rglob("*.*")}
        own = {str(file.relative_to(made / "folder")) for file in (made / "folder/src").rglob("*.*")}
        assert own <= sources
        assert "half_npu" in (made / format / "README.md").read_text() or format == "zephyr"
    listed = ET.parse(made / "cmsis-pack/mcu-build.half.pdsc").iterfind("components/component/files/file")
    named = {one.attrib["name"] for one in listed}
    assert {"src/half_npu.h", "src/drivers/ethos_u/ethos_u.cpp", "src/kernels/npu/ethos_u.cpp"} <= named
    kconfig = (made / "zephyr/zephyr/Kconfig").read_text()
    assert "depends on DT_HAS_ARM_ETHOS_U_ENABLED && !ARM_ETHOS_U && !ETHOS_U\n" in kconfig


@pytest.mark.parametrize("format", REFUSED)
def test_formats_whose_chips_have_no_npu(tmp_path, format):
    words = ["export", tmp_path / "out", "--format", format, "--board", BOARD, "--npu", NPU, MODEL]
    refused = mcu_build(*words)
    assert refused.status == 1 and f"--format {format}: no " in refused.err
    assert "hint: Add --npu none for the core alone, or take --format folder" in refused.err
