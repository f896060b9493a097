"""`mcu-build why`: two forms of a model that differ, the layer where, and a model file of it alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mcu_build.errors import Exit
from mcu_build.stages import planning
from mcu_build.verify import command_streams as verify_streams
from tests.host.test_quality import GOOD, RUINED
from tests.support.cli import mcu_build

NPU = ("--board", "corstone-300", "--npu", "ethos-u55-128")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("why")
    for name, text in (("ruined", RUINED), ("good", GOOD)):
        (made / f"{name}.py").write_text(text)
    return made


def why(file, *words, board=("--board", "host"), build="build"):
    result = mcu_build("why", *board, file, *words, "--build-dir", file.parent / build, "--json")
    assert "links" in result.json, result.out
    return result.status, result.json["links"]


def test_the_layer_that_int8_ruins_runs_alone(folder):
    status, (link,) = why(folder / "ruined.py", "float", "quantized")
    assert status == Exit.FIRMWARE
    found = link["difference"]
    assert found["layer"]["operator"].startswith("aten.pow")
    assert found["layer"]["line"] == "ruined.py:12"
    assert found["element"]["expected"] != found["element"]["found"]
    assert found["shows"]
    alone = mcu_build("accuracy", found["model"], "--json").json
    assert alone["quality"][0]["sqnr_db"] < 20
    assert len(alone["layers"]) == 1


def test_a_good_model_agrees_throughout(folder):
    status, links = why(folder / "good.py")
    assert status == Exit.OK
    assert [(link["before"], link["after"]) for link in links] == [
        ("float", "quantized"),
        ("quantized", "firmware"),
    ]
    assert not any(link["difference"] for link in links)


@pytest.mark.slow
def test_a_kernel_that_is_wrong(folder, monkeypatch):
    """Weights of the firmware that are not the program's: in the part of the model likewise."""
    real = planning.plan_program

    def damaged(*arguments, **options):
        plan = real(*arguments, **options)
        weights = [one for one in plan.tensors.values() if one.data and one.shape == (4, 8)]
        values = {
            one.id: replace(one, data=(np.frombuffer(one.data, np.int8) ^ 64).tobytes()) for one in weights
        }
        return replace(plan, tensors={**plan.tensors, **values})

    monkeypatch.setattr(planning, "plan_program", damaged)
    status, (link,) = why(folder / "good.py", "quantized", "firmware", build="damaged")
    assert status == Exit.FIRMWARE
    found = link["difference"]
    assert found["layer"]["name"] == "head"
    assert found["element"]["vector"] == 0
    assert found["layers"] == "alone" and found["shows"]
    monkeypatch.undo()
    words = ("test", "--board", "host", found["model"], "--build-dir", folder / "right", "--json")
    control = mcu_build(*words)
    assert (control.status, control.json["mismatches"]) == (Exit.OK, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("elements", "operator"), [(None, "relu"), (4, "linear")])
def test_a_command_stream_that_is_wrong(folder, monkeypatch, elements, operator):
    real = verify_streams.simulate.run

    def damaged(*arguments):
        outputs = real(*arguments)
        return [_inverted(data) if elements in (None, len(data)) else data for data in outputs]

    monkeypatch.setattr(verify_streams, "simulate", SimpleNamespace(run=damaged))
    status, links = why(folder / "good.py", "quantized", "npu", board=NPU)
    assert status == Exit.FIRMWARE
    assert links[0]["difference"] is None
    found = links[1]["difference"]
    assert operator in found["layer"]["operator"]
    assert found["element"]["found"] != found["element"]["expected"]
    assert found["shows"]


def _inverted(data):
    return (~np.frombuffer(data, np.uint8)).tobytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("float", "npu"), "npu: nothing of it is computed on an NPU"),
        (("float", "float"), "float and float are one"),
    ],
)
def test_forms_that_are_not_there(folder, words, told):
    result = mcu_build("why", "--board", "host", folder / "good.py", *words)
    assert result.status in (Exit.INPUT, Exit.USAGE) and told in result.err
