import torch

model = torch.nn.Linear(4, 2)
example_inputs = (torch.zeros(1, 4),)


def calibration():
    yield torch.zeros(1, 4)
    raise RuntimeError("the camera is off\nand more")
