"""Chains of layers that run row by row: the same to the bit, in less memory."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.loops import Item, loops
from mcu_build.codegen.model import generate
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.calls.struct import Pair
from mcu_build.ir.plan import Plan
from mcu_build.plan.describe import describe
from mcu_build.plan.memory.allocate import lifetimes, place
from mcu_build.plan.memory.fit import of_input
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.memories import Memories, Room
from mcu_build.plan.rows import build
from mcu_build.plan.rows.build import Chain, in_bands, in_one_line
from mcu_build.plan.rows.choose import Search, cheapest, fit_ram, front
from mcu_build.plan.rows.take import take_rows
from mcu_build.plan.specialize import specialize
from mcu_build.plan.views import without_views
from mcu_build.report.fitting import Fitting, Limits, choose, fittings, refusal, table, to_keep
from mcu_build.resources import data_dir
from mcu_build.stages.request import request_for
from tests.support.cases import run_plans
from tests.support.row_chains import Draw, drawn


def finished(plan, chains, folders=("reference",)):
    return in_one_line(place(specialize(in_bands(plan, chains), folders)))


def longest(plan, band):
    """The longest chain that runs row by row, of those that begin at the first step."""
    blocks = {block.id: block for block in lifetimes(plan)}
    ends = range(len(plan.steps), 1, -1)
    return next(
        chain for end in ends if build.scheduled(plan, chain := Chain(0, end, band), blocks, {}) is not None
    )


def forgetful(plan):
    """The plan without the copies of rows that are still needed."""
    return replace(plan, steps=tuple(step for step in plan.steps if step.operator != "move"))


def test_bands_compute_the_same_to_the_bit(tmp_path):
    plans, inputs, kinds = [], [], set()
    for seed in range(18):
        plan, nbytes = drawn(seed, is_series=seed >= 12)
        plan = allow_inplace(plan)
        image = np.random.default_rng(seed).integers(-128, 128, nbytes).astype(np.int8)
        chain = longest(plan, 1 + seed % 3)
        kinds |= {type(step.call).__name__ for step in plan.steps[: chain.end]}
        assert chain.end >= 4
        rows = finished(plan, [chain])
        made = [finished(plan, []), rows, forgetful(rows)]
        plans += [replace(one, name=f"net{seed}_{number}") for number, one in enumerate(made)]
        inputs += [image] * len(made)
    # Otherwise this says little.
    assert {"Conv2d", "DepthwiseConv2d", "TransposeConv2d", "MaxPool2d", "AvgPool2d"} <= kinds
    assert {"Add", "Lookup", "Pad", "Concat", "Upsample", "Resample"} <= kinds
    found = run_plans(plans, inputs, tmp_path)
    at, noticed, images = 0, 0, 0
    for plain in plans[::3]:
        size = plain.tensors[plain.outputs[0]].nbytes
        whole, rows, forgotten = (found[at + i * size : at + (i + 1) * size] for i in range(3))
        at += 3 * size
        assert len(set(whole)) > 5
        assert rows == whole, plain.name
        noticed += forgotten != whole
        images += plain.tensors[plain.inputs[0]].shape[1] > 1 and forgotten != whole
    assert images >= 6 and noticed - images >= 3


def test_bands_between_pixels_are_alike():
    """Windows repeat: parameters of a few bands stand for all, and calls become loops."""
    draw = Draw(2, 24, 16, 8)
    image = draw.resampled(draw.convolution(draw.input, 8, same=True))
    plan = allow_inplace(draw.plan("net", [draw.convolution(image, 4, same=True)]))
    rows = finished(plan, [longest(plan, 1)])
    bands = [step for step in rows.steps if step.source == "resample"]
    assert len(bands) == 48
    assert len({step.params for step in bands}) <= 6
    # An average over all of an image needs all of it, and ends a chain.
    whole = replace(plan.steps[1].call, params=replace(plan.steps[1].call.params, taps=Pair(24, 2)))
    assert whole.needed_rows(plan.tensors, range(1)) is None


def test_a_large_input_is_no_part_of_the_arena_by_rows():
    draw = Draw(1, 32, 32, 8)
    plan = draw.plan("net", [draw.pool(draw.pool(draw.input))])
    said = of_input(place(plan))
    assert "The input is 8,192 of these; with --input-by rows" in said
    assert of_input(place(take_rows(plan))) == ""
    assert of_input(place(wide_net())) == ""


def wide_net() -> Plan:
    draw = Draw(1, 48, 32, 8)
    wide = draw.table(draw.convolution(draw.input, 32, same=True))
    narrow = draw.convolution(draw.depthwise(wide), 8, same=True)
    return allow_inplace(draw.plan("wide", [narrow]))


def test_an_image_under_two_names_is_one():
    draw = Draw(1, 24, 16, 8)
    image = draw.convolution(draw.table(draw.input), 8, same=True)
    plan = draw.plan("named", [draw.added(draw.table(image), image)])
    # The last layer reads the image through a view, as a copy between memory formats leaves it.
    view = max(plan.tensors) + 1
    tensors = {**plan.tensors, view: replace(plan.tensors[image], id=view, alias_of=image)}
    last = plan.steps[-1].renamed({image: view})
    viewed = replace(plan, tensors=tensors, steps=(*plan.steps[:-1], last))
    assert longest(viewed, 1).end < longest(plan, 1).end == 4
    assert longest(without_views(viewed), 1).end == 4
    assert without_views(viewed) == plan
    # One that is another array stays.
    other = replace(tensors[view], shape=(1, 12, 32, 8))
    kept = replace(viewed, tensors={**tensors, view: other})
    assert without_views(kept) == kept


def test_a_series_with_its_row_and_without_is_one():
    draw = Draw(2, 1, 32, 8)
    image = draw.convolution(draw.table(draw.input), 8, same=True)
    plan = draw.plan("series", [draw.added(draw.table(image), image)])
    view = max(plan.tensors) + 1
    viewed = replace(plan.tensors[image], id=view, shape=(1, 32, 8), dim_order=(0, 2, 1), alias_of=image)
    last = plan.steps[-1].renamed({image: view})
    other = replace(plan, tensors={**plan.tensors, view: viewed}, steps=(*plan.steps[:-1], last))
    assert longest(other, 8).end < longest(plan, 8).end == 4
    assert without_views(other) == plan


def test_an_arena_of_fewer_bytes_takes_more_bands():
    plan = wide_net()
    finish = lambda chains: finished(plan, chains)  # noqa: E731
    whole = finish(())
    sizes, counts = [], []
    for share in (1.0, 0.6, 0.4):
        most = int(whole.arena.size * share)
        made = fit_ram(Search(plan), most, finish)
        assert made.arena.size <= most
        sizes.append(made.arena.size)
        counts.append(len(made.steps))
    assert counts[0] == len(plan.steps) < counts[1] < counts[2]
    # What no chain reaches is not promised: the smallest there is comes back.
    least = fit_ram(Search(plan), 1, finish)
    assert 1 < least.arena.size <= sizes[-1]
    front = [choice.nbytes for choice in Search(plan).smaller()]
    assert front == sorted(front, reverse=True)


def test_gaps_of_one_placement_cost_no_more_rows_than_the_next_plan_has():
    plan = wide_net()
    search = Search(plan)
    sizes = [finished(plan, choice.chains).arena.size for choice in search.smaller()]
    placed = []

    def finish(chains):
        placed.append(finished(plan, chains))
        gaps = sizes[1] // 2 if len(placed) == 1 else 0
        return placed[-1].with_arena(replace(placed[-1].arena, size=placed[-1].arena.size + gaps))

    found = fit_ram(search, sizes[1], finish)
    assert len(placed) == 2 and sizes[-1] < sizes[3] < found.arena.size <= sizes[1]


def test_images_that_stay_are_made_as_their_chain_goes_on(tmp_path):
    # As in an hourglass: one branch is kept, the other one goes on at half the size.
    draw = Draw(3, 32, 32, 4)
    image = draw.convolution(draw.input, 16, True)
    kept = draw.depthwise(draw.convolution(image, 8, True))
    small = draw.depthwise(draw.depthwise(image))
    plan = allow_inplace(draw.plan("glass", [kept, small]))
    rows = finished(plan, [Chain(0, len(plan.steps), 1)])
    # But for a few rows that of 16 channels is never there.
    ports = sum(plan.tensors[id].nbytes for id in (plan.inputs[0], kept, small))
    assert rows.arena.size < ports + 8 * 32 * 16 < finished(plan, []).arena.size
    whole, kept_apart = (
        replace(one, name=name) for one, name in ((finished(plan, []), "whole"), (rows, "rows"))
    )
    given = np.random.default_rng(0).integers(-128, 128, 4096).astype(np.int8)
    found = run_plans([whole, kept_apart], [given, given], tmp_path)
    half = len(found) // 2
    assert found[:half] == found[half:] and len(set(found[:half])) > 5


PUSH = """
#include <cstdio>
#include <cstring>
#include "wide.h"
int main() {
    static int8_t image[WIDE_INPUT_SIZE], whole[WIDE_OUTPUT_SIZE];
    const auto size = wide::input_row_size;
    for (int i = 0; i < WIDE_INPUT_SIZE; ++i) image[i] = static_cast<int8_t>(i * i * 31 + i / 7);
    std::memcpy(wide_input(), image, sizeof image);
    wide::run();
    std::memcpy(whole, wide_output(), sizeof whole);
    std::memset(wide_input(), 0, sizeof image);
    int same = 0;
    for (int round = 0; round < 3; ++round) {
        // The second image is given up half way, the third has a row that differs.
        for (size_t row = 0; row < wide::input_rows; ++row) {
            int8_t given[WIDE_INPUT_ROW_SIZE];
            std::memcpy(given, image + row * size, size);
            given[3] ^= round == 2 && row == 20;
            const bool done = wide::push_row(given);
            if (done != (row + 1 == wide::input_rows)) return 2;
            if (round == 1 && row == 30) break;
        }
        if (round == 1) wide::first_row();
        else same += std::memcmp(whole, wide_output(), sizeof whole) == 0 ? 1 << round : 0;
    }
    std::printf("%d %d\\n", same, whole[5] != whole[500]);
}
"""


@pytest.mark.parametrize("chains", [[], [Chain(0, 5, 1)], [Chain(0, 5, 4)]])
def test_rows_that_are_pushed_give_the_same_as_an_image(tmp_path, chains):
    plan = allow_inplace(take_rows(wide_net()))
    made = finished(plan, chains)
    whole = finished(wide_net(), [])
    # The application's rows go straight into the arena: a few of them are there at a time.
    assert not chains or made.arena.size < whole.arena.size / 2
    found = process.run([application(made, PUSH, tmp_path)], timeout=20)
    # The first image equals run(), the one with another row does not.
    assert (found.status, found.stdout.split()) == (0, ["1", "1"])


def application(plan: Plan, main: str, folder: Path) -> Path:
    """A program of a plan and a main, without what nothing calls."""
    for name, text in generate(plan).items():
        (folder / name).write_text(text)
    (folder / "main.cpp").write_text(main)
    firmware = data_dir() / "firmware"
    stems = {step.source for step in plan.steps}
    sources = [
        *folder.glob("*.cpp"),
        *(firmware / "kernels" / "reference" / f"{stem}.cpp" for stem in stems),
    ]
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{firmware / 'include'}", f"-I{folder}"]
    spare = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    built = process.run(["g++", *flags, *spare, *sources, "-o", folder / "app"], timeout=120)
    assert built.status == 0, built.stderr
    return folder / "app"


PUSH_ALONE = """
#include "wide.h"
int main() {
    static int8_t row[WIDE_INPUT_ROW_SIZE];
    while (!wide::push_row(row)) {}
    return wide::output()[0] == 0;
}
"""


@pytest.mark.parametrize(("more", "has_image"), [("", False), ("wide::run();", True)])
def test_an_application_that_pushes_rows_has_no_array_for_the_image(tmp_path, more, has_image):
    made = finished(allow_inplace(take_rows(wide_net())), [Chain(0, 5, 2)])
    main = PUSH_ALONE.replace("int main() {", f"int main() {{ {more}")
    names = process.run(["nm", application(made, main, tmp_path)]).stdout
    assert ("wide_image" in names) == has_image


def test_only_an_image_comes_by_rows():
    draw = Draw(1, 1, 32, 8)
    plan = draw.plan("line", [draw.table(draw.input)])
    with pytest.raises(McuError, match="--input-by rows"):
        take_rows(plan)


def test_a_front_says_what_fits():
    plan = wide_net()
    made = list(front(Search(plan), lambda chains: finished(plan, chains)))
    arenas = [one.plan.arena.size for one in made]
    assert arenas == sorted(set(arenas), reverse=True)
    assert len(arenas) > 3
    assert made[0].cycles == 0 < made[-1].cycles
    board = find_board("host")
    all_fit = list(fittings(made, board))
    assert all(one.fits for one in all_fit)
    some_fit = list(fittings(made, board.model_copy(update={"arena_size": arenas[1]})))
    assert [one.fits for one in some_fit] == [False, *[True] * (len(made) - 1)]
    lines = table([replace(some_fit[0], measured_cycles=9_000_000), *some_fit[1:]], 1).splitlines()
    assert lines[3].split()[:2] == ["*", f"{arenas[1]:,}"]
    assert "9,000,000" in lines[2]
    # Both names and shapes of layers, not of their bands.
    assert "48x32" in some_fit[-1].fullest


def test_a_front_gives_no_byte_away_where_a_placement_takes_more_than_it_has_to():
    plan = wide_net()

    def frugal(chains):
        return finished(plan, chains)

    def generous(chains):
        made = frugal(chains)
        return replace(made, placed=replace(made.arena, size=made.arena.size + 64))

    least = [one.plan.arena.size for one in front(Search(plan), frugal)]
    found = [one.plan.arena.size for one in front(Search(plan), generous, frugal)]
    assert set(least) < set(found)
    assert found == sorted(found, reverse=True)


def test_limits_choose_and_refuse():
    def one(arena, cycles, flash, fits=True):
        texts = {"fullest": "Layer a.", "slowest": "Layer b.", "largest": "Weights c."}
        return Fitting(arena, arena, 1, 1, fits, flash=flash, measured_cycles=cycles, **texts)

    plans = [one(90, 500, 70, fits=False), one(60, 400, 75), one(40, 450, 80), one(20, 800, 60)]
    assert choose(plans, Limits()) == 1
    # What takes fewer cycles than allowed takes as little RAM as it can.
    assert choose(plans, Limits(cycles=500)) == 2
    assert choose(plans, Limits(flash=80)) == 1
    assert choose(plans, Limits(flash=60)) == 3
    assert choose(plans, Limits(flash=75, cycles=450)) == 1
    for limits, message, hint in (
        (Limits(cycles=300), "the quickest of those that fit takes 400 cycles, 300 are allowed", "Layer b"),
        (Limits(flash=50), "the smallest image takes 60 bytes of flash, 50 are allowed", "Weights c"),
        (Limits(flash=70, cycles=600), "the quickest of those that fit takes 800 cycles", "Layer b"),
    ):
        if limits.cycles == 600:
            plans = plans[1:]
        assert choose(plans, limits) is None
        error = refusal(plans, limits)
        assert message in error.message and hint in error.hint and error.exit_code is Exit.BUDGET
    full = [replace(one, fits=False) for one in plans]
    assert choose(full, Limits()) is None
    assert "the nearest takes 20 bytes of RAM" in refusal(full, Limits()).message
    kept = tomllib.loads(to_keep("net", Path("models/net.py"), replace(plans[0], optimize="size")))
    assert kept == {"models": {"net": {"file": "models/net.py", "ram": 60, "optimize": "size"}}}


def test_a_slow_memory_is_weighed_against_rows():
    plan = wide_net()

    def finish(rooms):
        whole = Memories(rooms)
        return lambda chains: in_one_line(
            whole.spread(place(specialize(in_bands(plan, chains), ("reference",))))
        )

    quick = Room("tcm", 20_000)
    whole = finish((quick, Room("sram", 1 << 20, 0.01)))(())
    assert whole.arena.elsewhere
    # Waits that cost little are taken; those that cost much make layers run row by row.
    for wait, bands in ((0.01, False), (8.0, True)):
        made = cheapest(plan, 1 << 20, finish((quick, Room("sram", 1 << 20, wait))))
        assert (len(made.steps) > len(plan.steps)) == bands
    assert made.arena.waits < 8.0 * whole.arena.waits / 0.01


def test_a_build_takes_what_fit_says(tmp_path):
    options = BuildOptions.of(board="host", ram="30K", build_dir=tmp_path)
    made = request_for("net.py", options)
    assert made.board.arena_size == 30 << 10
    assert made.folder("net").name == "host-ram-30720"
    options = BuildOptions.of(board="corstone-300", ram="30K", runtime="executorch", kernels="upstream")
    with pytest.raises(McuError, match="--ram"):
        request_for("net.py", options)


def test_the_same_plan_comes_out_every_time():
    texts = {
        str(generate(fit_ram(Search(plan := wide_net()), 30_000, lambda chains: finished(plan, chains))))
        for _ in range(2)
    }
    assert len(texts) == 1


def test_weights_are_packed_once_however_many_bands_there_are():
    plan = wide_net()
    for folders in (("mve", "reference"), ("dsp", "reference"), ("thumb", "reference")):
        whole, rows = (finished(plan, chains, folders) for chains in ([], [Chain(0, 4, 1)]))
        constants = [
            {id for step in one.steps for id in step.reads if one.tensors[id].is_constant}
            for one in (whole, rows)
        ]
        before, after = (
            sum(one.tensors[id].nbytes for id in ids)
            for one, ids in zip((whole, rows), constants, strict=True)
        )
        assert after <= before + 64, folders


def test_layers_stay_layers_in_reports():
    plan = wide_net()
    whole, rows = (describe(finished(plan, chains)) for chains in ([], [Chain(0, 4, 1)]))
    columns = ("operator", "shape", "layer", "macs")
    assert [[row[key] for key in columns] for row in rows["operators"]] == [
        [row[key] for key in columns] for row in whole["operators"]
    ]
    assert whole["calls"] == []
    assert rows["operators"][0]["bands"] == 48
    assert len(rows["calls"]) > 4 * 40
    assert {row for row, _ in rows["calls"]} == {0, 1, 2, 3}


def test_repeated_calls_become_loops():
    items = [Item("a", (0,)), *(Item(kind, (at, 8)) for at in (0, 4, 8) for kind in "bc"), Item("d", ())]
    found = list(loops(items))
    assert [(loop.first, loop.length, loop.turns) for loop in found] == [(0, 1, 1), (1, 2, 3), (7, 1, 1)]
    assert found[1].steps == ((4, 0), (4, 0))


def test_loops_are_all_calls_in_their_order():
    dice = np.random.default_rng(4)
    patterns = [[Item(int(n), (int(n),)) for n in dice.integers(0, 4, 5)] for _ in range(3)]
    items = [one for n in dice.integers(0, 3, 60) for one in patterns[int(n)]]
    items = [replace(one, offsets=(one.offsets[0] + at // 50,)) for at, one in enumerate(items)]
    found = [
        Item(item.kind, tuple(a + turn * b for a, b in zip(item.offsets, further, strict=True)))
        for loop in loops(items)
        for turn in range(loop.turns)
        for item, further in zip(items[loop.first : loop.first + loop.length], loop.steps, strict=True)
    ]
    assert found == items


def test_bands_are_written_once():
    plan = finished(wide_net(), [Chain(0, 4, 1)])
    text = generate(plan)["wide.cpp"]
    run = text[text.index("void wide_run") : text.index("void wide_step")]
    assert len(plan.steps) > 150
    assert run.count("kernels::") < 40
    assert "for (int32_t turn = 0;" in run


@pytest.mark.slow
def test_two_thousand_layers_are_chosen_from_in_time():
    import time

    draw = Draw(2, 24, 16, 8)
    image = draw.input
    for _ in range(500):
        image = draw.added(image, draw.convolution(draw.table(draw.convolution(image, 32, True)), 8, True))
    plan = allow_inplace(draw.plan("deep", [image]))
    start = time.process_time()
    fit_ram(Search(plan), 1, lambda chains: finished(plan, chains))
    assert len(plan.steps) == 2000
    assert time.process_time() - start < 10
