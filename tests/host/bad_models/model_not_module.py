import torch

model = [1, 2, 3]
example_inputs = (torch.zeros(1, 4),)
