"""Operators on floats give the same bits on every core as on this computer, whatever compiles them.

With a floating point unit (M55, whose vectors would flush denormals, M4) and without (M3, M0), under both
compilers.
"""

from pathlib import Path

import numpy as np
import pytest

from mcu_build.codegen.target import Toolchain
from tests.host.portable.test_fourier import rfft, stft
from tests.sim.kernels.convolution_cases import share_that_varies
from tests.support.cases import CHANNELS_LAST, Case, Out, T, run_cases
from tests.support.cases_on_board import run_cases_on

FUNCTIONS = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "expm1"),
    *("floor", "log", "log10", "log1p", "log2", "reciprocal", "round", "rsqrt", "sigmoid", "sin", "sinh"),
    *("sqrt", "tan", "tanh", "trunc", "silu", "hardswish", "hardsigmoid"),
)
PAIRS = ("aten::add.out", "aten::atan2.out", "aten::div.out", "aten::fmod.Tensor_out", "aten::mul.out")
PAIRS += ("aten::pow.Tensor_Tensor_out", "aten::remainder.Tensor_out", "aten::sub.out")
# Without a floating point unit, arithmetic is libgcc's under either compiler. In every run each core and each
# compiler.
BUILDS = [
    ("corstone-300", "arm-clang"),
    ("mps2-an386", "arm-gcc"),
    ("mps2-an385", "arm-clang"),
    pytest.param("corstone-300", "arm-gcc", marks=pytest.mark.slow),
    pytest.param("mps2-an386", "arm-clang", marks=pytest.mark.slow),
]
CORNERS = (0.0, 1e-45, 3e-39, 1e-38, 0.5, 1.0, 2.5, 88.7, 1e9, 3e38, np.inf, np.nan)


def numbers(count: int, seed: int) -> np.ndarray:
    """Corners, every exponent, and numbers about one."""
    dice = np.random.default_rng(seed)
    bits = dice.integers(0, 1 << 32, count // 2, dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = dice.uniform(-4, 4, count - len(bits)).astype(np.float32)
    corners = np.array([sign * corner for corner in CORNERS for sign in (1, -1)], np.float32)
    dice.shuffle(corners)
    return np.concatenate([corners, bits, near])[:count]


def functions(count: int) -> list[Case]:
    """Every function of one float, and of two."""
    x, y = numbers(count, 1), numbers(count, 2)
    out = [Out(x.shape, "float32")]
    found = [Case(f"aten::{name}.out", [T(x)], out) for name in FUNCTIONS]
    found += [Case("aten::gelu.out", [T(x), how], out) for how in ("none", "tanh")]
    found += [
        Case("aten::elu.out", [T(x), 1.5, 1.25, 0.5], out),
        Case("aten::_softmax.out", [T(x), 0, False], out),
    ]
    more = {"aten::add.out": [1], "aten::sub.out": [1]}
    return found + [Case(name, [T(x), T(y), *more.get(name, [])], out) for name in PAIRS]


def layers() -> list[Case]:
    """Operators that sum: their order decides the last bit."""
    dice = np.random.default_rng(3)

    def real(*shape: int) -> np.ndarray:
        return dice.standard_normal(shape).astype(np.float32)

    image, out = T(real(1, 8, 6, 5), CHANNELS_LAST), [Out((1, 8, 6, 5), "float32", CHANNELS_LAST)]
    statistics = [Out((1, 2), "float32", used=False)] * 2
    rows, weight = T(real(6, 40)), T(real(40), constant=True)
    tiny = T(real(6, 40) * np.float32(1e-39))
    found = [
        Case("aten::native_group_norm.out", [image, None, None, 1, 8, 30, 2, 1e-5], [*out, *statistics]),
        Case(
            "aten::upsample_bilinear2d.vec_out",
            [image, [9, 11], False, None],
            [Out((1, 8, 9, 11), "float32")],
        ),
        Case("aten::mean.out", [image, [2, 3], True, None], [Out((1, 8, 1, 1), "float32")]),
    ]
    for x in (rows, tiny):
        found += [
            Case(
                "aten::native_layer_norm.out",
                [x, [40], weight, None, 1e-5],
                [Out((6, 40), "float32"), *[Out((6, 1), "float32", used=False)] * 2],
            ),
            Case("aten::_softmax.out", [x, 1, False], [Out((6, 40), "float32")]),
            Case("aten::_log_softmax.out", [x, 1, False], [Out((6, 40), "float32")]),
            Case("aten::sum.IntList_out", [x, [1], False, None], [Out((6,), "float32")]),
            Case("aten::cumsum.out", [x, 1, None], [Out((6, 40), "float32")]),
            Case("aten::var.correction_out", [x, [1], 1, False], [Out((6,), "float32")]),
            Case("aten::mm.out", [x, T(real(40, 7))], [Out((6, 7), "float32")]),
        ]
    return [*found, stft(64, 17, 1, 33, np.hanning(64).astype(np.float32), dice), rfft(32, 3, 32, dice)]


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of floats, all NaNs alike."""
    return np.where(np.isnan(array), np.float32(np.nan), array).astype(np.float32).view(np.uint32)


def unequal(cases: list[Case], wanted: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> list[str]:
    """The operators whose bits are not those wanted."""
    return [
        case.operator
        for case, want, have in zip(cases, wanted, found, strict=True)
        if any(np.any(bits(one) != bits(other)) for one, other in zip(want, have, strict=True))
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[list[np.ndarray]]:
    """What this computer gives."""
    return run_cases(everything(), tmp_path_factory.mktemp("host"))


def everything() -> list[Case]:
    return [*functions(1000), *layers()]


@pytest.mark.parametrize(("board", "toolchain"), BUILDS)
def test_every_core_gives_the_same_bits(
    board: str,
    toolchain: Toolchain,
    expected: list[list[np.ndarray]],
) -> None:
    assert share_that_varies(expected) > 0.9
    assert unequal(everything(), expected, run_cases_on(board, everything(), toolchain)) == []


def test_a_core_of_armv6_m_gives_the_same_bits(tmp_path: Path) -> None:
    # What fits in 16 KB of RAM.
    few = functions(32)
    (tmp_path / "host").mkdir()
    wanted = run_cases(few, tmp_path / "host")
    assert unequal(few, wanted, run_cases_on("microbit", few, "arm-gcc")) == []


def test_one_unit_in_the_last_place_is_noticed(expected: list[list[np.ndarray]]) -> None:
    off = [
        [np.where(np.isnan(one), 0, np.nextafter(one, np.float32(9))) for one in each] for each in expected
    ]
    assert len(unequal(everything(), expected, off)) == len(expected)
