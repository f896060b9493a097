"""Work grows about as a program does: calls are counted, no time is measured."""

import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.ao.quantization.fx.utils import get_new_attr_name_with_prefix as usual
from torch.export.unflatten import _is_call_name

from mcu_build.codegen.model import generate
from mcu_build.frontend.evaluation import judged
from mcu_build.ir.calls.moves import Concat, ConcatParams
from mcu_build.ir.plan import Emitted, Step
from mcu_build.ir.program import Program
from mcu_build.kernels.context import Way
from mcu_build.kernels.dsp.packing import pairs
from mcu_build.lower.upstream.new_names import is_call_name, new_names
from mcu_build.plan.choice import choose
from mcu_build.plan.fuse import fuse_padding
from mcu_build.plan.memory.allocate import place
from mcu_build.plan.memory.concat_in_place import join_in_place
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.relocate import allocate_with_relocation
from mcu_build.plan.outputs import separate_outputs
from mcu_build.plan.select import select
from mcu_build.plan.simplify import remove_channels
from mcu_build.plan.specialize import specialize
from tests.host.test_memory import overlaps, plan_of, step, tensor
from tests.support.chains import depthwise_chain

# What four times as large may take. Linear is 4, quadratic 16.
GROWTH = 6.0


def calls(function, *arguments):
    """How many functions `function` calls, all in all."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def unrolled(steps):
    """A recurrent layer written out: six steps of each state, whose last all stay until they are joined."""
    tensors, made, last = [tensor(0, 64)], [], []
    for _ in range(steps):
        for index in range(6):
            before = last[-1] if index == 0 and last else len(tensors) - 1
            tensors.append(tensor(len(tensors), 48))
            made.append(step([before], [len(tensors) - 1]))
        last.append(len(tensors) - 1)
    output = len(tensors)
    tensors.append(tensor(output, 48 * steps))
    for index, id in enumerate(last):
        params = ConcatParams(rows=1, bytes=48, stride=48 * steps, offset=48 * index)
        made.append(Step.of("op", "", Concat(params, id, output)))
    return plan_of(tensors, made, [0], [output])


def branching(steps):
    """Random sizes, and now and then a tensor from long before."""
    dice = random.Random(steps)
    tensors, made = [tensor(0, 64)], []
    for index in range(steps):
        tensors.append(tensor(index + 1, dice.randrange(16, 900)))
        reads = [index] if index < 20 or dice.random() < 0.9 else [index, index - dice.randrange(1, 20)]
        made.append(step(reads, [index + 1], inplace={index: 16}))
    return plan_of(tensors, made, [0], [steps])


@pytest.mark.parametrize("made", [unrolled, branching])
def test_memory_of_long_programs(made):
    def whole(plan):
        return join_in_place(plan, allocate_with_relocation)

    small, large = (calls(whole, made(steps)) for steps in (200, 800))
    assert large < GROWTH * small


@pytest.mark.parametrize("made", [unrolled, branching])
def test_long_programs_are_placed_well(made):
    plan = place(made(300))
    assert not overlaps(plan)
    assert plan.arena.size <= 1.3 * plan.arena.lower_bound


def test_all_parts_of_a_long_concatenation_are_made_in_place():
    plan = join_in_place(unrolled(300), allocate_with_relocation)
    assert not [step for step in plan.steps if step.kernel == "concat"]
    assert plan.arena.size < 1.1 * 48 * 300


@pytest.fixture(scope="module")
def chains():
    """Programs of 12 and of 48 layers."""
    return [depthwise_chain(layers)[0] for layers in (12, 48)]


@pytest.mark.parametrize("folder", ["reference", "dsp", "mve"])
def test_plans(chains: list[Program], folder):
    def planned(program):
        plan = fuse_padding(separate_outputs(select(program, "m")))
        specialize(allow_inplace(remove_channels(plan)), (folder, "reference"))

    small, large = (calls(planned, program) for program in chains)
    assert large < GROWTH * small


def test_choice_of_kernels():
    """Each layer has a core of its own, and a quicker one that is worth its code or not."""

    def way(layer, name, lines, cycles):
        core = Emitted(f"{name}_{layer}", "\n" * lines)
        return Way(cycles, lambda: replace(step([0], [1]), kernel=name, core=core))

    def chosen(layers):
        steps = [step([0], [1])] * layers
        ways = [
            [way(layer, "small", 20, 1010 + layer % 7), way(layer, "large", 40 + layer % 90, 1000)]
            for layer in range(layers)
        ]
        return choose(steps, ways, "speed")

    assert {made.kernel for made in chosen(200)} == {"small"}
    assert calls(chosen, 800) < GROWTH * calls(chosen, 200)


def test_source(chains: list[Program]):
    small, large = (calls(generate, place(select(program, "m"))) for program in chains)
    assert large < GROWTH * small


@pytest.mark.parametrize("largest", [0, 1 << 24])
def test_pairs_of_channels(largest):
    def found(channels):
        weights = np.random.default_rng(0).integers(-128, 128, (channels, 9)).astype(np.int8)
        return pairs(weights, np.full(channels, largest))

    assert calls(found, 2000) < GROWTH * calls(found, 500)


def test_what_is_quadratic_is_noticed():
    def quadratic(count):
        return [max(range(index)) for index in range(1, count) for _ in range(index)]

    assert calls(quadratic, 400) > GROWTH * calls(quadratic, 100)


@pytest.mark.parametrize(("size", "vectors"), [(8, 32), (1024, 17), (2048, 4)])
def test_large_models_are_judged_over_fewer_vectors(size, vectors):
    class Many(torch.nn.Module):
        def forward(self, x):
            for _ in range(30):
                x = torch.tanh(x)
            return x

    exported = torch.export.export(Many(), (torch.zeros(1, size, size),), strict=False)
    assert judged(exported) == vectors


def test_new_names_are_found_at_once():
    """torch's own search is quadratic in the number of observers."""

    def named(count, with_prefix):
        module = torch.nn.Module()
        for _ in range(count):
            setattr(module, with_prefix("observer.")(module), 1)
        return list(vars(module))[-count:]

    assert named(20, new_names()) == named(20, usual)
    grown = [calls(named, count, search) for search in (new_names(), usual) for count in (50, 200)]
    assert grown[1] < GROWTH * grown[0]
    assert grown[3] > GROWTH * grown[2]
    for name in ("a", "a@1", "a@", "a@x", "b", "ab", "a.b"):
        assert is_call_name(name, "a") == _is_call_name(name, "a")
