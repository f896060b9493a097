"""Rows that are much smaller than others keep their digits where a norm makes all of one size."""

import pytest
import torch
from torch import nn

from mcu_build.frontend import quantize as quantization
from mcu_build.frontend.normalize import normalize
from mcu_build.frontend.quantize import convert, rows_in_float
from mcu_build.lower.unlike_rows import WHY
from mcu_build.quality import sqnr_db

CALLS = [(torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(number)),) for number in range(4)]


class Tokens(nn.Module):
    """A class token before the others, positions, a norm; the first token answers."""

    def __init__(self, size: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.token = nn.Parameter(torch.randn(1, 1, 8) * size)
        self.positions = nn.Parameter(torch.randn(1, 7, 8) * size)
        self.first, self.norm, self.last = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x):
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), self.first(x)), dim=1) + self.positions
        return self.last(self.norm(x))[:, 0]


def exported(size: float):
    return normalize(torch.export.export(Tokens(size).eval(), CALLS[0]), "model.py")


def quality(program) -> float:
    converted, _ = convert(program, CALLS)
    with torch.no_grad():
        found = [program.module(check_guards=False)(*call) for call in CALLS]
        return sqnr_db(torch.stack(found).numpy(), torch.stack([converted(*call) for call in CALLS]).numpy())


def test_small_rows_are_normalized_in_float():
    assert rows_in_float(exported(0.01), CALLS) == {"layer_norm": WHY, "add": WHY, "cat": WHY}


@pytest.mark.parametrize("size", [0.0, 1.0])
def test_rows_of_zeros_and_of_like_size_are_int8(size):
    assert rows_in_float(exported(size), CALLS) == {}


def test_a_small_token_s_answer(monkeypatch):
    program = exported(0.01)
    assert quality(program) > 30
    monkeypatch.setattr(quantization, "rows_in_float", lambda *_: {})
    assert quality(program) < 15
