"""An LSTM cell of 12 units, unrolled over eight steps of four measurements, to three classes."""

import torch
from _inputs import labelled, series
from _weights import varied
from torch import nn

STEPS, INPUTS, UNITS = 8, 4, 12


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(INPUTS + UNITS, 4 * UNITS)
        self.head = nn.Linear(UNITS, 3)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        hidden, cell = sequence.new_zeros(1, UNITS), sequence.new_zeros(1, UNITS)
        for step in range(STEPS):
            gates = self.gates(torch.cat([sequence[:, step], hidden], dim=1))
            enter, forget, update, leave = gates.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(update)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
        return self.head(hidden)


def _sequences(count: int, seed: int) -> list[torch.Tensor]:
    return [line.transpose(1, 2).contiguous() for line in series(count, INPUTS, STEPS, seed)]


model = varied(Lstm()).eval()
weights_source = "seeded random"
example_inputs = (torch.zeros(1, STEPS, INPUTS),)
calibration = _sequences(32, seed=1)
evaluation = labelled(model, _sequences(12, seed=2))
