"""Our module and exported modules with the Zephyr of ZEPHYR_BASE, in QEMU: `scripts/try-zephyr`.

Without that variable nothing here runs, and the reason is printed. ZEPHYR_CMAKE_ARGUMENTS holds further
arguments of CMake, such as -DTOOLCHAIN_HAS_PICOLIBC=ON for a compiler that is not Zephyr's SDK.
"""

import os
import re
import shlex
import shutil
import time
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.resources import data_dir
from tests.support.firmware import CMAKE, COMMAND, NINJA

BASE = os.environ.get("ZEPHYR_BASE")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BASE is None, reason="ZEPHYR_BASE is not set: nothing is proven with Zephyr"),
]
# Boards of Zephyr, and QEMU's machines. Until Zephyr 3.6 some had other names, and there were fewer.
BOARDS = {
    "qemu_cortex_m3": ("lm3s6965evb", "-cpu", "cortex-m3"),
    "mps2/an385": ("mps2-an385",),
    "mps2/an386": ("mps2-an386",),
    "mps2/an500": ("mps2-an500",),
    "mps2/an521/cpu0": ("mps2-an521",),
    "mps3/corstone300/an547": ("mps3-an547",),
}
FORMER = {"mps2/an385": "mps2_an385", "mps2/an521/cpu0": "mps2_an521", "mps3/corstone300/an547": "mps3_an547"}
SAMPLE = data_dir() / "zephyr/samples/tones"
MODELS = Path(__file__).parents[1] / "models"
# Of each model the library of mcu_add_model, and the self-test that an export of the same model has.
LISTS = """
cmake_minimum_required(VERSION 3.20.0)
find_package(Zephyr REQUIRED HINTS $ENV{ZEPHYR_BASE})
project(proof)
target_sources(app PRIVATE main.c)
foreach(name ds_cnn counter)
    mcu_add_model(${name} MODEL ${name}.py)
    set(exported ${CMAKE_BINARY_DIR}/exported/${name})
    execute_process(
        COMMAND ${MCU_BUILD_COMMAND} export ${exported} --format folder --board ${MCU_BOARD} --npu none
                --toolchain arm-gcc --name ${name} ${CMAKE_CURRENT_SOURCE_DIR}/${name}.py
        COMMAND_ERROR_IS_FATAL ANY)
    target_sources(app PRIVATE ${exported}/test/${name}_selftest.c)
    target_include_directories(app PRIVATE ${exported}/test)
    target_link_libraries(app PRIVATE mcu::model::${name})
endforeach()
"""
MAIN = """
#include <zephyr/kernel.h>
#include "counter_selftest.h"
#include "ds_cnn_selftest.h"
int main(void) {
    size_t unused = 0;
    printk("ds_cnn %u %u\\n", (unsigned)ds_cnn_selftest(), (unsigned)ds_cnn_selftest_control());
    printk("counter %u %u\\n", (unsigned)counter_selftest(), (unsigned)counter_selftest_control());
    k_thread_stack_space_get(k_current_get(), &unused);
    printk("stack %u\\n", (unsigned)(CONFIG_MAIN_STACK_SIZE - unused));
    return 0;
}
"""
COUNTER = '''
import torch
from torch import nn


class Counter(nn.Module):
    """What it has heard before counts."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Conv1d(6, 13, 5, padding=2)
        self.gru = nn.GRU(13, 17, batch_first=True)
        self.head = nn.Linear(17, 5)
        self.register_buffer("hidden", torch.zeros(1, 1, 17))

    def forward(self, x):
        y, hidden = self.gru(torch.relu(self.mix(x)).transpose(1, 2), self.hidden)
        self.hidden.copy_(hidden)
        return torch.sigmoid(self.head(y[:, -1]))


def model():
    torch.manual_seed(4)
    return Counter()


def walk(seed, count):
    dice = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 6, 20, generator=dice) * (1 + i % 3) for i in range(count)]


example_inputs = (torch.zeros(1, 6, 20),)
calibration = walk(1, 24)
evaluation = [(walk(seed, 8), None) for seed in range(2, 6)]
'''
SETTINGS = """
CONFIG_CPP=y
CONFIG_STD_CPP17=y
CONFIG_MCU_BUILD=y
CONFIG_THREAD_STACK_INFO=y
CONFIG_INIT_STACKS=y
CONFIG_MAIN_STACK_SIZE=4096
"""


