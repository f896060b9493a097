"""Several models in one arena, by a schedule: those that run together keep their bytes."""

import random
from itertools import combinations, product

import pytest

from mcu_build import process
from mcu_build.codegen import shared_arena
from mcu_build.codegen.model import generate
from mcu_build.errors import Exit, McuError
from mcu_build.ir.tensor import aligned
from mcu_build.plan.memory.allocate import place
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.together import Way, choose, phases_of, places
from mcu_build.resources import data_dir
from tests.support.cases import included
from tests.support.cli import mcu_build
from tests.support.row_chains import Draw
from tests.support.tables.host import kernel_object


def random_phases(dice, names):
    phases = [frozenset(dice.sample(names, dice.randint(1, len(names)))) for _ in range(3)]
    return (*phases, *(frozenset({name}) for name in names))


def test_what_runs_together_lies_apart():
    dice = random.Random(1)
    for _ in range(100):
        names = "abcde"[: dice.randint(1, 5)]
        sizes = {name: dice.randint(1, 5000) for name in names}
        phases = random_phases(dice, names)
        placed = places(sizes, phases)
        assert placed.bound <= placed.size <= sum(map(aligned, sizes.values()))
        for name in names:
            assert placed.offsets[name] % 16 == 0 and placed.offsets[name] + sizes[name] <= placed.size
        for phase in phases:
            for pair in combinations(phase, 2):
                first, second = sorted(pair, key=placed.offsets.__getitem__)
                assert placed.offsets[first] + sizes[first] <= placed.offsets[second]


def test_models_that_never_run_together_share_bytes():
    sizes = {"a": 1000, "b": 608, "c": 512}
    assert places(sizes, phases_of("a; b; c", list(sizes))).size == 1008
    assert places(sizes, phases_of("a; b, c", list(sizes))).size == 1120
    # Each pair of three: none can share.
    assert places(sizes, phases_of("a, b; b, c; c, a", list(sizes))).size == 1008 + 608 + 512


def test_the_cheapest_plans_that_fit_are_chosen():
    dice = random.Random(2)
    for _ in range(30):
        names = "abc"[: dice.randint(1, 3)]
        cycles = {name: sorted(dice.sample(range(50), 4)) for name in names}
        fronts = {name: [Way(3000 - 600 * at, cycles[name][at]) for at in range(4)] for name in names}
        phases, most = random_phases(dice, names), dice.randint(1200, 7000)
        costs = {}
        for numbers in product(range(4), repeat=len(names)):
            ways = [fronts[name][number] for name, number in zip(names, numbers, strict=True)]
            sizes = {name: way.nbytes for name, way in zip(names, ways, strict=True)}
            size = places(sizes, phases).size
            # Of those that do not fit, the smallest.
            costs[numbers] = (size > most, size if size > most else sum(way.cycles for way in ways))
        chosen = choose(fronts, phases, most)
        assert costs[tuple(chosen[name] for name in names)] == min(costs.values())


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("wake; wake, kvs", "'kvs' is not among the models: wake, kws\n.*kws never runs"),
        ("wake", "kws never runs"),
        ("wake;; kws", "'' is not among the models"),
    ],
)
def test_a_wrong_schedule_is_refused(schedule, message):
    with pytest.raises(McuError, match=message) as raised:
        phases_of(schedule, ["wake", "kws"])
    assert raised.value.exit_code is Exit.USAGE


def net(name, seed):
    draw = Draw(seed, 12, 10, 8)
    return place(
        allow_inplace(draw.plan(name, [draw.depthwise(draw.convolution(draw.input, 24, same=True))]))
    )


MAIN = """
int main() {
    write_input<one_input_at>(1);
    write_input<two_input_at>(2);
    one_run();
    two_run();
    print<one_output_at>();
    print<two_output_at>();
    write_input<three_input_at>(3);
    three_run();
    print<three_output_at>();
}
"""
HELPERS = """
#include <cstdio>
template <auto port>
void write_input(int seed) {
    size_t bytes = 0;
    auto* data = static_cast<signed char*>(port(0, &bytes));
    for (size_t i = 0; i < bytes; ++i) {
        data[i] = static_cast<signed char>(i * 37 + static_cast<size_t>(seed));
    }
}
template <auto port>
void print() {
    size_t bytes = 0;
    const void* const data = port(0, &bytes);
    std::fwrite(data, 1, bytes, stdout);
}
"""


def program(folder, plans):
    """The object of a program that runs `one` and `two` in turns, and `three` behind them."""
    for plan in plans:
        for file, text in generate(plan).items():
            (folder / file).write_text(text)
    lines = [line for plan in plans for line in included(plan) if "_arena.cpp" not in line]
    (folder / "main.cpp").write_text("\n".join([*lines, HELPERS, MAIN]))
    return compiled(folder, "main.o", "-c", folder / "main.cpp")


def compiled(folder, made, *words):
    flags = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror"]
    include = [f"-I{data_dir() / 'firmware' / 'include'}", f"-I{folder}"]
    finished = process.run(["g++", *flags, *include, *words, "-o", folder / made], timeout=120)
    assert finished.status == 0, finished.stderr
    return folder / made


def outputs(main, plans, arenas):
    """What the program writes with the models' arenas from these sources."""
    reference = data_dir() / "firmware" / "kernels" / "reference"
    stems = sorted({step.source for plan in plans for step in plan.steps})
    kernels = [kernel_object(reference / f"{stem}.cpp", data_dir() / "firmware") for stem in stems]
    folder = main.parent
    compiled(folder, "all", "-fsanitize=undefined,address", main, *arenas, *kernels)
    ran = process.run(["sh", "-c", "./all >out.bin"], cwd=folder, timeout=60)
    assert ran.status == 0, ran.stderr
    return (folder / "out.bin").read_bytes()


def test_outputs_are_those_of_models_apart(tmp_path):
    plans = [net(name, seed) for seed, name in enumerate(("one", "two", "three"))]
    main = program(tmp_path, plans)
    sizes = {plan.name: plan.arena.size for plan in plans}

    def scheduled(schedule):
        placed = places(sizes, phases_of(schedule, list(sizes)))
        text = shared_arena.source(schedule, placed.offsets, sizes, placed.size)
        (tmp_path / "arena.cpp").write_text(text)
        return outputs(main, plans, [tmp_path / "arena.cpp"])

    alone = outputs(main, plans, [tmp_path / f"{name}_arena.cpp" for name in sizes])
    assert len(set(alone)) > 50
    assert scheduled("one, two; three") == alone
    # Models that run together in truth, and not by the schedule.
    assert scheduled("one; two; three") != alone


def test_the_command_says_what_is_missing(tmp_path):
    words = ("schedule", "-b", "mps2-an386", "--schedule", "a; c")
    refused = mcu_build(*words, tmp_path / "a.py", tmp_path / "b.py")
    assert refused.status == 2
    for message in ("--schedule: 'c' is not among the models: a, b", "--schedule: b never runs"):
        assert message in refused.err
