"""The verdict on an int8 program: figures against the float model, layers that lose most, gates."""

import re
from dataclasses import asdict
from html import unescape

import numpy as np
import pytest
import torch

from mcu_build.frontend.captured import capture_file
from mcu_build.frontend.evaluation import float_vectors, rounded_inputs_db
from mcu_build.frontend.layer_quality import FloatValues, layer_quality, unlike_channel
from mcu_build.quality.sqnr import astray, judge, sqnr_db
from mcu_build.quality.verdict import card, cause, lines, verdict
from tests.support.cli import mcu_build
from tests.support.pages import Tags

DICE = np.random.default_rng(3)

# High powers of activations: the kind of model that int8 ruins.
RUINED = """
import torch

class GeneralizedMean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3)
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x).clamp(min=1e-6).pow(12)
        return self.head(x.mean(dim=(2, 3)).pow(1 / 12))

torch.manual_seed(0)
model = GeneralizedMean()
example_inputs = (torch.randn(1, 3, 12, 12),)
calibration = [(torch.randn(1, 3, 12, 12),) for _ in range(16)]
evaluation = [((torch.randn(1, 3, 12, 12),), None) for _ in range(16)]
"""
GOOD = RUINED.replace(".clamp(min=1e-6).pow(12)", ".relu()").replace(".pow(1 / 12)", "")
RUINED += 'precision = {"pow": "int8", "mean": "int8"}\n'


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    for name, text in (("ruined", RUINED), ("good", GOOD)):
        (folder / f"{name}.py").write_text(text)
    return folder


def test_decibels():
    signal = np.ones(100)
    assert sqnr_db(signal, signal * 1.1) == pytest.approx(20)
    assert sqnr_db(signal, signal) == 150
    assert sqnr_db(signal * 0, signal) == -150


def test_firmware_that_is_not_the_int8_program_is_told_from_a_bad_one():
    floats = np.random.default_rng(0).normal(size=(4, 50))
    near, far = floats + 0.02, floats * 0.5
    assert astray([floats], [near], [near + 0.02]) is None
    # More vectors ran on the device than the program was judged by.
    assert astray([floats], [near[:2]], [np.concatenate([near[:2], far[2:]])]) is None
    assert astray([floats, floats], [near, near], [near, far]) == (
        1,
        pytest.approx(34, abs=0.5),
        pytest.approx(6, abs=0.5),
    )
    # Not so much worse that rounding could not be it.
    assert astray([floats], [floats * 1.09], [floats * 1.11]) is None
    # What int8 has ruined before is another matter, and so are integers.
    assert astray([floats], [far], [near]) is None
    assert astray([floats.astype(int)], [floats.astype(int)], [far.astype(int)]) is None


def test_small_channels_beside_large_ones_are_judged_apart():
    """The whole hides what became of the scores; alike channels are no groups."""
    boxes, scores = 100 * DICE.standard_normal((16, 50, 4)), DICE.uniform(0, 1, (16, 50, 3))
    joined = np.concatenate([boxes, scores], axis=2).astype(np.float32)
    (found,) = judge([joined], [np.rint(joined)])
    assert found.sqnr_db > 40
    assert [(group.axis, group.first, group.last) for group in found.groups] == [(1, 0, 3), (1, 4, 6)]
    assert found.worst < 10
    (alike,) = judge([boxes], [np.rint(boxes)])
    assert alike.groups == ()


def test_outputs_are_called_what_the_model_calls_them():
    """Keys and fields have names, places in a list have numbers: in lines, warnings and on pages."""
    signal = [np.arange(8.0).reshape(8, 1)] * 4
    rows = [asdict(one) for one in judge(signal, [-one for one in signal], ("boxes", "a[0]", "[2]"))]
    names = ["output boxes", "output a[0]", "output 2", "output 3"]
    assert [line.partition(":")[0] for line in lines(rows)] == names
    assert [card(row)["name"] for row in rows] == names
    assert all(f"{name} has -6.0 dB" in verdict("net.py", rows, [])[0] for name in names)


