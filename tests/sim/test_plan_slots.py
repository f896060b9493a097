"""Models that are replaced in the field: plans as data in program slots, alone or as delegates."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.program_key import SIGNATURE_BYTES, read_key
from mcu_build.codegen.slot import HEADER_BYTES, slot_file
from mcu_build.codegen.table import sealed
from mcu_build.errors import Exit, McuError
from mcu_build.simulate.run import run
from mcu_build.stages.manifest import require
from tests.support.cli import mcu_build
from tests.support.firmware import Project

SIZE = 16 << 10
HALF = SIZE // 2
INPUTS = bytes(range(1, 17))
WORDS = ("--board", "host", "--io", "int8", "--program-slot", f"0x0:{SIZE}", "--runtime", "table")
# `larger` needs another kernel and more memory, and has the same inputs and outputs.
MODEL = """
import torch
from torch import nn

torch.manual_seed({seed})
model = nn.Sequential({layers}).eval()
calibration = [torch.randn(1, 16) for _ in range(8)]
example_inputs = (calibration[0],)
"""
LAYERS = {
    "small": "nn.Linear(16, 8)",
    "other": "nn.Linear(16, 8)",
    "larger": "nn.Linear(16, 96), nn.Tanh(), nn.Linear(96, 8)",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed, (name, layers) in enumerate(LAYERS.items()):
        (folder / f"{name}.py").write_text(MODEL.format(seed=seed, layers=layers))
    return folder


def built(models: Path, name: str, folder: Path, *more: object, runtime: str = "table") -> Path:
    """The build folder of a model with program slots, proven."""
    words = (*WORDS[:-1], runtime, models / f"{name}.py", "--build-dir", folder, "--json")
    proof = mcu_build("test", *words, *more)
    assert proof.status == 0, proof.out + proof.err
    return folder / name / f"host-int8-{runtime}"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two keys; the first one is the firmware's of `small`."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "another"):
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(key)
    return folder / "ours.pem", folder / "another.pem"


@pytest.fixture(scope="module")
def small(models: Path, keys: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(models, "small", tmp_path_factory.mktemp("build"), "--program-key", keys[0])


def filed(firmware: Path, model: Path, folder: Path, sequence: int, key: Path | None = None) -> bytes:
    """What the command makes of a model."""
    made = folder / "new.slot"
    words = ("program", model, "--into", made, "--firmware", firmware, "--sequence", sequence, "--json")
    result = mcu_build(*words, *(("--program-key", key) if key else ()))
    assert result.status == 0, result.out + result.err
    assert result.json["bytes"] == made.stat().st_size
    return made.read_bytes()


def outputs(firmware: Path, folder: Path, *slots: bytes) -> bytes:
    """What the firmware computes with these slots."""
    image = bytearray((firmware / "test.elf").read_bytes())
    start = image.index((firmware / "program.slot").read_bytes())
    image[start : start + SIZE] = b"".join(slot.ljust(HALF, b"\xff") for slot in (*slots, b"")[:2])
    elf = folder / "slots.elf"
    shutil.copy2(firmware / "test.elf", elf)
    elf.write_bytes(image)
    return run(find_board("host"), elf, INPUTS, 60).outputs


def test_the_newest_plan_that_can_run_is_loaded(
    small: Path, models: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    factory = (small / "program.slot").read_bytes()
    assert factory == filed(small, models / "small.py", tmp_path, 1, keys[0])
    assert factory == filed(small, small / "program.pte", tmp_path, 1, keys[0])
    newer = filed(small, models / "other.py", tmp_path, 2, keys[0])
    old, new = outputs(small, tmp_path, factory), outputs(small, tmp_path, newer)
    assert old != new
    assert outputs(small, tmp_path, factory, newer) == outputs(small, tmp_path, newer, factory) == new
    lines = require(small).memory["operators"]
    table = newer[HEADER_BYTES : -4 - SIGNATURE_BYTES]
    ours, another = (read_key(key, "--program-key") for key in keys)
    unfit = {
        "truncated": newer[:-30],
        "a bit of a weight": newer[:-100] + bytes([newer[-100] ^ 1]) + newer[-99:],
        "not signed": slot_file(table, lines, 2),
        "signed with another key": slot_file(table, lines, 2, another),
        "other kernels": slot_file(table, [*lines, "another"], 2, ours),
        # Whole for the slot's header, and refused by the runner.
        "another checksum": slot_file(table[:100] + bytes([table[100] ^ 1]) + table[101:], lines, 2, ours),
        "more memory": slot_file(sealed(table[:24] + b"\0\0\1\0" + table[28:]), lines, 2, ours),
        "fewer inputs": slot_file(sealed(table[:48] + b"\0\0\0\0" + table[52:]), lines, 2, ours),
    }
    assert slot_file(table, lines, 2, ours) == newer
    for why, slot in unfit.items():
        assert outputs(small, tmp_path, factory, slot) == old, why
    with pytest.raises(McuError, match=r"SIGILL|SIGTRAP"):
        outputs(small, tmp_path, unfit["more memory"])


def test_a_key_that_does_not_fit_is_named_before_anything_is_made(
    small: Path, models: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    made = tmp_path / "new.slot"
    words = ("program", models / "other.py", "--into", made, "--firmware", small, "--sequence", 2)
    for more, message in (
        ((), "this firmware takes signed programs alone"),
        (("--program-key", keys[1]), "this is not the key that"),
        (("--program-key", tmp_path / "none.pem"), "No such file"),
    ):
        refused = mcu_build(*words, *more)
        assert refused.status == Exit.USAGE and message in refused.err and not made.exists()


@pytest.mark.parametrize("runtime", ["table", pytest.param("executorch", marks=pytest.mark.slow)])
def test_what_a_larger_model_needs_is_named_and_the_hint_works(
    models: Path, tmp_path: Path, runtime: str
) -> None:
    small = built(models, "small", tmp_path / "before", runtime=runtime)
    larger = built(models, "larger", tmp_path, runtime=runtime)
    program = larger / "program.pte"
    words = ("--into", tmp_path / "new.slot", "--sequence", 2, "--json")
    refused = mcu_build("program", program, "--firmware", small, *words)
    assert refused.status == Exit.INPUT and not (tmp_path / "new.slot").exists()
    error = refused.json["error"]
    assert "it calls lookup_s8, which the firmware lacks" in error["message"]
    assert "bytes of RAM, the firmware has" in error["message"]
    options = error["hint"].removeprefix("Build the firmware with ").removesuffix(".").split()
    assert options[::2] == ["--ops-from", "--reserve-ram"]
    # Of a model file the hint names a program that is there.
    of_file = mcu_build("program", models / "larger.py", "--firmware", small, *words).json["error"]["hint"]
    named = Path(of_file.split("--ops-from ")[1].split()[0].removesuffix("."))
    assert named.read_bytes() == program.read_bytes()
    grown = built(models, "small", tmp_path, *options, runtime=runtime)
    newer = filed(grown, program, tmp_path, 2)
    factory = (grown / "program.slot").read_bytes()
    expected = outputs(larger, tmp_path, (larger / "program.slot").read_bytes())
    assert outputs(grown, tmp_path, factory, newer) == expected
    assert outputs(grown, tmp_path, factory) == outputs(
        small, tmp_path, (small / "program.slot").read_bytes()
    )


def test_options_that_do_nothing_are_refused(models: Path, tmp_path: Path) -> None:
    words = ("build", "--board", "host", "--build-dir", tmp_path, models / "small.py", "--json")
    for option in ("--reserve-ram", "--reserve-scratch", "--program-slot"):
        refused = mcu_build(*words, option, "0:64K" if option == "--program-slot" else "64K")
        assert refused.status == Exit.USAGE
        assert f"{option}: it has no effect without --runtime table" in refused.json["error"]["message"]
    table = (*words, "--runtime", "table")
    lonely = mcu_build(*table, "--program-key", tmp_path / "key.pem")
    assert lonely.status == Exit.USAGE and "no program slots" in lonely.json["error"]["message"]
    small = (*table, "--io", "int8", "--program-slot", "0:512")
    assert "a slot takes 220" in mcu_build(*small).json["error"]["message"]


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
    for (int index = 0; index < 16; ++index) loaded::input()[index] = static_cast<int8_t>(index + 1);
    loaded::run();
    std::printf("%d", loaded::slots().running);
    for (const int value : loaded::output()) std::printf(" %d", value);
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
    if (loaded::load() != mcu::runtime::Status::kOk) return 1;
    print();
}
"""


