"""Complex numbers are computed by their two parts: what PyTorch computes, without a complex tensor."""

import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.frontend.normalize import normalize
from tests.support.lowering import Function

_DRAWS = torch.Generator().manual_seed(3)
X = torch.randn(2, 48, generator=_DRAWS)
TURNS = torch.polar(torch.ones(6, 4), torch.randn(6, 4, generator=_DRAWS))
WEIGHTS = torch.randn(25, 5, dtype=torch.cfloat, generator=_DRAWS)


def read(z):
    return torch.view_as_real(z)


def complex_of(x):
    return torch.complex(x, x + 1)


def rotated(m, x):
    """A rotary position embedding as LLaMA's reference writes it."""
    pairs = torch.view_as_complex(x.float().reshape(2, 6, 4, 2))
    return read(pairs * m.turns[None]).flatten(2).type_as(x)


def filtered(m, x):
    """A layer of a Fourier neural operator."""
    modes = torch.fft.rfft(x)
    out = torch.zeros(2, 25, dtype=torch.cfloat)
    out[:, :5] = torch.einsum("bi,io->bo", modes, m.weights)
    return torch.fft.irfft(out, n=48)


USES = {
    "rotated": rotated,
    "filtered": filtered,
    "matmul": lambda m, x: (torch.fft.rfft(x) @ m.weights).abs(),
    "of real": lambda m, x: read(x[:, :25].to(torch.cfloat) @ m.weights),
    "divided": lambda m, x: read(complex_of(x) / torch.complex(x + 5, x)),
    "divided by real": lambda m, x: read(complex_of(x) / (x.abs() + 1)),
    "exp": lambda m, x: read(torch.exp(complex_of(x))),
    "polar": lambda m, x: read(torch.polar(x.abs(), x)),
    "sums": lambda m, x: read(complex_of(x) + 1.5 - x),
    "power": lambda m, x: (torch.fft.rfft(x) * torch.fft.rfft(x).conj()).real.sqrt(),
    "square": lambda m, x: read(complex_of(x) ** 2),
    "moved": lambda m, x: torch.stack([part.mT.abs() for part in complex_of(x).chunk(2, -1)]).mean(0),
    "picked": lambda m, x: complex_of(x)[:, torch.tensor([1, 3])].imag,
    "mean": lambda m, x: complex_of(x).mean(-1).angle(),
    "same type": lambda m, x: read(complex_of(x).to(torch.complex64)),
}


@pytest.mark.parametrize("name", USES)
def test_what_is_read_equals_pytorch_s(name):
    model = Function(USES[name], turns=TURNS, weights=WEIGHTS)
    normalized = normalize(torch.export.export(model, (X,), strict=False), "model.py")
    values = [node.meta["val"] for node in normalized.graph.nodes if node.users]
    assert not any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)
    torch.testing.assert_close(normalized.module(check_guards=False)(X), model(X), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("named", "function"),
    [
        ("aten.tan.default", lambda m, x: complex_of(x).tan().abs()),
        ("an output", lambda m, x: complex_of(x)),
        ("aten.mul.Tensor", lambda m, x: (x * 2j).abs()),
    ],
)
def test_others_are_refused(named, function):
    exported = torch.export.export(Function(function), (X,), strict=False)
    with pytest.raises(McuError, match=r"model\.py: .*: firmware has no complex numbers") as refused:
        normalize(exported, "model.py")
    assert named in str(refused.value)
    assert "real numbers" in str(refused.value.hint)


def test_only_spectra_stay_in_float():
    def kept(function):
        exported = torch.export.export(Function(function, turns=TURNS), (X,), strict=False)
        nodes = normalize(exported, "model.py").graph.nodes
        return ["mcu_build_float" in (n.meta.get("custom") or {}) for n in nodes if n.op == "call_function"]

    assert not any(kept(rotated))
    assert all(kept(lambda m, x: torch.fft.irfft(torch.fft.rfft(x) * 2)))
