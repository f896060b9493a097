"""Products with a Fourier basis are fast Fourier transforms, near the exact spectrum."""

import numpy as np
import pytest

from mcu_build.plan.compile import compile_program
from tests.support.cases import Case, Out, T, program_of, run_cases

EPSILON = 2.0**-24


def basis(size: int, bins: int, window: np.ndarray) -> np.ndarray:
    """[2 bins, size] in float32, as lower/rewrite/spectral.py makes it."""
    angles = 2 * np.pi / size * (np.outer(np.arange(bins), np.arange(size)) % size)
    return np.concatenate([np.cos(angles), -np.sin(angles)]).astype(np.float32) * window


def stft(size: int, hop: int, lines: int, bins: int, window: np.ndarray, dice: np.random.Generator) -> Case:
    """Frames of a signal of whose last samples a few are left over."""
    signal = dice.standard_normal((lines, 1, 3 * hop + size + hop // 2)).astype(np.float32)
    weight = basis(size, bins, window)[:, None]
    arguments = [T(signal), T(weight, constant=True), None, [hop], [0], [1], False, [0], 1]
    return Case("aten::convolution.out", arguments, [Out((lines, 2 * bins, 4), "float32")])


def rfft(size: int, lines: int, bins: int, dice: np.random.Generator) -> Case:
    rows = T(dice.standard_normal((lines, size)).astype(np.float32))
    weight = T(basis(size, bins, np.ones(size, np.float32)), constant=True)
    return Case("aten::linear.out", [rows, weight, None], [Out((lines, 2 * bins), "float32")])


def cases() -> list[Case]:
    dice = np.random.default_rng(9)
    hann = {size: np.hanning(size + 1)[:-1].astype(np.float32) for size in (16, 64, 256)}
    return [
        stft(16, 4, 2, 9, hann[16], dice),
        stft(64, 17, 1, 33, hann[64], dice),
        stft(32, 32, 3, 32, np.full(32, 0.25, np.float32), dice),
        stft(256, 64, 1, 129, hann[256], dice),
        rfft(16, 3, 9, dice),
        rfft(128, 1, 128, dice),
        rfft(2048, 1, 1025, dice),
    ]


def kernels(case: Case) -> list[str]:
    return [step.kernel for step in compile_program(program_of(case)[0], "m").steps]


def exact(case: Case) -> np.ndarray:
    """The product in float64 with cosines that are not rounded, [lines, 2 bins, frames]."""
    x, weight = (argument.array for argument in case.arguments[:2])
    size, bins = weight.shape[-1], len(weight) // 2
    window = weight.reshape(2 * bins, size)[0].astype(np.float64)
    hop, frames = (case.arguments[3][0], 4) if x.ndim == 3 else (size, 1)
    lines = x.reshape(len(x), -1).astype(np.float64)
    cut = np.stack([lines[:, hop * frame : hop * frame + size] * window for frame in range(frames)], 2)
    spectrum = np.fft.fft(cut, axis=1)[:, :bins]
    return np.concatenate([spectrum.real, spectrum.imag], 1).reshape(case.outputs[0].shape)


def test_the_spectrum_is_near_the_exact_one(tmp_path) -> None:
    """Within 4 roundings for each of log2(size) rounds, of the root of the energy (Higham, theorem 24.2)."""
    made = cases()
    for case, (found,) in zip(made, run_cases(made, tmp_path), strict=True):
        wanted = exact(case)
        bound = 4 * EPSILON * np.log2(case.arguments[1].array.shape[-1]) * np.linalg.norm(wanted)
        assert np.linalg.norm(found - wanted) < bound
        assert np.linalg.norm(np.roll(found, 1, 1) - wanted) > 1000 * bound


@pytest.mark.parametrize("index", range(7))
def test_a_basis_is_known_by_its_numbers(index: int) -> None:
    assert kernels(cases()[index]) == ["fourier_f32"]


def test_other_weights_are_a_product() -> None:
    dice, ones = np.random.default_rng(1), np.ones(32, np.float32)
    changed = stft(32, 8, 1, 17, ones, dice)
    changed.arguments[1].array[5, 0, 3] += np.float32(1e-5)
    shorter = stft(32, 8, 1, 17, ones, dice)
    shorter.arguments[1] = T(shorter.arguments[1].array[1:33].copy(), constant=True)
    shorter.outputs[0] = Out((1, 32, 4), "float32")
    others = [changed, shorter, stft(8, 8, 1, 5, ones[:8], dice), stft(24, 8, 1, 13, ones[:24], dice)]
    assert [kernels(case) for case in others] == [["conv_f32"]] * 4
