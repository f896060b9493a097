"""What Vela compiles wrong does not reach it: every delegate that it is given means what its TOSA means.

tests/host/npu/test_vela_defects.py has the controls: modules without the guards, and their wrong outputs.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from executorch.backends.arm.ethosu import EthosUCompileSpec
from executorch.backends.arm.quantizer import (
    EthosUQuantizer,
    get_symmetric_a16w8_quantization_config,
    get_symmetric_quantization_config,
)
from executorch.exir import to_edge_transform_and_lower
from torch import nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from mcu_build.lower.npu.partition import Partitioner
from mcu_build.lower.npu.vela import Compiled, recorded
from mcu_build.lower.npu.vela_defects import mended_passes
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.npu import simulate
from mcu_build.npu.config import find
from mcu_build.npu.payload import parse
from tests.support import npu_modules as modules
from tests.support.npu_cases import draw, run_reference


def lowered(module: nn.Module, example: tuple[torch.Tensor, ...], target: str, bits: int = 8):
    """The delegates of a quantized module, and why other operators are none."""
    torch.manual_seed(5)
    spec = EthosUCompileSpec(target)
    quantizer = EthosUQuantizer(spec)
    config = get_symmetric_a16w8_quantization_config if bits == 16 else get_symmetric_quantization_config
    quantizer.set_global(config())
    partitioner = Partitioner(spec)
    with quiet(), mended_passes(), recorded() as delegates, torch.no_grad():
        prepared = prepare_pt2e(
            torch.export.export(module.eval(), example).module(check_guards=False), quantizer
        )
        for _ in range(4):
            prepared(*(torch.randn_like(tensor) for tensor in example))
        converted = torch.export.export(convert_pt2e(prepared), example)
        to_edge_transform_and_lower(converted, partitioner=[partitioner]).to_executorch()
    return delegates, list(partitioner.reasons.values())


def check(delegate: Compiled, target: str) -> None:
    """The stream gives what the reference model gives, for inputs that it tells apart."""
    payload = parse(delegate.payload)
    seen = []
    for seed in range(3):
        inputs = draw(delegate.tosa, seed, None)
        expected = run_reference(delegate.tosa, inputs)
        found = simulate.run(payload, find(target), inputs, 1 << 19)
        assert len(found) == len(expected)
        for one, right in zip(found, expected, strict=True):
            assert np.array_equal(np.frombuffer(one, right.dtype).reshape(right.shape), right)
        seen.append(b"".join(right.tobytes() for right in expected))
    assert len(set(seen)) == 3


class Tapped(nn.Module):
    """The output of `first` is one of the model, and `second` reads it."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x):
        y = self.first(x)
        return y, self.second(y)


def tapped_convolution():
    return Tapped(nn.Conv2d(6, 8, 3, padding=1), nn.Conv2d(8, 4, 3)), (torch.randn(1, 6, 5, 7),)


def tapped_upsampling():
    up = nn.UpsamplingNearest2d(scale_factor=2)
    return Tapped(up, nn.Conv2d(6, 8, 3, padding=1)), (torch.randn(1, 6, 5, 7),)


def tapped_in_one_dimension():
    return Tapped(nn.Conv1d(6, 8, 3), nn.Conv1d(8, 5, 3)), (torch.randn(1, 6, 12),)


Builder = Callable[[], tuple[nn.Module, tuple[torch.Tensor, ...]]]
CUT = [
    (tapped_convolution, "ethos-u55-128", 8),
    (tapped_upsampling, "ethos-u85-256", 8),
    (tapped_in_one_dimension, "ethos-u55-128", 8),
    (modules.two_linear_layers, "ethos-u55-128", 16),
    (modules.two_linear_layers, "ethos-u85-256", 16),
]


@pytest.mark.parametrize(("build", "target", "bits"), CUT)
def test_what_is_wrong_in_one_delegate_is_right_in_two(build: Builder, target: str, bits: int) -> None:
    delegates, reasons = lowered(*build(), target, bits)
    assert len(delegates) == 2 and not [why for why in reasons if "Vela" in why]
    for delegate in delegates:
        check(delegate, target)


def test_one_delegate_stays_one() -> None:
    """The control: nothing is cut where nothing is wrong, an output read by a linear layer included."""
    two = Tapped(nn.Linear(24, 16), nn.Linear(16, 5)), (torch.randn(3, 24),)
    (delegate,), _ = lowered(*two, "ethos-u55-128")
    check(delegate, "ethos-u55-128")


KEPT = [
    (modules.padded_depth_multiplier, "ethos-u55-128", "vertical stride above 2"),
    (modules.padded_depth_multiplier, "ethos-u85-256", "vertical stride above 2"),
    (modules.least_of_last_dimension, "ethos-u55-128", "amin without keepdim"),
]


@pytest.mark.parametrize(("build", "target", "why"), KEPT)
def test_what_comes_out_wrong_is_not_delegated(build: Builder, target: str, why: str) -> None:
    delegates, reasons = lowered(*build(), target)
    assert not delegates
    assert [reason for reason in reasons if reason.startswith("Vela 5.1 compiles it wrong") and why in reason]


def test_their_neighbours_are_delegated() -> None:
    """The control: the same operators where Vela is right."""
    depthwise = nn.Conv2d(8, 16, (5, 4), stride=(2, 2), padding=(2, 2), groups=8), (torch.randn(1, 8, 9, 14),)
    (delegate,), _ = lowered(*depthwise, "ethos-u55-128")
    check(delegate, "ethos-u55-128")


@pytest.mark.parametrize("order", [(), (0, 3, 1, 2)])
@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
def test_residual_connections_of_16_bits_are_one_delegate(order: tuple[int, ...], target: str) -> None:
    (delegate,), _ = lowered(*modules.residual(order), target, 16)
    check(delegate, target)
