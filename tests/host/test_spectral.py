"""Spectra of real signals are computed without complex numbers, in float up to a logarithm."""

import pytest
import torch

from mcu_build.frontend.normalize import normalize
from tests.support.lowering import Function

SIGNAL = torch.randn(2, 80, generator=torch.Generator().manual_seed(5))
WINDOW = torch.hamming_window(12)


def _exported(function):
    return torch.export.export(Function(lambda _, x: function(x)), (SIGNAL,), strict=False)


def _normalized(function):
    return normalize(_exported(function), "model.py")


def _framed(x):
    return torch.view_as_real(
        torch.stft(x, 16, 8, 12, WINDOW, center=False, normalized=True, return_complex=True)
    )


# fmt: off
SPECTRA = {
    "stft": lambda x: torch.stft(x, 16, 8, window=torch.hann_window(16), return_complex=True).abs(),
    "power": lambda x: torch.stft(x, 16, return_complex=True).abs().pow(2),
    "window in the middle of a frame": _framed,
    "one signal, both sides": lambda x: torch.stft(x[0], 10, 4, onesided=False, return_complex=True).real,
    "stft of two parts": lambda x: torch.stft(x, 16, 8, return_complex=False),
    "rfft": lambda x: torch.fft.rfft(x).imag,
    "rfft, longer": lambda x: torch.fft.rfft(x, n=100, norm="ortho").abs(),
    "rfft, shorter": lambda x: torch.fft.rfft(x, n=31, norm="forward").abs(),
    "rfft of another dimension": lambda x: torch.fft.rfft(x.reshape(2, 8, 10), dim=1).abs(),
    "fft": lambda x: torch.fft.fft(x).abs(),
    "istft": lambda x: torch.istft(
        torch.stft(x, 16, 8, window=torch.hann_window(16), return_complex=True),
        16, 8, window=torch.hann_window(16), length=80,
    ),
    "istft of longer frames": lambda x: torch.istft(
        torch.stft(x, 16, 8, 12, WINDOW, return_complex=True, normalized=True) * 2.0,
        16, 8, 12, WINDOW, normalized=True,
    ),
    "istft, filled up": lambda x: torch.istft(torch.stft(x, 16, 4, return_complex=True), 16, 4, length=90),
    "irfft": lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    "irfft, odd": lambda x: torch.fft.irfft(torch.fft.rfft(x, n=31), n=31, norm="ortho"),
    "irfft of another dimension": lambda x: torch.fft.irfft(
        torch.fft.rfft(x.reshape(2, 8, 10), dim=1), n=7, dim=1, norm="forward"
    ),
    "fft of a spectrum": lambda x: torch.fft.fft(torch.fft.fft(x), dim=-2).real,
    "fft2, other sizes": lambda x: torch.fft.fft2(x.reshape(2, 8, 10), s=(6, 12)).imag,
    "ifft2": lambda x: torch.fft.ifft2(torch.fft.fft2(x.reshape(2, 8, 10))[:, :5]).imag,
    "ifft": lambda x: torch.fft.ifft(torch.fft.fft(x, norm="forward"), norm="forward").real,
    "rfft2": lambda x: torch.fft.irfft2(torch.fft.rfft2(x.reshape(2, 8, 10)) * 0.5),
    "rfftn": lambda x: torch.fft.irfftn(torch.fft.rfftn(x.reshape(2, 8, 10), norm="ortho"), norm="ortho"),
    "fftshift": lambda x: torch.fft.fftshift(torch.fft.fft(x), dim=-1).abs(),
    "angle": lambda x: torch.cos(torch.fft.rfft(x).angle()),
}
# fmt: on


@pytest.mark.parametrize("name", SPECTRA)
def test_a_spectrum_equals_pytorch_s(name):
    """Sums of at most 100 products below 4: within 100 roundings of 400, 2.4e-3; 2e-5 in practice."""
    normalized = _normalized(SPECTRA[name])
    values = [node.meta["val"] for node in normalized.graph.nodes if node.op != "output"]
    assert not any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)
    torch.testing.assert_close(
        normalized.module(check_guards=False)(SIGNAL), SPECTRA[name](SIGNAL), rtol=1e-4, atol=2e-5
    )


def test_what_lies_before_a_logarithm_stays_in_float():
    mel = torch.rand(9, 4)

    def features(x):
        power = torch.stft(x, 16, 8, return_complex=True).abs().pow(2)
        return torch.relu(torch.log(power.transpose(1, 2) @ mel + 1e-6) + 3)

    kept = {
        str(node.target): "mcu_build_float" in (node.meta.get("custom") or {})
        for node in _normalized(features).graph.nodes
        if node.op == "call_function"
    }
    for operator in ("conv1d.default", "sqrt.default", "matmul.default", "log.default"):
        assert kept[f"aten.{operator}"], operator
    assert not kept["aten.relu.default"]
