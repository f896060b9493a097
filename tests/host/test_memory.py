"""The arena: no two live tensors share bytes, and its size is close to what must be live."""

import random
from dataclasses import replace
from itertools import combinations

from mcu_build.ir.calls.call import Portable
from mcu_build.ir.calls.portable import ConvertParams
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.memory.allocate import block_distances, lifetimes, place


def tensor(id, size, **more):
    return Tensor(id, f"t{id}", DType.I8, (size,), (0,), **more)


def step(reads, writes, inplace=None, multiple=1):
    call = Portable(ConvertParams(0), "kernel", "kernel", tuple(reads), tuple(writes))
    return replace(Step.of("op", "", call), inplace=inplace or {}, inplace_multiple=multiple)


def plan_of(tensors, steps, inputs, outputs):
    return Plan("m", {t.id: t for t in tensors}, tuple(steps), tuple(inputs), tuple(outputs))


def overlaps(plan):
    """Pairs of tensors that share bytes although a step needs both and does not allow it."""
    blocks = lifetimes(plan)
    allowed = block_distances(plan, blocks)
    at = plan.arena.offsets

    def clash(a, b):
        if not a.meets(b) or at[a.id] >= at[b.id] + b.size or at[b.id] >= at[a.id] + a.size:
            return False
        source, output = (a, b) if (a.id, b.id) in allowed else (b, a)
        distance = allowed.get((source.id, output.id))
        gap = at[source.id] - at[output.id]
        return distance is None or gap < distance.least or gap % distance.multiple != 0

    return [(a.id, b.id) for a, b in combinations(blocks, 2) if clash(a, b)]


def chain(sizes):
    tensors = [tensor(i, size) for i, size in enumerate(sizes)]
    steps = [step([i], [i + 1]) for i in range(len(sizes) - 1)]
    return plan_of(tensors, steps, [0], [len(sizes) - 1])


def test_a_chain_takes_its_widest_pair():
    plan = place(chain([64, 160, 32, 480, 16]))
    assert plan.arena.size == plan.arena.lower_bound == 480 + 32
    assert plan.arena.peak_step == 2
    assert not overlaps(plan)


def test_random_graphs_never_overlap_and_stay_near_the_bound():
    dice = random.Random(3)
    for _ in range(60):
        count = dice.randrange(3, 25)
        tensors = [tensor(i, dice.randrange(1, 900)) for i in range(count)]
        steps = [
            step(
                sorted({dice.randrange(i), i - 1}),
                [i],
                {i - 1: dice.randrange(400)} if dice.random() < 0.5 else {},
                dice.choice((1, 8, 24, 160)),
            )
            for i in range(1, count)
        ]
        plan = place(plan_of(tensors, steps, [0], [count - 1]))
        assert not overlaps(plan)
        assert plan.arena.lower_bound <= plan.arena.size <= 1.2 * plan.arena.lower_bound
        assert max(plan.arena.offsets[b.id] + b.size for b in lifetimes(plan)) == plan.arena.size


def test_an_overlap_would_be_noticed():
    plan = place(chain([64, 160, 32]))
    plan.arena.offsets[1] = plan.arena.offsets[0]
    assert overlaps(plan)


def test_aliases_keep_their_owner_alive_and_constants_take_no_place():
    tensors = [
        tensor(0, 64),
        tensor(1, 64),
        tensor(2, 16, alias_of=1, alias_offset=16),
        tensor(3, 64),
        tensor(4, 16),
        tensor(5, 8, data=bytes(8)),
    ]
    steps = [step([0, 5], [1]), step([0], [3]), step([2, 3], [4])]
    plan = place(plan_of(tensors, steps, [0], [4]))
    assert not overlaps(plan)
    assert plan.offset(2) == plan.offset(1) + 16
    assert 5 not in plan.arena.offsets
    assert next(b for b in lifetimes(plan) if b.id == 1).last == 2


def test_an_output_follows_its_input():
    # Three rows of 64 bytes; a row of the output may be written once its input's row is read.
    tensors = [tensor(0, 192), tensor(1, 192), tensor(2, 192)]
    plan = place(plan_of(tensors, [step([0], [1], {0: 128}), step([1], [2], {1: 0})], [0], [2]))
    assert plan.arena.size == plan.arena.lower_bound == 192 + 128
    assert plan.offset(0) == plan.offset(1) + 128
    assert plan.offset(1) == plan.offset(2)


def test_an_output_starts_a_multiple_below_its_input():
    tensors = [tensor(0, 480), tensor(1, 480), tensor(2, 480), tensor(3, 32)]
    steps = [step([0, 3], [1], {0: 50}, multiple=48), step([1], [2], {1: 0}, multiple=48)]
    plan = place(plan_of(tensors, steps, [0, 3], [2]))
    gap = plan.offset(0) - plan.offset(1)
    assert gap >= 50 and gap % 48 == 0
    assert plan.arena.size == plan.arena.lower_bound == 480 + 96 + 32


def test_an_input_that_is_needed_again_is_not_overwritten():
    tensors = [tensor(0, 192), tensor(1, 192), tensor(2, 192)]
    plan = place(plan_of(tensors, [step([0], [1], {0: 0}), step([0, 1], [2])], [0], [2]))
    assert not overlaps(plan)
    assert plan.arena.size == 3 * 192


def test_the_bytes_of_part_of_a_tensor_are_not_taken_over():
    tensors = [tensor(0, 192), tensor(1, 64, alias_of=0, alias_offset=64), tensor(2, 64)]
    plan = place(plan_of(tensors, [step([1], [2], {1: 0})], [0], [2]))
    assert plan.arena.size == 192 + 64
