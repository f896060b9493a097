"""The sweep of layers: what counts as a cliff, what is swept, and that the page is up to date."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmarks():
    """The modules layers, page and sweep.shapes of benchmarks/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import layers
        import page
        from sweep import shapes

        yield layers, page, shapes
        for name in ("layers", "page", "sweep", "sweep.shapes", "run", "tables", "figures"):
            sys.modules.pop(name, None)


def row(at: int, cycles: int, family: str = "1x1", instructions: int = 100, outputs: int = 10) -> dict:
    return {
        "family": family,
        "curve": "1x1 in" if at else "",
        "at": at,
        "macs": 1000,
        "units": 1000,
        "outputs": outputs,
        "instructions": instructions,
        "cycles": cycles,
        "kernels": [],
    }


def test_a_layer_above_the_curve_of_its_neighbours_is_a_cliff(benchmarks):
    layers, _, _ = benchmarks
    smooth = {"a": row(16, 400), "b": row(24, 290), "c": row(32, 200)}
    assert layers.ratios(smooth)["a"] == layers.ratios(smooth)["c"] == 1
    # Between 16 and 32 in logarithms: 400 * 2 ** -0.585 = 267.
    assert layers.ratios(smooth)["b"] == pytest.approx(290 / 267, abs=0.01)
    assert list(layers.cliffs("cortex-m55", smooth)) == []
    steep = {**smooth, "b": row(24, 400)}
    assert [name for name, _, _ in layers.cliffs("cortex-m55", steep)] == ["b"]
    # A layer of its own has a goal, and what could not be built has neither.
    alone = {"d": row(0, 400, "depthwise", 800), "e": {"family": "depthwise", "error": "too large"}}
    assert [(name, times) for name, times, _ in layers.cliffs("cortex-m55", alone)] == [("d", 0.8 / 0.75)]
    # Of few products an output, requantization alone takes more than the goal.
    few = {"d": row(0, 400, "depthwise", 800, outputs=500)}
    assert list(layers.cliffs("cortex-m55", few)) == []


def test_layers_are_many_and_of_different_names(benchmarks):
    _, _, shapes = benchmarks
    found = shapes.layers()
    assert len(found) >= 150 and len({layer.name for layer in found}) == len(found)
    assert all(layer.name.isidentifier() for layer in found)
    # Every curve has what it is drawn through.
    for curve in {layer.curve for layer in found} - {""}:
        assert {16, 32, 64} <= {layer.at for layer in found if layer.curve == curve}
    ast.parse(shapes.model_text(found))


def test_the_page_is_that_of_the_figures(benchmarks):
    _, page, _ = benchmarks
    assert page.page() == page.PAGE.read_text(), "benchmarks/page.py"
    assert page.optimize_page() == page.OPTIMIZE_PAGE.read_text(), "benchmarks/page.py"
