import torch


class Filters(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[x > 0]


model = Filters()
example_inputs = (torch.zeros(4),)
