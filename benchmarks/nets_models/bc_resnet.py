"""As BC-ResNet (Kim et al., 2021): 40 mel bands by 101 frames, convolved one after the other, to 12 words."""

import torch
from torch import nn

torch.manual_seed(0)
BANDS, FRAMES, WORDS = 40, 101, 12


class Block(nn.Module):
    """Depthwise over bands; then, of their mean, depthwise over frames, which is added back to every band."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU()) if inputs != outputs else None
        self.bands = nn.Conv2d(outputs, outputs, (3, 1), (stride, 1), (1, 0), groups=outputs)
        pad = (0, dilation)
        self.frames = nn.Conv2d(outputs, outputs, (1, 3), 1, pad, dilation=(1, dilation), groups=outputs)
        self.mix = nn.Conv2d(outputs, outputs, 1)
        self.same = inputs == outputs and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, inputs, bands, frames] → [1, outputs, bands / stride, frames]."""
        y = self.bands(self.widen(x) if self.widen else x)
        z = self.mix(torch.relu(self.frames(y.mean(dim=2, keepdim=True))))
        return torch.relu(y + z + x) if self.same else torch.relu(y + z)


class Net(nn.Module):
    """16 channels, then 8, 12, 16, 20 as in BC-ResNet-1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 5, (2, 1), 2)
        self.blocks = nn.Sequential(
            *(Block(16, 8, 1, 1), Block(8, 8, 1, 1)),
            *(Block(8, 12, 2, 2), Block(12, 12, 1, 2)),
            *(Block(12, 16, 2, 4), *(Block(16, 16, 1, 4) for _ in range(3))),
            *(Block(16, 20, 1, 8), *(Block(20, 20, 1, 8) for _ in range(3))),
        )
        self.head = nn.Sequential(nn.Conv2d(20, 20, (5, 5), padding=(0, 2), groups=20), nn.Conv2d(20, 32, 1))
        self.words = nn.Linear(32, WORDS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[1, 1, BANDS, FRAMES] → [1, WORDS]."""
        y = self.head(self.blocks(torch.relu(self.stem(x))))
        return self.words(y.mean(dim=(2, 3)))


model = Net().eval()
calibration = [torch.randn(1, 1, BANDS, FRAMES) for _ in range(4)]
example_inputs = (calibration[0],)
