"""The search for rows ends after a number of steps that is known beforehand, whatever the net."""

import time
from pathlib import Path

import pytest

from mcu_build.cache import Cache
from mcu_build.fronts.options import BuildOptions
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.rows import choose
from mcu_build.plan.rows.choose import LowScratch, Search, fit_ram, front, with_bounds
from mcu_build.progress import Silent
from mcu_build.stages import pipeline, planning
from mcu_build.stages.request import request_for
from tests.host.test_rows import finished
from tests.support.row_chains import Draw

NETS = Path(__file__).resolve().parents[2] / "benchmarks" / "mlperf_tiny" / "models"


def dense():
    """A dense net behind wide layers: each layer reads all before it."""
    draw = Draw(1, 8, 6, 8)
    image = draw.convolution(draw.convolution(draw.convolution(draw.input, 96, True), 64, True), 16, True)
    for _ in range(6):
        made = draw.convolution(draw.convolution(draw.table(image), 24, same=True), 8, same=True)
        image = draw.joined(image, made)
    return allow_inplace(draw.plan("dense", [draw.pool(draw.convolution(image, 8, same=True))]))


def test_a_search_ends_with_its_bands(monkeypatch):
    plan = dense()
    whole = Search(plan)
    choices = list(whole.smaller())
    taken = whole._costs.bands
    assert whole.is_complete and 1000 < taken < choose._MOST_BANDS and len(choices) > 4
    for most in (taken // 2, taken // 8):
        monkeypatch.setattr(choose, "_LEAST_BANDS", most)
        monkeypatch.setattr(choose, "_MOST_BANDS", most)
        search = Search(plan)
        made = with_bounds(list(front(search, lambda chains: finished(plan, chains))), [(0, search)])
        # The last schedule begins within them; nothing is said to be proven.
        assert search._costs.bands <= most + 12 * len(plan.steps)
        assert not search.is_complete and all(one.least is None for one in made)
        # Some of the front is found, and the same every time.
        fronts = [list(Search(plan).smaller()) for _ in range(2)]
        assert fronts[0] == fronts[1] and len(fronts[0]) > 1


def test_a_long_chain_of_high_images_runs_by_rows(monkeypatch):
    """Of 300 layers as of 2,000: short chains in wide bands are looked at, where not all can be."""
    draw = Draw(2, 48, 4, 8)
    image = draw.input
    for _ in range(75):
        image = draw.added(image, draw.convolution(draw.table(draw.convolution(image, 32, True)), 8, True))
    plan = allow_inplace(draw.plan("deep", [image]))
    monkeypatch.setattr(choose, "_LEAST_BANDS", 100_000 * len(plan.steps) // 2000)
    monkeypatch.setattr(choose, "_MOST_BANDS", 0)
    search = Search(plan)
    first, *_, last = search.smaller()
    assert not search.is_complete
    assert last.nbytes < 0.6 * first.nbytes


def test_few_plans_of_many_calls_are_placed(monkeypatch):
    plan = dense()
    search = Search(plan)
    every = list(search.smaller())
    placed = []

    def finish(chains):
        placed.append(finished(plan, chains))
        return placed[-1]

    for most in (10_000, 1_000, 0):
        monkeypatch.setattr(choose, "_MOST_PLACED", most)
        few = search.few_smaller()
        assert (few[0], few[-1]) == (every[0], every[-1])
        assert len(few) == 2 or sum(map(search.calls, few)) <= most
        for choice in few:
            steps = finished(plan, choice.chains).steps
            assert sum(len(step.inner) or 1 for step in steps) <= search.calls(choice)
    assert len(few) == 2 < len(every)
    fit_ram(search, 1, finish)
    assert len(placed) <= 2


@pytest.mark.slow
def test_fronts_of_mlperf_tiny_take_20_seconds():
    taken: list[LowScratch] = []
    seconds = 0.0
    for name in ("kws", "ad", "ic", "vww"):
        request = request_for(NETS / f"{name}.py", BuildOptions.of(board="mps2-an386", io="int8"))
        lowered = pipeline.lowered_for(request, Cache(), Silent())
        start = time.process_time()
        taken += planning.plan_front(request, lowered)
        seconds += time.process_time() - start
    assert all(one.least for one in taken)
    assert seconds < 20
