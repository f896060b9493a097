"""Channels of unlike size: equalized between layers, or given a scale each; real numbers stay the same."""

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.frontend.quantize import quantize, quantize_layers
from mcu_build.lower.rewrite.equalize import equalize
from mcu_build.quality.sqnr import sqnr_db


def data(*sizes: int) -> list[tuple[torch.Tensor, ...]]:
    dice = torch.Generator().manual_seed(0)
    return [(torch.randn(1, *sizes, generator=dice),) for _ in range(8)]


def unlike(model: nn.Module, layer: str) -> nn.Module:
    """Channels of one layer between 0.01 and 1 of their size."""
    torch.manual_seed(1)
    found = model.get_submodule(layer)
    assert isinstance(found, nn.Conv2d | nn.Linear)
    factor = torch.logspace(-2, 0, len(found.weight))[torch.randperm(len(found.weight))]
    with torch.no_grad():
        found.weight.mul_(factor.reshape(-1, *[1] * (found.weight.dim() - 1)))
        assert found.bias is not None
        found.bias.mul_(factor)
    return model


def separable(act: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), act, nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(16, 8, 1), nn.LeakyReLU(), nn.Flatten(), nn.Linear(128, 4),
    ).eval()  # fmt: skip


def outputs(module: nn.Module, items: list[tuple[torch.Tensor, ...]]) -> np.ndarray:
    with torch.no_grad():
        return np.stack([module(*item).numpy() for item in items])


def test_equalized_weights_compute_the_same():
    items, model = data(3, 10, 10), unlike(separable(nn.ReLU()), "3")
    model[1].weight.data *= torch.logspace(-2, 0, 16)  # type: ignore[operator,union-attr]
    module = torch.export.export(model, items[0]).module(check_guards=False)
    copied = torch.export.export(unlike(separable(nn.ReLU()), "3"), items[0]).module(check_guards=False)
    before = outputs(module, items)
    assert equalize(module, items) >= 1
    assert sqnr_db(before, outputs(module, items)) > 100
    assert sqnr_db(before, outputs(copied, items)) < 100


def test_channels_are_counted_before_they_are_flattened():
    items = data(2, 5, 5)
    torch.manual_seed(0)
    model = unlike(nn.Sequential(nn.Conv2d(2, 8, 3), nn.Flatten(), nn.Linear(72, 4)).eval(), "0")
    with torch.no_grad():  # Small channels matter as much as large ones.
        sizes = model[0].weight.flatten(1).norm(dim=1).repeat_interleave(9)  # type: ignore[operator,union-attr]
        model[2].weight.div_(sizes)  # type: ignore[operator,union-attr]
    module = torch.export.export(model, items[0]).module(check_guards=False)
    before = outputs(module, items)
    assert equalize(module, items) == 1
    assert sqnr_db(before, outputs(module, items)) > 100


def test_what_does_not_commute_is_left():
    class Twice(nn.Module):
        """One layer called twice, and a sum that reads what a layer made."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.two(self.one(self.one(x)))
            return self.two(torch.sigmoid(self.one(y))) + y

    items = data(3, 10, 10)
    for model in (Twice(), nn.Sequential(nn.Conv2d(3, 8, 1), nn.Hardswish(), nn.Conv2d(8, 8, 1, groups=8))):
        module = torch.export.export(model, items[0]).module(check_guards=False)
        before = outputs(module, items)
        assert equalize(module, items) == 0
        assert (outputs(module, items) == before).all()


def decibels(model: nn.Module, items: list[tuple[torch.Tensor, ...]]) -> float:
    made = quantize(torch.export.export(model, items[0]), items).module(check_guards=False)
    return sqnr_db(outputs(model, items), outputs(made, items))


@pytest.mark.parametrize(("act", "least"), [(nn.ReLU(), 24.0), (nn.ReLU6(), 0.0)], ids=["relu", "relu6"])
def test_unlike_channels_before_a_depthwise_convolution(act, least):
    """ReLU6 is where the gain is not to be had: the same net loses what ReLU keeps."""
    items, model = data(3, 10, 10), separable(act)
    with torch.no_grad():
        factor = torch.logspace(-3, 0, 16)
        model[1].weight *= factor
        model[1].bias *= factor
        model[3].weight /= factor.reshape(-1, 1, 1, 1)
        model[3].bias.zero_()
    found = decibels(model, items)
    assert (found > least) if least else (found < 20)


def test_rows_of_unlike_size_have_a_scale_each():
    """A large weight in one row costs the others nothing; a layer without one stays a linear layer."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8))
    with torch.no_grad():
        plain[0].weight[0, 0] = 20
    items = data(12)
    made = quantize_layers(torch.export.export(plain, items[0]), items, lambda: items)
    kinds = {layer.operator: layer.weights_db for layer in made.layers() if layer.weights_db is not None}
    assert list(kinds) == ["aten.conv2d.default", "aten.linear.default"]
    assert (kinds["aten.conv2d.default"] or 0) > 30
