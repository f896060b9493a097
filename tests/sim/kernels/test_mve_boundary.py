"""Helium's quantize, dequantize, tables, maxima and products equal the reference to the bit, on the core."""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.sim.kernels.convolution_cases import differing
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import plans_on, run_cases_on

BOARD = "corstone-300"


def floats(count: int, scale: float) -> np.ndarray:
    """Ties, numbers around them and at the ends, and what is no number to quantize."""
    dice = np.random.default_rng(count)
    x = dice.integers(-300, 301, count) * 0.5 * scale + dice.choice((0, 0, 1e-7, -1e-7), count) * scale
    odd = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42, -0.0, 2.0**31, -(2.0**31)])
    x[: min(count, 9)] = odd[: min(count, 9)]
    return x.astype(np.float32)


def quantized(count: int, scale: float, zero_point: int, ends: tuple[int, int] = (-128, 127)) -> Case:
    arguments = [T(floats(count, scale)), scale, zero_point, *ends, 1]
    return Case("quantized_decomposed::quantize_per_tensor.out", arguments, [Out((count,), "int8")])


def dequantized(count: int, scale: float, zero_point: int) -> Case:
    x = np.resize(np.arange(-128, 128), count).astype(np.int8)
    arguments = [T(x), scale, zero_point, -128, 127, 1]
    return Case("quantized_decomposed::dequantize_per_tensor.out", arguments, [Out((count,), "float32")])


def looked_up(count: int) -> Case:
    dice = np.random.default_rng(count)
    x, table = (dice.integers(-128, 128, n).astype(np.int8) for n in (count, 256))
    arguments = [T(x), T(table, constant=True)]
    return Case("cortex_m::quantized_activation.out", arguments, [Out((count,), "int8")])


def maximum(
    shape: tuple[int, ...], kernel: int, padding: int, ends: tuple[int, int], stride: int = 2
) -> Case:
    x = np.random.default_rng(shape[1]).integers(-128, 128, shape).astype(np.int8)
    sizes = [(n + 2 * padding - kernel) // stride + 1 for n in shape[2:]]
    arguments = [T(x, CHANNELS_LAST), [kernel] * 2, [stride] * 2, [padding] * 2, [1, 1], False, 3, 3, *ends]
    out = Out((*shape[:2], *sizes), "int8", CHANNELS_LAST)
    return Case("cortex_m::quantized_max_pool2d.out", arguments, [out])


def product(shape: tuple[int, ...], other: tuple[int, ...], shift: int, zero_points: tuple[int, ...]) -> Case:
    dice = np.random.default_rng(shape[1])
    x, y = (T(dice.integers(-128, 128, n).astype(np.int8), CHANNELS_LAST) for n in (shape, other))
    first, second, output = zero_points
    arguments = [x, first, y, second, output, int(dice.integers(1 << 30, 1 << 31)), shift]
    return Case("cortex_m::quantized_mul.out", arguments, [Out(shape, "int8", CHANNELS_LAST)])


CASES = [
    product((1, 256, 16, 16), (1, 256, 1, 1), -6, (-128, 127, 3)),
    product((1, 257, 3, 3), (1, 1, 3, 3), -9, (5, -7, -128)),
    product((1, 9, 5, 7), (1, 9, 5, 7), -7, (0, 0, 0)),
    product((1, 17, 5, 7), (1, 17, 5, 7), -8, (127, -128, 90)),
    product((2, 37, 3, 3), (1, 37, 1, 1), -6, (3, 0, -20)),
    product((1, 6, 3, 4), (1, 6, 3, 4), 2, (-128, -128, -128)),
    product((2, 6, 3, 2), (2, 6, 1, 1), 0, (-128, 17, 127)),
    quantized(1001, 0.037, -3),
    quantized(66, 1.0, 127, (-100, 100)),
    quantized(3, 12.5, -128),
    dequantized(257, 0.0137, -128),
    dequantized(2, 3.0, 127),
    looked_up(1000),
    looked_up(5),
    maximum((2, 5, 7, 6), 3, 1, (-100, 90)),
    maximum((1, 35, 8, 9), 2, 0, (-128, 127)),
    maximum((1, 16, 5, 5), 3, 0, (-128, 127)),
    maximum((1, 3, 9, 7), 5, 2, (-90, 127)),
    maximum((2, 3, 6, 9), 3, 1, (-128, 120), 1),
    maximum((1, 21, 5, 9), 5, 2, (-128, 127), 1),
]
# A scale whose products are too small for vectors.
TINY = [quantized(40, 2.0**110, 0), dequantized(40, 2.0**-130, 5)]


@pytest.mark.parametrize("toolchain", ["arm-clang", "arm-gcc"])
def test_equals_the_reference(toolchain: Toolchain, tmp_path: Path) -> None:
    kernels = [plan.steps[0].kernel for plan in plans_on(BOARD, CASES)]
    assert [kernel.startswith("mve_") or kernel == "lookup_s8" for kernel in kernels] == [True] * len(CASES)
    (tmp_path / "host").mkdir()
    expected = run_cases([*CASES, *TINY], tmp_path / "host")
    assert all(np.unique(output).size > 20 for (output,) in expected if output.size > 100)
    found = run_cases_on(BOARD, [*CASES, *TINY], toolchain)
    assert differing(found, expected) == []


def test_tiny_floats_go_elsewhere() -> None:
    kernels = [plan.steps[0].kernel for plan in plans_on(BOARD, TINY)]
    assert kernels == ["quantize_f32_s8", "dequantize_s8_f32"]


def test_another_zero_point_is_noticed() -> None:
    made = [quantized(1001, 0.037, zero_point) for zero_point in (-3, -2)]
    outputs = run_cases_on(BOARD, made)
    assert differing(outputs[:1], outputs[1:]) == [0]
