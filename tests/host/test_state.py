"""Models that keep state: buffers that `forward` writes, carried from call to call by the firmware."""

import json
import subprocess

import numpy as np
import pytest
import torch

from mcu_build import process
from mcu_build.frontend.capture import capture
from mcu_build.frontend.model_file import load
from mcu_build.frontend.quantize_npu import copied_inputs
from mcu_build.frontend.state import Stepper, lift_state
from mcu_build.ir.program import load as load_program
from mcu_build.resources import data_dir
from mcu_build.vectors import pack as vectors
from mcu_build.vectors.compare import compare
from mcu_build.verify.prove import Proof
from tests.support.cli import mcu_build

# A ring buffer for a convolution over time, a running mean that begins at 1, and a counter of calls.
MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3)
        self.head = nn.Linear(6, 3)
        self.register_buffer("past", torch.zeros(1, 4, 2))
        self.register_buffer("mean", torch.ones(1, 6))
        self.register_buffer("calls", torch.zeros(1, dtype=torch.int32))

    def forward(self, x):
        window = torch.cat([self.past, x], -1)
        self.past.copy_(window[..., 1:])
        y = torch.relu(self.conv(window))[..., 0]
        self.mean.mul_(0.5).add_(y * 0.5)
        self.calls += 1
        return {"scores": self.head(self.mean), "calls": self.calls.clone()}

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, 4, 1),)

def calls(count):
    return [(torch.randn(1, 4, 1),) for _ in range(count)]

calibration = [calls(12), calls(12)]
evaluation = [(calls(7), None), (calls(5), None)]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "keeps.py"
    path.write_text(MODEL)
    return path


def test_the_lifted_program_steps_as_the_model_does(file):
    model = load(file)
    lifted, initial = lift_state(capture(model))
    assert [tuple(one.shape) for one in initial] == [(1, 4, 2), (1, 6), (1,)]
    stepper = Stepper(lifted.module(check_guards=False), initial)
    original = load(file).model
    calls = [inputs for sequence in load(file).calibration() for inputs in sequence][:6]
    for inputs in calls:
        for found, wanted in zip(stepper.step(inputs), original(*inputs).values(), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), atol=1e-6)
    stepper.reset()
    assert int(stepper.step(calls[0])[1]) == 1


@pytest.mark.parametrize("board", ["host", "corstone-300", "mps2-an386"])
def test_firmware_steps_as_the_quantized_program_does(file, board):
    """Twelve calls in two sequences: every output equal, and the counter begins anew with each sequence."""
    tested = mcu_build("test", "--board", board, "--npu", "none", "--json", file)
    assert tested.status == 0, tested.err
    document = tested.json
    assert (document["vectors"], document["mismatches"], document["outputs_vary"]) == (12, 0, True)
    # 8 samples, 6 means and a counter, after each call.
    assert document["state"] == {"elements": 12 * 15, "mismatches": 0}
    assert document["quality"][0]["sqnr_db"] > 15
    assert document["quality"][1]["equal"] == 1.0


def test_a_wrong_state_is_noticed_where_outputs_are_right() -> None:
    """The control: of two buffers, behind an output of four bytes, the second has one wrong element."""
    ports = [{"dtype": "float32", "shape": [1], "dim_order": [0], "scale": None, "zero_point": None}]
    first, second = np.arange(6, dtype=np.int8).reshape(2, 3), np.array([[1.5], [-0.0]], np.float32)
    rows = [bytes(4) + first[step].tobytes() + bytes(13) + second[step].tobytes() for step in range(2)]
    found = vectors.unpack_state(b"".join(rows), 2, ports, [first, second], [0, 16], [None, None])
    assert compare([first, second], found, [0.0, 0.0]).mismatches == 0
    wrong = compare([first, np.array([[1.5], [2.0]], np.float32)], found, [0.0, 0.0])
    right = compare([first], [first], [0.0])
    proof = Proof("m", right, wrong, None, None, (), (), made_up=False)
    failure = proof.failure()
    assert failure is not None
    assert "1 of 8 elements of state are wrong; the first is element 0 of buffer 1 after vector 1" in str(
        failure
    )


def test_state_is_integers_where_its_readers_are(file):
    built = mcu_build("build", "--board", "host", "--json", file).json
    # past: 8 bytes, mean: 24, since it adds up, calls: 4, each aligned to 16.
    assert built["ram"]["state"] == 52
    in_float = {row["kernel"] for row in built["operators"] if row["where"] == "float"}
    assert in_float <= {"mul_f32", "add_f32", "copy"}


