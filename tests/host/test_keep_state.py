"""Where state lies, and what a step of a stream copies."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.ir.calls.moves import (
    Concat,
    ConcatParams,
    Copy,
    GatherRing,
    GatherRingParams,
    GatherRows,
    GatherRowsParams,
)
from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.fuse_samples import fuse_samples
from mcu_build.plan.keep_state import keep_state
from mcu_build.plan.memory.allocate import place
from mcu_build.plan.memory.concat_in_place import join_in_place
from mcu_build.plan.ring_state import keep_rings
from mcu_build.vectors.pack import unpack_state
from tests.host.test_memory import plan_of, step, tensor

INPUT, STATE, WINDOW, NEW, SAMPLE, OUTPUT = range(6)
SIZES = (16, 32, 48, 32, 16, 16)


def stream(past_offset: int = 0, new_offset: int = 16, users: int = 1) -> Plan:
    """Two samples of 16 bytes are kept: the window is these and the next one."""
    tensors = [tensor(id, size) for id, size in enumerate(SIZES)]
    tensors[NEW] = replace(tensors[NEW], alias_of=WINDOW, alias_offset=new_offset)
    joins = [
        Step.of("cat", "", Concat(ConcatParams(1, size, 48, offset), id, WINDOW))
        for id, size, offset in ((STATE, 32, past_offset), (SAMPLE, 16, 32 - past_offset * 2))
    ]
    steps = [step([INPUT], [SAMPLE]), *joins, step([WINDOW, SAMPLE], [OUTPUT])]
    return plan_of(tensors, steps, [INPUT, STATE], [OUTPUT, *[NEW] * users])


def test_a_window_lies_with_its_past() -> None:
    """What follows is made behind the past, and one copy moves all down."""
    kept = keep_state(stream(), [bytes(range(32))], windows=True)
    assert (kept.initial_state, kept.state_offsets) == (bytes(range(32)) + bytes(16), (0,))
    placed = join_in_place(kept, place)
    first, last, moved = placed.steps
    assert [placed.owner(id).id for id in (*first.writes, last.reads[0])] == [WINDOW, WINDOW]
    assert isinstance(moved.call, Copy)
    assert [placed.offset(id) for id in (first.writes[0], moved.reads[0], moved.writes[0])] == [32, 16, 0]


@pytest.mark.parametrize(
    ("plan", "windows"),
    [
        (stream(), False),
        (stream(past_offset=16), True),  # the past behind the sample
        (replace(stream(), outputs=(WINDOW, NEW)), True),  # the application reads it
        (replace(stream(), inputs=(INPUT, SAMPLE, STATE)), True),  # the application writes what is appended
    ],
)
def test_other_state_lies_alone(plan: Plan, windows: bool) -> None:
    kept = keep_state(plan, [bytes(32)], windows)
    assert len(kept.initial_state) == 32
    assert len(kept.steps) == len(plan.steps) + 1


def dilated(rows: int, others: bool = False) -> Plan:
    """A window of `rows` samples of 16 bytes and the new one, of which the first and the last are read."""
    size = 16 * rows
    tensors = [tensor(id, n) for id, n in enumerate((16, size, size + 16, size, 16, 32, 16))]
    tensors[NEW] = replace(tensors[NEW], alias_of=WINDOW, alias_offset=16)
    joins = [
        Step.of("cat", "", Concat(ConcatParams(1, n, size + 16, offset), id, WINDOW))
        for id, n, offset in ((STATE, size, 0), (SAMPLE, 16, size))
    ]
    gather = Step.of("cat", "", GatherRows(GatherRowsParams(2, 16, size), WINDOW, 5))
    steps = [step([INPUT], [SAMPLE]), *joins, gather, step([WINDOW if others else 5], [6])]
    plan = plan_of(tensors, steps, [INPUT, STATE], [6, NEW])
    return keep_rings(keep_state(plan, [bytes(range(16)) * rows], windows=True))


def test_a_past_of_which_some_samples_are_read_is_a_ring() -> None:
    """A step then moves nothing. The controls: a short past, and another reader."""
    plan = dilated(32)
    assert [step.kernel for step in plan.steps][1:-1] == ["gather_ring"]
    call = plan.steps[1].call
    assert isinstance(call, GatherRing)
    assert call.params == GatherRingParams(rows=2, bytes=16, stride=512, past=512, size=528)
    assert (call.input, call.output, call.ring) == (SAMPLE, 5, WINDOW)
    assert (plan.state_offsets, plan.state_rings) == ((0,), ((528, 528),))
    assert plan.initial_state == bytes(range(16)) * 32 + bytes(16 + 4)
    for other in (dilated(31), dilated(32, others=True)):
        assert other.state_rings == (None,)
        assert other.steps[-1].kernel == "copy"


def test_a_ring_is_compared_from_its_first_byte() -> None:
    """Three bytes are kept in a ring of four, which begins at 2, then at 3."""
    rows = [bytes([3, 9, 1, 2, 2, 0, 0, 0]), bytes([3, 4, 9, 2, 3, 0, 0, 0])]
    found = unpack_state(b"".join(rows), 2, [], [np.zeros((2, 3), np.int8)], [0], [(4, 4)])
    assert found[0].tolist() == [[1, 2, 3], [2, 3, 4]]


def gathered(starts: tuple[int, ...]) -> list[Step]:
    """The steps that join parts of 16 bytes of one tensor."""
    count = len(starts)
    parts = [tensor(2 + place, 16, alias_of=0, alias_offset=start) for place, start in enumerate(starts)]
    steps = [
        Step.of("cat", "", Concat(ConcatParams(1, 16, 16 * count, 16 * place), part.id, 1))
        for place, part in enumerate(parts)
    ]
    return list(fuse_samples(plan_of([tensor(0, 160), tensor(1, 16 * count), *parts], steps, [0], [1])).steps)


def test_samples_at_equal_distances_are_gathered_at_once() -> None:
    (made,) = gathered((0, 64, 128))
    assert isinstance(made.call, GatherRows)
    assert (made.call.params.rows, made.call.params.bytes, made.call.params.stride) == (3, 16, 64)
    assert [len(gathered(starts)) for starts in ((0, 64, 144), (16, 64, 112), (0,))] == [3, 3, 1]
