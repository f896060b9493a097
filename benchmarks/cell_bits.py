"""What 8 bits would cost for an LSTM's cell and a GRU's state, which have 16: dB against float.

    .venv/bin/python benchmarks/cell_bits.py

The nets of drift_nets.py run in float over one recording of 1,000 steps, with nothing rounded but the cell or
state after every step: to 8 or to 16 bits, in steps of its largest value in that recording, so that nothing
is clipped.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from drift import sqnr  # noqa: E402
from drift_nets import Layer, net, recording  # noqa: E402

NETS = ("lstm", "lstm_2", "gru")


def rounded(value: torch.Tensor, largest: float, bits: int | None) -> torch.Tensor:
    """`value` in steps of `largest`, as it is for no bits."""
    if bits is None:
        return value
    step = largest / ((1 << bits - 1) - 1)
    return (value / step).round() * step


def outputs(model: Layer, sound: torch.Tensor, bits: int | None, largest: list[float]) -> np.ndarray:
    """[steps, 4], step by step; `largest` are the largest values kept of each layer, which no bits find."""
    layer = model.layer
    is_lstm = isinstance(layer, nn.LSTM)
    kind = nn.LSTMCell if is_lstm else nn.GRUCell
    cells, found = [], []
    for index in range(layer.num_layers):
        cell = kind(layer.input_size if index == 0 else layer.hidden_size, layer.hidden_size)
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(cell, part, getattr(layer, f"{part}_l{index}"))
        cells.append(cell)
    zero = torch.zeros(1, layer.hidden_size)
    states = [(zero, zero) if is_lstm else zero for _ in cells]
    for x in sound[0][:, None]:
        y = x
        for index, cell in enumerate(cells):
            made = cell(y, states[index])
            kept = made[1] if is_lstm else made
            if bits is None:
                largest[index] = max(largest[index], float(kept.abs().max()))
            kept = rounded(kept, largest[index], bits)
            states[index] = (made[0], kept) if is_lstm else kept
            y = made[0] if is_lstm else kept
        found.append(model.head(y).numpy())
    return np.concatenate(found)


def main() -> int:
    """Measure all of NETS."""
    for name in NETS:
        model, sound, cells = net(name), recording(90), []
        assert isinstance(model, Layer)
        largest = [0.0] * model.layer.num_layers
        with torch.no_grad():
            wanted = outputs(model, sound, None, largest)
            for bits in (8, 16):
                found = outputs(model, sound, bits, largest)
                last = sqnr(found[-100:], wanted[-100:])
                cells.append(f"{bits} bits {sqnr(found, wanted):.1f} dB, last hundred steps {last:.1f} dB")
        print(f"{name}: {'; '.join(cells)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
