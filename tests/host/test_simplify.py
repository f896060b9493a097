"""Channels that never matter are left out, no others are, and every output stays what it was."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from mcu_build.ir.channels import Range
from mcu_build.ir.plan import Plan
from mcu_build.ir.program import Program
from mcu_build.plan import simplify
from mcu_build.plan.compile import Settings, compile_program
from mcu_build.plan.fuse import fuse_padding
from mcu_build.plan.select import select
from mcu_build.plan.simplify.ranges import Ranges
from mcu_build.plan.specialize import price
from tests.support.cases import run_plans
from tests.support.graphs import Graph, Ref

SIZE = (1, 3, 9, 8)
DEAD = -1_000_000  # a bias that ReLU never lets through


def layer(graph, x, outputs, kernel=1, dead=(), constant=(), unread=(), **options):
    """A convolution whose channels `dead` are -128, `constant` another number; it does not read `unread`."""
    depth = graph.shape(x)[1]
    weights = graph.dice.integers(-127, 128, (outputs, kernel, kernel, depth)).astype(np.int8)
    weights[..., list(unread)] = 0
    weights[list(constant)] = 0
    bias = graph.dice.integers(-900, 900, outputs).astype(np.int32)
    bias[list(dead)] = DEAD
    bias[list(constant)] = 7000
    return graph.conv(x, weights, bias, **options)


def depthwise(graph, x, dead=(), multiplier=1, padding=1):
    outputs = graph.shape(x)[1] * multiplier
    weights = graph.dice.integers(-127, 128, (1, 3, 3, outputs)).astype(np.int8)
    bias = graph.dice.integers(-900, 900, outputs).astype(np.int32)
    bias[list(dead)] = DEAD
    return graph.conv(x, weights, bias, padding=padding)


def chain(seed):
    """Depthwise and pointwise layers; what the depthwise layers make dead need not be made for them."""
    graph = Graph(seed)
    x = layer(graph, graph.input(*SIZE), 12, 3, dead=(0, 5, 6, 11), padding=1)
    x = depthwise(graph, x, dead=(0, 1, 2, 3, 5, 6, 11))
    x = layer(graph, x, 16, dead=range(0, 16, 2))
    x = depthwise(graph, x, multiplier=2, padding=0)
    x = layer(graph, x, 5)
    return graph.program(x)


def constant(seed):
    """Constants that are not the zero point, read by windows that never leave the image."""
    graph = Graph(seed)
    x = layer(graph, graph.input(*SIZE), 11, constant=(1, 2, 3, 4, 7), padding=0)
    x = layer(graph, graph.avg_pool(graph.max_pool(x)), 8, 2, constant=range(4))
    return graph.program(layer(graph, x, 12))


def unread(seed):
    """Channels that nothing reads, through a pad and a table, and a chain of such."""
    graph = Graph(seed)
    x = layer(graph, graph.input(*SIZE), 9, 3)
    x = layer(graph, x, 10, unread=(0, 2, 4, 6))
    x = layer(graph, graph.lookup(graph.pad(x, -128)), 7, unread=(1, 3, 5, 7, 8))
    return graph.program(x)


def residual(seed):
    """What two branches add is dead only where it is in both."""
    graph = Graph(seed)
    dead = (1, 3, 6, 7)
    x = layer(graph, graph.input(*SIZE), 8, dead=dead)
    y = layer(graph, layer(graph, x, 12, 3, dead=range(8), padding=1), 8, dead=(0, *dead))
    return graph.program(layer(graph, graph.add(x, y), 6, 3, padding=1))


def concatenation(seed):
    """Channels behind channels of two branches, and rows behind rows."""
    graph = Graph(seed)
    x = graph.input(*SIZE)
    a, b = layer(graph, x, 9, dead=(0, 1, 2, 3)), layer(graph, x, 12, constant=(0, 4, 5, 11))
    both = graph.cat(a, b)
    c = layer(graph, both, 6, dead=(0, 1, 2, 3))
    d = layer(graph, both, 6, dead=(0, 1, 2, 3, 4))
    return graph.program(layer(graph, graph.cat(c, d, dim=2), 5))


NETS = {
    net.__name__: (net, layers)
    # Channels that go from each layer that loses some, in order.
    for net, layers in (
        (chain, [4, 4, 8, 16]),
        (constant, [4, 4]),
        (unread, [4, 4]),
        (residual, [4, 8, 4]),
        (concatenation, [4, 4, 4, 4]),
    )
}


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def both(program: Program, plans: list[Plan], folder):
    """What the definitions say for a random input, and what each plan gives."""
    from mcu_build.oracle.reference import evaluate

    x = np.random.default_rng(1).integers(-128, 128, SIZE).astype(np.int8)
    (expected,) = evaluate(program, [x])
    found = np.frombuffer(run_plans(plans, [nhwc(x)] * len(plans), folder), np.int8)
    return nhwc(expected).reshape(-1), found.reshape(len(plans), -1)


@pytest.mark.parametrize("name", NETS)
def test_what_goes_changes_no_output(name, tmp_path):
    net, layers = NETS[name]
    program = net(3)
    plan = compile_program(program, "simplified")
    assert [one.channels for one in plan.removed if one.channels] == layers
    assert sum(one.macs for one in plan.removed) > 0 and sum(one.nbytes for one in plan.removed) > 0
    expected, (found,) = both(program, [plan], tmp_path)
    assert np.unique(expected).size > 20
    np.testing.assert_array_equal(found, expected)


def test_a_constant_that_is_no_zero_point_stays_where_windows_leave_the_image():
    def made(padding):
        graph = Graph(5)
        x = layer(graph, graph.input(*SIZE), 8, constant=range(4))
        return compile_program(graph.program(layer(graph, x, 6, 3, padding=padding)), "m")

    assert sum(one.channels for one in made(0).removed) == 4
    assert not made(1).removed


def test_a_layer_that_would_take_longer_keeps_its_channels():
    """Helium loads pixels of less than a vector with a predicate: of 16 channels four that are dead stay."""
    graph = Graph(8)
    x = layer(graph, graph.input(*SIZE), 16, dead=range(4))
    program = graph.program(layer(graph, x, 24))
    helium, portable = (
        compile_program(program, "m", Settings(folders)) for folders in (("mve", "reference"), ("reference",))
    )
    assert not helium.removed
    assert sum(one.channels for one in portable.removed) == 4


@pytest.mark.parametrize("folder", ["mve", "dsp", "thumb"])
def test_no_change_of_a_plan_makes_a_layer_slower(folder):
    """By prices, of layers with any number of dead channels; without prices some would be slower."""
    known = partial(price, kernel_folders=(folder, "reference"))

    def slower(plan, made):
        pairs = zip(plan.steps, made.steps, strict=True)
        return [step for step, now in pairs if (known(made, now) or 0) > (known(plan, step) or 0)]

    found = []
    for dead in range(4, 24, 4):
        graph = Graph(dead)
        x = layer(graph, graph.input(*SIZE), 24, 3, dead=range(dead), padding=1)
        x = layer(graph, depthwise(graph, x), 16, dead=range(dead % 16))
        plan = fuse_padding(select(graph.program(layer(graph, x, 12)), "m"))
        assert not slower(plan, simplify.remove_channels(plan, known))
        found += slower(plan, simplify.remove_channels(plan))
    assert found or folder != "mve"


def test_what_went_is_told():
    from mcu_build.plan.describe import describe
    from mcu_build.report.removed import sentence as line

    text = describe(compile_program(residual(3), "m"))["removed"]
    assert text["channels"] == 16 and text["of"] == sum(row["of"] for row in text["layers"])
    assert line(text).strip().startswith("16 of 34 channels of 4 layers")
    assert describe(compile_program(residual(3), "m", Settings(whole=True)))["removed"] is None


def test_where_nothing_is_dead_nothing_changes():
    graph = Graph(6)
    x = depthwise(graph, layer(graph, graph.input(*SIZE), 8, 3, padding=1))
    plan = select(graph.program(layer(graph, x, 4)), "m")
    assert simplify.remove_channels(plan) is plan


def test_outputs_and_what_other_kernels_touch_stay():
    graph = Graph(7)
    x = layer(graph, graph.input(*SIZE), 8, dead=range(4))
    assert not compile_program(graph.program(x), "m").removed
    moved = graph.call("cortex_m::transpose.out", [Ref(x), [0, 1, 3, 2]], (1, 8, 8, 9))
    assert not compile_program(graph.program(layer(graph, moved, 4)), "m").removed


def test_a_net_that_is_constant_keeps_some_channels(tmp_path):
    graph = Graph(8)
    x = layer(graph, graph.input(*SIZE), 8, dead=range(8))
    program = graph.program(layer(graph, x, 4))
    plan = compile_program(program, "still")
    assert [one.channels for one in plan.removed if one.channels] == [4]
    expected, (found,) = both(program, [plan], tmp_path)
    np.testing.assert_array_equal(found, expected)


def test_a_channel_that_lives_would_be_missed(monkeypatch, tmp_path):
    """The comparison can fail: taking four living channels for constant changes outputs."""
    program = chain(3)
    honest = Ranges._own

    def wrong(self, tensor):
        found = honest(self, tensor)
        if tensor.id != first or len(found.low) != 12:
            return found
        high = found.high.copy()
        high[7:11] = found.low[7:11]
        return Range(found.low, high)

    plan = compile_program(program, "right")
    first = select(program, "m").steps[1].writes[0]
    monkeypatch.setattr(Ranges, "_own", wrong)
    spoilt = replace(compile_program(program, "wrong"), name="wrong")
    assert spoilt.removed != plan.removed
    expected, (good, bad) = both(program, [plan, spoilt], tmp_path)
    np.testing.assert_array_equal(good, expected)
    assert (bad != expected).any()
