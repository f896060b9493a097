"""Convolutions and linear layers whose weights depend on an input run, and never on an NPU."""

import torch
from torch import nn
from torch.nn import functional

from mcu_build.frontend.quantize_npu import quantize_for_npu
from mcu_build.lower.assigned import why_on_cpu
from mcu_build.lower.rewrite.computed_weights import WHY, convolutions, layers
from tests.support.lowering import take


class Tracker(nn.Module):
    """A depthwise correlation, a mixture of kernels, and a layer that another one writes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 4, 3, padding=1)
        self.kernels = nn.Parameter(torch.randn(2, 3, 4, 1, 1))
        self.writer = nn.Linear(4, 2 * 4 + 2)

    def forward(self, scene: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, ...]:
        near, far = torch.relu(self.features(target)), torch.relu(self.features(scene))
        mixed = (near.mean((2, 3))[0, :2].softmax(0).view(2, 1, 1, 1, 1) * self.kernels).sum(0)
        written = self.writer(far.mean((2, 3)))[0]
        return (
            functional.conv2d(far, near.reshape(4, 1, 3, 3), groups=4).flatten(1),
            functional.conv2d(far, mixed).flatten(1),
            functional.linear(far.flatten(2).transpose(1, 2), written[:8].view(2, 4), written[8:]),
        )


EXAMPLE = (torch.randn(1, 1, 8, 8), torch.randn(1, 1, 3, 3))


def test_convolutions_stay_in_float_and_linear_layers_become_int8():
    torch.manual_seed(3)
    outcome = take(Tracker(), EXAMPLE)
    assert outcome.float_operators.count("aten::convolution") == 2
    assert outcome.program and outcome.relative_error < 0.05
    assert "cortex_m::quantized_batch_matmul" in [row.operator for row in outcome.lowered.operators]


def test_constant_weights_are_none_of_them():
    exported = torch.export.export(Tracker().eval(), EXAMPLE)
    graph = exported.module(check_guards=False).graph
    assert (len(convolutions(graph)), len(layers(graph))) == (2, 3)


class Correlation(nn.Module):
    """A scene searched for a target, and nothing else."""

    def forward(self, scene: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(scene, target)


def test_an_npu_is_never_asked():
    quantized = quantize_for_npu(torch.export.export(Correlation(), EXAMPLE), [EXAMPLE], "ethos-u55")
    graph = quantized.program.graph_module.graph
    marked = [node for node in graph.nodes if why_on_cpu(node) == WHY]
    assert [str(node.target) for node in marked if node.op == "call_function"] == ["aten.conv2d.default"]
