"""Which operators stay in float because they add up."""

import torch
from torch import nn

from mcu_build.frontend.accumulators import accumulating


class Means(nn.Module):
    def forward(self, x: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        total = x.cumsum(1)
        return total / torch.arange(1, 9) + total * gate + 2.0 * x


def test_a_cumulative_sum_and_its_division_by_constants_stay_in_float() -> None:
    """Not what an input scales, nor what adds nothing up."""
    exported = torch.export.export(Means(), (torch.ones(1, 8), torch.ones(1, 8)))
    assert sorted(str(node.target) for node in accumulating(exported)) == [
        "aten.cumsum.default",
        "aten.div.Tensor",
    ]
