"""Programs of several calls, joined from cases."""

import numpy as np

from mcu_build.ir.program import KernelCall, Program
from tests.support.cases import CHANNELS_LAST, Case, Out, T, program_of


def join(first: Program, second: Program) -> Program:
    """Two programs as one: the second's first input is the first's only output."""
    shift = len(first.values)
    feed, (result,) = second.inputs[0], first.outputs

    def moved(id: int) -> int:
        return result if id == feed else id + shift

    calls = tuple(
        KernelCall(call.operator, tuple(map(moved, call.arguments)))
        for call in second.instructions
        if isinstance(call, KernelCall)
    )
    return Program(
        "forward",
        (*first.values, *second.values),
        (*first.instructions, *calls),
        (*first.inputs, *map(moved, second.inputs[1:])),
        tuple(map(moved, second.outputs)),
        (),
        (),
    )


def depthwise_chain(layers: int) -> tuple[Program, np.ndarray]:
    """3x3 depthwise convolutions one after the other, and an input [1, 8, 12, 7]."""
    dice = np.random.default_rng(9)
    shape = (1, 8, 12, 7)
    x = dice.integers(-128, 128, shape).astype(np.int8)
    program: Program | None = None
    for _ in range(layers):
        case = Case(
            "cortex_m::quantized_depthwise_conv2d.out",
            [
                T(x, CHANNELS_LAST),
                T(dice.integers(-127, 128, (1, 3, 3, 8)).astype(np.int8), constant=True),
                T(dice.integers(-500, 500, 8).astype(np.int32), constant=True),
                [1, 1],
                [1, 1],
                [1, 1],
                1,
                3,
                -3,
                T(dice.integers(1 << 30, (1 << 31) - 1, 8).astype(np.int32), constant=True),
                T(np.full(8, -8, np.int32), constant=True),
                -128,
                127,
                T(np.zeros(1, np.uint8), constant=True),
            ],
            [Out(shape, "int8", CHANNELS_LAST)],
        )
        one, _ = program_of(case)
        program = join(program, one) if program else one
    assert program is not None
    return program, x
