"""Build options in Bazel: those of the project file, weights apart from a program, a late stream, slots."""

import re

import pytest

from mcu_build import process
from tests.sim.kernels.test_cmsis_nn import library
from tests.sim.test_executorch_weights import Table, export
from tests.support.bazel import Workspace
from tests.support.mcuboot import BOARD, is_signed, new_key

STREAM = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3, padding=1), torch.nn.ReLU())
example_inputs = (torch.randn(1, 2, 16),)
calibration = [torch.randn(1, 2, 16) for _ in range(8)]
stream = {"input": 2}
"""
STATE = """
import torch

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.full((1, 4), 0.5))

    def forward(self, x):
        self.mean.mul_(0.75).add_(x * 0.25)
        return self.mean * 1.0

model = Mean()
example_inputs = (torch.randn(1, 4),)
calibration = [torch.randn(1, 4) for _ in range(16)]
"""
PROJECT = """
board = "host"
optimize = "size"
method_pool = "64K"
max_flash = "1M"

[models.late]
file = "options/late.py"
latency = 1

[models.slots]
file = "options/slots.pte"
runtime = "executorch"
program_slot = "0:16K"
method = "forward"
"""
BUILD = """
load("@mcu_build//bazel:defs.bzl", "mcu_firmware", "mcu_firmware_test", "mcu_model")
exports_files(["state.py", "table.pte", "table.ptd"])
mcu_model(name = "late", model = "late.py")
mcu_model(name = "state", model = "state.py")
mcu_model(name = "table", model = "table.pte", data = ["table.ptd"], method = "forward")
mcu_model(name = "slots", model = "slots.pte")
mcu_model(name = "idle", model = "table.pte", data = ["table.ptd"], method = "forward", ops = ["a::b"])
mcu_model(name = "other", model = "state.py", board = "mps2-an386", toolchain = "arm-gcc", optimize = "speed")
mcu_model(
    name = "flashed",
    model = "slots.pte",
    board = "mps2-an386",
    runtime = "table",
    program_slot = "0x21ff0000:64K",
)
mcu_model(
    name = "theirs",
    model = "late.py",
    board = "mps2-an386",
    kernels = "cmsis-nn",
    toolchain = "arm-gcc",
)
mcu_model(name = "nobodys", model = "late.py", kernels = "cmsis-nn", board = "corstone-300")
mcu_firmware(name = "theirs_image", models = ["theirs"], board = "mps2-an386", toolchain = "arm-gcc")
mcu_firmware_test(name = "theirs_test", firmware = "theirs_image", vectors = 3)
mcu_model(name = "slot", model = "slots.pte", board = "netduinoplus2", runtime = "static", optimize = "speed")
mcu_firmware(
    name = "signed",
    models = ["slot"],
    board = "netduinoplus2",
    confirm = True,
    optimize = "speed",
    sign = "key.pem",
    version = "1.2.3",
)
mcu_model(
    name = "second",
    model = "slots.pte",
    board = "mine",
    optimize = "speed",
    program_slot = "mcuboot",
    runtime = "table",
)
mcu_firmware(
    name = "both",
    models = ["second"],
    board = "mine",
    optimize = "speed",
    sign = "key.pem",
    version = "1.4.0",
)
mcu_firmware(name = "keyless", models = ["slot"], board = "netduinoplus2", optimize = "speed", pad = True)
mcu_firmware(name = "flashed_image", models = ["flashed"], board = "mps2-an386")
mcu_firmware_test(name = "flashed_test", firmware = "flashed_image", vectors = 3)
[mcu_firmware(
    name = name,
    models = ["other"],
    board = "mps2-an386",
    toolchain = "arm-gcc",
    optimize = "speed",
    max_ram = most,
) for name, most in (("large", "1K"), ("fits", "64K"))]
mcu_firmware_test(name = "slow", firmware = "fits", max_cycles = 10)
mcu_firmware_test(name = "noisy", firmware = "fits", min_sqnr = "300", max_cycles = 10000000)
[mcu_firmware(name = name + "_image", models = [name]) for name in (@names@)]
[mcu_firmware_test(name = name + "_test", firmware = name + "_image") for name in (@names@)]
"""
WRONG = """
load("@mcu_build//bazel:defs.bzl", "mcu_model")
mcu_model(name = "word", model = "//options:state.py", io = "int4")
"""
APART = """
load("@mcu_build//bazel:defs.bzl", "mcu_model")
mcu_model(
    name = "apart",
    model = "//options:table.pte",
    data = ["//options:table.ptd"],
    runtime = "executorch",
    kernels = "upstream",
)
"""
TESTED = ("late", "state", "table", "slots")


@pytest.mark.slow
def test_options_of_targets_and_of_the_project_file(tmp_path):
    made = Workspace(tmp_path / "ws").make()
    folder = made.folder / "options"
    build = BUILD.replace("@names@", ", ".join(f'"{name}"' for name in TESTED))
    for place, text in {"": build, "wrong": WRONG, "apart": APART}.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "BUILD.bazel").write_text(text)
    for name, text in {"late.py": STREAM, "state.py": STATE}.items():
        (folder / name).write_text(text)
    table = export(Table(0), tmp_path / "table")
    whole = export(Table(0), tmp_path / "whole", external=False)
    (folder / "table.pte").write_bytes(table.read_bytes())
    (folder / "table.ptd").write_bytes(table.with_suffix(".ptd").read_bytes())
    (folder / "slots.pte").write_bytes(whole.read_bytes())
    key = new_key(folder / "key.pem")
    (made.folder / "mcu-build.toml").write_text(PROJECT)
    workspace = made.folder / "WORKSPACE"
    text = workspace.read_text()
    assert "mcu_boards()" in text
    library(tmp_path / "cmsis", board="mps2-an386")
    boards = f'project = "//:mcu-build.toml", cmsis_nn = {{"mps2-an386": "{tmp_path / "cmsis"}"}}'
    workspace.write_text(text.replace("mcu_boards()", f'mcu_boards({boards}, boards = ["//:mine.toml"])'))
    (made.folder / "mine.toml").write_text(BOARD)
    (made.folder / "BUILD.bazel").write_text('exports_files(["mcu-build.toml", "mine.toml"])\n')
    try:
        tests = [f"//options:{name}_test" for name in (*TESTED, "flashed", "theirs")]
        done = made.run("test", "--keep_going", "--test_output=all", *tests)
        assert done.status == 0, done.printed
        assert len(re.findall("equal the quantized program's exactly", done.printed)) == 6
        assert "3 vectors on mps2-an386" in done.printed
        # `size` of the project file: compilers are told so.
        assert all("-Os" in words for words in made.actions('mnemonic("CppCompile", //options:state)'))
        # What a target says goes before the file.
        other = made.actions('mnemonic("CppCompile", //options:other)')
        assert other and all("arm-none-eabi-g++" in words[0] and "-O2" in words for words in other)
        # A production image has the address of its slots, a test image the slots.
        links = made.actions('mnemonic("McuLink", //options:flashed_image)')
        assert sorted(any("slots.txt" in word for word in words) for words in links) == [False, True]
        assert all(any(word.endswith("flashed.mcu/memory.ld") for word in words) for words in links)
        large = made.run("build", "//options:large")
        assert large.status != 0 and "error: large: RAM: " in large.printed
        assert made.run("build", "//options:fits").status == 0
        judged = made.run("test", "--keep_going", "--test_output=all", "//options:slow", "//options:noisy")
        assert judged.status != 0 and "modelled cycles, the budget is 10" in judged.printed
        assert "below --min-sqnr" in judged.printed or "300" in judged.printed
        # Kernels of the user's own CMSIS-NN, in the image.
        made.built("//options:theirs_image")
        listed = process.run(["arm-none-eabi-nm", made.output("options/theirs_image.elf")]).stdout
        assert "arm_convolve_wrapper_s8" in listed
        assert "there is no CMSIS-NN for corstone-300" in made.run("build", "//options:nobodys").printed
        # Signed for the slot of MCUboot's that the board describes.
        made.built("//options:signed")
        for kind in ("signed", "update"):
            assert is_signed(made.output(f"options/signed.{kind}.bin"), key)
        # And a model that is MCUboot's second image.
        made.built("//options:both")
        for kind in ("signed", "program.signed"):
            assert is_signed(made.output(f"options/both.{kind}.bin"), key)
        assert "pad: for signed images only" in made.run("build", "//options:keyless").printed
        refused = made.run("build", "//options:idle")
        assert "ops: it has no effect without kernels upstream" in refused.printed
        apart = made.run("build", "//options/apart")
        assert "data: weights apart from a program that ExecuTorch's own kernels run" in apart.printed
        assert "invalid value in 'io' attribute" in made.run("build", "//options/wrong:word").printed
    finally:
        made.shut_down()
