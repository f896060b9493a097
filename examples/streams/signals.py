"""Seeded recordings in place of real ones: words in noise, and six axes of a hand that moves."""

import math

import torch

RATE = 8000
SAMPLES = 6144  # three quarters of a second
WORDS = ("noise", "rising", "falling", "double")
GESTURES = ("still", "shake", "circle", "tilt")
MOVES = 64  # samples of 50 Hz

Labelled = tuple[torch.Tensor, int]


def _voice(track: torch.Tensor, loud: torch.Tensor, dice: torch.Generator) -> torch.Tensor:
    """Harmonics of a pitch under a formant that follows `track` in Hz."""
    pitch = 110 + 60 * float(torch.rand(1, generator=dice))
    phase = 2 * math.pi * torch.cumsum(torch.full((len(track),), pitch / RATE), 0)
    sound = torch.zeros(len(track))
    for harmonic in range(1, int(3500 / pitch)):
        sound += torch.exp(-(((harmonic * pitch - track) / 250) ** 2)) * torch.sin(harmonic * phase)
    return sound * loud


def word(kind: int, dice: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A recording [1, SAMPLES] of one of WORDS, and where in it there is a voice."""
    time = torch.arange(SAMPLES) / SAMPLES
    start, length = (
        0.1 + 0.3 * float(torch.rand(1, generator=dice)),
        0.4 + 0.1 * float(torch.rand(1, generator=dice)),
    )
    within = ((time - start) / length).clamp(0, 1)
    inside = ((time > start) & (time < start + length)).float()
    if kind == 3:
        inside *= (within - 0.5).abs().gt(0.12).float()
    tracks = {1: 500 + 1800 * within, 2: 2300 - 1800 * within, 3: torch.full_like(time, 1200.0)}
    noise = 0.02 * torch.randn(SAMPLES, generator=dice)
    if kind == 0:
        return noise[None], torch.zeros(SAMPLES)
    sound = _voice(tracks[kind], inside, dice)
    return (0.3 * sound / sound.abs().max() + noise)[None], inside


def words(count: int, seed: int) -> list[Labelled]:
    """Recordings [1, 1, SAMPLES] with the index of their word."""
    dice = torch.Generator().manual_seed(seed)
    return [(word(index % 4, dice)[0][None], index % 4) for index in range(count)]


def voices(count: int, seed: int, hop: int) -> list[tuple[torch.Tensor, list[int]]]:
    """Recordings with, for each hop of samples, whether a voice is in it."""
    dice = torch.Generator().manual_seed(seed)
    made = []
    for index in range(count):
        sound, inside = word(index % 4, dice)
        made.append((sound[None], inside.reshape(-1, hop).mean(1).gt(0.5).long().tolist()))
    return made


def gestures(count: int, seed: int) -> list[Labelled]:
    """Recordings [1, MOVES, 6]: acceleration in g and rotation in hundreds of degrees a second."""
    dice = torch.Generator().manual_seed(seed)
    made = []
    for index in range(count):
        kind = index % 4
        time = torch.arange(MOVES) / 50
        speed, phase, strength = torch.rand(3, generator=dice).tolist()
        turn = 2 * math.pi * ((2 + 2 * speed) * time + phase)
        moves = 0.05 * torch.randn(MOVES, 6, generator=dice)
        moves[:, 2] += 1  # gravity
        if kind == 1:
            moves[:, 0] += (0.8 + strength) * torch.sign(torch.sin(3 * turn))
        elif kind == 2:
            moves[:, 0] += (0.4 + strength) * torch.sin(turn)
            moves[:, 1] += (0.4 + strength) * torch.cos(turn)
        elif kind == 3:
            moves[:, 3] += (0.5 + strength) * torch.sin(turn / 4)
            moves[:, 1] += torch.cumsum(moves[:, 3], 0) / 50
        made.append((moves[None], kind))
    return made