def test_rare_classes_are_no_group_of_their_own():
    """Shares of one whole: what is rarely above zero is small, and is compared with the others only."""
    logits = DICE.standard_normal((32, 6)) + np.array([5, 3, 0, 0, -6, -9])
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    (found,) = judge([shares], [np.rint(shares * 256) / 256])
    assert found.sqnr_db > 40 and found.groups == ()
    (control,) = judge([shares * 2], [np.rint(shares * 256) / 128])
    assert control.groups


def test_what_is_not_finite_counts_nothing():
    values = np.array([[1.0, np.inf, 2.0]], np.float32)
    (found,) = judge([values], [np.array([[1.0, 3.0, 2.0]], np.float32)])
    assert (found.sqnr_db, found.cosine) == (150, pytest.approx(1))


def test_integers_are_equal_or_not():
    """A class is not nearer to its neighbour than to any other."""
    classes = np.arange(20).reshape(20, 1)
    for wrong, warned in ((1, False), (4, True)):
        found = np.where(classes < wrong, 19, classes)
        (one,) = judge([classes], [found])
        assert one.integers and one.equal == 1 - wrong / 20 and not one.groups
        assert list(lines([asdict(one)])) == [f"{1 - wrong / 20:.1%} of its integers are equal"]
        assert bool(verdict("net.py", [asdict(one)], [])) is warned
    (real,) = judge([classes.astype(np.float32)], [found.astype(np.float32)])
    assert not real.integers and "dB" in next(lines([asdict(real)]))
    assert "other integers in 20% of its elements" in verdict("net.py", [asdict(one)], [])[0]
    assert "An index" in verdict("net.py", [asdict(one)], [])[0]
    assert "An index" not in verdict("net.py", [asdict(real)], [])[0]


def test_layers_of_a_ruined_model(files):
    document = mcu_build("accuracy", "--json", files / "ruined.py").json
    layers = {(row["name"], row["operator"]): row for row in document["layers"]}
    assert document["quality"][0]["sqnr_db"] < 20
    worst = min(document["layers"], key=lambda row: row["sqnr_db"])
    assert worst["operator"] == "aten.pow.Tensor_Scalar"
    assert worst["line"] == "ruined.py:12"
    stem, head = layers["stem", "aten.conv2d.default"], layers["head", "aten.linear.default"]
    # What a convolution loses alone is little, and is all that is lost up to there.
    assert stem["sqnr_db"] > 35
    assert stem["shape"] == [1, 8, 10, 10]
    assert stem["weights_db"] > stem["sqnr_db"] - 1
    # The head loses little by itself, and carries on what was lost before it.
    assert head["sqnr_db"] > head["accumulated_db"] + 10


def test_a_model_that_enlarges_small_differences_is_named(tmp_path):
    """The same layers with and without a step that makes much of little."""
    text = (
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x): return torch.sin(x * {})\n"
        "model, example_inputs = Net(), (torch.rand(1, 16),)\n"
        "calibration = [torch.rand(1, 16) for _ in range(4)]\n"
    )
    (ruined,) = judge([np.ones((4, 16), np.float32)], [np.zeros((4, 16), np.float32)])
    kept = []
    for factor in (1, 200):
        (tmp_path / "net.py").write_text(text.format(factor))
        captured = capture_file(tmp_path / "net.py")
        vectors = float_vectors(tmp_path / "net.py", captured, [])
        kept.append(rounded_inputs_db(captured, vectors, [ruined]))
        assert rounded_inputs_db(captured, vectors, judge([np.ones(4)], [np.ones(4)])) is None
    assert kept[0] > 40 and kept[1] < 20
    row = {"output": 0, "sqnr_db": 5.0, "groups": []}
    assert "rounded to 8 bits" not in verdict("net.py", [row], [], 41.0)[0]
    assert "has 6.2 dB" in verdict("net.py", [row], [], 6.2)[0]


def test_a_user_is_warned_and_told_the_cause(files):
    tested = mcu_build("test", "--board", "host", files / "ruined.py")
    assert tested.status == 0
    assert "ruined.py: the int8 program is far from the float model: output 0 has" in tested.err
    assert re.search(r"  pow [0-9x]+ \(ruined\.py:12\), ", tested.err)
    assert "quality    against float" in tested.out
    good = mcu_build("test", "--board", "host", files / "good.py")
    assert "far from the float model" not in good.err


