"""Sums, products, pools and matrices of cores with DSP instructions equal the reference bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.sim.kernels.test_mve_boundary import looked_up, maximum, product
from tests.sim.kernels.test_mve_elementwise import average, every_pair, short_sum, sums
from tests.support.cases import Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
TOOLCHAINS = ("arm-clang", "arm-gcc")


def matrices(
    sizes: Sequence[int], offsets: tuple[int, int], zero_point: int, shift: int, ends: bool = False
) -> Case:
    """`ends`: every number as far from its zero point as can be."""
    batch, rows, columns, inner = sizes
    dice = np.random.default_rng(sum(sizes))
    x, y = (
        T((dice.choice((-128, 127), shape) if ends else dice.integers(-128, 128, shape)).astype(np.int8))
        for shape in ((batch, rows, inner), (batch, columns, inner))
    )
    scratch = T(np.zeros(1, np.uint8))
    arguments = [x, offsets[0], y, offsets[1], zero_point, int(dice.integers(1 << 30, 1 << 31)), shift]
    return Case(
        "cortex_m::quantized_batch_matmul.out", [*arguments, scratch], [Out((batch, rows, columns), "int8")]
    )


SUMS = [*sums(), *(short_sum(count) for count in (1, 3, 4, 33))]
KERNELS: dict[str, list[Case]] = {
    "dsp_avg_pool2d_s8": [
        average((1, 64, 25, 5), (25, 5), (0, 0)),
        average((2, 8, 7, 6), (3, 2), (1, 1)),
        average((1, 7, 8, 8), (2, 2), (0, 0)),
        average((1, 20, 15, 17), (15, 17), (0, 0)),
        average((1, 3, 9, 13), (5, 1), (2, 0), (1, 1)),
        average((2, 5, 9, 8), (3, 3), (1, 1), (1, 1)),
        average((1, 21, 6, 7), (2, 4), (0, 2), (1, 1)),
    ],
    "dsp_max_pool2d_s8": [
        maximum((2, 5, 7, 6), 3, 1, (-100, 90)),
        maximum((1, 35, 8, 9), 2, 0, (-128, 127)),
        maximum((1, 16, 5, 5), 3, 0, (-128, 127)),
        maximum((2, 5, 6, 9), 3, 1, (-128, 120), 1),
        maximum((1, 21, 5, 9), 5, 2, (-128, 127), 1),
    ],
    "dsp_mul_s8": [
        product((1, 256, 16, 16), (1, 256, 1, 1), -6, (-128, 127, 3)),
        product((1, 257, 3, 3), (1, 1, 3, 3), -9, (5, -7, -128)),
        product((1, 9, 5, 7), (1, 9, 5, 7), -7, (0, 0, 0)),
        product((2, 6, 3, 2), (2, 6, 1, 1), -1, (-128, 17, 127)),
    ],
    "dsp_batch_matmul_s8": [
        matrices((2, 9, 5, 16), (128, -127), 3, -12),
        matrices((1, 3, 7, 6), (0, 11), -128, -7),
        matrices((3, 4, 4, 5), (-5, 0), 127, -7),
        matrices((1, 1, 9, 1), (7, -7), 0, -4),
        matrices((2, 8, 3, 67), (128, 128), -20, -14, ends=True),
    ],
    "lookup_s8": [looked_up(1000), looked_up(5), looked_up(3)],
}


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = [*SUMS, *(case for cases in KERNELS.values() for case in cases)]
    kernels = [plan.steps[0].kernel for plan in plans_on(BOARD, made)]
    assert set(kernels[: len(SUMS)]) == {"dsp_add_21_s8", "dsp_add_22_s8"}
    assert kernels[len(SUMS) :] == [name for name, cases in KERNELS.items() for _ in cases]
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize(
    "given",
    [
        average((1, 4, 16, 16), (16, 16), (0, 0)),
        average((1, 3, 8, 8), (2, 2), (0, 0)),
        maximum((1, 3, 8, 8), 2, 0, (-128, 127)),
        product((1, 6, 3, 4), (1, 6, 3, 4), 2, (-128, -128, -128)),
        matrices((1, 2, 2, 8), (0, 0), 0, 1),
    ],
)
def test_what_the_instructions_cannot_stays_with_the_reference(given: Case) -> None:
    assert not any(step.kernel.startswith("dsp_") for step in plans_on(BOARD, [given])[0].steps)


def test_another_scale_is_noticed() -> None:
    made = [
        every_pair((0, 1 << 30, 0), (0, multiplier, -1), (0, 1190280823, -18))
        for multiplier in (1676959986, 1676959986 + (1 << 22))
    ]
    outputs = run_cases_on(BOARD, made)
    assert differing(outputs[:1], outputs[1:]) == [0]


def test_another_offset_is_noticed() -> None:
    made = [matrices((2, 9, 5, 16), (offset, -127), 3, -12) for offset in (128, 126)]
    outputs = run_cases_on(BOARD, made)
    assert differing(outputs[:1], outputs[1:]) == [0]
