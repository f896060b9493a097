"""Skip connections that are computed again: the same to the bit, in less memory."""

from dataclasses import replace

import numpy as np

from mcu_build.board import find_board
from mcu_build.codegen.target import kernel_folders
from mcu_build.ir.calls.convolution import Conv2d
from mcu_build.plan.memory.allocate import live_bytes
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.rows.build import Chain
from mcu_build.plan.rows.choose import Search, fit_ram
from mcu_build.plan.rows.recompute import recomputed
from tests.host.test_rows import finished
from tests.support.cases import run_plans
from tests.support.row_chains import Draw


def hourglass(layers=6, kept=False):
    """An image, a wide one of it, narrow ones, and the wide one again beside the last of these."""
    draw = Draw(4, 32, 16, 4)
    wide = draw.table(draw.convolution(draw.input, 16, same=True))
    narrow = draw.convolution(wide, 4, same=True)
    for _ in range(layers):
        narrow = draw.table(narrow)
    last = draw.depthwise(draw.convolution(draw.joined(narrow, wide), 4, same=True))
    return allow_inplace(draw.plan("hourglass", [last, *([wide] if kept else [])])), draw


def test_a_skip_that_runs_twice_is_the_same_in_less(tmp_path):
    plan, draw = hourglass()
    first, *more = recomputed(plan)
    assert not more and len(first.plan.steps) == len(plan.steps) + 2
    # The convolution's and the table's elements: 32x16 pixels.
    assert first.cycles == 512 * 16 * 4 + 2 * 512 * 16
    middle = len(plan.steps) // 2
    assert live_bytes(plan)[middle] - live_bytes(first.plan)[middle] == 512 * 16 - 512 * 4
    least = fit_ram(Search(plan), 1, lambda chains: finished(plan, chains))
    rows = fit_ram(Search(first.plan), 1, lambda chains: finished(first.plan, chains))
    assert rows.arena.size < least.arena.size
    image = np.random.default_rng(0).integers(-128, 128, plan.tensors[draw.input].nbytes).astype(np.int8)
    copy = next(i for i, step in enumerate(first.plan.steps) if step not in plan.steps)
    missing = replace(first.plan, steps=(*first.plan.steps[: copy + 1], *first.plan.steps[copy + 2 :]))
    made = [finished(plan, []), finished(first.plan, []), rows, finished(missing, [])]
    made = [replace(one, name=f"net{number}") for number, one in enumerate(made)]
    found = run_plans(made, [image] * len(made), tmp_path)
    size = len(found) // len(made)
    whole, twice, by_rows, without = (found[at : at + size] for at in range(0, len(found), size))
    assert len(set(whole)) > 5
    assert twice == by_rows == whole != without


def test_what_is_not_worth_it_is_kept():
    near, _ = hourglass(layers=0)
    output, _ = hourglass(kept=True)
    assert not list(recomputed(near)) and not list(recomputed(output))
    # State may have changed until the second time.
    plan, draw = hourglass()
    state = replace(plan.tensors[draw.input], image=True)
    assert not list(recomputed(replace(plan, tensors={**plan.tensors, draw.input: state})))


def test_layers_that_make_the_same_call_have_scratch_memory_of_their_own():
    draw = Draw(2, 24, 16, 8)
    first = draw.convolution(draw.input, 8, same=True)
    call = draw.steps[-1].call
    assert isinstance(call, Conv2d)
    again = replace(call, input=draw.table(first), output=draw._image(draw.size(first)))
    draw._emit(again)
    plan = allow_inplace(draw.plan("tied", [draw.table(again.output)]))
    made = finished(plan, [Chain(0, len(plan.steps), 1)], kernel_folders(find_board("mps2-an386")))
    scratch = [
        {id for step in made.steps if step.part_of == image for id in step.writes[1:]}
        for image in (first, again.output)
    ]
    assert scratch[0] and scratch[1] and scratch[0].isdisjoint(scratch[1])
