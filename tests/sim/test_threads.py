"""Models below interrupts and in threads, on cores with FPU and Helium; one step at a time; stack."""

import re
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.target import kernel_folders
from mcu_build.export.make import write
from mcu_build.export.vectors import Vectors
from mcu_build.plan.compile import Settings, compile_program
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of
from tests.support.chains import depthwise_chain, join
from tests.support.export import compiled, exported_plan, linked, run

SHAPE = (1, 8, 12, 7)
BYTES = np.zeros((1, 2688), np.uint8)
VECTORS = Vectors((BYTES,), (BYTES,), (False,), (0.0,), False)


def between_floats(layers):
    """Float to int8, depthwise convolutions, and back to float."""
    x = T(np.zeros(SHAPE, np.float32), CHANNELS_LAST)
    numbers = [0.1, 0, -128, 127, 1]
    begin = Case("cortex_m::quantize_per_tensor.out", [x, *numbers], [Out(SHAPE, "int8", CHANNELS_LAST)])
    y = T(np.zeros(SHAPE, np.int8), CHANNELS_LAST)
    end = Case("cortex_m::dequantize_per_tensor.out", [y, *numbers], [Out(SHAPE, "float32", CHANNELS_LAST)])
    middle, _ = depthwise_chain(layers)
    return join(join(program_of(begin)[0], middle), program_of(end)[0])


@pytest.mark.parametrize("board", ["netduinoplus2", "corstone-300"])
def test_two_models_at_once(tmp_path, board):
    flags, sources, stacks = [], [Path(__file__).with_name("threads.c")], []
    for name, layers in (("first", 3), ("second", 1)):
        plan = compile_program(between_floats(layers), name, Settings(kernel_folders(find_board(board))))
        contents, request = exported_plan(tmp_path / f"scratch-{name}", plan, VECTORS, board)
        manifest = write(contents, request, "folder", tmp_path / name)
        sources += [tmp_path / name / source for source in manifest["sources"]]
        flags.append(f"-I{tmp_path / name / 'src'}")
        stacks.append(manifest["stack"])
    machine = list(contents.machine)
    flags += [
        *machine,
        "-O2",
        *contents.flags,
        "-DFIRST_ON_STEP",
        f"-DSTACK={stacks[0]}u",
        "-Wall",
        "-Wextra",
    ]
    image = linked(tmp_path, compiled(tmp_path, sources, flags), machine, board)
    status, printed = run(image, board)
    lines = printed.splitlines()
    steps = len(plan.steps) + 2
    assert status == 0, printed
    assert lines[:1] == [f"interrupts {steps} of {steps}, wrong 0"]
    # A model below itself is not what may be done: the comparison finds it.
    assert lines[1] == "control wrong 1"
    assert lines[2:4] == ["steps wrong 0", "threads: switched 1, second ran 1, wrong 0"]
    used, needed = map(int, re.fullmatch(r"stack used (\d+) of (\d+)", lines[4]).groups())
    # What was used has a few bytes of the function that looks at it.
    assert needed / 2 < used <= needed + 64


def test_hooks_cost_nothing_unless_wanted(tmp_path):
    """Without the macro run() is a straight line of calls, and an image that calls no step has none."""
    plan = compile_program(between_floats(1), "first", Settings(kernel_folders(find_board("netduinoplus2"))))
    exported_plan(tmp_path, plan, VECTORS)
    symbols = process.run(["arm-none-eabi-nm", tmp_path / "first.elf"]).stdout
    assert re.search(r" T first_run$", symbols, re.MULTILINE)
    assert not re.search(r" first_(on_)?step$", symbols, re.MULTILINE)
