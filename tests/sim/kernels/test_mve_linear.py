"""Helium's linear layers equal the reference kernel bit for bit, on the simulated core."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import EPILOGUES, differing, share_that_varies, with_weight_changed
from tests.support.cases import Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "corstone-300"

# Rows, inputs, outputs, by kernel.
SHAPES = {
    "mve_linear_tiles_s8": [
        (1, 128, 8),
        (3, 128, 128),
        (1, 640, 16),
        (2, 256, 16),
        (3, 64, 24),
        (1, 8, 40),
        (2, 130, 8),
        (1, 1, 8),
        (2, 311, 16),
    ],
    "mve_linear_s8": [
        (1, 64, 12),
        (2, 8, 20),
        (3, 17, 3),
        (1, 1, 1),
        (1, 130, 10),
        (1, 640, 12),
        (1, 128, 5),
    ],
    "mve_pointwise_tiles_s8": [(4, 64, 24), (7, 30, 10), (24, 64, 48), (17, 37, 50), (6, 3, 8)],
}


def linear(dice: np.random.Generator, shape: tuple[int, int, int], epilogue: Sequence[int]) -> Case:
    rows, inputs, outputs = shape
    x = T(dice.integers(-128, 128, (rows, inputs)).astype(np.int8))
    w = T(dice.integers(-127, 128, (outputs, inputs)).astype(np.int8), constant=True)
    bias = T(dice.integers(-3000, 3000, outputs).astype(np.int32), constant=True)
    multiplier, shift = int(dice.integers(1 << 30, 1 << 31)), -6 - int(np.log2(inputs) / 2)
    zero_point, low, high = epilogue
    offset = int(dice.choice((0, 5, -11)))
    form = [bias, None, offset] if dice.integers(2) else [None, bias, 0]
    arguments = [x, w, *form, 0, zero_point, [multiplier], [shift], high, low]
    return Case("cortex_m::quantized_linear.out", arguments, [Out((rows, outputs), "int8")])


def cases(kernel: str) -> list[Case]:
    dice = np.random.default_rng(51)
    own = "linear_tiles" not in kernel
    epilogues = [epilogue for epilogue in EPILOGUES if own or epilogue[1:] == (-128, 127)]
    return [linear(dice, shape, epilogue) for shape in SHAPES[kernel] for epilogue in epilogues]


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = [case for kernel in SHAPES for case in cases(kernel)]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("kernel", SHAPES)
def test_the_kernel_is_the_one_for_the_shape(kernel: str) -> None:
    assert {plan.steps[0].kernel for plan in plans_on(BOARD, cases(kernel))} == {kernel}


def test_a_filter_offset_goes_elsewhere() -> None:
    given = linear(np.random.default_rng(1), (1, 64, 12), EPILOGUES[0])
    arguments = [*given.arguments[:5], 3, *given.arguments[6:]]
    (plan,) = plans_on(BOARD, [Case(given.operator, arguments, given.outputs)])
    assert not any(step.kernel.startswith("mve_") for step in plan.steps)


def test_other_weights_are_noticed() -> None:
    given = linear(np.random.default_rng(2), (8, 128, 8), EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]
