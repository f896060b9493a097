"""Gates of one channel: factors that a product reads several times instead of copies of them."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.ir.calls.moves import Permute, PermuteParams
from mcu_build.ir.calls.pairs import Mul, MulParams
from mcu_build.ir.calls.struct import Broadcast, ImageSize, OutputEpilogue
from mcu_build.ir.plan import Step
from mcu_build.plan.fuse_repeats import fuse_repeats
from mcu_build.plan.memory.allocate import place
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.rows.build import Chain, in_bands, in_one_line
from mcu_build.plan.specialize import specialize
from tests.support.cases import run_plans
from tests.support.row_chains import Draw

SIZE, CHANNELS = ImageSize(12, 8, 8), 8


def gated(swapped=False, wrong=False, first=False):
    """x * gate(x), with the gate copied for each channel and brought into the image's layout then."""
    draw = Draw(4, SIZE.height, SIZE.width, CHANNELS)
    image = draw.convolution(draw.input, CHANNELS, True)
    gate = draw.table(draw.convolution(image, 1, True))
    planes = draw._image(SIZE)
    copied = PermuteParams(SIZE.pixels, (1, 1, 1, 1, 1, CHANNELS), (0,) * 6)
    draw.steps.append(Step.of("expand", "", Permute(copied, gate, planes)))
    strides = (CHANNELS, 1) if wrong else (1, SIZE.pixels)
    moved = PermuteParams(1, (1, 1, 1, 1, SIZE.pixels, CHANNELS), (0, 0, 0, 0, *strides))
    factor = draw._image(SIZE)
    draw.steps.append(Step.of("clone", "", Permute(moved, planes, factor)))
    line = (0, 0, 0, 0, 0, 1)
    space = Broadcast((1, 1, 1, 1, 1, SIZE.pixels * CHANNELS), line, line)
    params = MulParams(space, 3, -20, 1 << 30, -6, OutputEpilogue(-3, -128, 127))
    product = draw._image(SIZE)
    pair = (factor, image) if swapped else (image, factor)
    draw.steps.append(Step.of("mul", "", Mul(params, *pair, product)))
    last = draw.convolution(product, 4, True)
    return draw.plan("gated", [last, planes] if first else [last])


def test_a_gate_is_read_where_it_lies(tmp_path):
    given = np.random.default_rng(1).integers(-128, 128, SIZE.pixels * CHANNELS).astype(np.int8)
    plans = []
    for number, swapped in enumerate((False, True)):
        plan = gated(swapped)
        fused = allow_inplace(fuse_repeats(plan))
        assert not any(isinstance(step.call, Permute) for step in fused.steps)
        assert len(fused.steps) == len(plan.steps) - 2
        rows = in_bands(fused, [Chain(0, len(fused.steps), 3)])
        for name, one in (("plan", allow_inplace(plan)), ("fused", fused), ("rows", rows)):
            made = in_one_line(place(specialize(one, ("reference",))))
            plans.append(replace(made, name=f"{name}{number}"))
        assert plans[-2].arena.size < plans[-3].arena.size
    found = run_plans(plans, [given] * len(plans), tmp_path)
    size = len(found) // len(plans)
    results = [found[at : at + size] for at in range(0, len(found), size)]
    assert results[0] == results[1] == results[2] and results[3] == results[4] == results[5]
    # Which factor has which zero point matters.
    assert results[0] != results[3] and len(set(results[0])) > 5


@pytest.mark.parametrize("plan", [gated(wrong=True), gated(first=True)])
def test_other_copies_stay(plan):
    fused = fuse_repeats(plan)
    # Copies that the model gives out are made anyway; what lies in another order is not the gate's element.
    assert fused == plan
