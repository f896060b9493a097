"""Modules that keep something from call to call, for random models: what `forward` of a user's model writes.

A model file holds the text of those that it uses. A sequence of calls is compared exactly: each call starts
from the state that the quantized program has left, and its outputs and the state behind it are compared.
"""

import inspect
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from mcu_build.ir.plan import Plan
from tests.support.generator.operators import Draft, Shape, Template


class Delay(nn.Module):
    """The input of the call before."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.past.clone()
        self.past.copy_(x)
        return x - before


class Assigned(Delay):
    """The same by an assignment, of two calls before."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.register_buffer("older", torch.zeros(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = x + self.older
        self.older = self.past
        self.past = x
        return before


class RunningMean(nn.Module):
    """What differs from a mean that follows slowly."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.mean.mul_(0.9).add_(x, alpha=0.1)
        return x - self.mean


class Peak(nn.Module):
    """The level that was reached, which falls slowly."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("peak", torch.full(shape, 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.peak = torch.maximum(0.95 * self.peak, x.abs())
        return x / (self.peak + 0.5)


class Total(nn.Module):
    """A sum that forgets half."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total *= 0.5
        self.total += x
        return torch.tanh(self.total)


class Window(nn.Module):
    """The last samples before the new ones, along the last dimension."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(*shape[:-1], 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        window = torch.cat([self.past, x], -1)
        self.past.copy_(window[..., -2:])
        return window


class Ring(nn.Module):
    """The mean of the last three rows, in a ring."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("ring", torch.zeros(3, size))
        self.register_buffer("at", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.ring.index_copy_(0, self.at % 3, x)
        self.at += 1
        return x - self.ring.mean(0, keepdim=True)


class Cache(nn.Module):
    """Attention to the rows so far: keys and values at a position."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.register_buffer("keys", torch.zeros(6, size))
        self.register_buffer("values", torch.zeros(6, size))
        self.register_buffer("at", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        place = self.at % 6
        self.keys.index_copy_(0, place, self.key(x))
        self.values.index_copy_(0, place, self.value(x))
        self.at += 1
        return torch.softmax(self.query(x) @ self.keys.t(), -1) @ self.values


class Cell(nn.Module):
    """A recurrent cell whose h is kept."""

    def __init__(self, kind: str, size: int, units: int) -> None:
        super().__init__()
        self.cell = getattr(nn, kind)(size, units)
        self.register_buffer("h", torch.zeros(1, units))
        if kind == "LSTMCell":
            self.register_buffer("c", torch.zeros(1, units))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "c"):
            h, c = self.cell(x, (self.h, self.c))
            self.c.copy_(c)
        else:
            h = self.cell(x, self.h)
        self.h.copy_(h)
        return h


class Layer(nn.Module):
    """A recurrent layer over the steps of a call, whose state goes on with the next."""

    def __init__(self, kind: str, size: int, units: int, layers: int) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(size, units, layers, batch_first=True)
        self.register_buffer("h", torch.zeros(layers, 1, units))
        if kind == "LSTM":
            self.register_buffer("c", torch.zeros(layers, 1, units))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "c"):
            y, (h, c) = self.layer(x, (self.h, self.c))
            self.c.copy_(c)
        else:
            y, h = self.layer(x, self.h)
        self.h.copy_(h)
        return y


MODULES = {
    kind.__name__: kind
    for kind in (Delay, Assigned, RunningMean, Peak, Total, Window, Ring, Cache, Cell, Layer)
}


def _module(text: str) -> Draft:
    return Draft("{m}({0})", text)


def _of_shape(dice: random.Random, shape: Shape, name: str) -> Draft:
    return _module(f"{name}({tuple(shape)})")


def _of_row(dice: random.Random, shape: Shape, name: str) -> Draft | None:
    return _module(f"{name}({shape[1]})") if shape[0] == 1 else None


def _cell(dice: random.Random, shape: Shape, name: str) -> Draft | None:
    units = dice.choice((4, 7, 8, 12))
    return _module(f"Cell({name!r}, {shape[1]}, {units})") if shape[0] == 1 else None


def _layer(dice: random.Random, shape: Shape, name: str) -> Draft | None:
    units, layers = dice.choice((4, 7, 8, 12)), dice.choice((1, 1, 2))
    return _module(f"Layer({name!r}, {shape[2]}, {units}, {layers})") if shape[0] == 1 else None


def _template(name, ranks, draw) -> Template:  # type: ignore[no-untyped-def]
    return Template(name, ranks, lambda dice, shape: draw(dice, shape, name))


STATE = [
    *(_template(name, (2, 3, 4), _of_shape) for name in ("Delay", "RunningMean", "Peak", "Total")),
    _template("Assigned", (2, 3, 4), _of_shape),
    _template("Window", (3, 4), _of_shape),
    *(_template(name, (2,), _of_row) for name in ("Ring", "Cache")),
    *(_template(name, (2,), _cell) for name in ("GRUCell", "LSTMCell", "RNNCell")),
    *(_template(name, (3,), _layer) for name in ("GRU", "LSTM", "RNN")),
]


def text_of(modules: Sequence[str]) -> str:
    """The classes that these texts of modules name, as a model file has them."""
    named = [name for name in MODULES if any(text.startswith(f"{name}(") for text in modules)]
    if "Assigned" in named and "Delay" not in named:
        named.insert(0, "Delay")
    texts = [inspect.getsource(MODULES[name]).replace(": Shape", "") for name in named]
    return "".join(f"\n\n{text}" for text in texts)


def resumed(plan: Plan, states: Sequence[np.ndarray], call: int) -> Plan:
    """The plan as it starts call number `call`: with the state that the quantized program has left."""
    if call == 0:
        return plan
    memory = bytearray(plan.initial_state)
    for state, offset, ring in zip(states, plan.state_offsets, plan.state_rings, strict=True):
        assert ring is None, "a ring whose place is in the state"
        memory[offset : offset + state[call - 1].nbytes] = state[call - 1].tobytes()
    return replace(plan, initial_state=bytes(memory))


def kept(plan: Plan, memory: bytes, states: Sequence[np.ndarray], call: int) -> bool:
    """Whether `memory`, the state behind call number `call`, is that of the quantized program."""
    return all(
        memory[offset : offset + state[call].nbytes] == state[call].tobytes()
        for state, offset in zip(states, plan.state_offsets, strict=True)
    )
