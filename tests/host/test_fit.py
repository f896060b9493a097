"""`fit` with limits: which plans it builds, and with which bits."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_build import fitting
from mcu_build.fitting import search
from mcu_build.progress import Silent
from mcu_build.report.fitting import Fitting, Limits, choose, table, to_keep
from tests.support.cli import mcu_build

MODELS = Path(__file__).resolve().parents[1] / "models"
MLP = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 8)).eval()
example_inputs = (torch.randn(1, 64),)
calibration = [(torch.randn(1, 64),) for _ in range(8)]
"""
PLAN = Fitting(arena=100, lower_bound=100, bands=0, cycles=0, fits=True, fullest="")
FLASH = {("speed", False): 300, ("size", False): 200, ("size", True): 120}


@pytest.fixture
def asked(monkeypatch) -> list[Limits]:
    """Two plans for each way, whose images take what FLASH says; the limits that bits were for."""
    found: list[Limits] = []

    def plans_of(request, progress):
        plan = replace(PLAN, optimize=request.options.optimize, precision=request.precision)
        return [plan, replace(plan, arena=50)]

    def built(model, plan, *others):
        return replace(plan, flash=FLASH[plan.optimize, plan.precision is not None], measured_cycles=1)

    def bits(request, limits, images, progress):
        found.append(limits)
        assert images == "priced" and request.options.optimize == "size"
        return {"head": "int4"} if limits.int4_sqnr < 30 else None

    monkeypatch.setattr(fitting, "plans_of", plans_of)
    monkeypatch.setattr(fitting, "_built", built)
    monkeypatch.setattr(fitting, "bits_for_flash", bits)
    return found


def plans(limits: Limits) -> tuple[Fitting, ...]:
    model = MODELS / "ds_cnn.py"
    return search(model, limits, False, lambda _: "priced", 1.0, Silent(), {"board": "mps2-an386"})


@pytest.mark.parametrize(
    ("limits", "ways", "asks"),
    [
        (Limits(), 1, 0),
        (Limits(cycles=5), 1, 0),
        (Limits(flash=300, int4_sqnr=20), 1, 0),
        (Limits(flash=200, int4_sqnr=20), 2, 0),
        (Limits(flash=150), 2, 0),
        (Limits(flash=150, int4_sqnr=40), 2, 1),
        (Limits(flash=150, int4_sqnr=20), 3, 1),
    ],
)
def test_bits_come_last_and_where_decibels_permit(asked, limits, ways, asks) -> None:
    found = plans(limits)
    assert (len(found), len(asked)) == (2 * ways, asks)
    assert (choose(found, limits) is None) == (limits.flash == 150 and ways == 2)


def test_what_was_chosen_says_what_to_write(asked) -> None:
    limits = Limits(flash=150, int4_sqnr=20)
    found = plans(limits)
    chosen = choose(found, limits)
    assert chosen is not None and found[chosen].precision == {"head": "int4"}
    assert "50 (size, int4)" in table(found, chosen)
    project, _, model = to_keep("net", Path("net.py"), found[chosen]).partition("\n# net.py\n")
    assert tomllib.loads(project)["models"]["net"] == {"file": "net.py", "ram": 50, "optimize": "size"}
    assert model == 'precision = {"head": "int4"}\n'


def test_decibels_are_for_a_limit_of_flash() -> None:
    refused = mcu_build("fit", "--board", "mps2-an386", "--int4-sqnr", "20", MODELS / "ds_cnn.py")
    assert refused.status == 2 and "--int4-sqnr: it says what --flash may cost" in refused.err


@pytest.mark.slow
def test_weights_of_4_bits_are_for_what_does_not_fit_otherwise(tmp_path: Path) -> None:
    (tmp_path / "mlp.py").write_text(MLP)
    words = ("--board", "mps2-an386", "--io", "int8", "--flash", "24K", "--build-dir", tmp_path)
    assert mcu_build("fit", *words, tmp_path / "mlp.py").status == 6
    assert mcu_build("fit", *words, "--int4-sqnr", "60", tmp_path / "mlp.py").status == 6
    found = mcu_build("fit", *words, "--int4-sqnr", "5", tmp_path / "mlp.py", "--json")
    chosen = found.json["plans"][found.json["chosen"]]
    assert found.status == 0 and chosen["flash"] <= 24 << 10
    assert chosen["precision"] == {"0": "int4"}
