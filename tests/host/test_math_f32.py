"""math_f32.h: how far each function of floats is from the exact result, and its corners."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mcu_build import process
from mcu_build.resources import data_dir

# The largest error in units in the last place that the header promises.
EXACT = {"floor": 0, "ceil": 0, "trunc": 0, "rint": 0, "sqrt": 0.5001, "fmod": 0}
BELOW = {
    **dict.fromkeys(("exp", "expm1", "exp2", "log", "log1p", "log2", "sin", "cos", "acos", "rsqrt"), 1.5),
    **dict.fromkeys(("tanh", "erf", "pow", "log10", "atan", "asinh", "acosh", "atanh"), 2.0),
    **dict.fromkeys(("sigmoid", "asin", "tan", "sinh", "cosh", "atan2"), 2.5),
}
PAIRS = ("fmod", "pow", "atan2")
_NAMES = {"rint": "round", "fmod": "fmod"}
_CORNERS = [0.0, 1.0, 2.0, 3.0, 0.5, 2.5, 1e-40, 1e-45, 3e38, 1e9, 16777217.0, float("inf"), float("nan")]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    """The functions over arrays."""
    folder = tmp_path_factory.mktemp("math")
    lines = ['#include "mcu/kernels/math_f32.h"', "namespace math = mcu::kernels::math;", 'extern "C" {']
    for name in (*EXACT, *BELOW):
        call = f"math::{name}(x[i], y[i])" if name in PAIRS else f"math::{name}(x[i])"
        unused = "" if name in PAIRS else " (void)y;"
        lines.append(
            f"void f_{name}(int n, const float* x, const float* y, float* out) "
            f"{{{unused} for (int i = 0; i < n; ++i) out[i] = {call}; }}"
        )
    (folder / "math.cpp").write_text("\n".join([*lines, "}"]))
    yield ctypes.CDLL(str(_compiled(folder)))


def _compiled(folder: Path) -> Path:
    options = ("-std=c++20", "-O2", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC", "-Wall")
    include = data_dir() / "firmware/include"
    finished = process.run(
        ["g++", *options, "-Wextra", "-Werror", "-I", include, "math.cpp", "-o", "math.so"], cwd=folder
    )
    assert finished.status == 0, finished.stderr
    return folder / "math.so"


def ours(library: ctypes.CDLL, name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The function of the header."""
    out = np.empty_like(x)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (x, y, out)]
    getattr(library, f"f_{name}")(ctypes.c_int(len(x)), *pointers)
    return out


def exact(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The function in float64."""
    wide, other = torch.from_numpy(x).double(), torch.from_numpy(y).double()
    function = getattr(torch, _NAMES.get(name, name))
    return (function(wide, other) if name in PAIRS else function(wide)).numpy()


def errors(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Units in the last place of a float between results; infinite where one alone is NaN or infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = expected.astype(np.float32)
        _, exponent = np.frexp(expected)
        distance = np.abs(expected - found) * 2.0 ** (24.0 - np.maximum(exponent, -125))
    # At the end of the range rounding alone decides between the largest float and infinity.
    largest = np.float32(np.finfo(np.float32).max)
    ends = (np.abs(rounded) >= largest) & (np.abs(found) >= largest) & (np.sign(rounded) == np.sign(found))
    same = (np.isnan(rounded) & np.isnan(found)) | ends
    signs = (rounded == 0) & (found == 0) & (np.signbit(rounded) != np.signbit(found))
    wrong = (np.isnan(distance) & ~same) | signs
    return np.where(same, 0.0, np.where(wrong, np.inf, distance))


def _inputs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of every exponent and sign, numbers about one, and the corners with each other."""
    dice = np.random.default_rng(5)
    bits = dice.integers(0, 1 << 32, (2, 100_000), dtype=np.uint64).astype(np.uint32).view(np.float32)
    near = dice.uniform(-4, 4, (2, 100_000)).astype(np.float32)
    close = np.stack([1 + near[0] * 2.0**-12, near[1] * 2.0**12]).astype(np.float32)
    corners = np.array([sign * corner for corner in _CORNERS for sign in (1, -1)], np.float32)
    grid = np.stack([g.reshape(-1) for g in np.meshgrid(corners, corners)])
    x, y = np.concatenate([bits, near, close, grid], axis=1)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


@pytest.mark.parametrize("name", [*EXACT, *BELOW])
def test_functions_are_as_exact_as_the_header_says(library: ctypes.CDLL, name: str) -> None:
    x, y = _inputs(name)
    found = errors(exact(name, x, y), ours(library, name, x, y))
    worst = int(found.argmax())
    assert found[worst] <= {**EXACT, **BELOW}[name], (x[worst], y[worst])


def test_a_damaged_result_is_seen() -> None:
    x = np.linspace(-3, 3, 1000, dtype=np.float32)
    right = exact("tanh", x, x)
    assert errors(right, right.astype(np.float32)).max() <= 0.5
    assert (
        errors(right, np.nextafter(np.nextafter(np.nextafter(right.astype(np.float32), 2), 2), 2)).max() > 2
    )
