"""Handwritten digits with weights of 4 bits: trained with them, or only rounded to them afterwards.

The images are scikit-learn's, 8x8. While it is trained, every weight is what it will be in the firmware: the
nearest number that `precision = {"*": "int4"}` keeps, by the same scales; gradients pass through. `QAT=0` in
the environment trains in float, and leaves the rounding to mcu-build.
"""

import math
import os

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.utils import parametrize

from mcu_build.arithmetic.int4 import GROUP, integers_of, scales_of

HELD_OUT = 450
EPOCHS = 40
INT4_EPOCHS = 30
BATCH = 64
WIDTH = 6


class AsInt4(nn.Module):
    """Weights as the firmware has them, with the gradient of weights in float."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        values = weight.detach().double().numpy()
        inputs = values.shape[1]
        scales = scales_of(values, grouped=inputs > GROUP and inputs % GROUP == 0)
        rounded = integers_of(values, scales) * scales.repeat(inputs // scales.shape[1], axis=1)
        return weight + (torch.from_numpy(rounded).float() - weight.detach())


def split() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and labels to train with, images and labels held out: always the same ones."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32).flatten(1)
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]
    return images[train], labels[train], images[held_out], labels[held_out]


def train(net: nn.Module, epochs: int, rate: float) -> None:
    """Adam over shuffled batches, slower and slower."""
    images, labels, _, _ = split()
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    steps = epochs * math.ceil(len(labels) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()


def model() -> nn.Module:
    """Train in float, then with the weights that are kept: in one thread, whose sums are always the same."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
    train(net, EPOCHS, 1e-2)
    if os.environ.get("QAT", "1") != "0":
        layers = [layer for layer in net if isinstance(layer, nn.Linear)]
        for layer in layers:
            parametrize.register_parametrization(layer, "weight", AsInt4())
        train(net, INT4_EPOCHS, 5e-3)
        for layer in layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    torch.set_num_threads(threads)
    return net.eval()


_, _, _images, _labels = split()
example_inputs = (torch.zeros(1, 64),)
calibration = [(image[None],) for image in split()[0][:100]]
evaluation = [((image[None],), int(label)) for image, label in zip(_images, _labels, strict=True)]
precision = {"*": "int4"}
