import torch


def load_weights() -> torch.Tensor:
    return torch.load("/nowhere/weights.pt")


model = torch.nn.Linear(load_weights().shape[0], 2)
example_inputs = (torch.zeros(1, 4),)
