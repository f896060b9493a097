"""The linear layers with SMLAD equal the reference kernel bit for bit, on simulated cores."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from mcu_build.plan.memory.fit import constant_bytes
from tests.sim.kernels.convolution_cases import EPILOGUES, differing, share_that_varies, with_weight_changed
from tests.support.cases import Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
# In every run each instruction set and each compiler.
CORES = [
    ("mps2-an386", "arm-clang"),
    ("mps2-an505", "arm-gcc"),
    pytest.param("mps2-an386", "arm-gcc", marks=pytest.mark.slow),
    pytest.param("mps2-an500", "arm-clang", marks=pytest.mark.slow),
]
# Rows, inputs, outputs.
SIZES = [(1, 64, 12), (1, 16, 1), (1, 1, 2), (1, 17, 3), (1, 35, 7), (1, 640, 128), (3, 17, 5), (4, 8, 8)]
SIZES += [(1, 1497, 9), (1, 1984, 2), (3, 1301, 5)]  # whose sums are made in parts


def layer(
    seed: int, size: tuple[int, int, int], epilogue: tuple[int, int, int], filter_offset: int = 0
) -> Case:
    dice = np.random.default_rng(seed)
    rows, inputs, outputs = size
    weights = dice.integers(-127, 128, (outputs, inputs)).astype(np.int8)
    if seed % 2:
        weights[dice.random(weights.shape) < 0.1] = -128
    zero_point, low, high = epilogue
    arguments = [
        T(dice.integers(-128, 128, (rows, inputs)).astype(np.int8)),
        T(weights, constant=True),
        T(dice.integers(-2000, 2000, outputs).astype(np.int32), constant=True) if seed % 3 else None,
        None,
        *(int(dice.choice((128, -127, 0, -11))), filter_offset, zero_point),
        [int(dice.integers(1 << 30, 1 << 31))],
        [-6 - int(np.log2(inputs) / 2)],
        *(high, low),
    ]
    return Case("cortex_m::quantized_linear.out", arguments, [Out((rows, outputs), "int8")])


@pytest.mark.parametrize(("board", "toolchain"), CORES)
def test_equals_the_reference(board: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = [layer(seed, size, epilogue) for size in SIZES for seed, epilogue in enumerate(EPILOGUES * 2)]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.8


@pytest.mark.parametrize(
    ("rows", "inputs", "filter_offset", "kernel"),
    [
        (1, 64, 0, "dsp_linear_relu"),
        (3, 64, 0, "dsp_pointwise"),
        (1, 64, 3, "linear_s8"),
        (1, 1600, 0, "dsp_linear_long_relu"),
        (3, 1600, 0, "dsp_pointwise_long_relu"),
    ],
)
def test_the_kernel_is_the_one_for_the_layer(rows: int, inputs: int, filter_offset: int, kernel: str) -> None:
    (plan,) = plans_on(BOARD, [layer(2, (rows, inputs, 12), EPILOGUES[0], filter_offset)])
    assert [step.kernel for step in plan.steps] == [kernel]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("inputs", [64, 640, 1600, 4000])
def test_a_weight_takes_a_byte(rows: int, inputs: int) -> None:
    (plan,) = plans_on(BOARD, [layer(4, (rows, inputs, 64), EPILOGUES[0])])
    assert constant_bytes(plan) < 1.05 * inputs * 64 + 64 * 24


def test_one_other_weight_is_noticed() -> None:
    given = layer(4, (1, 16, 12), EPILOGUES[2])
    outputs = run_cases_on(BOARD, [given, with_weight_changed(given)])
    assert differing(outputs[:1], outputs[1:]) == [0]
