"""Is somebody speaking? Sound in steps of 128 samples, an answer for each."""

import torch
from nets import HOP, Voice, trained
from signals import SAMPLES, voices

model = trained(Voice(), "voice")
stream = {"sound": 2}
example_inputs = (torch.zeros(1, 1, SAMPLES),)
calibration = [sound for sound, _ in voices(16, seed=13, hop=HOP)]
evaluation = voices(8, seed=14, hop=HOP)
