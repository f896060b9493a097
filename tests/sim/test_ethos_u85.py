"""End to end with an Ethos-U85: its board, Corstone-320, has no machine in QEMU, so a board like it that has.

A board is data: this one is Corstone-300 with another NPU at the same place.
"""

from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.image.elf import read_elf
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits" / "model.py"
HALF = ROOT / "tests" / "models" / "half_on_npu.py"
TRANSFORMER = ROOT / "tests" / "models" / "transformer.py"

BOARD = """
extends = "corstone-300"
name = "Corstone-300 with an Ethos-U85"
[npu]
default = "ethos-u85-256"
[[npu.options]]
kind = "ethos-u85"
macs = [128, 256, 512, 1024, 2048]
system_config = "Ethos_U85_SYS_DRAM_Mid"
memory_mode = "Dedicated_Sram_384KB"
[run.fvp.binaries]
ethos-u85 = "no-such-fvp"
"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    file = tmp_path / "u85.toml"
    file.write_text(BOARD)
    return file


def prove(board: Path, model: Path, npu: str) -> None:
    words = ("test", "--board", board, "--npu", npu, model, "--vectors", 4, "--json")
    result = mcu_build(*words, "--build-dir", board.parent)
    assert result.status == 0, result.out + result.err
    proof = result.json
    assert proof["vectors"] == 4 and proof["outputs_vary"]
    assert proof["mismatches"] == proof["differing"] == 0
    assert proof["npu"]["interrupts"] >= 4


def test_digits(board: Path) -> None:
    prove(board, DIGITS, "ethos-u85-256")


@pytest.mark.slow
@pytest.mark.parametrize("macs", [128, 512, 1024, 2048])
def test_every_size(board: Path, macs: int) -> None:
    prove(board, DIGITS, f"ethos-u85-{macs}")


@pytest.mark.slow
@pytest.mark.parametrize("model", [HALF, TRANSFORMER], ids=["half_on_npu", "transformer"])
def test_models(board: Path, model: Path) -> None:
    prove(board, model, "ethos-u85-256")


def test_corstone_320_is_built_and_checked_and_its_streams_run(tmp_path: Path) -> None:
    words = ("--board", "corstone-320", DIGITS, "--json")
    built = mcu_build("build", *words, "--build-dir", tmp_path)
    assert built.status == 0, built.err
    chosen = find_board("corstone-320")
    reached = [(chosen.address(m.name), m.size) for m in chosen.memory if m.npu]
    sections = {one.name: one for one in read_elf(Path(built.json["artefacts"]["elf"])).sections}
    for name in (".constants", ".arena"):
        found = sections[name]
        assert any(start <= found.address < start + size for start, size in reached), found

    text = mcu_build("verify", *words, "--vectors", 20)
    assert text.status == 0, text.out + text.err
    assert [one["mismatches"] for one in text.json["delegates"]] == [0]
    assert all(one["varies"] and one["npu"] == "ethos-u85-256" for one in text.json["delegates"])

    test = mcu_build("test", *words, "--build-dir", tmp_path)
    assert test.status == 3
    assert "FVP_Corstone_SSE-320" in test.json["error"]["message"]
    assert "mcu-build verify" in test.json["error"]["hint"]
