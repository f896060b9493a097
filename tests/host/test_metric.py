"""`metric` in the model file: what counts where the largest output is not the answer."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as theirs

import mcu_build
from mcu_build.errors import McuError
from mcu_build.frontend.model_file import load, own_metric
from mcu_build.quality.metrics import Metric, named

DICE = np.random.default_rng(0)

MODEL = """
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
example_inputs = (torch.zeros(1, 4),)
calibration = [(torch.randn(1, 4),) for _ in range(16)]
"""


def test_metrics_are_those_of_scikit_learn():
    scores, wanted = DICE.standard_normal((40, 5)), DICE.integers(0, 2, (40, 5))
    assert named("f1")([scores], wanted) == pytest.approx(
        theirs.f1_score(wanted, scores > 0, average="micro")
    )
    shares = 1 / (1 + np.exp(-scores))
    assert named("f1")([shares], wanted) == named("f1")([scores], wanted)
    assert named("auc")([scores.round(1)], wanted) == pytest.approx(
        theirs.roc_auc_score(wanted, scores.round(1), average="macro")
    )
    two = DICE.standard_normal((40, 2))
    assert named("auc")([two], wanted[:, 0]) == pytest.approx(
        theirs.roc_auc_score(wanted[:, 0], two[:, 1] - two[:, 0])
    )
    maps, classes = DICE.standard_normal((6, 3, 4, 4)), DICE.integers(0, 3, (6, 4, 4))
    assert named("iou")([maps], classes) == pytest.approx(
        theirs.jaccard_score(classes.reshape(-1), maps.argmax(1).reshape(-1), average="macro")
    )
    real = DICE.standard_normal((40, 5))
    assert named("mae")([scores], real) == pytest.approx(theirs.mean_absolute_error(real, scores))
    assert named("rmse")([scores], real) == pytest.approx(np.sqrt(theirs.mean_squared_error(real, scores)))
    many, right = DICE.standard_normal((40, 9)), DICE.integers(0, 9, 40)
    assert named("top5")([many], right) == pytest.approx(
        theirs.top_k_accuracy_score(right, many, k=5, labels=range(9))
    )


@pytest.mark.parametrize("name", ["mae", "rmse", "f1", "iou", "auc", "top5"])
def test_labels_that_do_not_fit_are_told(name):
    with pytest.raises(McuError, match=f"metric: {name}: "):
        named(name)([np.zeros((4, 3))], np.zeros((4, 2)))


def test_how_much_worse():
    assert Metric("auc", 0.9, 0.9, 0.85, higher=True).drop == pytest.approx(5)
    assert Metric("mae", 0.5, 0.5, 0.6, higher=False).drop == pytest.approx(20)
    assert Metric("mae", 0.0, 0.1, 0.1, higher=False).drop == np.inf
    assert Metric("mae", 0.0, 0.0, 0.0, higher=False).drop == 0


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("metric = 'accuracy'", "'accuracy' is none"),
        ("metric = 'mae'", "no `evaluation` with labels"),
        ("metric = 'mae'\nevaluation = [(calibration[0], 'dog')]", r"evaluation\[0\]: the label is"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, lines, told):
    (tmp_path / "m.py").write_text(f"{MODEL}\n{lines}\n")
    with pytest.raises(McuError, match=told):
        found = load(tmp_path / "m.py")
        assert found.evaluation is not None
        list(found.evaluation())


EVALUATION = """
def evaluation():
    for index in range(8):
        x = torch.randn(1, 4)
        yield (x,), None if index == 3 else model(x)[0].detach()

def metric(outputs, labels):
    return 1 - np.abs(outputs[0][:, 0] - labels).max()
"""


def test_a_function_of_the_file_judges_the_firmware(tmp_path: Path):
    """The labels are the float model's outputs: it is perfect, and the device as good as int8."""
    (tmp_path / "m.py").write_text(MODEL + EVALUATION)
    proof = mcu_build.build(tmp_path / "m.py", board="host", build_dir=tmp_path / "build").prove()
    assert proof.accuracy is None
    found = proof.metric
    assert found is not None
    assert found.float_model == pytest.approx(1)
    assert 0.8 < found.device == found.int8_model < 1
    assert proof.failure(max_drop=found.drop + 0.1) is None
    failure = proof.failure(max_drop=found.drop / 2)
    assert failure is not None
    assert failure.exit_code == 6
    assert "metric on the device is" in failure.message


def test_a_function_that_returns_no_number_is_named(tmp_path: Path):
    (tmp_path / "m.py").write_text("def metric(outputs, labels):\n    return outputs[0] == labels\n")
    with pytest.raises(McuError, match=r"metric: .*ndarray, not a number"):
        own_metric(tmp_path / "m.py")([np.zeros(4)], np.ones(4))
