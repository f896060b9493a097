"""What does the hand do? One sample of six axes a step."""

import torch
from nets import Gesture, trained
from signals import MOVES, gestures

model = trained(Gesture(), "gesture")
stream = {"moves": 1}
example_inputs = (torch.zeros(1, MOVES, 6),)
calibration = [moves for moves, _ in gestures(24, seed=15)]
evaluation = gestures(16, seed=16)
