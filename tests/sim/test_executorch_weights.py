"""Weights in a file of their own (.ptd), and the methods of a program."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from executorch.exir import ExecutorchBackendConfig, to_edge

import mcu_build
from mcu_build import process
from mcu_build.errors import McuError
from mcu_build.ir.program import load
from mcu_build.ir.weights import load_weights
from tests.support.cli import mcu_build as command
from tests.support.firmware import Project

SLOTS = {"static": None, "executorch": "0:16K"}
INDEX = np.array([5, 0, 7])


class Table(torch.nn.Module):
    """Two methods over one table."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.table = torch.nn.Embedding(8, 64)

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.table(index)

    def twice(self, index: torch.Tensor) -> torch.Tensor:
        rows = self.table(index)
        return torch.cat([rows, rows], dim=1).transpose(0, 1)

    def rows(self) -> np.ndarray:
        """What `forward` gives for INDEX."""
        return self.table(torch.tensor(INDEX)).detach().numpy()


class Wider(Table):
    """The same with one row more."""

    def __init__(self) -> None:
        super().__init__(0)
        self.table = torch.nn.Embedding(9, 64)


def export(table: Table, folder: Path, external: bool = True) -> Path:
    """table.pte in `folder`, with both methods, and beside it table.ptd."""
    index = (torch.tensor([1, 0, 1]),)
    programs = {"forward": torch.export.export(table, index)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "forward", Table.twice)
        programs["twice"] = torch.export.export(table, index)
    manager = to_edge(programs).to_executorch(ExecutorchBackendConfig(external_constants=external))
    folder.mkdir()
    (folder / "table.pte").write_bytes(manager.buffer)
    if external:
        manager.write_tensor_data_to_file(str(folder))
        next(folder.glob("*.ptd")).rename(folder / "table.ptd")
    return folder / "table.pte"


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return export(Table(0), tmp_path_factory.mktemp("exported") / "table")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.mark.parametrize("runtime", SLOTS)
def test_firmware_takes_its_weights_from_the_file(runtime, table, built, tmp_path):
    other = export(Table(1), tmp_path / "other").with_suffix(".ptd")
    for seed, data in ((0, table.with_suffix(".ptd")), (1, other)):
        made = mcu_build.build(
            *(table,),
            board="host",
            method="forward",
            data=[data],
            build_dir=built,
            runtime=runtime,
            program_slot=SLOTS[runtime],
        )
        # Exactly: an embedding copies. With the other file, the program gives other rows.
        assert (made.run(INDEX) == Table(seed).rows()).all()
    assert (Table(0).rows() != Table(1).rows()).any()
    if runtime == "executorch":
        words = ("--method", "forward", "--into", tmp_path / "new.slot", "--sequence", 2, "--json")
        words += ("--data", table.with_suffix(".ptd"))
        result = command("program", table, "--firmware", made.folder, *words)
        assert result.status == 0, result.out
        wider = export(Wider(), tmp_path / "wider")
        result = command("program", wider, "--firmware", made.folder, *words)
        assert "'table.weight' has" in result.json["error"]["message"]


def refused(table: Path, *words: object) -> dict[str, str]:
    result = command("build", "--board", "host", table, "--method", "forward", *words, "--json")
    assert result.status == 1, result.out
    return result.json["error"]


def test_weights_that_are_missing_are_named(table):
    text = refused(table)
    assert "the weights of 'table.weight' lie in another file (.ptd)" in text["message"]
    assert "--data FILE.ptd" in text["hint"]


def test_another_file_is_refused(table, tmp_path):
    wider = export(Wider(), tmp_path / "wider").with_suffix(".ptd")
    text = refused(table, "--data", wider)
    assert text["message"].startswith(f"{wider}: 'table.weight' has") and "(9, 64)" in text["message"]
    whole = table.with_suffix(".ptd")
    assert "is in" in refused(table, "--data", whole, "--data", wider)["message"]
    assert "no FT01 identifier" in refused(table, "--data", table)["message"]
    assert "No such file" in refused(table, "--data", tmp_path / "none.ptd")["message"]
    inside = export(Table(0), tmp_path / "inside", external=False)
    assert "takes no weights from it" in refused(inside, "--data", wider)["message"]


def test_a_damaged_file_of_weights_is_refused(table, tmp_path):
    data, damaged = table.with_suffix(".ptd").read_bytes(), tmp_path / "damaged.ptd"
    for length in (0, 12, 40, 100, 300, len(data) - 1):
        damaged.write_bytes(data[:length])
        with pytest.raises(McuError, match=r"truncated or damaged|not a file of weights"):
            load_weights([damaged])
    # Before the weights themselves every byte may be wrong: refused, or another layout, or of no matter.
    for position in range(8, len(data) - 8 * 64 * 4, 3):
        damaged.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            load(table, "forward", [damaged])
        except McuError:
            continue


BOTH_METHODS = """
#include <cstdio>
#include "forward.h"
#include "twice.h"

int main() {
    for (auto& value : forward::input()) value = 5;
    for (auto& value : twice::input()) value = 5;
    forward::run();
    twice::run();
    // The first row, as it is and transposed.
    for (int column = 0; column < 64; ++column)
        std::printf("%.6f %.6f\\n", forward::output()[column], twice::output()[3 * column]);
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("external", [False, True])
def test_methods_are_models_of_their_own(external, tmp_path):
    file = export(Table(0), tmp_path / "table", external)
    data = ("--data", file.with_suffix(".ptd")) if external else ()
    words = (*("--board", "host", file, "--runtime", "executorch"), *data)
    text = command("build", *words, "--build-dir", tmp_path, "--json").json["error"]["message"]
    assert "2 methods (forward, twice)" in text
    text = command("build", *words, "--method", "thrice", "--build-dir", tmp_path, "--json").json["error"]
    assert "there is no method 'thrice'" in text["message"] and "forward, twice" in text["hint"]
    programs = set()
    for method in ("forward", "twice"):
        result = command("test", *words, "--method", method, "--build-dir", tmp_path, "--json")
        assert result.status == 0, result.out
        assert result.json["outputs_vary"] and result.json["differing"] == 0
        folder = tmp_path / "user" / method
        result = command("generate", *words, *("--method", method, "--name", method, "--output", folder))
        assert result.status == 0, result.out
        programs |= set(re.findall(r"mcu_program_\w+", (folder / f"{method}.cpp").read_text()))
    assert len(programs) == 2
    project = Project(tmp_path / "user").write(
        "mcu_add_model(forward GENERATED forward)\nmcu_add_model(twice GENERATED twice)\n"
        "mcu_add_firmware(both SOURCES main.cpp MODELS forward twice)",
        main=BOTH_METHODS,
    )
    image = project.made(None).tree / "both.elf"
    weights = Table(0).table.weight.detach()
    rows = "".join(f"{value:.6f} {value:.6f}\n" for value in weights[5].tolist())
    assert process.run([image]).stdout == rows
    assert image.read_bytes().count(weights.numpy().tobytes()) == 2
