"""A model as MCUboot's second image: in a slot of its own, with a dependency on the application."""

import shutil
import struct
import sys
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import find_board, load_board
from mcu_build.errors import Exit, McuError
from mcu_build.simulate.run import run
from mcu_build.stages.manifest import require
from tests.support.cli import mcu_build
from tests.support.firmware import Project
from tests.support.mcuboot import BOARD, is_signed, new_key
from tests.support.preloaded import environment

MODEL = """
import torch
from torch import nn

torch.manual_seed({seed})
model = nn.Sequential(nn.Linear(16, 8)).eval()
calibration = [torch.randn(1, 16) for _ in range(8)]
example_inputs = (calibration[0],)
"""
WORDS = ("--io", "int8", "--runtime", "table", "--program-slot", "mcuboot", "--json")
INPUTS = bytes(range(1, 17))
DEPENDENCY = 0x40  # MCUboot's TLV: image, three bytes, version


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    (folder / "mine.toml").write_text(BOARD)
    for seed, name in enumerate(("old", "new")):
        (folder / f"{name}.py").write_text(MODEL.format(seed=seed))
    new_key(folder / "key.pem")
    return folder


@pytest.fixture(scope="module")
def signed(folder: Path) -> dict[str, str]:
    """The application with its first model: all artefacts."""
    words = ("--board", folder / "mine.toml", *WORDS, "--build-dir", folder / "build")
    made = mcu_build("build", *words, "--sign", folder / "key.pem", "--version", "1.4.0", folder / "old.py")
    assert made.status == 0, made.err
    return made.json["artefacts"]


@pytest.fixture(scope="module")
def update(folder: Path, signed: dict[str, str]) -> dict[str, str]:
    """Another model for it."""
    words = ("--into", folder / "new.slot", "--firmware", Path(signed["elf"]).parent, "--sequence", 2)
    signing = ("--sign", folder / "key.pem", "--version", "2.0.1", "--needs", "1.4.0", "--confirm")
    made = mcu_build("program", folder / "new.py", *words, *signing, "--json")
    assert made.status == 0, made.err
    return made.json


def read(file: str) -> tuple[bytes, tuple[int, ...], dict[int, bytes]]:
    """The program, the version and what the trailer says, by MCUboot's numbers."""
    data = Path(file).read_bytes()
    header, protected, size = struct.unpack_from("<HHI", data, 8)
    found, start = {}, header + size
    for _ in range(2):  # protected ones, then the others
        (total,) = struct.unpack_from("<H", data, start + 2)
        at = start + 4
        while at < start + total:
            kind, length = struct.unpack_from("<HH", data, at)
            found[kind] = data[at + 4 : at + 4 + length]
            at += 4 + length
        start += total
    assert protected
    return data[header : header + size], struct.unpack_from("<BBH", data, 20), found


def test_the_first_model_depends_on_its_application(folder: Path, signed: dict[str, str]) -> None:
    assert is_signed(signed["program"], folder / "key.pem")
    program, version, trailer = read(signed["program"])
    assert program == Path(signed["program_slot"]).read_bytes() and version == (1, 4, 0)
    assert trailer[DEPENDENCY] == struct.pack("<B3xBBHI", 0, 1, 4, 0, 0)
    # The application is linked for its own slot, and finds the model behind the header of the other.
    board = load_board(folder / "mine.toml")
    region = require(Path(signed["elf"]).parent).memory["program_slot"]
    assert region == {"address": 0x080C0200, "size": (128 << 10) - 0x200, "single": True, "public_key": ""}
    assert board.mcuboot is not None and Path(signed["signed"]).stat().st_size < board.mcuboot.size


LISTS = """
mcu_add_model(old MODEL old.py BOARD mine.toml IO int8 RUNTIME table PROGRAM_SLOT mcuboot)
mcu_add_firmware(demo MODELS old SIGN key.pem VERSION 1.4.0)
"""
SCONSTRUCT = """
from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="mine.toml")
model = env.McuModel("old.py", io="int8", runtime="table", program_slot="mcuboot")
env.McuFirmware("demo", [model], sign="key.pem", version="1.4.0")
"""


