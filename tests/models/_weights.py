"""Weights for the zoo: those of MLPerf Tiny where the folder is there, else seeded ones whose outputs vary."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

# Beside the checkout; its README describes the archives.
TRAINED = Path(__file__).resolve().parents[3] / "shared" / "mlperf_tiny"


def load_trained(net: nn.Module, name: str) -> str:
    """Give the convolutions and linear layers of `net`, in order, the weights of archive `name`.

    Where the archive is absent they stay as `varied` makes them. Says where the weights come from.
    """
    file = TRAINED / f"{name}.npz"
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    if not file.is_file():
        varied(net)
        return "seeded random"
    arrays = np.load(file)
    assert len(arrays.files) == 2 * len(layers), f"{file}: {len(arrays.files)} arrays, {len(layers)} layers"
    # The keys are "00.weight", "00.bias", "01.weight" and so on.
    for key, layer in zip(sorted({key.split(".")[0] for key in arrays.files}), layers, strict=True):
        for part in ("weight", "bias"):
            target = getattr(layer, part)
            value = torch.from_numpy(arrays[f"{key}.{part}"])
            assert target.shape == value.shape, f"{file}: {key}.{part}: {value.shape}, want {target.shape}"
            target.data.copy_(value)
    return f"MLPerf Tiny {file.name}"


def varied(net: nn.Module) -> nn.Module:
    """Seeded weights of a scale that keeps the variance through ReLUs, and small biases."""
    dice = torch.Generator().manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=dice)
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -0.1, 0.1, generator=dice)
    return net


def calibrated(net: nn.Module, batches: list[torch.Tensor]) -> nn.Module:
    """Batch norms with the mean and variance of what really passes through them, so that signals stay alive."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    net.train()
    with torch.no_grad():
        for batch in batches:
            net(batch)
    return net.eval()