def test_state_goes_on_where_it_is_not_reset(file, tmp_path):
    """The control: one sequence of the same calls gives other outputs than two."""
    inputs = np.random.default_rng(0).standard_normal((8, 1, 4, 1)).astype(np.float32)
    np.savez(tmp_path / "in.npz", input_0=np.concatenate([inputs, inputs]))
    given = ("--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
    assert mcu_build("run", "--board", "host", *given, file).status == 0
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs["output_1"].ravel().tolist() == list(range(1, 17))
        assert (outputs["output_0"][:8] != outputs["output_0"][8:]).any()


# A difference from the call before, and a delay of three calls, one buffer each.
DELAYS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("first", "second", "third"):
            self.register_buffer(name, torch.zeros(1, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        y = self.head(x - self.third)
        late = self.first.clone()
        self.first.copy_(self.second)
        self.second.copy_(self.third)
        self.third.copy_(x)
        return {"scores": y, "late": late}

torch.manual_seed(1)
model = Net()
example_inputs = (torch.randn(1, 4),)
calibration = [[(torch.randn(1, 4),) for _ in range(12)]]
evaluation = [([(torch.randn(1, 4),) for _ in range(6)], None)]
precision = {"*": "int8"}
"""


@pytest.fixture(scope="module")
def delays(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "delays.py"
    path.write_text(DELAYS)
    return path


def test_a_buffer_may_be_given_an_input_or_another_buffer(delays):
    document = mcu_build("test", "--board", "host", "--json", delays).json
    assert (document["mismatches"], document["outputs_vary"]) == (0, True)
    assert document["state"] == {"elements": 6 * 12, "mismatches": 0}
    assert all(one["sqnr_db"] > 15 for one in document["quality"])
    built = mcu_build("build", "--board", "host", "--json", delays).json
    # A byte an element, each buffer on 16 bytes: those that only move, too.
    assert built["ram"]["state"] == 16 + 16 + 4
    assert {row["where"] for row in built["operators"]} == {"int8", "boundary"}


MOVED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("ring", torch.zeros(1, 4, 3))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("small", torch.tensor(7, dtype=torch.int32))
        self.register_buffer("late", torch.zeros(1, 4, 1))
        self.conv = nn.Conv1d(4, 2, 3)

    def forward(self, x):
        y, late = self.conv(self.ring), self.late.clone()
        self.ring.copy_(torch.cat([self.ring, x], 2)[..., 1:])
        self.late.copy_(x)
        self.count += 1
        self.small.copy_(self.small * 3 - 10)
        return y, late, self.count + 0, self.small.clone()

model = Net()
example_inputs = (torch.randn(1, 4, 1),)
calibration = [[(torch.randn(1, 4, 1),) for _ in range(6)]]
evaluation = [([(torch.randn(1, 4, 1),) for _ in range(5)], None)]
"""


def test_a_ring_that_is_only_moved_is_int8_as_its_reader_is(tmp_path):
    """The control: what nothing computes with stays float. A number without dimensions is state, too."""
    path = tmp_path / "moved.py"
    path.write_text(MOVED)
    document = mcu_build("test", "--board", "host", "--json", path).json
    assert (document["mismatches"], document["outputs_vary"]) == (0, True)
    assert document["state"] == {"elements": 5 * (12 + 1 + 1 + 4), "mismatches": 0}
    assert [document["quality"][index]["equal"] for index in (1, 2)] == [1.0, 1.0]
    # 12 integers, a count of 8 bytes, one of 4, 4 floats.
    assert mcu_build("build", "--board", "host", "--json", path).json["ram"]["state"] == 16 + 16 + 16 + 16


CHOSEN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(8, 8)
        self.head = nn.Linear(24, 4)
        for name in ("ring", "held", "mean"):
            self.register_buffer(name, torch.zeros(1, 8))

    def forward(self, x, gate, at):
        y = self.lin(x)
        self.ring.copy_(torch.where(torch.arange(8)[None] == at, x[:, :1], self.ring))
        self.held.copy_(torch.where(gate[:, 1:2] > 0, y, self.held * 0.5))
        self.mean.copy_((self.mean * 0.5 + y).masked_fill(gate[:, :1] > 0, 0.0))
        return self.head(torch.cat([self.ring, self.held, self.mean], 1))

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, 8), torch.randn(1, 8), torch.tensor([[0]]))

def calls(count):
    return [(torch.randn(1, 8), torch.randn(1, 8), torch.tensor([[i % 8]])) for i in range(count)]

calibration = [calls(20), calls(20)]
evaluation = [(calls(12), None), (calls(5), None)]
precision = {"*": "int8"}  # What decays would be float.
"""


def test_state_that_a_condition_chooses_is_int8(tmp_path):
    path = tmp_path / "chosen.py"
    path.write_text(CHOSEN)
    document = mcu_build("test", "--board", "host", "--build-dir", tmp_path, "--json", path).json
    assert (document["mismatches"], document["outputs_vary"]) == (0, True)
    assert document["state"] == {"elements": 17 * 24, "mismatches": 0}
    assert document["quality"][0]["sqnr_db"] > 20
    steps = json.loads((tmp_path / "chosen/host/plan.json").read_text())["steps"]
    assert [step["kernel"] for step in steps].count("where_s8") == 3


def test_copies_of_inputs_are_not_for_an_npu(delays):
    """A partition of such a copy has an output that is its input; other moves and what computes may go."""
    lifted, _ = lift_state(capture(load(delays)))
    graph = lifted.module(check_guards=False).graph
    kept = set(copied_inputs(graph))
    assert len(kept) == 3
    assert {str(node.target) for node in kept} == {"aten.clone.default"}


@pytest.mark.slow
def test_state_beside_an_npu(delays):
    npu = ("--board", "corstone-300", "--npu", "ethos-u55-128")
    document = mcu_build("test", *npu, "--json", delays).json
    assert (document["mismatches"], document["outputs_vary"]) == (0, True)
    assert document["state"] == {"elements": 6 * 12, "mismatches": 0}


APPLICATION = """
#include <cstdio>
#include <cstring>
#include "delays.h"
#include "keeps.h"
int main() {
    unsigned char saved[KEEPS_STATE_SIZE];
    for (int call = 0; call < 6; ++call) {
        if (call == 2) std::memcpy(saved, keeps::state().data(), sizeof saved);
        if (call == 4) std::memcpy(keeps_state(), saved, sizeof saved);
        if (call == 5) keeps::reset();
        for (auto& value : keeps::input()) value = 1.0f;
        for (auto& value : delays::input()) value = 0.25f * (call + 1);
        keeps::run();
        delays::run();
        std::printf("%d %.1f ", static_cast<int>(keeps::output_calls()[0]), 4 * delays::output_late()[0]);
    }
    delays::reset();
    keeps::run();
    delays::run();
    std::printf("%d %.1f", static_cast<int>(keeps::output_calls()[0]), 4 * delays::output_late()[0]);
}
"""


def test_an_application_resets_saves_and_restores(file, delays, tmp_path):
    """Two models in one image, each with a state of its own."""
    folders = []
    for model in (file, delays):
        folders.append(tmp_path / model.stem)
        assert mcu_build("generate", "--board", "host", "--output", folders[-1], model).status == 0
    (tmp_path / "main.cpp").write_text(APPLICATION)
    firmware, kernels = data_dir() / "firmware", set()
    for folder in folders:
        text = (folder / "model.cmake").read_text()
        kernels |= set(text.partition("MCU_MODEL_KERNELS ")[2].partition(")")[0].split())
    sources = [firmware / "kernels" / "reference" / f"{stem}.cpp" for stem in kernels]
    sources += [tmp_path / "main.cpp", *(path for folder in folders for path in folder.glob("*.cpp"))]
    includes = [f"-I{folder}" for folder in (firmware / "include", *folders)]
    built = process.run(["g++", "-std=c++20", *includes, "-o", tmp_path / "app", *sources])
    assert built.status == 0, built.stderr
    output = subprocess.run([tmp_path / "app"], capture_output=True, text=True, check=True).stdout.split()
    assert output[::2] == ["1", "2", "3", "4", "3", "1", "2"]
    late = [0, 0, 0, 1, 2, 3, 0]
    assert [float(one) for one in output[1::2]] == pytest.approx(late, abs=0.1)


INNER = """
class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([Net()])

    def forward(self, x):
        return self.parts[0](x)

model = Outer()
"""


@pytest.mark.parametrize("module", ["model = Net()\n", INNER])
def test_buffers_that_are_assigned_step_as_those_that_are_copied(module, tmp_path):
    """An input, a buffer, the old value of one that is assigned before, a part of it. In a submodule, too."""
    path = tmp_path / "assigned.py"
    copies = DELAYS[DELAYS.index("        self.first.copy_") : DELAYS.index("        return")]
    text = """
        old = self.third
        late = self.first
        self.third = x
        self.second, self.first = old[:1], self.second
"""
    path.write_text(DELAYS.replace(copies, text).replace("model = Net()\n", module))
    lifted, initial = lift_state(capture(load(path)))
    stepper, original = Stepper(lifted.module(check_guards=False), initial), load(path).model
    for inputs in next(iter(load(path).calibration())):
        found, wanted = stepper.step(inputs), original(*inputs)
        torch.testing.assert_close(found, (wanted["scores"], wanted["late"]), rtol=0, atol=0)


def test_state_returned_by_reference_is_its_new_value(tmp_path):
    """`past` itself as an output, as PyTorch's caller sees it: what the call has written."""
    path = tmp_path / "shown.py"
    text = DELAYS.replace("late = self.first.clone()", "late = self.third")
    path.write_text(text)
    lifted, initial = lift_state(capture(load(path)))
    stepper, original = Stepper(lifted.module(check_guards=False), initial), load(path).model
    for inputs in next(iter(load(path).calibration()))[:3]:
        wanted = original(*inputs)["late"].clone()
        torch.testing.assert_close(stepper.step(inputs)[1], wanted, rtol=0, atol=0)
        torch.testing.assert_close(wanted, inputs[0], rtol=0, atol=0)


def test_an_output_that_is_state_too_is_float_as_io_asks(tmp_path):
    """The state itself is int8: 4 bytes, each of three on 16."""
    path = tmp_path / "shown.py"
    path.write_text(DELAYS.replace("late = self.first.clone()", "late = self.third"))
    tested = mcu_build("test", "--board", "host", "--io", "float", "--build-dir", tmp_path, "--json", path)
    assert (tested.json["mismatches"], tested.json["state"]["mismatches"]) == (0, 0)
    header = next(tmp_path.rglob("shown.h")).read_text()
    assert "float *shown_output_scores(void)" in header
    assert "float *shown_output_late(void)" in header
    assert "#define SHOWN_STATE_SIZE 36" in header


def test_two_modules_share_a_buffer(tmp_path):
    """One writes it, the other reads it under a name of its own, before and afterwards."""
    path = tmp_path / "shared.py"
    inner = INNER.replace("[Net()]", "[Net(), Net()]").replace(
        "return self.parts[0](x)",
        "return self.parts[1].third * 2, self.parts[0](x)['scores'], self.parts[1].third + 1",
    )
    path.write_text(
        DELAYS.replace("model = Net()\n", f"{inner}model.parts[1].third = model.parts[0].third\n")
    )
    lifted, initial = lift_state(capture(load(path)))
    stepper, original = Stepper(lifted.module(check_guards=False), initial), load(path).model
    for inputs in next(iter(load(path).calibration()))[:4]:
        torch.testing.assert_close(stepper.step(inputs), original(*inputs), rtol=0, atol=0)


def test_executorchs_runtime_carries_state(file, tmp_path):
    """Two sequences, so reset() too, with initial values that are not all zero."""
    words = ("--board", "host", "--runtime", "executorch", "--build-dir", tmp_path, "--json", file)
    tested = mcu_build("test", *words)
    assert tested.status == 0, tested.err
    assert (tested.json["mismatches"], tested.json["outputs_vary"]) == (0, True)
    assert tested.json["state"] == {"elements": 12 * (8 + 6 + 1), "mismatches": 0}
    program = load_program(tmp_path / "keeps" / "host-executorch" / "delegated.pte")
    assert program.planned_sizes[1:] == (64,)
    # What fits is our own plan's, under this runtime, too.
    refused = mcu_build("build", *words, "--ram", 32)
    assert refused.status == 1
    assert "bytes, 32 are allowed" in refused.json["error"]["message"]


def test_executorchs_own_kernels_are_refused_by_name(file):
    words = ("--board", "corstone-300", "--npu", "none", "--runtime", "executorch", "--kernels", "upstream")
    refused = mcu_build("build", *words, file)
    assert refused.status == 1
    assert "--kernels upstream: the model keeps state from call to call" in refused.err


def test_a_label_for_each_call_or_for_the_last(file, tmp_path):
    text = MODEL.replace("(calls(7), None)", "(calls(7), [0, 1])")
    (tmp_path / "labels.py").write_text(text)
    refused = mcu_build("test", "--board", "host", tmp_path / "labels.py")
    assert "evaluation[0]: 2 labels for 7 calls" in refused.err
