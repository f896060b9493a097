"""`tune`: which layers need 16 bits or float, found on the model's own data."""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from mcu_build.cli import main
from mcu_build.frontend import quantize
from mcu_build.frontend.tune import Trial, search

MODEL = """
import torch
from torch import nn

class Gem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)
    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3))

torch.manual_seed(0)
model = Gem()
example_inputs = (torch.zeros(1, 3, 8, 8),)
calibration = [(torch.randn(1, 3, 8, 8) * (0.3 + 0.1 * i),) for i in range(8)]
"""
SETS = tuple(map(frozenset, ({"a", "b"}, {"b", "c"}, {"c"})))


def attempts(needed: Collection[str]) -> tuple[list[tuple[str, ...]], object]:
    """Trials that are good where all of `needed` are in float."""
    made: list[tuple[str, ...]] = []

    def attempt(chosen: Collection[str]) -> tuple[Trial, tuple[frozenset[str], ...]]:
        made.append(tuple(sorted(chosen)))
        db = 10.0 + 10 * len(set(needed) & set(chosen))
        return Trial(tuple(sorted(chosen)), db, None, len(chosen) / 3, 0), SETS

    return made, attempt


def met(least: float):
    return lambda trial: trial.sqnr_db >= least


def test_what_is_not_needed_goes_back():
    made, attempt = attempts(["b"])
    steps, chosen = search(attempt, met(20))
    assert chosen.in_float == ("b",)
    assert [step.in_float for step in steps] == [(), ("a", "b"), ("b",)]
    assert len(made) <= 8


def test_int8_that_is_enough_is_left():
    made, attempt = attempts([])
    steps, chosen = search(attempt, met(10))
    assert (chosen.in_float, len(steps), made) == ((), 1, [()])


def test_an_aim_out_of_reach_ends_with_the_best():
    _, attempt = attempts(["a", "b", "c"])
    _, chosen = search(attempt, met(99))
    assert chosen.in_float == ("a", "b", "c")


def test_one_of_many_layers_is_found_by_halves():
    """Layers that nothing is known of: few trials, not one for each."""
    names = [f"layer{number:02}" for number in range(64)]
    made: list[int] = []

    def attempt(chosen: Collection[str]) -> tuple[Trial, tuple[frozenset[str], ...]]:
        made.append(len(chosen))
        good = 30.0 if {"layer07", "layer50"} <= set(chosen) else 10.0
        return Trial(tuple(sorted(chosen)), good, None, len(chosen) / 64, 0), (frozenset(names),)

    _, chosen = search(attempt, met(20))
    assert chosen.in_float == ("layer07", "layer50")
    assert len(made) < 30


def test_a_search_ends_where_it_has_to():
    made, attempt = attempts(["a", "b", "c"])
    _, chosen = search(attempt, met(20), lambda: len(made) >= 2)
    assert len(made) <= 4
    assert chosen.sqnr_db >= 20


def run(file: Path, capsys, *options: str) -> tuple[int, dict]:
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--json", str(file), *options])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_what_it_prints_reaches_the_aim_when_it_is_followed(tmp_path, capsys, monkeypatch):
    """The model with the chosen layers is as good as was promised, and then nothing is left to do."""
    (tmp_path / "gem.py").write_text(MODEL)
    status, found = run(tmp_path / "gem.py", capsys, "--min-sqnr", "32")
    assert status == 0

    def never(*_):
        raise AssertionError("a trial is made once")

    with monkeypatch.context() as patch:
        patch.setattr(quantize, "convert", never)
        _, kept = run(tmp_path / "gem.py", capsys, "--min-sqnr", "32")
    assert {**kept, "stages": 0} == {**found, "stages": 0}
    assert found["trials"] > 1 and not found["ended"]
    assert found["steps"][0]["sqnr_db"] < 32 <= found["chosen"]["sqnr_db"]
    assert {"pow"} <= found["precision"].keys()
    assert set(found["precision"].values()) == {"int16"}
    assert found["chosen"]["float_share"] == 0
    assert "conv" not in found["precision"]
    (tmp_path / "gem.py").write_text(f"{MODEL}\nprecision = {found['precision']!r}\n")
    status, again = run(tmp_path / "gem.py", capsys, "--min-sqnr", "32")
    assert (status, again["chosen"]["in_int16"]) == (0, [])
    assert again["chosen"]["sqnr_db"] == pytest.approx(found["chosen"]["sqnr_db"], abs=0.5)
    assert again["precision"] == found["precision"]


def test_what_int16_does_not_reach_is_in_float(tmp_path, capsys):
    (tmp_path / "gem.py").write_text(MODEL)
    status, found = run(tmp_path / "gem.py", capsys, "--min-sqnr", "90")
    assert status == 0
    assert set(found["precision"].values()) == {"float"}
    assert found["chosen"]["sqnr_db"] > 90


def test_a_drop_needs_labels(tmp_path, capsys):
    (tmp_path / "gem.py").write_text(MODEL)
    status, found = run(tmp_path / "gem.py", capsys, "--max-drop", "1")
    assert status == 1
    assert "no labelled `evaluation` data" in found["error"]["message"]
