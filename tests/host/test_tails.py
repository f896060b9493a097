"""What hardswish and hardsigmoid make the same of takes no part in scales on an NPU."""

from collections.abc import Callable

import pytest
import torch
from executorch.backends.arm.ethosu import EthosUCompileSpec
from torch import nn
from torch.nn import functional

from mcu_build.frontend.quantize import convert
from mcu_build.frontend.quantize_npu import SplitQuantizer

Function = Callable[[torch.Tensor], torch.Tensor]


class Net(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(2, 4, 1), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.conv(x))


def ends_of_the_range(function: Function) -> tuple[float, float]:
    """The least and largest value that the int8 result of the convolution stands for."""
    torch.manual_seed(0)
    calls = [(10 * torch.randn(1, 2, 6, 6),) for _ in range(4)]
    exported = torch.export.export(Net(function).eval(), calls[0], strict=False)
    quantizer = SplitQuantizer(EthosUCompileSpec("ethos-u55-256"), {}, 8)
    graph = convert(exported, calls, quantizer=quantizer)[0].graph
    layer = next(node for node in graph.nodes if "conv2d" in str(node.target))
    _, scale, zero_point, least, most, _ = next(iter(layer.users)).args
    return (least - zero_point) * scale, (most - zero_point) * scale


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [(functional.hardswish, -3, None), (functional.hardsigmoid, -3, 3), (torch.tanh, None, None)],
)
def test_a_range_ends_where_all_is_the_same(
    function: Function, low: float | None, high: float | None
) -> None:
    ends = ends_of_the_range(function)
    for found, end, beyond in zip(ends, (low, high), (-8, 8), strict=True):
        assert abs(found) > abs(beyond) if end is None else abs(found - end) < 0.2
