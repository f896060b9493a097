"""Weights take a byte each with --optimize size, and what kernels spend on them is told."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.board import find_board
from mcu_build.kernels.dsp.packing import pairs, takes_parts
from mcu_build.plan.compile import Settings, compile_program
from mcu_build.plan.memory.fit import constant_bytes, room_for_constants, weights_line
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of

FOLDERS = ("dsp", "reference")


@pytest.fixture(scope="module")
def depthwise():
    """A depthwise convolution, whose weights the kernel wants in 16 bits: a program."""
    channels = 1024
    dice = np.random.default_rng(1)
    case = Case(
        "cortex_m::quantized_depthwise_conv2d.out",
        [
            T(dice.integers(-128, 128, (1, channels, 6, 6)).astype(np.int8), CHANNELS_LAST),
            T(dice.integers(-127, 128, (1, 5, 5, channels)).astype(np.int8), constant=True),
            T(dice.integers(-500, 500, channels).astype(np.int32), constant=True),
            *([1, 1], [2, 2], [1, 1], 1, 3, -3),
            T(dice.integers(1 << 30, (1 << 31) - 1, channels).astype(np.int32), constant=True),
            T(np.full(channels, -9, np.int32), constant=True),
            *(-128, 127),
            T(np.zeros(1, np.uint8), constant=True),
        ],
        [Out((1, channels, 6, 6), "int8", CHANNELS_LAST)],
    )
    return program_of(case)[0]


def test_size_keeps_the_programs_weights(depthwise):
    speed = compile_program(depthwise, "m", Settings(FOLDERS))
    size = compile_program(depthwise, "m", Settings(FOLDERS, optimize="size"))
    assert constant_bytes(speed) > 1.5 * speed.program_constants
    assert constant_bytes(size) == size.program_constants == speed.program_constants
    assert speed.steps[0].kernel != size.steps[0].kernel


def test_speed_says_what_it_spends(depthwise):
    board = find_board("mps2-an386")
    line = weights_line(compile_program(depthwise, "m", Settings(FOLDERS)), board)
    assert line is not None and "--optimize size" in line
    assert weights_line(compile_program(depthwise, "m", Settings(FOLDERS, optimize="size")), board) is None


def test_what_would_fit_fits(depthwise):
    roomy = compile_program(depthwise, "m", Settings(FOLDERS, room=10**6))
    assert roomy.plain_steps == 0
    tight = compile_program(depthwise, "m", Settings(FOLDERS, room=roomy.program_constants + 100))
    assert tight.plain_steps == 1
    assert constant_bytes(tight) == roomy.program_constants
    assert "keep the program's weights" in (weights_line(tight, find_board("mps2-an386")) or "")


def test_room_leaves_some_for_code():
    board = find_board("mps2-an386")
    room = room_for_constants(board)
    assert board.placement is not None and room is not None
    assert 0 < room <= board.memory_named(board.placement.constants).size
    assert room_for_constants(find_board("host")) is None


def test_channels_of_wide_layers_find_partners_when_sums_come_in_parts():
    dice = np.random.default_rng(2)
    weights = dice.integers(-127, 128, (64, 4000)).astype(np.int8)
    bounds = 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
    assert len(pairs(weights, bounds)) == 64
    assert takes_parts(weights, bounds)
    assert len(pairs(weights, np.zeros_like(bounds))) == 32
    assert not takes_parts(weights[:, :500], bounds // 8)


def test_a_plan_that_is_not_specialized_spends_nothing(depthwise):
    plan = compile_program(depthwise, "m")
    assert plan.program_constants == constant_bytes(plan)
    assert weights_line(replace(plan, plain_steps=0), find_board("host")) is None
