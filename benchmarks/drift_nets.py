"""Nets with state, and a signal of six axes to run them on: for drift.py."""

import torch
from torch import nn

AXES, UNITS, STEPS = 6, 32, 1000
# Numbers in a frame of the wake word's sound.
FRAMES = 40


class Layer(nn.Module):
    """A recurrent layer over a recording [1, steps, 6], and four outputs for each step."""

    def __init__(self, layer: nn.Module, width: int = UNITS) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.head(self.layer(x)[0])


class Tcn(nn.Module):
    """Three blocks of dilated convolutions over a recording [1, steps, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(AXES, UNITS, 1)
        self.blocks = nn.ModuleList([nn.Conv1d(UNITS, UNITS, 3, dilation=2**i) for i in range(3)])
        self.head = nn.Linear(UNITS, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        y = self.first(x.transpose(1, 2))
        for block in self.blocks:
            y = y + torch.relu(block(nn.functional.pad(y, (2 * block.dilation[0], 0))))
        return self.head(y.transpose(1, 2))


class Wake(nn.Module):
    """The 1-D DS-CNN of MLPerf Tiny's streaming wake word: three scores of 30 frames, over [1, steps, 40]."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((FRAMES, 128, 3), (128, 128, 5), (128, 128, 10), (128, 32, 15))
        self.depthwise = nn.ModuleList([nn.Conv1d(one, one, kernel, groups=one) for one, _, kernel in sizes])
        self.pointwise = nn.ModuleList([nn.Conv1d(one, other, 1) for one, other, _ in sizes])
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        y = x.transpose(1, 2)
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            y = torch.relu(pointwise(depthwise(y)))
        return self.head(y.transpose(1, 2))


class WrittenLstm(nn.Module):
    """An LSTM of linear layers and buffers, one step [1, 6] a call."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(AXES, 4 * UNITS), nn.Linear(UNITS, 4 * UNITS)
        self.x.weight, self.x.bias = layer.weight_ih_l0, layer.bias_ih_l0
        self.h.weight, self.h.bias = layer.weight_hh_l0, layer.bias_hh_l0
        self.head = nn.Linear(UNITS, 4)
        self.register_buffer("hidden", torch.zeros(1, UNITS))
        self.register_buffer("cell", torch.zeros(1, UNITS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        i, f, g, o = (self.x(x) + self.h(self.hidden)).chunk(4, 1)
        self.cell.copy_(torch.sigmoid(f) * self.cell + torch.sigmoid(i) * torch.tanh(g))
        self.hidden.copy_(torch.sigmoid(o) * torch.tanh(self.cell))
        return self.head(self.hidden)


class WrittenGru(nn.Module):
    """A GRU likewise."""

    def __init__(self, layer: nn.GRU) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(AXES, 3 * UNITS), nn.Linear(UNITS, 3 * UNITS)
        self.x.weight, self.x.bias = layer.weight_ih_l0, layer.bias_ih_l0
        self.h.weight, self.h.bias = layer.weight_hh_l0, layer.bias_hh_l0
        self.head = nn.Linear(UNITS, 4)
        self.register_buffer("hidden", torch.zeros(1, UNITS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        (r, z, n), (hr, hz, hn) = self.x(x).chunk(3, 1), self.h(self.hidden).chunk(3, 1)
        z = torch.sigmoid(z + hz)
        self.hidden.copy_((1 - z) * torch.tanh(n + torch.sigmoid(r + hr) * hn) + z * self.hidden)
        return self.head(self.hidden)


def lstm(**sizes: int) -> nn.LSTM:
    """An LSTM that forgets slowly: a bias of 2 for its forget gates."""
    made = nn.LSTM(AXES, UNITS, batch_first=True, **sizes)
    with torch.no_grad():
        made.bias_ih_l0[UNITS : 2 * UNITS] += 2
    return made


def net(name: str) -> nn.Module:
    """A net by name, its weights random and always the same."""
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "lstm": Layer(lstm()),
        "lstm_2": Layer(lstm(num_layers=2)),
        "gru": Layer(nn.GRU(AXES, UNITS, batch_first=True)),
        "rnn": Layer(nn.RNN(AXES, UNITS, batch_first=True)),
        "rnn_relu": Layer(nn.RNN(AXES, UNITS, batch_first=True, nonlinearity="relu")),
        "tcn": Tcn(),
        "wake": Wake(),
    }
    written = {"lstm_written": (WrittenLstm, "lstm"), "gru_written": (WrittenGru, "gru")}
    if name in written:
        kind, like = written[name]
        layer = made[like]
        assert isinstance(layer, Layer)
        made[name] = kind(layer.layer)
        made[name].head.load_state_dict(layer.head.state_dict())
    return made[name].eval()


def recording(seed: int, axes: int = AXES) -> torch.Tensor:
    """[1, steps, axes]: slow swings whose pace wanders, and noise."""
    dice = torch.Generator().manual_seed(seed)
    pace = 0.05 + 0.1 * torch.rand(axes, generator=dice)
    wander = torch.cumsum(0.02 * torch.randn(STEPS, axes, generator=dice), 0)
    swings = torch.sin(torch.arange(STEPS)[:, None] * pace + wander)
    return (swings + 0.2 * torch.randn(STEPS, axes, generator=dice))[None]
