"""Train the three nets in a minute and write wake.pt, voice.pt and gesture.pt."""

from pathlib import Path

import torch
from nets import HOP, Gesture, Keyword, Voice
from signals import gestures, voices, words
from torch import nn
from torch.nn import functional


def train(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, rounds: int) -> None:
    """Adam over random batches; `labels` [items], or [items, frames]."""
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.01)
    for _ in range(rounds):
        chosen = torch.randint(len(inputs), (24,))
        scores = net(inputs[chosen])
        loss = functional.cross_entropy(scores.flatten(0, -2), labels[chosen].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{type(net).__name__}: loss {float(loss.detach()):.3f}")


def main() -> None:
    """Train each on recordings of its own."""
    torch.manual_seed(0)
    heard, moved, spoken = words(160, seed=1), gestures(160, seed=2), voices(96, seed=3, hop=HOP)
    jobs = {
        "wake": (Keyword(), [x for x, _ in heard], [y for _, y in heard], 400),
        "gesture": (Gesture(), [x for x, _ in moved], [y for _, y in moved], 250),
        "voice": (Voice(), [x for x, _ in spoken], [y for _, y in spoken], 120),
    }
    for name, (net, inputs, labels, rounds) in jobs.items():
        train(net, torch.cat(inputs), torch.tensor(labels), rounds)
        torch.save(net.state_dict(), Path(__file__).with_name(f"{name}.pt"))


if __name__ == "__main__":
    main()
