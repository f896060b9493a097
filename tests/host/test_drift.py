"""The figures of nets with state and of streams."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
drift = runpy.run_path(str(ROOT / "benchmarks" / "drift.py"))
steps = runpy.run_path(str(ROOT / "benchmarks" / "stream_steps.py"))


def test_the_page_shows_the_results() -> None:
    text = (ROOT / "docs" / "state.md").read_text()
    results = json.loads((ROOT / "benchmarks" / "results" / "drift.json").read_text())
    assert list(results) == list(drift["NETS"])
    assert drift["page"](text, results) == text, "benchmarks/drift.py --page"
    results["lstm"]["state"] += 1
    assert drift["page"](text, results) != text


def test_the_page_of_streams_shows_what_steps_take() -> None:
    text = (ROOT / "docs" / "stream.md").read_text()
    results = json.loads((ROOT / "benchmarks" / "results" / "stream_steps.json").read_text())
    assert list(results) == list(steps["NETS"])
    assert steps["page"](text, results) == text, "benchmarks/stream_steps.py --page"
    results["tcn"]["corstone-300"]["step"] += 1
    assert steps["page"](text, results) != text
