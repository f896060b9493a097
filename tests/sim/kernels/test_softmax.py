"""Softmax of Helium and of DSP cores equals the reference kernel bit for bit, on the simulated cores."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing, share_that_varies
from tests.support.cases import Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

KERNELS = [("corstone-300", "mve_softmax_s8"), ("mps2-an386", "dsp_softmax_s8")]
SHAPES = [(64, 1), (32, 2), (10, 7), (40, 16), (3, 33), (2, 600)]
SCALES = (0.003, 0.0117, 0.0625, 0.25, 7.9)


def softmax(x: np.ndarray, scale: float) -> Case:
    mantissa, shift = np.frexp(scale * (1 << 26))
    arguments = [T(x), x.ndim - 1, 3, -128, round(float(mantissa) * (1 << 31)), int(shift), -248]
    return Case("cortex_m::softmax.out", arguments, [Out(x.shape, "int8")])


def in_finer_steps(x: np.ndarray, scale: float, octaves: int) -> Case:
    entries = np.rint(np.exp(-np.arange(256) * scale) * 2**31).astype(np.uint32).view(np.int32)
    return Case("mcu_build::softmax.out", [T(x), T(entries, constant=True), octaves], [Out(x.shape, "int8")])


def cases() -> list[Case]:
    dice = np.random.default_rng(57)
    found = [
        softmax(dice.integers(-128, 128, shape).astype(np.int8), scale)
        for shape in SHAPES
        for scale in SCALES
    ]
    found += [
        in_finer_steps(dice.integers(-128, 128, (5, count)).astype(np.int8), scale, octaves)
        for count, scale, octaves in ((150, 0.001, 5), (33, 0.02, 3), (700, 0.003, 8), (20, 0.5, 15))
    ]
    # Ties, such as 256 / 512, and what is next to them: one value of many is another.
    for count in (64, 171, 512, 1024):
        equal = np.full((1, count), 7, np.int8)
        other = equal.copy()
        other[0, -1] = 6
        found += [softmax(equal, 0.1), softmax(other, 0.0001), in_finer_steps(other, 0.1, 6)]
    return found


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
@pytest.mark.parametrize(("board", "kernel"), KERNELS)
def test_equals_the_reference(board: str, kernel: str, toolchain: Toolchain, tmp_path: Path) -> None:
    made = cases()
    assert {plan.steps[-1].kernel for plan in plans_on(board, made)} == {kernel}
    (tmp_path / "host").mkdir()
    wanted = run_cases(made, tmp_path / "host")
    assert differing(run_cases_on(board, made, toolchain), wanted) == []
    assert share_that_varies(wanted) > 0.6


@pytest.mark.parametrize(("board", "kernel"), KERNELS)
def test_few_classes_or_another_dimension_go_elsewhere(board: str, kernel: str) -> None:
    x = np.zeros((8, 16), np.int8)
    along_rows = softmax(x, 0.1)
    arguments = [along_rows.arguments[0], 0, *along_rows.arguments[2:]]
    made = [softmax(x, 0.1), softmax(x[:1], 0.1), Case(along_rows.operator, arguments, along_rows.outputs)]
    assert [plan.steps[-1].kernel == kernel for plan in plans_on(board, made)] == [True, False, False]


@pytest.mark.parametrize("board", [board for board, _ in KERNELS])
def test_another_scale_is_noticed(board: str) -> None:
    x = np.random.default_rng(5).integers(-128, 128, (4, 16)).astype(np.int8)
    outputs = run_cases_on(board, [softmax(x, 0.02), softmax(x, 0.021)])
    assert differing(outputs[:1], outputs[1:]) == [0]