@pytest.mark.parametrize("front", ["cmake", "scons"])
def test_build_systems_sign_both_images(
    folder: Path, signed: dict[str, str], tmp_path: Path, front: str
) -> None:
    for name in ("mine.toml", "old.py", "key.pem"):
        shutil.copy(folder / name, tmp_path)
    if front == "cmake":
        made = Project(tmp_path).write(LISTS).made("arm-clang").tree
    else:
        (tmp_path / "SConstruct").write_text(SCONSTRUCT)
        done = process.run([sys.executable, "-m", "SCons", "-Q", "."], cwd=tmp_path, env=environment())
        assert done.status == 0, done.stdout + done.stderr
        made = tmp_path
    program, version, trailer = read(str(made / "demo.program.signed.bin"))
    assert program == Path(signed["program_slot"]).read_bytes() and version == (1, 4, 0)
    assert trailer[DEPENDENCY] == struct.pack("<B3xBBHI", 0, 1, 4, 0, 0)
    for kind in ("signed", "program.signed"):
        assert is_signed(made / f"demo.{kind}.bin", folder / "key.pem")
    # What such an image lacks is said before anything is signed.
    words = ("-b", folder / "mine.toml", "--sign", folder / "key.pem", "--program", tmp_path / "none.slot")
    refused = mcu_build("sign", *words, made / "demo.elf")
    assert refused.status == Exit.INPUT and "none.slot: no such file" in refused.err


def test_an_update_of_the_model_alone(folder: Path, update: dict[str, str]) -> None:
    for kind in ("signed", "update"):
        assert is_signed(update[kind], folder / "key.pem")
        program, version, trailer = read(update[kind])
        assert program == Path(update["file"]).read_bytes() and version == (2, 0, 1)
        assert trailer[DEPENDENCY] == struct.pack("<B3xBBHI", 0, 1, 4, 0, 0)
    assert Path(update["update"]).stat().st_size == 128 << 10  # of the slot's size: --confirm


def test_the_firmware_runs_what_is_in_the_one_slot(folder: Path, update: dict[str, str]) -> None:
    proof = mcu_build(
        "test", "--board", folder / "mine.toml", *WORDS, "--build-dir", folder / "t", folder / "old.py"
    )
    assert proof.status == 0 and proof.json["mismatches"] == 0, proof.err
    (build,) = (folder / "t/old").iterdir()
    board, image = find_board("netduinoplus2"), bytearray((build / "test.elf").read_bytes())
    old = (build / "program.slot").read_bytes()
    new = Path(update["file"]).read_bytes()
    start = image.index(old)
    outputs = []
    half = (128 << 10) // 2
    # Where firmware with two slots looks for a newer program there is nothing that counts.
    for first, second in ((old, b""), (new, b""), (old, new)):
        whole = first.ljust(half - 0x100, b"\xff") + second
        image[start : start + (128 << 10) - 0x200] = whole.ljust((128 << 10) - 0x200, b"\xff")
        (folder / "changed.elf").write_bytes(image)
        outputs.append(run(board, folder / "changed.elf", INPUTS, 60).outputs)
    assert outputs[0] != outputs[1] and outputs[2] == outputs[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_slot = 0x080C0000", "model_slot and model_size go together"),
        ('model_slot = 0x080C0000\nmodel_size = "512K"', "lie in no memory"),
        ('model_slot = 0x08060000\nmodel_size = "128K"', "it overlaps the slot of the image"),
    ],
)
def test_slots_of_a_board_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wrong.toml").write_text(BOARD[: BOARD.index("model_slot")] + text + "\n")
    with pytest.raises(McuError, match=message):
        load_board(tmp_path / "wrong.toml")


def test_what_is_refused(folder: Path, signed: dict[str, str]) -> None:
    refused = mcu_build("build", "--board", "netduinoplus2", *WORDS, folder / "old.py")
    assert refused.status == Exit.USAGE
    assert "netduinoplus2 describes no slot for a model" in refused.json["error"]["message"]
    words = ("program", folder / "new.py", "--into", folder / "x.slot", "--sequence", 2)
    firmware = ("--firmware", Path(signed["elf"]).parent)
    wrong = mcu_build(*words, *firmware, "--sign", folder / "key.pem", "--needs", "one")
    assert wrong.status == Exit.USAGE and "--needs one: not a version" in wrong.err
    idle = mcu_build(*words, *firmware, "--needs", "1.0.0")
    assert idle.status == Exit.USAGE and "--needs: for signed images only" in idle.err
