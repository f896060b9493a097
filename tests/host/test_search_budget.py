"""The search for rows ends after a number of steps that is known beforehand, whatever the net."""

import time
from pathlib import Path

import pytest

from mcu_build.cache import Cache
from mcu_build.fronts.options import BuildOptions
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.rows import choose
from mcu_build.plan.rows.choose import Budget, LowScratch, Search, fit_ram, front, with_bounds
from mcu_build.plan.rows.recompute import recomputed
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


def counted(monkeypatch):
    """Bands of each chain that is looked at."""
    bands, scheduled = [], choose.scheduled

    def note(*arguments):
        schedule = scheduled(*arguments)
        bands.append(len(schedule.bands) if schedule else 1)
        return schedule

    monkeypatch.setattr(choose, "scheduled", note)
    return bands


def limited(plan, bands):
    budget = Budget(len(plan.steps))
    budget.bands = bands
    return budget


def searched(plan, budget):
    """The front of a plan, and of it with layers that run twice."""
    searches = [Search(one, budget=budget) for one in (plan, *(again.plan for again in recomputed(plan)))]
    made = [one for search in searches for one in front(search, lambda chains: finished(plan, chains))][:4]
    return with_bounds(made, [(0, search) for search in searches]), searches


def test_all_searches_of_a_model_end_with_their_budget(monkeypatch):
    plan = dense()
    bands = counted(monkeypatch)
    choices = list(Search(plan).smaller())
    whole = sum(bands)
    assert whole < choose._MOST_BANDS and len(choices) > 4

    del bands[:]
    made, searches = searched(plan, budget := limited(plan, most := whole // 4))
    assert budget.bands <= 0
    # The last chain begins within the budget.
    singles = len(plan.steps) * len(searches)
    assert most <= sum(bands) - singles <= most + max(bands)
    assert not searches[0].is_complete
    # Nothing is said to be proven.
    assert made and all(one.least is None for one in made)
    # Short chains of all layers come first, so that some of the front is found; and the same every time.
    fronts = [list(Search(plan, budget=limited(plan, most)).smaller()) for _ in range(2)]
    assert fronts[0] == fronts[1] and 1 < len(fronts[0]) < len(choices)


def test_a_budget_is_less_than_linear_in_the_layers():
    assert Budget(10).bands == Budget(200).bands == 600_000
    assert Budget(100_000).bands == 200_000


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
