"""Firmware that finds its program in slots: the newest that it can run, whatever is beside it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.pte import encode
from mcu_build.codegen.slot import slot_file
from mcu_build.codegen.table import sealed
from mcu_build.errors import Exit, McuError
from mcu_build.ir.program import KernelCall, load
from mcu_build.simulate.run import run
from mcu_build.stages.manifest import require
from tests.sim.test_models import MODELS, check_proof
from tests.support.cli import mcu_build
from tests.support.firmware import Project

SIZE = 64 << 10
HALF = SIZE // 2
ZEROS = bytes(64 * 4)
# Room for programs that need more of ExecuTorch's structures.
WORDS = (
    *("--board", "host", "--runtime", "executorch", "--program-slot", f"0x0:{SIZE}"),
    *("--method-pool", 2048),
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """The build folder of digits with program slots, proven."""
    folder = tmp_path_factory.mktemp("build")
    check_proof(mcu_build("test", *WORDS, MODELS["digits"], "--build-dir", folder, "--vectors", 3, "--json"))
    return folder / "digits/host-executorch"


def other(program: bytes) -> bytes:
    """The program with other weights: they are in its last quarter."""
    start = len(program) * 3 // 4
    return program[:start] + bytes(byte ^ 0x11 for byte in program[start:])


def filed(digits: Path, folder: Path, program: bytes, sequence: int) -> bytes:
    """What the command makes of a program."""
    (folder / "new.pte").write_bytes(program)
    result = mcu_build(
        *("program", folder / "new.pte", "--into", folder / "new.slot", "--firmware", digits),
        *("--sequence", sequence, "--json"),
    )
    assert result.status == 0, result.out
    return (folder / "new.slot").read_bytes()


def outputs(digits: Path, folder: Path, *slots: bytes) -> bytes:
    """What the firmware computes with these slots."""
    factory = (digits / "program.slot").read_bytes()
    image = bytearray((digits / "test.elf").read_bytes())
    start = image.index(factory)
    both = b"".join(slot.ljust(HALF, b"\xff") for slot in (*slots, b"")[:2])
    image[start : start + SIZE] = both
    elf = folder / "slots.elf"
    shutil.copy2(digits / "test.elf", elf)
    elf.write_bytes(image)
    return run(find_board("host"), elf, ZEROS, 60).outputs


def test_the_newest_program_that_can_run_is_loaded(digits, tmp_path):
    program = (digits / "program.pte").read_bytes()
    factory = (digits / "program.slot").read_bytes()
    assert factory == filed(digits, tmp_path, program, 1)
    newer = filed(digits, tmp_path, other(program), 2)
    old, new = outputs(digits, tmp_path, factory), outputs(digits, tmp_path, newer)
    assert old != new
    assert outputs(digits, tmp_path, factory, newer) == new
    assert outputs(digits, tmp_path, newer, factory) == new
    assert outputs(digits, tmp_path, newer[:-30], factory) == old
    # Whole, and yet it cannot be loaded: for ExecuTorch's own kernels, for others of ours, damaged.
    operators = require(digits).memory["operators"]
    (delegate,) = load(digits / "delegated.pte").delegates
    of_others = sealed(delegate.payload[:16] + bytes(8) + delegate.payload[24:])
    made = (digits / "delegated.pte").read_bytes().replace(delegate.payload, of_others)
    for unfit in (program, made, program[:64] + bytes(400)):
        assert outputs(digits, tmp_path, factory, slot_file(unfit, operators, 2)) == old


def test_without_a_program_the_message_tells_of_both_slots(digits, tmp_path):
    factory = bytearray((digits / "program.slot").read_bytes())
    factory[200] ^= 1
    with pytest.raises(McuError, match="no program slot holds a program for this firmware") as text:
        outputs(digits, tmp_path, bytes(factory))
    assert "slot 0: corrupted" in text.value.message and "slot 1: empty" in text.value.message


def test_an_operator_that_is_not_linked_is_the_devices_own_message(digits, tmp_path):
    program = load(digits / "delegated.pte")
    call = KernelCall("aten::cat.out", program.instructions[0].arguments)
    calling = encode(replace(program, instructions=(call,)))
    made = slot_file(calling, require(digits).memory["operators"], 1)
    with pytest.raises(
        McuError, match=r"an operator of the program is not linked; build with --ops-from"
    ) as text:
        outputs(digits, tmp_path, made)
    assert text.value.exit_code == Exit.FIRMWARE
    assert "slot 0: cannot be loaded" in text.value.message


def test_a_program_that_the_firmware_cannot_run_is_refused_by_the_command(digits, tmp_path):
    program = (digits / "program.pte").read_bytes()
    (tmp_path / "new.pte").write_bytes(program.replace(b"quantized_linear", b"quantized_linexr"))
    words = ("program", tmp_path / "new.pte", "--into", tmp_path / "new.slot", "--sequence", 2, "--json")
    refused = mcu_build(*words, "--firmware", digits)
    assert refused.status == Exit.INPUT
    assert "cortex_m::quantized_linexr.out: there is no kernel" in refused.json["error"]["message"]
    # The hint is followed in test_plan_slots.py.
    refused = mcu_build(*words[:1], MODELS["mean_permute_concat"], *words[2:], "--firmware", digits)
    assert refused.status == Exit.INPUT
    message = refused.json["error"]["message"]
    assert "which the firmware lacks" in message and "its inputs have" in message
    refused = mcu_build(*words, "--firmware", tmp_path)
    assert "no build here" in refused.json["error"]["message"]
    assert not (tmp_path / "new.slot").exists()


def test_slots_that_are_too_small_are_told(digits, tmp_path):
    small = ("--board", "host", "--runtime", "executorch", "--program-slot", "0:2K", "--build-dir", tmp_path)
    refused = mcu_build("build", *small, digits / "program.pte", "--json")
    assert refused.status == Exit.INPUT
    assert "a slot takes 988" in refused.json["error"]["message"]


UPDATE = """
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>
#include "loaded.h"

