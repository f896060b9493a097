"""The figures of nets with state."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
drift = runpy.run_path(str(ROOT / "benchmarks" / "drift.py"))


def test_the_page_shows_the_results() -> None:
    text = (ROOT / "docs" / "state.md").read_text()
    results = json.loads((ROOT / "benchmarks" / "results" / "drift.json").read_text())
    assert list(results) == list(drift["NETS"])
    assert drift["page"](text, results) == text, "benchmarks/drift.py --page"
    results["lstm"]["state"] += 1
    assert drift["page"](text, results) != text
