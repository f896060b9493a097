"""Which of three words was that? Sound in steps of 128 samples, features compiled with the net."""

import torch
from nets import Keyword, trained
from signals import SAMPLES, words

model = trained(Keyword(), "wake")
stream = {"sound": 2}
example_inputs = (torch.zeros(1, 1, SAMPLES),)
calibration = [sound for sound, _ in words(24, seed=11)]
evaluation = words(8, seed=12)