@pytest.mark.slow
def test_an_application_updates_its_model(
    small: Path, models: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    key = ("--program-key", keys[0])
    words = ("generate", *WORDS, models / "small.py", "--name", "loaded", "--output", tmp_path / "loaded")
    made = mcu_build(*words, *key)
    assert made.status == 0, made.err
    project = Project(tmp_path).write(
        "mcu_add_model(loaded GENERATED loaded)\nmcu_add_firmware(update SOURCES main.cpp MODELS loaded)",
        main=UPDATE,
    )
    image = project.made(None).tree / "update.elf"
    filed(small, models / "other.py", tmp_path, 2, keys[0])
    first, said, second = process.run([image, tmp_path / "new.slot"]).stdout.splitlines()
    assert said == "ok"
    assert first.startswith("0 ") and second.startswith("1 ") and first[2:] != second[2:]
    filed(small, models / "other.py", tmp_path, 1, keys[0])
    first, said, second = process.run([image, tmp_path / "new.slot"]).stdout.splitlines()
    assert said == "not newer" and first == second


@pytest.mark.slow
def test_slots_of_a_core(models: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """The production image holds no plan; the test image brings it at its address."""
    words = ("--board", "corstone-300", "--npu", "none", "--io", "int8", "--runtime", "table")
    slots = ("--program-slot", "0x111C0000:256K", "--program-key", keys[0])
    proof = mcu_build("test", *words, *slots, models / "larger.py", "--build-dir", tmp_path, "--json")
    assert proof.status == 0, proof.out + proof.err
    folder = tmp_path / "larger" / "corstone-300-no-npu-int8-table"
    slot = (folder / "program.slot").read_bytes()
    assert slot in (folder / "test.elf").read_bytes()
    assert slot[:200] not in (folder / "firmware.elf").read_bytes()
    assert filed(folder, models / "larger.py", tmp_path, 1, keys[0]) == slot