extern "C" unsigned char loaded_program_slots[];

struct Array final : mcu::slot::Flash {
    Array() : Flash(1024, 8) {}
    bool erase(size_t offset) override {
        std::fill_n(loaded_program_slots + offset, page_bytes, 0xFF);
        return true;
    }
    bool write(size_t offset, std::span<const unsigned char> unit) override {
        std::copy(unit.begin(), unit.end(), loaded_program_slots + offset);
        return true;
    }
};

void print() {
    std::fill(loaded::input().begin(), loaded::input().end(), 0.0f);
    loaded::run();
    std::printf("%d", loaded::slots().running);
    for (const float value : loaded::output()) std::printf(" %.9g", value);
    std::printf("\\n");
}

int main(int, char** words) {
    print();
    Array flash;
    std::ifstream file(words[1], std::ios::binary);
    const std::vector<unsigned char> bytes{std::istreambuf_iterator<char>(file), {}};
    mcu::slot::Update update(loaded::slots(), flash);
    update.add(bytes);
    std::printf("%s\\n", mcu::slot::words(update.finish()));
    if (loaded::load() != mcu::et::Status::kOk) return 1;
    print();
}
"""


@pytest.mark.slow
def test_an_application_updates_its_program_and_switches_to_it(digits, tmp_path):
    words = ("generate", *WORDS, MODELS["digits"], "--name", "loaded", "--output", tmp_path / "loaded")
    assert mcu_build(*words).status == 0
    project = Project(tmp_path).write(
        "mcu_add_model(loaded GENERATED loaded)\nmcu_add_firmware(update SOURCES main.cpp MODELS loaded)",
        main=UPDATE,
    )
    image = project.made(None).tree / "update.elf"
    program = (digits / "program.pte").read_bytes()
    filed(digits, tmp_path, other(program), 2)
    first, said, second = process.run([image, tmp_path / "new.slot"]).stdout.splitlines()
    assert said == "ok"
    assert first.startswith("0 ") and second.startswith("1 ") and first[2:] != second[2:]
    filed(digits, tmp_path, other(program), 1)
    first, said, second = process.run([image, tmp_path / "new.slot"]).stdout.splitlines()
    assert said == "not newer" and first == second
