"""Models that are merely unusual compile for every kind of core, and native code equals the reference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.frontend.normalize import normalize
from mcu_build.plan.compile import Settings, compile_program
from tests.support.cases import run_plans
from tests.support.lowering import Function, Outcome, take

Tensor = torch.Tensor
# What each kind of core is compiled with, best first.
_FOLDERS = (("dsp", "thumb2", "thumb", "reference"), ("mve", "reference"))


@dataclass(frozen=True)
class Case:
    """A function of inputs of `sizes`, with layers by name."""

    function: Callable[..., object]
    sizes: tuple[tuple[int, ...], ...]
    layers: Mapping[str, Callable[[], nn.Module]]


def on(function: Callable[..., object], *sizes: tuple[int, ...], **layers: Callable[[], nn.Module]) -> Case:
    return Case(function, sizes, layers)


def layer(make: Callable[[], nn.Module], *size: int) -> Case:
    return on(lambda m, x: m.layer(x), size, layer=make)


def _write(m: nn.Module, x: Tensor) -> Tensor:
    y = torch.slice_scatter(torch.tanh(x), x[:, 2:4] * 0.5, 1, 1, 3)
    y = torch.select_scatter(y, y[..., 0] + 1, -1, 0)
    return torch.select_scatter(y, x[1] * 2, 0, 1)


def _enlarged(m: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """By factors too that leave a size as it is: only the rows of an image are then copies."""
    return (
        F.interpolate(x, scale_factor=(2.2, 1.3, 2.0)),
        F.interpolate(x, size=(3, 5, 4)),
        F.interpolate(x, scale_factor=(2.6, 1.3, 2.0), mode="nearest-exact"),
        F.interpolate(x.flatten(2), scale_factor=1.03),
        F.interpolate(x[:, :, 0], scale_factor=(1.3, 2.1)),
    )


def _calibrated(norm: nn.Module) -> nn.Module:
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm.eval()


CASES = {
    "batch norm over five dimensions": layer(lambda: _calibrated(nn.BatchNorm3d(3)), 1, 3, 2, 3, 4),
    "running instance norm over five dimensions": layer(
        lambda: _calibrated(nn.InstanceNorm3d(3, affine=True, track_running_stats=True)), 2, 3, 2, 3, 4
    ),
    "nearest resizing": on(_enlarged, (1, 3, 2, 3, 5)),
    "a weight of a layer and of a sum": on(
        lambda m, x: F.linear(m.layer(x), m.layer.weight + 1), (2, 6), layer=lambda: nn.Linear(6, 6)
    ),
    "one channel over a row": layer(lambda: nn.Conv1d(1, 5, 2, dilation=2, bias=False), 1, 1, 6),
    "few channels in groups, batch 2": layer(lambda: nn.Conv2d(2, 2, (5, 3), groups=2), 2, 2, 6, 5),
    "few channels, wide kernel": layer(
        lambda: nn.Conv2d(4, 8, 7, padding=9, dilation=3, groups=4), 2, 4, 5, 6
    ),
    "one channel, transposed": layer(lambda: nn.ConvTranspose1d(1, 1, 3, stride=3), 1, 1, 4),
    "two channels, transposed, one row": layer(
        lambda: nn.ConvTranspose2d(2, 1, (1, 3), stride=2), 1, 2, 1, 4
    ),
    "a last state of a recurrent layer": on(
        lambda m, x: F.relu(m.conv(m.gru(x)[1])),
        (1, 7, 7),
        gru=lambda: nn.GRU(7, 4, bias=False),
        conv=lambda: nn.Conv1d(7, 21, 3, stride=2, padding=1, groups=7),
    ),
    "a pad that cuts off": on(lambda m, x: F.pad(torch.tanh(x), (-1, 2, 1, -2)) * 2, (1, 3, 5, 6)),
    "a pad of five dimensions": on(lambda m, x: F.pad(x, (1, 0)) * 0.5, (1, 3, 1, 2, 3)),
    "a part written": on(_write, (2, 6)),
    "seven dimensions that move": on(
        lambda m, x: (
            torch.tanh(x).reshape(2, 3, 2, 3, 2, 2, 2).permute(6, 4, 2, 0, 5, 3, 1).reshape(4, 72) * 2
        ),
        (2, 144),
    ),
    "a part added to": on(
        lambda m, x: torch.index_put(x * 2, (torch.tensor([0, 0]),), x[0] * 0.3, accumulate=True), (2, 6)
    ),
    "a factor of each channel behind a transposition": on(
        lambda m, x: (
            F.gelu(m.layer(x.permute(0, 2, 3, 1)).mul(m.scale)).permute(0, 3, 1, 2)
            * m.scale.reshape(1, -1, 1, 1)
        ),
        (1, 4, 3, 5),
        layer=lambda: nn.Linear(4, 4),
        scale=lambda: torch.linspace(0.5, 2, 4),
    ),
    "a factor over a view": on(
        lambda m, x: F.relu(x).view(1, 4, 3, 5) * m.scale, (1, 12, 5), scale=lambda: torch.rand(1, 4, 1, 1)
    ),
    "a standard deviation with bounds that are computed": on(
        lambda m, x: x / torch.sqrt((x**2).sum(1, True).clamp_min(x.mean(1, True)) + 1e-5), (2, 6)
    ),
    # one_hot asserts that its operand's values are classes.
    "one-hot of a rounded input": on(
        lambda m, x: F.one_hot(x.abs().clamp(max=3).long(), 4).float() * m.layer(x)[..., None],
        (4, 6),
        layer=lambda: nn.Linear(6, 6),
    ),
    "a choice by a function of a sum": on(
        lambda m, x: torch.where(x.sum(1, True) * 2 > 1, m.layer(x), x.masked_fill(x > 0.5, 0.0) * 0.5),
        (4, 6),
        layer=lambda: nn.Linear(6, 6),
    ),
    "a share of counts": on(
        lambda m, x: x / 2 + (x > 0).long().sum(0).float() / ((x > 1).long().sum() / 3 + 1), (4, 6)
    ),
    "a weight that is read as it is and transposed": on(
        lambda m, x: m.weight.permute(1, 0) @ x + torch.relu(m.weight @ (x * 2)),
        (6, 6),
        weight=lambda: torch.randn(6, 6) * 0.3,
    ),
    "pixels to channels": on(lambda m, x: F.pixel_unshuffle(torch.tanh(x), 2) * 0.7, (1, 2, 4, 6)),
    "masks that are added up, of integers and of floats": on(
        lambda m, x: _masked(m.layer(x), x, torch.long) + 2 * _masked(x, x, torch.float32),
        (2, 6, 6),
        layer=lambda: nn.Linear(6, 6),
    ),
    "a norm by the statistics of the call": on(
        lambda m, x: m.norm(m.layer(x)) * 0.5,
        (6, 5),
        layer=lambda: nn.Linear(5, 4),
        norm=lambda: nn.BatchNorm1d(4, track_running_stats=False),
    ),
    "pieces in float": on(lambda m, x: x.sin().cumsum(1).split([1, 3, 2], 1)[1] * 2, (2, 6)),
}


_LEAST = torch.finfo(torch.float32).min
_LATER = torch.full((6, 6), _LEAST).triu(1)


def _masked(scores: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Attention to what lies before and counts, as transformers add their masks up."""
    counts = (x[:, :, 0] > torch.tensor([-9.0, 9, -9, -9, 9, -9])).to(dtype)
    mask = (_LATER + (1.0 - counts[:, None, :].to(torch.float32)) * _LEAST).clamp(min=_LEAST)
    return (scores + mask).softmax(-1) @ x


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Every case through quantize, lower and evaluate."""
    made = {}
    for name, case in CASES.items():
        torch.manual_seed(5)
        model = Function(case.function, **{key: make() for key, make in case.layers.items()})
        made[name] = take(model, [torch.randn(size) for size in case.sizes])
    return made


@pytest.mark.parametrize("name", CASES)
def test_means_the_same_as_in_float(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert outcome.relative_error < 0.03
    assert all(output.size == 1 or np.ptp(output) > 0 for output in outcome.evaluated)


@pytest.mark.parametrize("name", CASES)
def test_compiles_for_every_kind_of_core(name: str, outcomes: dict[str, Outcome]) -> None:
    for folders in _FOLDERS:
        assert compile_program(outcomes[name].program, "unusual", Settings(folders)).steps


def test_native_code_equals_the_reference(outcomes: dict[str, Outcome], tmp_path: Path) -> None:
    plans = [compile_program(one.program, f"case_{index}") for index, one in enumerate(outcomes.values())]
    inputs = []
    for outcome in outcomes.values():
        for id, array in zip(outcome.program.inputs, outcome.inputs, strict=True):
            inputs.append(np.ascontiguousarray(array.transpose(outcome.program.values[id].dim_order)))
    written = run_plans(plans, inputs, tmp_path)
    expected = [
        array.transpose(outcome.program.values[id].dim_order).tobytes()
        for outcome in outcomes.values()
        for id, array in zip(outcome.program.outputs, outcome.evaluated, strict=True)
    ]
    assert written == b"".join(expected)
    assert written != run_plans(plans, [np.flip(array) for array in inputs], tmp_path)


def test_resizing_means_what_it_does_in_pytorch() -> None:
    """By factors too that leave a size as it is, where PyTorch copies, but not where it decomposes."""

    def enlarged(m: Function, x: Tensor) -> tuple[Tensor, ...]:
        corners = F.interpolate(x, size=(3, 5, 4), mode="trilinear", align_corners=True)
        volume = F.interpolate(x, scale_factor=(2.2, 1.3, 1.1), mode="trilinear")
        return corners, volume, F.interpolate(x.flatten(2), scale_factor=1.03, mode="linear")

    model, x = Function(enlarged), torch.randn(1, 3, 2, 3, 5)
    exported = torch.export.export(model, (x,))

    def error(program: torch.export.ExportedProgram) -> float:
        outputs = program.run_decompositions().module(check_guards=False)(x)
        return max(float((a - b).abs().max()) for a, b in zip(outputs, model(x), strict=True))

    assert error(exported) > 0.1
    assert error(normalize(exported, Path("model.py"))) < 1e-5


def test_bytes_of_a_camera_are_normalised_in_int8() -> None:
    """The image is turned on its way; what has a number for each channel has to be channels-last."""

    def normalised(m: Function, image: Tensor) -> Tensor:
        image = image.permute(0, 3, 1, 2).float().div(7)
        return m.layer(image.sub(m.mean).div(m.deviation))

    mean, deviation = torch.rand(2, 1, 3, 1, 1)
    model = Function(normalised, layer=nn.Conv2d(3, 4, 3), mean=mean, deviation=deviation + 0.2)
    outcome = take(model, [torch.zeros(1, 6, 8, 3, dtype=torch.uint8)])
    assert outcome.float_operators == ["dim_order_ops::_to_dim_order_copy"]
    assert outcome.relative_error < 0.03


@pytest.mark.parametrize(
    "function, share",
    [
        (lambda m, x: (x - x.mean(-1, True)) / (x.std(-1, keepdim=True) + 1e-6), 1),
        (lambda m, x: (x - x.mean()) / x.std() * 0.5, 1),
        (lambda m, x: (x - x.mean(1, True)) / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5), 1),
        (lambda m, x: (x - x.mean(-1, True)) / torch.sqrt(x.std(-1, keepdim=True) + 1e-5), 0),
        (lambda m, x: (x - x.mean(-1, True)) / (x.std(-1, keepdim=True) + 0.5), 0),
    ],
)
def test_scores_by_a_deviation_are_norms(function: Any, share: int) -> None:
    """But not where the deviation is rooted again, or a large number is added to it."""
    outcome = take(
        Function(lambda m, x: function(m, x * torch.tensor([[0.2], [1.0], [0.5]]))), [torch.zeros(1, 3, 8)]
    )
    assert outcome.relative_error < 0.03
    norms = [row.operator for row in outcome.lowered.operators].count("mcu_build::norm")
    assert (norms, "aten::var.correction" in outcome.float_operators) == (share, not share)