def test_each_cause_is_told_apart():
    usual = {"clipped": 0.0, "weights_db": None, "sqnr_db": 12.0, "low": -1.0, "high": 9.0, "spread": 2.0}
    assert "-1 to 9 share 256 steps" in cause(usual)
    assert "5% of its values lie beyond" in cause({**usual, "clipped": 0.05})
    assert "its rounded weights" in cause({**usual, "weights_db": 13.0})
    unlike = {**usual, "spread": 508.2, "largest_channel": 3}
    assert "channel 3 of what it makes reaches 508 times as far" in cause(unlike)
    assert "channel 3 of what it reads" in cause({**unlike, "weights_db": 40.0})


def test_the_channel_that_takes_the_range_is_found():
    """Channel 5 of an image, and of a row; channels alike have none."""
    images = DICE.uniform(-1, 1, (4, 1, 8, 6, 6)).astype(np.float32)
    assert unlike_channel(torch.from_numpy(images))[1] < 2
    images[:, :, 5] *= 100
    channel, spread = unlike_channel(torch.from_numpy(images))
    assert (channel, spread > 80) == (5, True)
    rows = DICE.uniform(-1, 1, (4, 1, 10, 8)).astype(np.float32)
    rows[..., 5] *= 100
    assert unlike_channel(torch.from_numpy(rows))[0] == 5
    assert unlike_channel(torch.zeros(4, 1, 8)) == (0, 1.0)


@pytest.mark.parametrize("verb", ["build", "test"])
def test_a_gate(files, verb):
    passed = mcu_build(verb, "--board", "host", "--min-sqnr", "5", "--json", files / "ruined.py")
    assert passed.status == 0
    (row,) = passed.json["quality"]
    assert 5 < row["sqnr_db"] < 20
    failed = mcu_build(verb, "--board", "host", "--min-sqnr", "30", "--json", files / "ruined.py")
    assert failed.status == 6
    assert "dB against the float model, the least is 30" in failed.json["error"]["message"]


def test_a_drop_needs_labels(files):
    refused = mcu_build("test", "--board", "host", "--max-drop", "1", files / "good.py")
    assert refused.status == 1
    assert "--max-drop: the model has no labelled `evaluation` data" in refused.err


def test_an_activation_in_place_leaves_the_layer_before_it_as_it_was():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
    given = (torch.randn(1, 2, 6, 6) - 1,)
    graph = torch.export.export(model.eval(), given).module(check_guards=False)
    targets = [str(node.target) for node in graph.graph.nodes]
    assert "aten.relu_.default" in targets
    rows = layer_quality(graph, FloatValues(graph, [given]))
    assert len(rows) >= 2
    assert all(row.sqnr_db > 100 and row.accumulated_db > 100 for row in rows)
    assert rows[0].low < 0 <= rows[1].low


def test_the_page_has_a_bar_for_each_layer_and_loads_nothing(files, tmp_path):
    """Heights are the decibels: the layer that loses most has the lowest bar, in red, and a cause."""
    html = tmp_path / "page.html"
    found = mcu_build("accuracy", files / "ruined.py", "--html", html, "--json").json
    made = html.read_text()
    tags = Tags(made)
    assert tags.open == [] and tags.loads == [] and "<script" not in made
    assert found["html"] == str(html)
    rows = found["layers"]
    bars = re.findall(r'class="(loss[ bad]*)"><title>([^<]*)</title><rect [^>]* height="([\d.]+)"', made)
    assert len(bars) == len(rows)
    for (style, title, height), row in zip(bars, rows, strict=True):
        assert f"{row['sqnr_db']:.1f} dB alone" in title
        assert (style == "loss bad") == (row["sqnr_db"] < 20)
        # 220 units are 60 dB.
        assert float(height) == pytest.approx(min(max(row["sqnr_db"], 0), 60) * 220 / 60, abs=0.01)
    worst = min(rows, key=lambda row: row["sqnr_db"])
    assert cause(worst) in unescape(made)
    assert made.count('class="so-far"') == len(rows) - 1
