"""The kernel of the lowest price is the quickest, by what was counted of every kernel that takes a layer."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mcu_build.board import find_board
from mcu_build.codegen.target import kernel_folders
from mcu_build.ir.plan import Plan, Step
from mcu_build.kernels.context import Context, Priced, Way
from mcu_build.plan import specialize
from mcu_build.plan.choice import choose
from mcu_build.plan.select import select
from tests.sim.kernels.convolution_cases import Shape, case
from tests.support.cases import program_of

ROOT = Path(__file__).resolve().parents[2]
COUNTED = json.loads((ROOT / "benchmarks" / "results" / "choices.json").read_text())
BOARDS = {"cortex-m55": "corstone-300", "cortex-m4": "mps2-an386", "cortex-m0": "microbit"}
ALL = [(core, name) for core, rows in COUNTED.items() for name in rows]
LIMIT = 1.05  # times the quickest


def folders(core: str) -> list[str]:
    return list(kernel_folders(find_board(BOARDS[core])))


@cache
def swept() -> dict[str, Shape]:
    """The convolutions of the sweep that have two dimensions."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from sweep.shapes import layers

    return {layer.name: shape_of(layer.code, layer.shape) for layer in layers() if "nn.Conv2d" in layer.code}


def shape_of(code: str, image: tuple[int, ...]) -> Shape:
    def conv(inputs, outputs, kernel, stride=1, padding=0, dilation=1, groups=1):
        pairs = ((one, one) if isinstance(one, int) else one for one in (kernel, stride, padding, dilation))
        kernel, stride, padding, dilation = pairs
        copies = outputs // inputs if groups == inputs else 0
        size = (1, image[2], image[3])
        groups = 1 if copies else groups
        return Shape(size, inputs, outputs, kernel, stride, padding, dilation, copies, groups=groups)

    return eval(code, {"nn": SimpleNamespace(Conv2d=conv)})


def ways(core: str, shape: Shape) -> tuple[Plan, list[Way]]:
    """The kernels that take a convolution today, the cheapest first."""
    # Without a ReLU, as the layers of the sweep.
    plan = select(program_of(case(np.random.default_rng(1), shape, (5, -128, 127)))[0], "m")
    found = specialize._ways(Context(plan, "speed"), plan.steps[-1], folders(core))
    return plan, sorted(found, key=lambda way: way.cycles)


@pytest.mark.parametrize("core", COUNTED)
def test_the_cheapest_kernel_is_the_quickest(core):
    slower = {}
    for name, counted in COUNTED[core].items():
        chosen = min(counted, key=lambda way: way["price"])["cycles"]
        least = min(way["cycles"] for way in counted)
        if chosen > LIMIT * least:
            slower[name] = chosen / least
    assert not slower
    assert any(len(counted) > 1 for counted in COUNTED[core].values())


@pytest.mark.parametrize("core", COUNTED)
def test_what_was_counted_has_the_prices_of_today(core):
    """benchmarks/choices.py --write brings them up to date."""
    for name, counted in COUNTED[core].items():
        if name in swept():
            _, found = ways(core, swept()[name])
            assert [round(way.cycles) for way in found[: len(counted)]] == pytest.approx(
                [way["price"] for way in counted], rel=0.1
            ), name


@pytest.mark.parametrize("folder", specialize.TABLES)
def test_kernels_that_have_rivals_have_prices(folder):
    table = specialize.TABLES[folder]
    kinds = [rule.kind for rule in table]
    assert all(isinstance(rule, Priced) for rule in table if kinds.count(rule.kind) > 1)


def test_groups_are_computed_as_one_where_that_is_cheaper():
    """An M4 makes small groups row by row, pixels of groups as a plain convolution, wide groups alone."""
    few = ways("cortex-m4", Shape((1, 12, 12), 3, 0, (3, 3), padding=(1, 1), copies=1))
    pixels = ways("cortex-m4", Shape((2, 3, 9), 8, 8, groups=4))
    wide = ways("cortex-m4", Shape((1, 12, 12), 32, 64, (3, 3), padding=(1, 1), groups=4))
    kernels = [re.sub("_long.*", "", found[0].make().kernel) for _, found in (few, pixels, wide)]
    assert kernels == ["dsp_group_rows", "dsp_pointwise", "dsp_conv_taps"]


def test_where_size_counts_the_first_kernel_is_taken():
    plan, found = ways("cortex-m55", Shape((1, 12, 12), 32, 32, groups=4))
    order = [found[-1], found[0]]
    for optimize, best in (("size", found[-1]), ("speed", found[0])):
        taken = choose([plan.steps[-1]], [order], optimize)
        assert [step.kernel for step in taken] == [best.make().kernel]
    assert found[0].make().kernel != found[-1].make().kernel


def way(step: Step, kernel: str, cycles: float) -> Way:
    return Way(cycles, lambda: replace(step, kernel=kernel))


def test_a_kernel_is_taken_where_it_is_worth_its_code():
    """A kernel of some 1,024 bytes has to save two thousandths."""
    step = ways("cortex-m55", Shape((1, 12, 12), 32, 32))[0].steps[-1]
    most = [way(step, "first", 1_000_000)]

    def second(cycles: float, rival: str) -> list[Way]:
        return [way(step, "second", cycles), way(step, rival, 100_000)]

    def taken(*ways: Sequence[Way]) -> list[str]:
        return [made.kernel for made in choose([step] * len(ways), ways, "speed")]

    assert taken(most, second(99_000, "first")) == ["first", "first"]
    assert taken(most, second(97_000, "first")) == ["first", "second"]
    # What is saved by all steps that call it counts.
    assert taken(most, *[second(99_000, "first")] * 3) == ["first", "second", "second", "second"]
    assert taken(most, second(99_000, "third")) == ["first", "second"]
