"""start() and resume(): the core does other things while the NPU works, and the outputs are the same."""

from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.npu.config import find
from mcu_build.npu.registers import Npu
from mcu_build.simulate import cosim
from mcu_build.stages.manifest import require
from mcu_build.vectors import npz
from mcu_build.vectors.pack import pack, unpack
from tests.support.cli import mcu_build
from tests.support.image import build_image

# Two jobs of the NPU with functions of the core before, between and behind them.
MODEL = Path(__file__).parents[1] / "models" / "half_on_npu.py"
NPU = "ethos-u55-128"
WORDS = ("--board", "corstone-300", "--npu", NPU, "--toolchain", "arm-clang", MODEL)
HEADER = """#pragma once
#include "half.h"
namespace fake {
using half::input_bytes, half::input_count, half::output_bytes, half::output_count;
using half::state, half::state_size;
void run();
inline void reset() {}
}
"""
# With interrupts held off the core is alone until it lets them in: what it does before is beside the NPU.
SOURCE = """#include "fake.h"
#include "mcu/drivers/ethos_u.h"
#include "mcu/platform.h"
using mcu::platform::exit, mcu::platform::Status;
static volatile unsigned ended, rounds;
static volatile unsigned handler;
static void note(void* context) {
    __asm volatile("mrs %0, ipsr" : "=r"(handler));
    *static_cast<volatile unsigned*>(context) = ended + 1;
}
static void must(bool is_so, int line = __builtin_LINE()) {
    if (!is_so) exit(static_cast<Status>(100 + line));
}
namespace fake {
void run() {
    unsigned jobs = 0;
    ended = 0;
    __asm volatile("cpsid i");
    bool is_busy = half::start(note, const_cast<unsigned*>(&ended));
    while (is_busy) {
        for (int i = 0; i < 1000; ++i) rounds = rounds + 1;
        must(ended == jobs);
        must(mcu::ethos_u::run({}).error == mcu::ethos_u::Error::kBusy);
        __asm volatile("cpsie i\\n isb");
        ++jobs;
        must(ended == jobs && handler == 16 + MCU_NPU_IRQ);
        __asm volatile("cpsid i");
        is_busy = half::resume();
    }
    __asm volatile("cpsie i");
    must(jobs == JOBS && !half::resume());
}
}
"""
# resume() waits by itself where nobody did.
AT_ONCE = """#include "fake.h"
namespace fake {
void run() {
    bool is_busy = half::start();
    while (is_busy) is_busy = half::resume();
}
}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The build folder of the proven image, and the model's sources."""
    folder = tmp_path_factory.mktemp("start")
    proof = mcu_build("test", *WORDS, "--vectors", 3, "--build-dir", folder, "--json")
    assert proof.status == 0 and proof.json["mismatches"] == 0, proof.err
    written = mcu_build("generate", *WORDS, "--name", "half", "--output", folder / "half", "--json")
    assert written.status == 0, written.err
    (build,) = (folder / "half_on_npu").iterdir()
    return build, folder / "half", written.json["sources"]


def outputs(build, image):
    """What an image makes of the vectors that the model was proven with."""
    manifest = require(build)
    inputs = [array[:3] for array in npz.numbered(npz.load(build / "vectors-3.npz"), "input")]
    packed, config = pack(inputs, manifest.inputs), find(NPU)
    board = find_board("corstone-300")
    outcome = cosim.run(board, image, packed, 60, "ethos-u55", lambda memory: Npu(config, memory))
    return unpack(outcome.outputs, outcome.vectors, manifest.outputs)[0]


def symbols(image):
    """Size and kind of each symbol by its name in C++."""
    listed = process.run(["arm-none-eabi-nm", "-C", "-S", image]).stdout.splitlines()
    words = [line.split(maxsplit=3) for line in listed]
    return {word[3]: (int(word[1], 16), word[2]) for word in words if len(word) == 4}


def test_what_only_runs_has_nothing_of_it(made):
    """No code, and of RAM one pointer: what the interrupt has to call."""
    build, _, _ = made
    found = symbols(build / "test.elf")
    assert any("ethos_u" in name for name in found)
    theirs = ("half_on_npu_start", "half_on_npu_resume", "start_ethos_u(", "finish_ethos_u(", "::started")
    assert not [name for name in found if any(one in name for one in theirs)]
    driver = [size for name, (size, kind) in found.items() if "ethos_u" in name and kind in "bBdD"]
    assert sum(driver) <= 4 + 4 + 1 + 1


@pytest.mark.parametrize("source", [SOURCE, AT_ONCE], ids=["beside", "at once"])
def test_the_core_works_beside_the_npu(made, tmp_path, source):
    build, folder, sources = made
    jobs = (folder / "half.cpp").read_text().count("kernels::start_ethos_u(")
    assert jobs >= 2
    files = {f"unit{index}.cpp": f'#include "{file}"\n' for index, file in enumerate(sources)}
    files |= {
        "half.h": (folder / "half.h").read_text(),
        "fake.h": HEADER,
        "fake.cpp": source.replace("JOBS", str(jobs)),
    }
    image = build_image(tmp_path, find_board("corstone-300"), "arm-clang", files)
    expected = outputs(build, build / "test.elf")
    assert (expected[0] != expected[1]).any()
    assert (outputs(build, image) == expected).all()
    assert [name for name in symbols(image) if name.endswith("::started")]
