"""What int8 would leave little of stays in float: small rows before a norm, wide sines, steep means."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.frontend import precision
from mcu_build.frontend import quantize as quantization
from mcu_build.frontend.normalize import normalize
from mcu_build.frontend.quantize import convert, ruined_by_int8
from mcu_build.lower.rewrite import steep_means, wide_arguments
from mcu_build.lower.rewrite.unlike_rows import WHY
from mcu_build.quality.sqnr import sqnr_db

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
    assert ruined_by_int8(exported(0.01), CALLS) == {"layer_norm": WHY, "add": WHY, "cat": WHY}


@pytest.mark.parametrize("size", [0.0, 1.0])
def test_rows_of_zeros_and_of_like_size_are_int8(size):
    assert ruined_by_int8(exported(size), CALLS) == {}


def test_a_small_token_s_answer(monkeypatch):
    program = exported(0.01)
    assert quality(program) > 30
    monkeypatch.setattr(quantization, "ruined_by_int8", lambda *_: {})
    assert quality(program) < 15


class Waves(nn.Module):
    """Sines of an input, of its running sum, and of what a layer makes; the cell of a grid."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.factor, self.layer, self.last = factor, nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        scaled = x * self.factor
        phases = torch.sin(torch.cumsum(scaled, 1))
        within = scaled - torch.floor(scaled)
        return self.last(phases + within + torch.cos(self.layer(x) * 100))


def waves(factor: float):
    return normalize(torch.export.export(Waves(factor).eval(), CALLS[0]), "model.py")


def test_sines_of_wide_arguments_are_computed_in_float():
    program = waves(10.0)
    names = dict.fromkeys(("sin", "cumsum", "mul", "floor"), wide_arguments.WHY)
    assert ruined_by_int8(program, CALLS) == names
    assert ruined_by_int8(waves(0.1), CALLS) == {}


def test_what_becomes_an_index_is_computed_in_float():
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.table = nn.Linear(8, 8), nn.Embedding(9, 3)

        def forward(self, x):
            return self.table(torch.floor(self.layer(x).sigmoid() * 8).long())

    program = normalize(torch.export.export(Cells().eval(), CALLS[0]), "model.py")
    assert ruined_by_int8(program, CALLS) == {"floor": wide_arguments.WHY}


class Pooled(nn.Module):
    """A generalized mean, or a mean of a function that is no trouble."""

    def __init__(self, power: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.power = nn.Conv2d(3, 4, 3), power

    def forward(self, x):
        made = torch.relu(self.layer(x))
        if self.power == 1:
            return F.hardswish(made).mean((2, 3)).sigmoid()
        return F.avg_pool2d(made.clamp(min=1e-6).pow(self.power), 6).pow(1 / self.power)


def test_steep_means_are_computed_in_float():
    torch.manual_seed(1)
    calls = [(torch.randn(1, 3, 8, 8) * (0.3 + 0.2 * i),) for i in range(4)]
    program = normalize(torch.export.export(Pooled(5).eval(), calls[0]), "model.py")
    names = dict.fromkeys(("pow_1", "avg_pool2d", "pow_2"), steep_means.WHY)
    assert ruined_by_int8(program, calls) == names
    precision.apply(program, {"pow": "int8"}, Path("model.py"))
    assert ruined_by_int8(program, calls).keys() == {"avg_pool2d"}
    harmless = normalize(torch.export.export(Pooled(1).eval(), calls[0]), "model.py")
    assert ruined_by_int8(harmless, calls) == {}
