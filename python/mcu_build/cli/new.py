"""`mcu-build new`: a project to start from."""

from pathlib import Path

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import McuError
from mcu_build.files import write_atomically

MODEL = '''"""A starter model: which of two tones is in a short piece of sound?

mcu-build reads `model`, `example_inputs`, `calibration` and `evaluation` from this file.
"""

import math

import torch
from torch import nn

SAMPLES = 64


def tone(kind: int, dice: torch.Generator) -> torch.Tensor:
    """A slow (0) or fast (1) sine with a random phase, in some noise."""
    phase = torch.rand(1, generator=dice) * 2 * math.pi
    steps = torch.arange(SAMPLES) * (0.2 if kind == 0 else 0.9)
    return (torch.sin(steps + phase) + 0.2 * torch.randn(SAMPLES, generator=dice)).reshape(1, SAMPLES)


def examples(count: int, seed: int) -> list[tuple[torch.Tensor, int]]:
    """Labelled examples: (input, label)."""
    dice = torch.Generator().manual_seed(seed)
    return [(tone(i % 2, dice), i % 2) for i in range(count)]


def model() -> nn.Module:
    """Train in a second; return the trained network."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(SAMPLES, 32), nn.ReLU(), nn.Linear(32, 2))
    data = examples(400, seed=1)
    inputs, labels = torch.cat([x for x, _ in data]), torch.tensor([y for _, y in data])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        optimizer.step()
    return net


# The shape and type of what the model takes: a tuple with one tensor for each input.
example_inputs = (torch.zeros(1, SAMPLES),)

# Inputs that show the ranges of values: from these the int8 scales are found.
calibration = [x for x, _ in examples(64, seed=2)]

# Inputs with labels that the model has not seen: `mcu-build test` runs them all.
evaluation = examples(100, seed=3)
'''

MAIN = """// Your application. The model is a library with one header.
#include <cmath>
#include <cstdio>

#include "model.h"

int main() {
    float phase = 0.0f;
    for (float& sample : model::input()) {
        sample = std::sin(phase);  // put a measurement here
        phase += 0.9f;
    }
    model::run();
    const auto scores = model::output();
    const char* const kind = scores[1] > scores[0] ? "fast" : "slow";
    std::printf("a %s tone: scores %.2f and %.2f\\n", kind, scores[0], scores[1]);
    return 0;
}
"""

CMAKE = """cmake_minimum_required(VERSION 3.24)
project(demo C CXX ASM)

find_package(McuBuild REQUIRED)

# Without NPU: remove the two words to have the board's Ethos-U55 run the model.
mcu_add_model(model MODEL model.py BOARD corstone-300 NPU none)
mcu_add_firmware(demo SOURCES main.cpp MODELS model)
"""

README = """# {name}

    mcu-build --board corstone-300 model.py         # make firmware
    mcu-build test --board corstone-300 model.py    # prove it on a simulated Cortex-M55

With your own application around the model (main.cpp):

    cmake -B build/demo -G Ninja -DMcuBuild_DIR=$(mcu-build cmake-dir) \\
          -DCMAKE_TOOLCHAIN_FILE=$(mcu-build cmake-dir)/../toolchains/arm-clang.cmake
    cmake --build build/demo
    cmake --build build/demo --target demo.run      # prints its result in QEMU; Ctrl-C ends it
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
@debug_option
def command(folder: Path, as_json: bool, debug: bool) -> None:
    """Write a starter project into FOLDER: model.py, main.cpp, CMakeLists.txt, README.md."""
    del debug
    files = {
        "model.py": MODEL,
        "main.cpp": MAIN,
        "CMakeLists.txt": CMAKE,
        "README.md": README.format(name=folder.resolve().name),
    }
    existing = [str(folder / name) for name in files if (folder / name).exists()]
    if existing:
        raise McuError(
            f"{', '.join(existing)}: exists already", "Choose another folder; nothing was written."
        )
    for name, text in files.items():
        write_atomically(folder / name, text.encode())
    written = [str(folder / name) for name in files]
    if as_json:
        print_json({"files": written})
    else:
        print_text("\n".join(f"wrote {name}" for name in written))
        print_text(f"\nnext: mcu-build test --board corstone-300 {folder / 'model.py'}")
