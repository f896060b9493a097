"""What Vela compiles wrong or refuses is found operator by operator, before it is in a program."""

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.frontend.quantize_npu import quantize_for_npu
from mcu_build.hardware import NpuChoice
from mcu_build.ir import program
from mcu_build.lower.npu import ethos_u
from mcu_build.lower.npu.tosa_graph import Graph
from mcu_build.lower.npu.tosa_reference import TosaGraph
from mcu_build.npu import simulate
from mcu_build.npu.config import find
from mcu_build.npu.payload import parse
from mcu_build.oracle.reference import Evaluator
from tests.support.npu_cases import graph_inputs, run_reference

U55 = NpuChoice("ethos-u55-128", "ethos-u55", "Ethos_U55_High_End_Embedded", "Shared_Sram")
U85 = NpuChoice("ethos-u85-256", "ethos-u85", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB")


class Least(nn.Module):
    """A minimum whose result is reshaped: Vela subtracts one value for all on U55."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, 4, 3, padding=1)

    def forward(self, x):
        return self.convolution(x.transpose(1, 2).amin(1, keepdim=True))


class Dilated(nn.Module):
    """Groups and a dilation of 3: Vela reads the first group for each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 6, 3, padding=3, dilation=3, groups=2)

    def forward(self, x):
        return self.second(self.first(x)) * 2


class GreatestOfPart(nn.Module):
    """A maximum over a slice of a slice: Vela loses the first of the two."""

    def forward(self, x):
        return x[1:2].tanh()[:, 6:8].amax(1, keepdim=True) + x[:1, :1]


class Right(nn.Module):
    """Nothing that Vela compiles wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=2, dilation=2)

    def forward(self, x):
        return self.convolution(x).amax(1, keepdim=True)


class Twin:
    """A delegate's TOSA, whose stream must give the same."""

    def __init__(self, tosa: bytes, payload: bytes, npu: NpuChoice) -> None:
        self.graph, self.payload, self.config = TosaGraph(tosa), parse(payload), find(npu.name)
        self.input_count = self.graph.input_count

    def run(self, inputs):
        expected = self.graph.run(inputs)
        found = simulate.run(self.payload, self.config, inputs, 1 << 19)
        assert found == [values.tobytes() for values in expected]
        return expected


def check(module: nn.Module, shape: tuple[int, ...], npu: NpuChoice) -> dict[str, str]:
    """Of each operator on the core, why it is there; streams equal TOSA, outputs are near to PyTorch's.

    The module is left as it was: executorch multiplies a factor behind a convolution into weights in place.
    """
    torch.manual_seed(3)
    samples = [(torch.randn(shape),) for _ in range(6)]
    expected = [module(*sample).detach().numpy() for sample in samples]
    with torch.no_grad():
        exported = torch.export.export(module.eval(), samples[0], strict=False)
        quantized = quantize_for_npu(exported, samples, npu.kind).program
        lowered = ethos_u.lower(quantized, npu, "cortex-m55")
        twins = [Twin(one.tosa, one.payload, npu) for one in lowered.delegates]
        evaluator = Evaluator(program.parse(lowered.program.pte), twins)
        for sample, right in zip(samples, expected, strict=True):
            assert np.array_equal(module(*sample).numpy(), right)
            (found,) = evaluator.run([tensor.numpy() for tensor in sample])
            assert np.abs(found - right).max() < 0.06 * np.abs(right).max()
    return {row.operator: row.why for row in lowered.program.operators if row.where in ("int8", "float")}


@pytest.mark.parametrize(
    ("module", "shape", "npu", "wrong"),
    [
        (Least, (1, 6, 6), U55, "quantized_depthwise_conv2d"),
        (Dilated, (1, 2, 8, 8), U55, "quantized_conv2d"),
        (Dilated, (1, 2, 8, 8), U85, "quantized_conv2d"),
        (GreatestOfPart, (3, 10), U55, "amax"),
    ],
)
def test_what_comes_out_wrong_is_left_to_the_core(module, shape, npu, wrong):
    reasons = check(module(), shape, npu)
    assert any(wrong in operator and "compiles it wrong" in why for operator, why in reasons.items()), reasons


def test_what_comes_out_right_stays():
    assert check(Right(), (1, 2, 8, 8), U55) == {}


def test_a_graph_can_end_in_any_tensor():
    torch.manual_seed(3)
    samples = [(torch.randn(1, 2, 8, 8),) for _ in range(2)]
    with torch.no_grad():
        exported = torch.export.export(Right().eval(), samples[0], strict=False)
        (delegate,) = ethos_u.lower(
            quantize_for_npu(exported, samples, "ethos-u55").program, U55, "cortex-m55"
        ).delegates
    graph = Graph(delegate.tosa)
    (inputs,) = [graph.draw(0)]
    assert inputs is not None
    assert [(one.shape, one.dtype.name) for one in inputs] == graph_inputs(delegate.tosa)
    (whole,) = run_reference(delegate.tosa, inputs)
    (output,) = graph.outputs
    line = graph.leading_to(output)
    assert line[-1] == output
    # The control: another tensor is another output; the last one, twice, is the same.
    first, *_ = run_reference(graph.ending_in([line[0], output]), inputs)
    assert first.shape != whole.shape
    for same in run_reference(graph.ending_in([output, output]), inputs):
        assert np.array_equal(same, whole)
