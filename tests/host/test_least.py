"""How far an arena is from the least: the bound that `fit` prints, against all plans there are."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest

from mcu_build.board import find_board
from mcu_build.ir.plan import Plan
from mcu_build.plan.compile import Settings, _finishers, _live
from mcu_build.plan.memory.allocate import lifetimes
from mcu_build.plan.memory.concat_in_place import operands_in_place
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.rows import choose
from mcu_build.plan.rows.build import Chain, scheduled
from mcu_build.plan.rows.choose import LowScratch, Search, front, with_bounds
from mcu_build.plan.rows.costs import CostsOfChains
from mcu_build.plan.rows.schedule import output_of
from mcu_build.report.fitting import fittings, table
from tests.support.row_chains import Draw, drawn

BANDS = (1, 2, 4, 8)


def wide(seed: int) -> Plan:
    """Five layers, one of them wide, with a skip connection or without."""
    draw = Draw(seed, 12, 8, 8)
    image = draw.convolution(draw.input, 24, same=True)
    image = draw.depthwise(image) if seed % 2 else draw.table(image)
    narrow = draw.convolution(image, 8, same=True)
    last = draw.added(narrow, draw.input) if not seed % 2 else draw.pool(narrow)
    return allow_inplace(draw.plan(f"wide{seed}", [draw.convolution(last, 4, same=True)]))


def chains(start: int, end: int) -> Iterator[tuple[Chain, ...]]:
    """All ways to cut steps into chains and single layers, with bands of any number of rows."""
    if start >= end:
        yield ()
        return
    for rest in chains(start + 1, end):
        yield rest
    for stop in range(start + 2, end + 1):
        for band, rest in product(BANDS, chains(stop, end)):
            yield (Chain(start, stop, band), *rest)


def cycles(plan: Plan, chosen: Sequence[Chain]) -> float | None:
    """What chains are thought to cost: 200 a call, half a cycle a byte of rows that are kept."""
    blocks, total = {block.id: block for block in lifetimes(plan)}, 0.0
    for chain in chosen:
        found = scheduled(plan, chain, blocks, {})
        if found is None:
            return None
        total += 200 * (len(found.bands) - (chain.end - chain.first))
        for band in found.bands:
            image = plan.tensors[output_of(plan.steps[chain.first + band.layer].call)]
            if image.id in found.capacity:
                total += (band.rows.start - band.kept) * (image.nbytes // image.shape[1]) / 2
    return total


def dense(seed: int) -> Plan:
    """Layers that read all before them, joined where they are made."""
    draw = Draw(seed, 12, 8, 16)
    image = draw.convolution(draw.input, 32, same=True)
    joined = draw.joined(image, draw.convolution(image, 16, same=True))
    return allow_inplace(draw.plan(f"dense{seed}", [draw.pool(joined)]))


@pytest.mark.parametrize("folders", [("reference",), ("dsp", "reference")])
def test_no_plan_of_as_few_cycles_takes_less(folders):
    tight = noticed = 0
    for plan in (wide(0), wide(1), dense(0)):
        settings = Settings(folders)
        finish, frugal = _finishers(plan, settings)
        every = []
        for chosen in chains(0, len(plan.steps)):
            if (cost := cycles(plan, chosen)) is not None:
                every.append((cost, frugal(chosen).arena.size))
        search = Search(plan, _live(plan, settings))
        made = with_bounds(list(front(search, finish, frugal)), [(0, search)])
        assert search.is_complete and len(every) > 20 and len(made) > 1
        for one in made:
            best = min(size for cost, size in every if cost <= one.cycles + 1)
            assert one.least <= best <= one.plan.arena.size
            tight += one.least == one.plan.arena.size
            # A bound of more bytes than that would be noticed.
            noticed += one.least + 64 > best
    assert tight and noticed


def test_what_is_not_proven_is_not_said(monkeypatch):
    plan = wide(1)
    finish, _ = _finishers(plan, Settings())
    search = Search(plan)
    made = list(front(search, finish))
    assert search.is_complete
    monkeypatch.setattr(choose, "_LEAST_BANDS", 10)
    monkeypatch.setattr(choose, "_MOST_BANDS", 10)
    cut = Search(plan)
    assert [one.least for one in with_bounds(made, [(0, cut)])] == [None] * len(made)
    # Plans that cost more cycles beforehand say nothing of those that cost fewer.
    again = Search(replace(plan, name="again"))
    known = [(0, Search(plan)), (1 << 40, again)]
    assert with_bounds(made, known) == with_bounds(made, known[:1])
    shown = list(
        fittings([replace(made[0], least=made[0].plan.arena.size // 2), *made[1:]], find_board("host"))
    )
    lines = table(shown, None).splitlines()
    assert "100.0%" in lines[2] and " - " in lines[3]
    assert LowScratch(made[0].plan, 0).least is None


def test_chains_cost_what_their_own_schedules_say():
    told = 0
    for plan in (wide(0), wide(1), dense(0), *(drawn(seed)[0] for seed in range(4))):
        plan = allow_inplace(plan)
        parts = operands_in_place(plan)
        together = CostsOfChains(plan, parts)
        for end, first in enumerate(together.firsts):
            for band, start in product((1, 4), range(first, end - 1)):
                chain = Chain(start, end, band)
                alone = CostsOfChains(plan, parts)
                alone.firsts[end] = start
                costs, own = together.of(chain), alone.of(chain)
                assert costs is None or own is not None
                if costs and own:
                    assert (costs.cycles, costs.least) == (own.cycles, own.least)
                    assert costs.nbytes >= own.nbytes
                    told += 1
        assert together.bands == 0 or told
    assert told > 200


def test_bands_that_cost_the_fewest_cycles_are_taken(monkeypatch):
    """Wide bands are fewer calls, but they may keep more rows; else a smaller arena may seem to cost less."""

    def dear(self, chain):
        costs = of(self, chain)
        return replace(costs, cycles=1e6) if costs and chain.band > 1 else costs

    def widths():
        return {chain.band for choice in Search(wide(0)).smaller() for chain in choice.chains}

    of = CostsOfChains.of
    assert widths() > {1}
    monkeypatch.setattr(CostsOfChains, "of", dear)
    assert widths() == {1}
