"""Layers with 16-bit activations: what is asked for is int16, or said to be in float; boundaries anywhere;
the firmware is the reference to the bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.board import find_board
from mcu_build.errors import McuError
from mcu_build.plan.compile import compile_program
from mcu_build.plan.memory.fit import check_fit
from tests.support.cases import run_plans
from tests.support.lowering import Function, Outcome, take


class Image(nn.Module):
    """What image nets are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Hardswish(), nn.Conv2d(8, 8, 1))
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = x + self.deep(x)
        z = torch.cat([F.max_pool2d(y, 2, 2, ceil_mode=True), -F.avg_pool2d(x, 2, 2, 0, True)], 1)
        wide = self.up(F.pad(y, (0, 1, 0, 1)))[:, :, 1:-1].flip(3) * 0.5
        features = torch.cat([z[:, 4:].mean((2, 3)), wide.abs().mean((2, 3)) ** 2], 1)
        return self.head(torch.cat([features[:, :8], torch.sigmoid(features[:, 8:12])], 1))


class Attention(nn.Module):
    """A block of a transformer, with a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
        self.register_buffer("mask", torch.ones(6, 6, dtype=torch.bool).tril())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).reshape(1, 6, 3, 2, 6).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)
        shares = (q @ k.transpose(-1, -2)).softmax(-1) * torch.tanh(k @ q.transpose(-1, -2))
        z = y + shares @ v - 0.25 * v
        return F.gelu(self.out(z.transpose(1, 2).reshape(1, 6, 12))) + x


class Resized(nn.Module):
    """Images in other sizes, and quotients, with what clamps them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.a(x), self.b(x)
        sizes = {mode: F.interpolate(a, size=(9, 7), mode=mode) for mode in ("nearest", "nearest-exact")}
        most = torch.sub(b, b, alpha=0.25)
        smooth = torch.relu(F.interpolate(most, scale_factor=2, mode="bilinear"))
        cubic = F.interpolate(b, (9, 7), mode="bicubic", align_corners=True)
        quotient = (a / (b.abs() + 0.5)).clamp(-2, 1)
        uneven = F.adaptive_avg_pool2d(quotient, (3, 2)).mean((2, 3), keepdim=True)
        parts = [*sizes.values(), smooth[:, :, :9, :7], cubic / (uneven.abs() + 1)]
        return torch.cat(parts, 1)


class Mixed(nn.Module):
    """Layers of three widths, one behind the other, and side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.b(torch.relu(self.a(x)))
        z = torch.relu(self.c(y)) + self.d(x)
        return torch.cumsum(z.flatten(2).transpose(1, 2), -1)


class Recurrent(nn.Module):
    """Layers of all kinds, in both directions, from a first state, and logarithms of shares."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(12, 7)
        self.rnn, self.relu = nn.RNN(7, 6, batch_first=True), nn.RNN(6, 4, nonlinearity="relu")
        self.cell = nn.GRUCell(4, 4)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, (last, cell) = self.lstm(x)
        y, _ = self.gru(y, torch.tanh(h))
        z, _ = self.relu(self.rnn(y)[0])
        z = z + self.cell(z[0], z[1]).unsqueeze(0)
        return torch.log_softmax(z, -1), torch.cat([last, cell], -1)


ALL = {"*": "int16"}
MODELS = {
    "image": (Image(), (torch.zeros(1, 3, 9, 11),), ALL, 34.0),
    "attention": (Attention(), (torch.zeros(1, 6, 12),), ALL, 40.0),
    "group norm": (
        nn.Sequential(nn.Conv1d(6, 8, 3), nn.GroupNorm(2, 8), nn.PReLU(8), nn.InstanceNorm1d(8)),
        (torch.zeros(1, 6, 19),),
        ALL,
        38.0,
    ),
    "recurrent": (Recurrent(), (torch.zeros(2, 4, 5), torch.zeros(1, 4, 7)), ALL, 36.0),
    "resized": (Resized(), (torch.zeros(1, 3, 7, 6),), ALL, 40.0),
    "mixed": (
        Mixed(),
        (torch.zeros(1, 4, 6, 5),),
        {"b": "int16", "d": "int16", "c": "float", "cumsum": "int16", "add": "int16"},
        20.0,
    ),
    "two inputs": (
        Function(
            lambda m, x, y: (m.first(x) - y, m.first(x) * y.mean(1, keepdim=True)), first=nn.Linear(7, 7)
        ),
        (torch.zeros(2, 7), torch.zeros(2, 7)),
        ALL,
        38.0,
    ),
}


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    torch.manual_seed(16)
    for module in (part for model, *_ in MODELS.values() for part in model.modules()):
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return {
        name: take(model, example, items=16, wishes=wishes)
        for name, (model, example, wishes, _) in MODELS.items()
    }


def sqnr(found: np.ndarray, wanted: np.ndarray) -> float:
    noise = float(np.square(found.astype(np.float64) - wanted).sum())
    return float(10 * np.log10(np.square(wanted.astype(np.float64)).sum() / max(noise, 1e-30)))


@pytest.mark.parametrize("name", [name for name, case in MODELS.items() if case[2] is ALL])
def test_all_is_int16(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.lowered.warnings == ()
    assert {row.where for row in outcome.lowered.operators} == {"int16", "boundary"}
    for found, wanted in zip(outcome.evaluated, outcome.in_float, strict=True):
        assert sqnr(found, wanted) > MODELS[name][3]
        assert sqnr(np.flip(found), wanted) < 15


def test_layers_have_the_width_that_was_asked_for(outcomes: dict[str, Outcome]) -> None:
    rows = {row.name: row for row in outcomes["mixed"].lowered.operators if "conv2d" in row.operator}
    wheres = {
        row.name: row.where for row in outcomes["mixed"].lowered.operators if "convolution" in row.operator
    }
    assert {name: row.operator for name, row in rows.items()} == {
        "a": "cortex_m::quantized_conv2d",
        "b": "mcu_build::conv2d_s16",
        "d": "mcu_build::conv2d_s16",
    }
    assert wheres == {"c": "float"}
    assert rows["a"].where == "int8"


def test_what_has_no_int16_form_is_said(outcomes: dict[str, Outcome]) -> None:
    (warning,) = [text for text in outcomes["mixed"].lowered.warnings if "16 bits" in text]
    assert "cumsum" in warning
    assert "it was to have 16 bits, of which this operator has no form" in warning


def test_what_does_not_fit_names_what_16_bits_cost(outcomes: dict[str, Outcome]) -> None:
    board = find_board("host").model_copy(update={"arena_size": 64})
    with pytest.raises(McuError) as caught:
        check_fit(compile_program(outcomes["image"].program, "net"), board)
    assert "Layers of int16 take twice the room and never run row by row" in caught.value.hint


def test_the_firmware_is_the_reference(tmp_path: Path, outcomes: dict[str, Outcome]) -> None:
    plans = [compile_program(one.program, f"m{index}") for index, one in enumerate(outcomes.values())]
    inputs = [np.ascontiguousarray(array) for one in outcomes.values() for array in one.inputs]
    data, at = run_plans(plans, inputs, tmp_path), 0
    for plan, (name, outcome) in zip(plans, outcomes.items(), strict=True):
        for id, output in zip(plan.outputs, outcome.evaluated, strict=True):
            wanted = np.ascontiguousarray(output.transpose(plan.tensors[id].dim_order)).tobytes()
            assert data[at : at + len(wanted)] == wanted, name
            at += len(wanted)
    assert at == len(data)
