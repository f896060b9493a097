"""The cycle model's error against silicon: what the pages say is what was measured."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
errors = runpy.run_path(str(ROOT / "benchmarks" / "cycle_errors.py"))


def test_the_pages_have_the_tables():
    stale = [file.name for file, text in errors["pages"]().items() if file.read_text() != text]
    assert not stale, "benchmarks/cycle_errors.py --write"


def test_cycles_that_are_sums_are_computed_anew():
    additive = [row for row in errors["rows"]() if row["core"] in errors["ADDITIVE"]]
    assert len(additive) >= 27
    for row in additive:
        assert round(errors["additive"](row)) == row["modelled"], row["name"]
    # It could fail: with one load more, it is another figure.
    more = {
        **additive[0],
        "operations": {**additive[0]["operations"], "load": 1 + additive[0]["operations"].get("load", 0)},
    }
    assert round(errors["additive"](more)) != additive[0]["modelled"]


@pytest.mark.parametrize(
    ("core", "mean", "worst"),
    [
        ("cortex-m0", 1, 1),
        ("cortex-m0plus", 1, 1),
        ("cortex-m3", 1, 5),
        ("cortex-m4", 2, 6),
        ("cortex-m33", 1, 5),
    ],
)
def test_held_out_errors(core, mean, worst):
    figures = [
        abs(errors["error"](row))
        for row in errors["rows"]()
        if (row["core"], row["use"]) == (core, "held out")
    ]
    assert figures and sum(figures) / len(figures) < mean and max(figures) < worst


def test_held_out_errors_of_helium():
    figures = [
        abs(errors["error"](row))
        for row in errors["rows"]()
        if row["name"].endswith("(MVE)") and row["use"] == "held out"
    ]
    assert len(figures) == 14 and sum(figures) / len(figures) < 3 and max(figures) < 6
