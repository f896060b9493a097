"""Sums and averages of cores with DSP instructions equal the reference kernels bit for bit."""

from pathlib import Path

import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.sim.kernels.test_mve_elementwise import average, every_pair, short_sum, sums
from tests.support.cases import run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "mps2-an386"
TOOLCHAINS = ("arm-clang", "arm-gcc")

AVERAGES = [
    average((1, 64, 25, 5), (25, 5), (0, 0)),
    average((2, 8, 7, 6), (3, 2), (1, 1)),
    average((1, 12, 8, 8), (2, 2), (0, 0)),
    average((1, 20, 15, 17), (15, 17), (0, 0)),
]


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_every_sum_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    made = [*sums(), *(short_sum(count) for count in (1, 3, 4, 33))]
    assert {plan.steps[0].kernel for plan in plans_on(BOARD, made)} == {"dsp_add_21_s8", "dsp_add_22_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(BOARD, made, tmp_path / "board", toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_averages_equal_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    assert {plan.steps[0].kernel for plan in plans_on(BOARD, AVERAGES)} == {"dsp_avg_pool2d_s8"}
    (tmp_path / "host").mkdir()
    wanted = run_cases(AVERAGES, tmp_path / "host")
    assert differing(run_cases_on(BOARD, AVERAGES, tmp_path / "board", toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.9


@pytest.mark.parametrize(
    "given", [average((1, 4, 16, 16), (16, 16), (0, 0)), average((1, 5, 8, 8), (2, 2), (0, 0))]
)
def test_large_windows_and_odd_channels_stay_with_the_reference(given) -> None:
    assert plans_on(BOARD, [given])[0].steps[0].kernel == "avg_pool2d_s8"


def test_another_scale_is_noticed(tmp_path: Path) -> None:
    made = [
        every_pair((0, 1 << 30, 0), (0, multiplier, -1), (0, 1190280823, -18))
        for multiplier in (1676959986, 1676959986 + (1 << 22))
    ]
    outputs = run_cases_on(BOARD, made, tmp_path)
    assert differing(outputs[:1], outputs[1:]) == [0]
