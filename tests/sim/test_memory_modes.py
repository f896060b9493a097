"""A dedicated SRAM: scratch memory in DRAM with the arena, fast scratch memory in one of its own."""

from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.image.elf import read_elf
from tests.support.cli import mcu_build
from tests.support.firmware import Project

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "model.py"
BOARD = """
extends = "corstone-300"
name = "Corstone-300 with its arena in DRAM"
[placement]
arena = "ddr"
fast = "{fast}"
[npu]
default = "ethos-u65-256"
[[npu.options]]
kind = "ethos-u65"
macs = [256]
system_config = "Ethos_U65_High_End"
memory_mode = "Dedicated_Sram_384KB"
"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    file = tmp_path / "dedicated.toml"
    file.write_text(BOARD.format(fast="sram"))
    return file


def test_fast_scratch_memory_has_a_memory_of_its_own(board: Path, tmp_path: Path) -> None:
    words = ("--board", board, "--build-dir", tmp_path, DIGITS, "--json")
    proof = mcu_build("test", *words, "--vectors", 4)
    assert proof.status == 0, proof.out + proof.err
    assert proof.json["vectors"] == 4 and proof.json["outputs_vary"]
    assert proof.json["mismatches"] == proof.json["differing"] == 0

    elf = Path(mcu_build("build", *words).json["artefacts"]["elf"])
    sections = {section.name: section for section in read_elf(elf).sections}
    chosen = find_board(str(board))
    for name, memory in ((".arena", "ddr"), (".fast", "sram")):
        start = chosen.address(memory)
        assert sections[name].size and start <= sections[name].address
        assert sections[name].address + sections[name].size <= start + chosen.memory_named(memory).size


MAIN = """
#include "one.h"
#include "two.h"
int main() {
    one::run();
    two::run();
}
"""
LISTS = """
mcu_add_model(one GENERATED one)
mcu_add_model(two GENERATED two)
mcu_add_firmware(own SOURCES main.cpp MODELS one two)
mcu_add_firmware(shared SOURCES main.cpp MODELS one two SHARE_ARENA)
"""


def test_models_that_share_an_arena_share_fast_scratch_memory(board: Path, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    for name in ("one", "two"):
        words = ("generate", "--board", board, DIGITS, "--name", name, "--output", project.folder / name)
        assert mcu_build(*words).status == 0
    project.write(LISTS, main=MAIN).made("arm-clang")

    def sections(image: str) -> tuple[int, ...]:
        found = {section.name: section.size for section in read_elf(project.tree / f"{image}.elf").sections}
        return found[".arena"], found[".fast"]

    arena, fast = sections("shared")
    assert sections("own") == (2 * arena, 2 * fast)


@pytest.mark.parametrize(
    ("fast", "told"),
    [
        ("dtcm", "placement.fast: the NPU does not reach dtcm"),
        ("qspi", "placement.fast: memory 'qspi' cannot"),
    ],
)
def test_a_memory_that_cannot_be_it(tmp_path: Path, fast: str, told: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(BOARD.format(fast=fast))
    refused = mcu_build("build", "--board", file, "--build-dir", tmp_path, DIGITS)
    assert refused.status == 1
    assert told in refused.err