def name_here(board: str) -> str:
    """What the Zephyr of ZEPHYR_BASE calls a board; a test of one that it does not know is skipped."""
    assert BASE is not None
    if (Path(BASE) / "boards/qemu/cortex_m3").is_dir() or board == "qemu_cortex_m3":
        return board
    if board not in FORMER:
        pytest.skip(f"this Zephyr has no {board}")
    return FORMER[board]


def built(app: Path, board: str, folder: Path, *modules: Path) -> Path:
    """The image of an application of Zephyr, compiled and linked without a warning."""
    words = [CMAKE, "-S", app, "-B", folder, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}"]
    words += [
        f"-DBOARD={name_here(board)}",
        f"-DMCU_BUILD_COMMAND={COMMAND}",
        "-DCONFIG_COMPILER_WARNINGS_AS_ERRORS=y",
    ]
    words += [f"-DZEPHYR_EXTRA_MODULES={';'.join(map(str, modules))}"] if modules else []
    words += shlex.split(os.environ.get("ZEPHYR_CMAKE_ARGUMENTS", ""))
    configured = process.run(words, timeout=600)
    assert configured.status == 0, configured.stdout[-2000:] + configured.stderr
    finished = process.run([CMAKE, "--build", folder], timeout=1800)
    assert finished.status == 0, finished.stdout[-4000:]
    assert "warning:" not in finished.stdout + finished.stderr
    return folder / "zephyr/zephyr.elf"


def printed(image: Path, board: str, end: str) -> str:
    """What an image prints until the line that begins with `end`; Zephyr does not end."""
    log = image.with_suffix(".log")
    machine, *more = BOARDS[board]
    words = ["qemu-system-arm", "-M", machine, *more, "-display", "none", "-serial", f"file:{log}"]
    with process.started([*words, "-kernel", image]):
        for _ in range(300):
            if log.exists() and re.search(rf"^{end}.*\n", log.read_text(errors="replace"), re.MULTILINE):
                break
            time.sleep(0.2)
    return log.read_text(errors="replace")


@pytest.mark.parametrize("board", BOARDS)
def test_the_sample(board, tmp_path):
    image = built(SAMPLE, board, tmp_path / "build")
    assert "tones: 8 of 8 right" in printed(image, board, "tones")


@pytest.mark.parametrize("board", BOARDS)
def test_two_models_are_exact(board, tmp_path):
    app = tmp_path / "app"
    shutil.copytree(MODELS, app, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (("CMakeLists.txt", LISTS), ("main.c", MAIN), ("prj.conf", SETTINGS)):
        (app / name).write_text(text)
    (app / "counter.py").write_text(COUNTER)
    lines = printed(built(app, board, tmp_path / "build", data_dir()), board, "stack").splitlines()
    for name in ("ds_cnn", "counter"):
        (line,) = [line for line in lines if line.startswith(name)]
        wrong, control = map(int, line.split()[1:])
        assert wrong == 0 and control > 0, line
    (stack,) = [int(line.split()[1]) for line in lines if line.startswith("stack")]
    assert 0 < stack < 2048


@pytest.mark.parametrize("board", ["qemu_cortex_m3", "mps3/corstone300/an547"])
def test_an_exported_module(board, tmp_path):
    core = "mps2-an385" if board == "qemu_cortex_m3" else "corstone-300"
    words = ["export", tmp_path / "module", "--format", "zephyr", "--board", core, "--npu", "none"]
    made = process.run([COMMAND, *words, "--toolchain", "arm-gcc", MODELS / "ds_cnn.py"], timeout=600)
    assert made.status == 0, made.stderr
    image = built(tmp_path / "module/samples/selftest", board, tmp_path / "build")
    assert re.search(r"^ds_cnn: PASS: ", printed(image, board, "ds_cnn: "), re.MULTILINE)
