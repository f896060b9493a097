"""`tune`: which layers need 16 bits or float, and which get 4, found on the model's own data."""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from mcu_build.cache import Cache
from mcu_build.cli import main
from mcu_build.errors import McuError
from mcu_build.frontend import quantize
from mcu_build.frontend.image_price import Board, Price
from mcu_build.frontend.tune import Aim, Trial, search, tune
from mcu_build.frontend.tune_flash import Candidate, in_order, search_flash, tune_flash
from tests.support.cli import mcu_build

MODEL = """
import torch
from torch import nn

class Gem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 4)
    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).clamp(min=1e-6).pow(3).sum((2, 3)).pow(1 / 3))

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


def test_layers_for_which_there_is_no_room_are_not_tried():
    made, attempt = attempts(["b"])
    _, chosen = search(attempt, met(20), fits=lambda layers: "a" not in layers)
    assert chosen.in_float == ("b",)
    assert all("a" not in layers for layers in made)
    _, chosen = search(attempt, met(20), fits=lambda layers: "b" not in layers)
    assert chosen.sqnr_db < 20


def test_steps_are_priced_and_keep_the_ram(tmp_path):
    """RAM of a made-up board: more for each layer that is not int8; images are made once."""
    (tmp_path / "gem.py").write_text(MODEL)
    made: list[tuple[str, ...]] = []

    def price(precision):
        made.append(tuple(precision))
        return Price(9000, 1000 + 100 * len(precision), 50 + len(precision))

    def run(most: int | None):
        board, cache = Board("board", price), Cache()
        return tune(tmp_path / "gem.py", Aim(min_sqnr=32), lambda text: None, cache, board, most)

    free = run(None)
    assert free.met and all((one.flash, one.cycles) == (9000, 50 + len(one.layers)) for one in free.steps)
    assert free.chosen.ram == 1000 + 100 * len(free.chosen.layers) > 1000
    made.clear()
    tight = run(1000)
    assert not tight.met and tight.chosen.layers == () and tight.chosen.ram == 1000
    assert run(free.chosen.ram).chosen == free.chosen
    assert len(made) == len(set(made))


def run(file: Path, capsys, *options: str) -> tuple[int, dict]:
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--json", str(file), *options])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_what_it_prints_reaches_the_aim_when_it_is_followed(tmp_path, capsys, monkeypatch):
    """The model with the chosen layers is as good as was promised, and then nothing is left to do."""
    (tmp_path / "gem.py").write_text(MODEL)
    out = tmp_path / "made" / "gem.json"
    status, found = run(tmp_path / "gem.py", capsys, "--min-sqnr", "32", "--out", str(out))
    assert status == 0
    assert json.loads(out.read_text()) == found["precision"]

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


ANY = Aim()
NARROW = """
import torch
from torch import nn

torch.manual_seed(1)
model = nn.Sequential(nn.Linear(32, 96), nn.ReLU(), nn.Linear(96, 64), nn.ReLU(), nn.Linear(64, 8)).eval()
with torch.no_grad():
    model[2].weight.copy_(torch.randint(-7, 8, (64, 96)) / 32)
example_inputs = (torch.zeros(1, 32),)
calibration = [(torch.randn(1, 32),) for _ in range(8)]
"""


@pytest.mark.parametrize("count", [1, 2, 7, 33])
def test_no_more_layers_than_needed_in_few_builds(count):
    order = in_order([Candidate(f"l{n}", 9000 + 37 * n % 301, 0.1 * (n % 5)) for n in range(count)])
    assert [one.noise for one in order] == sorted(one.noise for one in order)
    built: set[int] = set()

    def flash(layers: int) -> float:
        built.add(layers)
        if count > 2 and layers == 0:
            return float("inf")
        # An image saves less than the weights do, since other kernels come with the first layer.
        return 1_000_000 - 0.8 * sum(one.saved for one in order[:layers]) + (3000 if layers else 0)

    for needed in {1, count // 2 + 1, count}:
        most = int(flash(needed)) + 5
        built.clear()
        assert search_flash(order, flash, most) == needed
        assert len(built) <= 4 + 2 * count.bit_length()
    assert search_flash(order, flash, 10) == count
    assert search_flash([], lambda count: 100, 10) == 0


def test_layers_that_lose_least_have_4_bits_first(tmp_path):
    """Weights that are 4 bits already lose nothing; prices are those of the images, and made once."""
    file = tmp_path / "net.py"
    file.write_text(NARROW)
    sizes = {"0": 32 * 96, "2": 96 * 64, "4": 64 * 8}
    made: list[tuple[str, ...]] = []

    def price(precision):
        made.append(tuple(precision))
        if not precision:
            raise McuError("it does not link")
        return Price(20_000 - sum(sizes[name] // 2 for name in precision), 5000, 1000 + len(precision))

    def run(most: int, aim: Aim = ANY):
        return tune_flash(file, most, aim, Board("board", price), lambda text: None, Cache(tmp_path / "c"))

    found = run(17_000)
    assert found.precision == {"2": "int4"}
    assert (found.chosen.flash, found.chosen.cycles, found.met) == (16_928, 1001, True)
    assert found.steps[0].flash is None and found.steps[-1].sqnr_db < found.chosen.sqnr_db
    assert found.chosen.sqnr_db > 25
    made.clear()
    assert run(17_000) == found
    assert set(made) <= {()}
    assert not run(17_000, Aim(min_sqnr=60)).met
    assert not run(1000).met and set(run(1000).precision) == {"0", "2", "4"}


@pytest.mark.slow
def test_the_image_that_follows_fits(tmp_path):
    """Of a real board: what is printed is put into the file, and its build has that size."""
    (tmp_path / "net.py").write_text(NARROW)
    words = ("--board", "mps2-an386", "--json")
    whole = mcu_build("build", tmp_path / "net.py", *words).json["flash"]["total"]
    most = whole - 2500
    found = mcu_build("tune", tmp_path / "net.py", *words, "--max-flash", str(most))
    assert found.status == 0, found.err
    assert found.json["chosen"]["cycles"] > 0
    (tmp_path / "net.py").write_text(f"{NARROW}\nprecision = {found.json['precision']!r}\n")
    built = mcu_build("build", tmp_path / "net.py", *words, "--max-flash", str(most))
    assert built.status == 0
    assert built.json["flash"]["total"] == found.json["chosen"]["flash"]


def test_flash_is_a_boards(tmp_path):
    (tmp_path / "net.py").write_text(NARROW)
    refused = mcu_build("tune", tmp_path / "net.py", "--max-flash", "20K")
    assert refused.status == 2
    assert "--max-flash: the host's memory is no price" in refused.err
