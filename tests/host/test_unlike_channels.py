"""Inputs that a model normalizes itself, and outputs that it scales back."""

import torch

from mcu_build.frontend.quantize import Inputs, quantize, ruined_by_int8
from mcu_build.quality.sqnr import judge


class _Net(torch.nn.Module):
    """Two layers between a normalization and its reverse."""

    def __init__(self, sizes: list[float]) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 16), torch.nn.Linear(16, 3)
        self.register_buffer("sizes", torch.tensor(sizes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Numbers of the sizes of the inputs."""
        hidden = torch.relu(self.first((x - self.sizes) / self.sizes))
        answer: torch.Tensor = self.second(hidden) * self.sizes + self.sizes
        return answer


def _program(sizes: list[float]) -> tuple[torch.export.ExportedProgram, list[Inputs]]:
    torch.manual_seed(0)
    calls = [((1 + torch.randn(1, 3)) * torch.tensor(sizes),) for _ in range(32)]
    return torch.export.export(_Net(sizes).eval(), calls[0], strict=False), calls


def test_arithmetic_at_the_ends_stays_in_float() -> None:
    program, calls = _program([0.01, 1.0, 2000.0])
    assert set(ruined_by_int8(program, calls)) == {"sub", "div", "mul", "add"}
    model, int8 = program.module(), quantize(program, calls).module(check_guards=False)
    wanted, actual = ([run(*call).detach() for call in calls] for run in (model, int8))
    (quality,) = judge([torch.stack(wanted).numpy()], [torch.stack(actual).numpy()])
    assert quality.worst > 25


def test_channels_alike_are_int8() -> None:
    assert not ruined_by_int8(*_program([20.0, 21.0, 22.0]))
