"""activation_bits that nothing has."""

import torch

model = torch.nn.Linear(4, 2)
example_inputs = (torch.zeros(1, 4),)
activation_bits = 12
