"""Streams by the command: firmware takes steps, recordings are run, and what cannot be is named."""

import json

import numpy as np
import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.frontend.stream import check_stream
from tests.host.test_stream import LATE
from tests.support.cli import mcu_build

MODEL = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv1d(4, 32, 4, stride=2)
        self.b = nn.Conv1d(32, 32, 3, dilation=8)
        self.gru = nn.GRU(32, 6, batch_first=True)
        self.lstm = nn.LSTM(6, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, sound):
        x = torch.relu(self.a(F.pad(sound, (2, 0))))
        x = torch.relu(self.b(F.pad(x, (16, 0)))) + x
        return self.head(self.lstm(self.gru(x.transpose(1, 2))[0])[0])

torch.manual_seed(0)
model = Net()
stream = {"sound": 2}
example_inputs = (torch.randn(1, 4, 24),)
calibration = [torch.randn(1, 4, 24) for _ in range(6)]
evaluation = [(torch.randn(1, 4, 24), [1] * 12) for _ in range(2)]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "streams.py"
    path.write_text(MODEL)
    return path


def test_firmware_takes_steps(file, tmp_path) -> None:
    tested = mcu_build("test", "--board", "host", "--json", file)
    assert tested.status == 0, tested.err
    document = tested.json
    assert (document["vectors"], document["mismatches"], document["outputs_vary"]) == (24, 0, True)
    assert document["state"]["mismatches"] == 0
    assert document["state"]["elements"] > 24 * 30
    assert document["quality"][0]["sqnr_db"] > 25
    assert document["accuracy"] is not None
    # What a dilated convolution keeps is a ring.
    built = mcu_build("build", "--board", "host", "--json", file).json
    assert "gather_ring" in {row["kernel"] for row in built["operators"]}
    # A stride of 2 in front of what looks back only: the first step has a result.
    assert mcu_build("generate", "--board", "host", "--output", tmp_path, file).status == 0
    header = (tmp_path / "streams.h").read_text()
    assert "#define STREAMS_HOP 2\n#define STREAMS_FIRST_RESULT 1\n" in header
    assert "inline constexpr std::size_t hop = STREAMS_HOP;" in header


SPECTROGRAM = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n = nn.Conv2d(1, 4, 3, stride=(1, 2), padding=(0, 1)), nn.BatchNorm2d(4)
        self.p, self.b = nn.MaxPool2d((2, 2)), nn.Linear(8, 3)

    def forward(self, x):
        y = self.p(F.hardswish(self.n(self.a(F.pad(x, (0, 0, 2, 0))))))
        return self.b(y.permute(0, 2, 1, 3).flatten(2)), y.mean(3).mean(2)

torch.manual_seed(0)
model = Net().eval()
stream = {"x": 2}
example_inputs = (torch.randn(1, 1, 16, 8),)
calibration = [torch.randn(1, 1, 16, 8) for _ in range(16)]
evaluation = [(torch.randn(1, 1, 16, 8), None)]
"""


def test_firmware_steps_over_images_of_one_channel(tmp_path) -> None:
    """Their strides do not tell the order of their dimensions; a step has two rows. A window of means that
    pools of our own make and read is int8, as everything is."""
    path = tmp_path / "spectrogram.py"
    path.write_text(SPECTROGRAM)
    document = mcu_build("test", "--board", "host", "--build-dir", tmp_path, "--json", path).json
    assert (document["mismatches"], document["outputs_vary"]) == (0, True)
    assert document["state"] == {"elements": 8 * (16 + 4 * 7), "mismatches": 0}
    assert all(output["sqnr_db"] > 25 for output in document["quality"])
    manifest = json.loads((tmp_path / "spectrogram/host/manifest.json").read_text())
    assert {row["where"] for row in manifest["operators"]} == {"int8", "boundary"}


def test_run_takes_recordings(file, tmp_path) -> None:
    """Two recordings of another length in one boot: the second begins anew, so that both are alike."""
    recording = np.random.default_rng(0).standard_normal((1, 1, 4, 32)).astype(np.float32)
    np.savez(tmp_path / "in.npz", input_0=np.concatenate([recording, recording]))
    given = ("--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
    assert mcu_build("run", "--board", "host", *given, file).status == 0
    with np.load(tmp_path / "out.npz") as outputs:
        found = outputs["output_0"]
    assert found.shape == (2, 1, 16, 3)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0, 0, 0] != found[0, 0, -1]).any()


def test_recordings_to_run_are_as_long_as_the_window(file, tmp_path) -> None:
    np.savez(tmp_path / "in.npz", input_0=np.zeros((1, 1, 4, 33), np.float32))
    refused = mcu_build("run", "--board", "host", "--inputs", tmp_path / "in.npz", file)
    assert refused.status == 1
    assert "in.npz: recordings of 33 samples, and a step takes 2" in refused.err


def test_bad_streams_are_named(file, tmp_path) -> None:
    for text, output in (
        ('{"noise": 2}', "stream: no input 'noise': there are sound"),
        ('{"sound": 3}', "stream: 'sound': axis 3 of float32[1, 4, 24]"),
        ("2", "stream: of type int, not a dictionary"),
    ):
        wrong = tmp_path / "wrong.py"
        wrong.write_text(MODEL.replace('{"sound": 2}', text))
        refused = mcu_build("build", "--board", "host", wrong)
        assert refused.status == 1
        assert output in refused.err


def test_a_recording_without_a_result_is_refused_before_calibrating(tmp_path) -> None:
    exported = torch.export.export(LATE["equal padding"][0], (torch.zeros(1, 3, 3),), strict=False)
    with pytest.raises(McuError, match="recordings of 3 samples are shorter than the window"):
        check_stream(exported, {0: 2})
    file = tmp_path / "short.py"
    file.write_text(
        MODEL.replace(
            "example_inputs = (torch.randn(1, 4, 24)", "example_inputs = (torch.randn(1, 4, 2)"
        ).replace("(2, 0)", "(1, 0)")
    )
    refused = mcu_build("build", "--board", "host", file)
    assert refused.status == 1
    assert "layer 'a' (Conv1d): cannot be run" in refused.err
    assert "a whole recording, longer than any window of the model" in refused.err
