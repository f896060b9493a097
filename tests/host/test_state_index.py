"""State that is read and written at an index which calls count: ring buffers, rows of a memory."""

import numpy as np
import pytest

from mcu_build.errors import McuError
from mcu_build.frontend.capture import capture
from mcu_build.frontend.model_file import load
from mcu_build.frontend.state import Stepper, lift_state
from tests.support.cli import mcu_build

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.head = nn.Linear(20, 3)
        self.register_buffer("at", torch.zeros((), dtype=torch.int64))
        self.register_buffer("ring", torch.zeros(5, 4))
        self.register_buffer("grid", torch.zeros(2, 3, 4))

    def forward(self, x):
        y = self.lin(x)
        seen = self.ring[self.at % 5]
        self.ring[self.at % 5] = y
        self.ring[self.at - self.at - 1, 1:3] += 0.5 * y[0, :2]
        self.grid[:, 1, self.at % 4] = y[0, :2]
        self.grid[0, self.at % 3].mul_(0.5)
        self.grid[1, 2, self.at % 4] = 0.25
        self.at += 1
        order = (torch.arange(5) + self.at) % 5
        rows = torch.gather(self.grid[0], 0, (order[:3] % 3)[:, None].expand(3, 4))
        last = self.ring[(self.at - 1) % 5]
        return self.head(self.ring[order].reshape(1, 20)), seen * 1.0, last, rows * 1.0

torch.manual_seed(0)
model = Net()
example_inputs = (torch.randn(1, 4),)

def calls(count):
    return [(torch.randn(1, 4),) for _ in range(count)]

calibration = [calls(25), calls(25)]
evaluation = [(calls(13), None), (calls(5), None)]
precision = {"*": "int8"}  # State that is added to or halved would be float.
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "ring.py"
    path.write_text(MODEL)
    return path


def test_an_index_that_calls_count_is_what_pytorch_takes(file):
    """What was read before a write is a view in PyTorch, and shows it: `seen` is the new row."""
    lifted, initial = lift_state(capture(load(file)))
    stepper, original = Stepper(lifted.module(check_guards=False), initial), load(file).model
    for inputs in next(iter(load(file).calibration()))[:12]:
        for found, wanted in zip(stepper.step(inputs), original(*inputs), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), wanted.detach().numpy(), atol=1e-6)


def test_a_ring_at_an_index_is_int8(file):
    document = mcu_build("test", "--board", "host", "--json", file).json
    assert (document["mismatches"], document["outputs_vary"]) == (0, True)
    assert document["state"] == {"elements": 18 * 45, "mismatches": 0}
    assert min(one["sqnr_db"] for one in document["quality"]) > 20
    built = mcu_build("build", "--board", "host", "--json", file).json
    # A byte an element and 8 for the count, each buffer on 16 bytes.
    assert built["ram"]["state"] == 32 + 32 + 8
    integers = ("remainder", "add", "sub", "mul", "view", "full")
    others = {row["operator"] for row in built["operators"] if row["where"] == "float"}
    assert {name.split("::")[-1] for name in others} <= set(integers), others


def test_a_number_that_is_more_than_an_index_is_refused(tmp_path):
    path = tmp_path / "sliced.py"
    path.write_text(MODEL.replace("self.ring[self.at % 5] = y", "self.ring[: int(self.at)] = y"))
    with pytest.raises(McuError, match=r"line 17: cannot be exported: .*data-dependent"):
        capture(load(path))
