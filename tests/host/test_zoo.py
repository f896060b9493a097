"""The test models keep the contract of a model file, and their answers vary, so that comparisons count."""

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mcu_build.frontend.model_file import Model, load
from mcu_build.frontend.surroundings import Surroundings

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for path in (ROOT / "tests" / "models").glob("*.py") if not path.name.startswith("_"))
TRAINED = {"autoencoder": "ad", "ds_cnn": "kws", "mobilenet_v1_025": "vww", "resnet8": "ic"}

# Loading a file again takes long: those with trained weights in every run, and every third of the others.
SECOND = [
    pytest.param(file, marks=() if file.stem in TRAINED or place % 3 == 0 else pytest.mark.slow)
    for place, file in enumerate(FILES)
]


def spread(outputs: list[torch.Tensor]) -> float:
    """The mean over elements of how much each varies between inputs, as a share of the whole range."""
    stacked = torch.stack(outputs).double()
    return float(stacked.std(dim=0).mean() / (stacked.max() - stacked.min()).clamp(min=1e-12))


def test_the_zoo_is_there():
    assert len(FILES) >= 15


loaded = functools.cache(load)


def check(model: Model) -> None:
    """Enough inputs, none of them used for both, every output of the net different enough between them."""
    assert model.calibration is not None
    assert model.evaluation is not None
    calibration, evaluation = list(model.calibration()), list(model.evaluation())
    assert 16 <= len(calibration) <= 64
    assert len(evaluation) >= 8
    calibrated = {tuple(tensor.numpy().tobytes() for tensor in item) for item in calibration}
    assert not [1 for item, _ in evaluation if tuple(t.numpy().tobytes() for t in item) in calibrated]
    with torch.no_grad():
        results = [model.model(*item) for item, _ in evaluation]
    outputs = [result if isinstance(result, tuple) else (result,) for result in results]
    for index in range(len(outputs[0])):
        # Of a range of 256 steps, four and more.
        assert spread([item[index] for item in outputs]) > 4 / 256
    labels = [label for _, label in evaluation]
    if labels[0] is not None:
        assert labels == [int(item[0].argmax()) for item in outputs]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_outputs_vary(file, capsys):
    check(loaded(file))
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("name", TRAINED)
def test_outputs_vary_without_the_trained_weights(tmp_path, name):
    """A copy elsewhere has no folder of trained weights beside it."""
    folder = tmp_path / "checkout" / "tests" / "models"
    shutil.copytree(FILES[0].parent, folder)
    assert Surroundings(folder / f"{name}.py").run().weights_source == "seeded random"
    check(load(folder / f"{name}.py"))


@pytest.mark.parametrize("file", SECOND, ids=lambda path: path.stem)
def test_weights_are_the_same_each_time_and_their_source_is_told(file):
    first, second = loaded(file), Surroundings(file).run()
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    archive = TRAINED.get(file.stem)
    there = archive and (ROOT.parent / "shared" / "mlperf_tiny" / f"{archive}.npz")
    source = second.weights_source
    if there and there.is_file():
        assert source.startswith(f"MLPerf Tiny {archive}.npz")
        unscaled = any(array.dtype != np.float32 for array in np.load(there).values())
        assert ("rescaled" in source) == unscaled
        assert there.resolve() in {file.resolve() for file in first.dependencies}
    else:
        assert source.startswith("seeded random")


def test_constant_answers_do_not_pass():
    assert spread([torch.tensor([0.1, 0.9])] * 8) == 0
