"""Arena and constants over memories of simulated boards: equal to the quantized program to the bit."""

import json
from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.image.elf import read_elf
from tests.support.cli import mcu_build

KWS = Path(__file__).resolve().parents[2] / "tests" / "models" / "ds_cnn.py"
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "model.py"
SMALL = """
extends = "mps2-an386"
[placement]
arena = ["dtcm", "ssram23", "psram"]
constants = ["fram", "qspi"]
[[memory]]
name = "ssram1"
origin = 0x00000000
size = "1M"
access = "rwx"
[[memory]]
name = "fram"
origin = 0x00100000
size = "4K"
access = "rx"
[[memory]]
name = "qspi"
origin = 0x00200000
size = "1M"
access = "rx"
timing = { kind = "flash", waits = 12, line = 32 }
[[memory]]
name = "dtcm"
origin = 0x20000000
size = "2K"
access = "rw"
timing = { kind = "tcm" }
[[memory]]
name = "ssram23"
origin = 0x20001000
size = "11K"
access = "rwx"
timing = { kind = "sram", waits = 1 }
[[memory]]
name = "psram"
origin = 0x21000000
size = "1M"
access = "rwx"
timing = { kind = "sram", waits = 8 }
"""


def check(folder, board, model, *more):
    """A test of a model on a board is exact, and each byte lies in a memory of the board."""
    words = ("--board", board, "--io", "int8", "--build-dir", folder, *more, model, "--json")
    proof = mcu_build("test", *words)
    assert proof.status == 0, proof.out + proof.err
    assert proof.json["mismatches"] == 0 and proof.json["outputs_vary"]
    built, size = mcu_build("build", *words).json, mcu_build("size", *words).json
    assert sum(row["size"] for row in size["symbols"]) == sum(one["used"] for one in size["regions"])
    plan = json.loads(next(folder.glob("*/*/plan.json")).read_text())
    return built, {one["name"]: one["used"] for one in size["regions"]}, plan


@pytest.mark.slow
def test_three_memories_and_two_flashes_are_exact(tmp_path: Path) -> None:
    board = tmp_path / "small.toml"
    board.write_text(SMALL)
    built, used, plan = check(tmp_path, board, KWS)
    elsewhere = plan["memory"]["arena_elsewhere"]
    assert "psram" in elsewhere
    assert used["dtcm"] == built["ram"]["arena"] - sum(elsewhere.values()) > 512
    assert used["psram"] == elsewhere["psram"]
    assert used["qspi"] >= plan["memory"]["constants_elsewhere"]["qspi"] > 0
    sections = {section.name: section for section in read_elf(Path(built["artefacts"]["elf"])).sections}
    assert sections[".arena_psram"].address == 0x21000000
    assert sections[".constants_qspi"].load_address == 0x00200000
    # What is pinned lies where it is pinned to, and is as exact.
    _, _, pinned = check(tmp_path / "pinned", board, KWS, "--place", "input=psram")
    before, after = ([row for row in one["arena"] if row["made_by"] is None] for one in (plan, pinned))
    assert before[0]["memory"] != "psram" and after[0]["memory"] == "psram"


@pytest.mark.slow
def test_what_an_npu_works_on_stays_where_it_reaches(tmp_path: Path) -> None:
    board = tmp_path / "two.toml"
    board.write_text('extends = "corstone-300"\n[placement]\narena = ["dtcm", "sram"]\n')
    _, used, plan = check(tmp_path, board, DIGITS)
    assert find_board("corstone-300").memory_named("sram").npu
    assert set(plan["memory"]["arena_elsewhere"]) == {"sram"} and used["sram"] > 0
    refused = mcu_build("build", "--board", board, "--place", "*=dtcm", "--io", "int8", DIGITS)
    assert refused.status == 2 and "the NPU does not reach dtcm" in refused.err


@pytest.mark.slow
def test_weights_that_a_dma_copies_ahead_are_exact(tmp_path: Path) -> None:
    """With the stand-in for a DMA; they cost fewer cycles than the core's copies."""
    found, ram = {}, ("--ram", "40K")
    for name, more in (("core", ""), ("dma", '[dma]\ndriver = "application"\n')):
        board = tmp_path / f"{name}.toml"
        board.write_text(SMALL.replace('size = "11K"', 'size = "64K"') + more)
        _, _, plan = check(tmp_path / name, board, DIGITS, *ram)
        kernels = [row["kernel"] for row in plan["operators"]]
        assert ("dma_start" in kernels) == (name == "dma")
        words = (
            "--board",
            board,
            "--io",
            "int8",
            "--ram",
            "40K",
            "--build-dir",
            tmp_path / name,
            DIGITS,
            "--json",
        )
        found[name] = mcu_build("profile", *words).json["cycles"]
    assert found["dma"] < found["core"]
