"""`mcu-build test` can fail: wrong outputs, outputs that never change, budgets, time-outs."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mcu_build.errors import Exit
from mcu_build.stages import planning
from mcu_build.verify import prove
from tests.support.cli import mcu_build

MODEL = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
example_inputs = (torch.zeros(1, 6),)
calibration = [torch.randn(1, 6) for _ in range(16)]
evaluation = [(x, int(model(x).argmax())) for x in calibration]
"""


@pytest.fixture
def model(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(MODEL)
    return file


def prove_it(model, *options):
    return mcu_build("test", "--board", "host", model, "--build-dir", model.parent / "build", *options)


def test_right_outputs(model):
    result = prove_it(model)
    assert result.status == Exit.OK
    assert "all 48 equal the quantized program's exactly" in result.out
    assert prove_it(model, "--json").json["mismatches"] == 0


def test_one_wrong_byte_on_the_way_out(model, monkeypatch):
    real = prove.simulate

    def corrupt(*arguments):
        outcome = real(*arguments)
        return replace(outcome, outputs=outcome.outputs[:-1] + bytes([outcome.outputs[-1] ^ 1]))

    monkeypatch.setattr(prove, "simulate", corrupt)
    result = prove_it(model, "--json")
    assert result.status == Exit.FIRMWARE
    assert result.json["mismatches"] == 1
    text = prove_it(model).out
    assert "WRONG: 1 of 48" in text
    assert "vector 15, output 0" in text


def test_one_wrong_weight_in_the_firmware(model, monkeypatch):
    real = planning.plan_program

    def damaged(*arguments, **options):
        plan = real(*arguments, **options)
        weights = next((t for t in plan.tensors.values() if t.data and t.dtype.size == 1), None)
        if weights is None:
            return plan
        values = np.frombuffer(weights.data, np.int8).copy()
        values[0] ^= 64
        return replace(plan, tensors={**plan.tensors, weights.id: replace(weights, data=values.tobytes())})

    monkeypatch.setattr(planning, "plan_program", damaged)
    result = prove_it(model, "--json")
    assert result.status == Exit.FIRMWARE
    assert result.json["mismatches"] > 0
    assert result.json["max_abs_difference"] > 0
    (suspect,) = result.json["suspects"]
    assert suspect["operator"] == "cortex_m::quantized_linear.out"
    text = prove_it(model)
    name = f"{suspect['name']} linear {suspect['shape'][-1]}"
    assert f"  layer      {name} is the first that differs" in text.out
    # The error says the same in one line: which output and element, by how much, and the layer.
    where = (
        r"the first is output 0\[0, \d\] of vector \d+, \S+ instead of \S+; the largest difference is \S+;"
    )
    assert re.search(where, text.err)
    assert f"the first layer that differs is {name}" in text.err
    assert "defect" not in text.err


@pytest.mark.parametrize(
    "change, hint",
    [
        ("model[2].weight.data.zero_()", "an untrained model has one class for all inputs"),
        ("evaluation = [(calibration[0] + i * 1e-4, None) for i in range(4)]", "less than a step of int8"),
    ],
)
def test_outputs_that_never_change_prove_nothing(model, change, hint):
    model.write_text(f"{MODEL}{change}\n")
    result = prove_it(model)
    assert result.status == Exit.FIRMWARE
    assert "proves nothing" in result.err
    assert hint in " ".join(result.err.split())


def test_budgets(model):
    assert prove_it(model, "--min-accuracy", 0.2).status == Exit.OK
    result = prove_it(model, "--min-accuracy", 1.01, "--json")
    assert result.status == result.json["error"]["exit_code"] == Exit.BUDGET
    assert result.json["mismatches"] == 0
    build = mcu_build(
        "--board",
        "host",
        model,
        "--build-dir",
        model.parent / "build",
        "--max-flash",
        "1K",
        "--max-ram",
        "16",
    )
    assert build.status == Exit.BUDGET
    assert build.err.count("budget") == 2 and "  flash  " in build.out  # what there is comes first


def test_inputs_that_do_not_fit(model, tmp_path):
    archive = tmp_path / "in.npz"
    run = ["run", "--board", "host", model, "--build-dir", tmp_path / "build", "--inputs", archive]
    for arrays, text in (
        ({"input_0": np.zeros((2, 1, 5), np.float32)}, "input_0: float32[2, 1, 5]"),
        ({"input_0": np.zeros((2, 1, 6), np.float64)}, "float64"),
        ({"x": np.zeros((2, 1, 6), np.float32)}, "0 inputs"),
        ({"input_0": np.zeros((0, 1, 6), np.float32)}, "vectors"),
    ):
        np.savez(archive, **arrays)
        result = mcu_build(*run)
        assert result.status == Exit.INPUT
        assert text in result.err
    archive.write_bytes(b"no archive")
    assert "in.npz: not an .npz archive" in mcu_build(*run).err


def test_run_writes_every_output(model, tmp_path):
    inputs, outputs = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(inputs, input_0=np.random.default_rng(0).standard_normal((5, 1, 6)).astype(np.float32))
    result = mcu_build(
        "run", "--board", "host", model, "--build-dir", tmp_path / "build",
        "--inputs", inputs, "--outputs", outputs, "--json",
    )  # fmt: skip
    assert result.status == Exit.OK
    assert (result.json["vectors"], result.json["status"]) == (5, 0)
    with np.load(outputs) as archive:
        assert archive["output_0"].shape == (5, 1, 3)
        assert np.unique(archive["output_0"]).size > 5
