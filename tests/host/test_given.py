"""Programs that their author has quantized are lowered in the author's scales, to the bit."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import export

from mcu_build.errors import McuError
from mcu_build.frontend.capture import load_exported
from mcu_build.frontend.quantize import quantize_layers
from mcu_build.lower.annotate.given import is_marked
from mcu_build.lower.cortex_m import lower
from tests.support.cli import mcu_build

EXAMPLE = (torch.zeros(1, 3, 10, 10),)


class Net(nn.Module):
    """Convolutions, a pool, a sum, linear layers, and with `attends` a softmax that most quantizers leave."""

    def __init__(self, attends: bool = False):
        super().__init__()
        torch.manual_seed(0)
        self.attends = attends
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.hidden, self.last = nn.Linear(200, 16), nn.Linear(16, 4)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.norm(self.first(x))), 2)
        x = torch.relu(x + self.second(x))
        x = self.last(torch.relu(self.hidden(x.flatten(1))))
        return torch.softmax(x, -1) if self.attends else x


def xnnpack(is_qat: bool = False):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    return XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_qat=is_qat)
    )


def ethos_u(is_qat: bool = False):
    from executorch.backends.arm.ethosu import EthosUCompileSpec
    from executorch.backends.arm.quantizer import EthosUQuantizer, get_symmetric_quantization_config

    config = get_symmetric_quantization_config(is_per_channel=True, is_qat=is_qat)
    return EthosUQuantizer(EthosUCompileSpec("ethos-u55-128")).set_global(config)


def cortex_m(is_qat: bool = False):
    from executorch.backends.cortex_m.quantizer.quantizer import CortexMQuantizer

    assert not is_qat
    return CortexMQuantizer()


def data(seed: int):
    image = torch.randn(EXAMPLE[0].shape, generator=torch.Generator().manual_seed(seed))
    return image.contiguous(memory_format=torch.channels_last)


def quantized(quantizer, is_qat: bool = False, net: nn.Module | None = None):
    """The quantized module of PT2E's flow; with `is_qat` trained for a few steps."""
    from torchao.quantization.pt2e import move_exported_model_to_eval
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e

    module = (net or Net()).train(is_qat).to(memory_format=torch.channels_last)
    exported = export(module, (data(0),)).module(check_guards=False)
    prepared = (prepare_qat_pt2e if is_qat else prepare_pt2e)(exported, quantizer)
    steps = torch.optim.SGD(prepared.parameters(), 0.05) if is_qat else None
    for seed in range(2):
        loss = prepared(data(seed)).square().sum()
        if steps:
            steps.zero_grad()
            loss.backward()
            steps.step()
    if is_qat:
        move_exported_model_to_eval(prepared)
    return convert_pt2e(prepared)


def saved(module, folder: Path) -> Path:
    torch.export.save(export(module, (data(0),)), folder / "given.pt2")
    return folder / "given.pt2"


def ours(file: Path):
    exported = load_exported(file)
    assert is_marked(exported)
    return quantize_layers(exported, [(data(0),)]).program


def result(program, seed: int):
    found = program.module(check_guards=False)(data(seed))
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize(
    ("quantizer", "is_qat"),
    [
        (xnnpack, False),
        pytest.param(xnnpack, True, marks=pytest.mark.slow),
        (ethos_u, False),
        pytest.param(ethos_u, True, marks=pytest.mark.slow),
        (cortex_m, False),
    ],
)
def test_scales_and_weights_are_kept_to_the_bit(quantizer, is_qat, tmp_path):
    given = quantized(quantizer(is_qat), is_qat)
    program = ours(saved(given, tmp_path))
    for seed in range(4, 8):
        assert torch.equal(result(program, seed), given(data(seed)))
    assert not [row for row in lower(program, "cortex-m4").operators if row.where == "float"]


def test_scales_of_our_own_would_give_other_numbers(tmp_path):
    """The control: the same net, quantized by ourselves on data of twice the size."""
    given = quantized(xnnpack())
    torch.export.save(export(Net().eval(), (data(0),)), tmp_path / "float.pt2")
    fresh = quantize_layers(load_exported(tmp_path / "float.pt2"), [(2 * data(0),)]).program
    assert not torch.equal(result(fresh, 5), given(data(5)))


def test_what_the_author_left_in_float_stays_there(tmp_path):
    given = quantized(xnnpack(), net=Net(attends=True))
    program = ours(saved(given, tmp_path))
    assert torch.equal(result(program, 5), given(data(5)))
    assert [row.operator for row in lower(program, "cortex-m4").operators if row.where == "float"] == [
        "aten::_softmax"
    ]


class Rounded(nn.Module):
    def __init__(self, *scale: object):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        ops = torch.ops.quantized_decomposed
        integers = ops.quantize_per_tensor.default(x, *self.scale)
        return torch.relu(ops.dequantize_per_tensor.default(integers, *self.scale))


def test_unsigned_activations_are_signed_ones_128_lower(tmp_path):
    module = Rounded(0.05, 120, 0, 255, torch.uint8)
    file = saved(module, tmp_path)
    assert torch.equal(result(ours(file), 3), module(data(3)))


def test_other_activations_are_refused_by_line(tmp_path):
    file = saved(Rounded(0.05, 0, -32768, 32767, torch.int16), tmp_path)
    with pytest.raises(McuError) as raised:
        load_exported(file)
    message = raised.value.message
    assert message.startswith(f"{file}: test_given.py:") and "activations of torch.int16" in message
    assert "XNNPACKQuantizer" in raised.value.hint


def test_a_quantized_module_in_a_model_file(tmp_path):
    """The whole way, with the accuracy of labelled data; on an NPU it is refused before any work."""
    saved(quantized(xnnpack()), tmp_path)
    file = tmp_path / "net.py"
    file.write_text(
        "from pathlib import Path\n"
        "import torch\n"
        "import torchao.quantization.pt2e.quantize_pt2e\n"
        "model = torch.export.load(Path(__file__).parent / 'given.pt2').module(check_guards=False)\n"
        "example_inputs = (torch.zeros(1, 3, 10, 10),)\n"
        "evaluation = [((torch.randn(1, 3, 10, 10),), index % 4) for index in range(8)]\n"
    )
    found = mcu_build("test", "--board", "host", file, "--build-dir", tmp_path, "--json")
    assert found.status == 0, found.out + found.err
    assert found.json["differing"] == 0
    assert found.json["accuracy"]["int8"] == found.json["accuracy"]["device"]
    refused = mcu_build("build", "--board", "corstone-300", file, "--build-dir", tmp_path)
    assert refused.status == 1 and "--npu none" in refused.err
