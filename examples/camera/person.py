"""Is somebody in the picture? A camera's picture of 64x64 grey pixels, 0 to 1."""

from pathlib import Path

import torch
from net import person
from pictures import SIZE, pictures
from torch import nn


def model() -> nn.Module:
    """The net that train.py has trained."""
    net = person()
    net.load_state_dict(torch.load(Path(__file__).with_name("person.pt"), weights_only=True))
    return net.eval()


example_inputs = (torch.zeros(1, 1, SIZE, SIZE),)
calibration = [picture for picture, _ in pictures(48, seed=2)]
evaluation = pictures(100, seed=3)
