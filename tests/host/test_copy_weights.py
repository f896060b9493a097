"""Weights of a slow memory are copied into the arena where that saves waits: the same to the bit."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.ir.calls.moves import Copy
from mcu_build.plan.memory.allocate import live_bytes, place
from mcu_build.plan.memory.copy_weights import copy_weights
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.memories import Memories, Room, reads, spread_constants
from mcu_build.plan.rows.build import Chain, in_bands, in_one_line
from mcu_build.plan.specialize import specialize
from tests.support.cases import run_plans
from tests.support.row_chains import Draw

ARENA = (Room("sram", 1 << 20),)
SLOW = Memories(ARENA, (Room("qspi", 1 << 20, 2.0),), copies=1 << 20)


def net(chains=()):
    draw = Draw(1, 24, 16, 8)
    wide = draw.table(draw.convolution(draw.input, 32, same=True))
    narrow = draw.convolution(draw.depthwise(wide), 8, same=True)
    plan = allow_inplace(draw.plan("net", [draw.added(narrow, draw.input)]))
    return specialize(in_bands(plan, chains), ("reference",))


def copies(plan):
    return [step.call for step in plan.steps if isinstance(step.call, Copy)]


def waits(plan, memories):
    """Cycles that reads of constants are thought to wait."""
    found = spread_constants(plan, memories.constants).constants_in
    each = {room.name: room.wait for room in memories.constants}
    first = memories.constants[0].name
    return sum(
        count * each[found.get(id, first)]
        for id, count in reads(plan).items()
        if plan.tensors[id].is_constant
    )


@pytest.mark.parametrize("chains", [(), (Chain(0, 4, 2),)])
def test_copies_compute_the_same_and_wait_less(tmp_path, chains):
    plain = net(chains)
    made = copy_weights(plain, SLOW)
    assert len(copies(made)) >= 3
    assert waits(made, SLOW) < waits(plain, SLOW) / 5
    # A copy of nothing shows that what is compared depends on it.
    empty = [
        replace(step, call=replace(step.call, params=replace(step.call.params, bytes=0)))
        if isinstance(step.call, Copy)
        else step
        for step in made.steps
    ]
    empty = [
        replace(step, params=step.call.params) if isinstance(step.call, Copy) else step for step in empty
    ]
    plans = [plain, replace(made, name="copied"), replace(made, name="empty", steps=tuple(empty))]
    image = np.random.default_rng(3).integers(-128, 128, 24 * 16 * 8).astype(np.int8)
    found = run_plans([in_one_line(place(plan)) for plan in plans], [image] * 3, tmp_path)
    size = len(found) // 3
    whole, copied, nothing = (found[at : at + size] for at in range(0, 3 * size, size))
    assert len(set(whole)) > 5
    assert copied == whole
    assert nothing != whole


def test_copies_take_no_more_than_they_may():
    plain = net()
    peak = max(live_bytes(plain))
    none = copy_weights(plain, replace(SLOW, copies=0))
    assert max(live_bytes(none)) == peak
    more = copy_weights(plain, replace(SLOW, copies=peak + 600))
    assert peak < max(live_bytes(more)) <= peak + 600
    assert len(copies(none)) < len(copies(copy_weights(plain, SLOW)))


def test_what_is_read_once_or_quickly_is_not_copied():
    plain = net()
    assert copy_weights(plain, replace(SLOW, constants=(Room("flash", 1 << 20),))) == plain
    # An arena as slow as the weights are.
    assert copy_weights(plain, replace(SLOW, arenas=(Room("psram", 1 << 20, 2.0),))) == plain
    few = copy_weights(plain, replace(SLOW, constants=(Room("flash", 1 << 20, 0.001),)))
    assert len(copies(few)) < len(copies(copy_weights(plain, SLOW)))
