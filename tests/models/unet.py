"""A small U-Net on 32x32 grey images: down twice, up twice by transposed convolution, halves concatenated."""

import torch
from _inputs import images
from _weights import varied
from torch import nn


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down_1, self.down_2, self.bottom = _double(1, 8), _double(8, 16), _double(16, 32)
        self.pool = nn.MaxPool2d(2)
        self.up_2, self.up_1 = nn.ConvTranspose2d(32, 16, 2, stride=2), nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.join_2, self.join_1 = _double(32, 16), _double(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        wide = self.down_1(image)
        middle = self.down_2(self.pool(wide))
        x = self.up_2(self.bottom(self.pool(middle)))
        x = self.up_1(self.join_2(torch.cat([x, middle], dim=1)))
        return self.head(self.join_1(torch.cat([x, wide], dim=1)))


model = varied(UNet()).eval()
weights_source = "seeded random"
example_inputs = (torch.zeros(1, 1, 32, 32),)
calibration = images(16, 1, 32, seed=1)
# Its answer is a class for every pixel, so there is no label.
evaluation = [(image, None) for image in images(8, 1, 32, seed=2)]
