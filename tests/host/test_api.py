"""`import mcu_build`: build, run, test and measure from Python, as the verbs do."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import mcu_build
from mcu_build.errors import Exit, McuError
from mcu_build.verify import prove
from tests.support.cli import mcu_build as command

MODEL = """
import torch
torch.manual_seed(0)

model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
example_inputs = (torch.zeros(1, 6),)
calibration = [torch.randn(1, 6) for _ in range(16)]
"""
TWO_OUTPUTS = """
class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(6, 4), torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.first(x), self.second(x)

model = Two()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("api") / "net.py"
    file.write_text(MODEL)
    return file


def build(model, **options):
    return mcu_build.build(model, board="host", build_dir=model.parent / "build", **options)


@pytest.fixture(scope="module")
def firmware(model):
    return build(model)


def vectors(count):
    return np.random.default_rng(0).standard_normal((count, 1, 6)).astype(np.float32)


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys, mcu_build\nlight = set(sys.modules)\nmcu_build.build\n"
        "assert not {'numpy', 'pydantic', 'torch'} & light, light\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_it_does_not_have():
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        _ = mcu_build.biuld


def test_it_builds_what_the_command_builds(model, firmware):
    text = command("--board", "host", model, "--build-dir", model.parent / "build", "--json").json
    assert text["artefacts"] == {kind: str(firmware.path(kind)) for kind in firmware.manifest.artefacts}
    assert all(stage["cached"] for stage in text["stages"])
    assert text["flash"]["total"] == firmware.flash
    assert text["ram"]["total"] == firmware.ram
    size = firmware.size()
    assert (size.flash["total"], size.ram["total"]) == (firmware.flash, firmware.ram)


def test_outputs_have_the_shape_of_the_inputs_and_equal_the_commands(model, firmware):
    several = vectors(5)
    outputs = firmware.run(several)
    assert outputs.shape == (5, 1, 3)
    assert np.array_equal(firmware.run(several[3]), outputs[3])
    np.savez(model.parent / "in.npz", input_0=several)
    words = ("--build-dir", model.parent / "build", "--inputs", model.parent / "in.npz", "--json")
    assert command("run", "--board", "host", model, *words).json["outputs"]["output_0"] == outputs.tolist()
    # The control: other inputs, other outputs.
    assert not np.array_equal(firmware.run(several[2]), outputs[3])


def test_a_report_notes_what_cannot_run_and_fails_where_a_run_fails(firmware, monkeypatch):
    def refused(code):
        def prove(*_, **__):
            raise McuError("why not", "Do this.", code)

        monkeypatch.setattr(type(firmware), "prove", prove)

    refused(Exit.INPUT)
    assert "not proven: why not. Do this." in firmware.report().notes
    for code in (Exit.FIRMWARE, Exit.TIMEOUT):
        refused(code)
        with pytest.raises(McuError, match="why not"):
            firmware.report()


def test_stages_are_shown_in_a_notebook_and_logged_in_a_script(model, firmware, monkeypatch, capsys, caplog):
    caplog.set_level("INFO", logger="mcu_build")
    build(model)
    assert "capture (cached)" in caplog.text and capsys.readouterr().err == ""
    caplog.clear()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    build(model)
    assert "capture      cached" in capsys.readouterr().err and caplog.text == ""


def test_tensors_are_taken_as_they_are(firmware):
    import torch

    several = vectors(2)
    assert np.array_equal(firmware.run(torch.from_numpy(several)), firmware.run(several))


def test_several_outputs_are_a_tuple(model):
    file = model.with_name("two.py")
    file.write_text(MODEL + TWO_OUTPUTS)
    first, second = build(file).run(vectors(1)[0])
    assert (first.shape, second.shape) == ((1, 4), (1, 3))


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ((), "0 inputs, the model has 1"),
        ((np.zeros((1, 6)),), r"input_0: float64\[1, 1, 6\], the model takes float32"),
        ((np.zeros((1, 7), np.float32),), "input_0: float32"),
        ((np.zeros((0, 1, 6), np.float32),), r"inputs with \[0\] vectors"),
        ((np.float32(1),), "input_0: float32"),
    ],
)
def test_inputs_that_do_not_fit(firmware, inputs, told):
    with pytest.raises(mcu_build.McuError, match=f"^net: {told}"):
        firmware.run(*inputs)


def test_a_run_of_the_models_own_vectors_tells_console_and_stack(firmware):
    run = firmware.execute()
    assert run.outputs[0].shape[1:] == (1, 3)
    assert run.outcome.vectors == len(run.outputs[0])


def test_a_test_that_fails_raises(firmware, monkeypatch):
    assert firmware.test(3).comparison.mismatches == 0
    real = prove.simulate

    def corrupt(*arguments):
        outcome = real(*arguments)
        return replace(outcome, outputs=outcome.outputs[:-1] + bytes([outcome.outputs[-1] ^ 1]))

    monkeypatch.setattr(prove, "simulate", corrupt)
    with pytest.raises(mcu_build.McuError, match="1 of 9 outputs are wrong") as caught:
        firmware.test(3)
    assert caught.value.exit_code == mcu_build.Exit.FIRMWARE


def test_budgets(firmware):
    firmware.check_budgets(firmware.flash, firmware.ram)
    with pytest.raises(mcu_build.McuError, match="net: ram: ") as caught:
        firmware.check_budgets(firmware.flash, firmware.ram - 1)
    assert caught.value.exit_code == mcu_build.Exit.BUDGET
    assert caught.value.__notes__[0].startswith("hint: `mcu-build size`")


def test_a_folder_that_something_else_was_built_into_is_not_run(model, firmware):
    text = model.read_text()
    model.write_text(text.replace("manual_seed(0)", "manual_seed(1)"))
    other = build(model)
    with pytest.raises(mcu_build.McuError, match="built again since"):
        firmware.run(vectors(1))
    assert other.run(vectors(1)).shape == (1, 1, 3)
    model.write_text(text)
    build(model)
    firmware.run(vectors(1))


def test_an_artefact_that_there_is_not(firmware):
    with pytest.raises(ValueError, match="no artefact 'uf3'; there are elf, map"):
        firmware.path("uf3")


def test_a_board_that_there_is_not(model):
    with pytest.raises(mcu_build.McuError, match="no board is called 'corston'"):
        mcu_build.build(model, board="corston")


def test_generated_sources_are_the_commands(model, tmp_path):
    files = mcu_build.generate(model, board="mps2-an386", output=tmp_path / "ours", name="other").files
    words = ("--board", "mps2-an386", "--name", "other", "--output", tmp_path / "theirs")
    assert command("generate", model, *words).status == 0
    assert {file.name for file in files} == {file.name for file in (tmp_path / "theirs").iterdir()}
    for file in files:
        assert file.read_bytes() == (tmp_path / "theirs" / file.name).read_bytes()


def test_warnings_and_stages_are_logged(model, caplog):
    with caplog.at_level("INFO", logger="mcu_build"):
        build(model)
    assert [record.getMessage() for record in caplog.records][-1] == "build (cached)"
