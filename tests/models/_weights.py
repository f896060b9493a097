"""Weights for the zoo: those of MLPerf Tiny where the folder is there, else seeded ones."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

# Beside the checkout; its README describes the archives.
TRAINED = Path(__file__).resolve().parents[3] / "shared" / "mlperf_tiny"


def load_trained(net: nn.Module, name: str, inputs: list[torch.Tensor]) -> str:
    """Give the convolutions and linear layers of `net`, in order, the weights of archive `name`.

    Where the archive is absent they are random, balanced on `inputs`. Some weights in the archives are int8
    and come without their scale: those get the spread that `varied` would give, so the net is no longer the
    trained one. Says where the weights come from.
    """
    varied(net)
    file = TRAINED / f"{name}.npz"
    if not file.is_file():
        balanced(net, inputs)
        return "seeded random"
    arrays = np.load(file)
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(arrays.files) == 2 * len(layers), f"{file}: {len(arrays.files)} arrays, {len(layers)} layers"
    unscaled = []
    # The keys are "00.weight", "00.bias", "01.weight" and so on.
    for key, layer in zip(sorted({key.split(".")[0] for key in arrays.files}), layers, strict=True):
        for part in ("weight", "bias"):
            target, array = getattr(layer, part), arrays[f"{key}.{part}"]
            assert target.shape == array.shape, f"{file}: {key}.{part}: {array.shape}, want {target.shape}"
            value = torch.from_numpy(array).float()
            if array.dtype != np.float32:
                value *= target.detach().std() / value.std()
                unscaled.append(key)
            target.data.copy_(value)
    source = f"MLPerf Tiny {file.name}"
    return f"{source}, the int8 weights of layers {', '.join(unscaled)} rescaled" if unscaled else source


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
    """Batch norms with the mean and variance of what really passes, so that signals stay alive."""
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    net.train()
    with torch.no_grad():
        for batch in batches:
            net(batch)
    return net.eval()


def balanced(net: nn.Module, inputs: list[torch.Tensor]) -> nn.Module:
    """Scale and shift every layer that has a bias so that each of its channels has mean 0 and variance 1.

    As a batch norm folded into the layer would: no channel is dead, no class of a random net always wins.
    """

    def balance(layer: nn.Module, _: object, output: torch.Tensor) -> torch.Tensor:
        channels = output.dim() - 1 if isinstance(layer, nn.Linear) else 1
        others = [dimension for dimension in range(output.dim()) if dimension != channels]
        shape = [-1 if dimension == channels else 1 for dimension in range(output.dim())]
        mean, spread = output.mean(others), output.std(others).clamp(min=1e-3)
        layer.weight.div_(spread.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias.sub_(mean).div_(spread)
        return (output - mean.reshape(shape)) / spread.reshape(shape)

    layers = [layer for layer in net.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(balance) for layer in layers if layer.bias is not None]
    with torch.no_grad():
        net(torch.cat(inputs))
    for hook in hooks:
        hook.remove()
    return net
