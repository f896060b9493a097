"""Layers are called by module path, operator and output shape, from the exported graph to the plan."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mcu_build.frontend.quantize import quantize
from mcu_build.ir.program import KernelCall, parse
from mcu_build.layer_names import frame_function, layer_at, layer_name, module_of
from mcu_build.lower.assigned import Origin
from mcu_build.lower.cortex_m import Lowered, lower
from mcu_build.lower.npu.vela import layers_of
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.plan.compile import compile_program
from mcu_build.plan.describe import operators


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


@pytest.fixture(scope="module")
def lowered(tmp_path_factory: pytest.TempPathFactory) -> Lowered:
    """A Sequential that has been to a .pt2 and back."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), _Block(), nn.Flatten(), nn.Linear(64, 2)).eval()
    example = (torch.randn(1, 3, 6, 6),)
    file = tmp_path_factory.mktemp("pt2") / "model.pt2"
    with quiet():
        torch.export.save(torch.export.export(model, example), file)
        exported = torch.export.load(file)
    return lower(quantize(exported, [example]), "cortex-m55")


def test_steps_of_a_plan_have_the_names_of_their_modules(lowered: Lowered) -> None:
    rows = operators(compile_program(parse(lowered.pte), "m"))
    named = {layer_name(row["name"], row["operator"], row["shape"]) for row in rows}
    # A rectifier is part of the convolution before it.
    assert {"0 conv2d 4x4x4", "2.body.0 conv2d 4x4x4", "2 add 4x4x4", "4 linear 2"} <= named
    assert all(row["name"] for row in rows)


class _Attend(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(4, 8, 5, padding=2)
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x).transpose(1, 2)
        return self.heads(y, y, y, need_weights=False)[0]


def test_views_that_move_bytes_are_of_the_layer_that_reads_them() -> None:
    example = (torch.randn(1, 4, 12),)
    model = _Attend().eval()
    made = lower(quantize(torch.export.export(model, example), [example]), "cortex-m4")
    rows = operators(compile_program(parse(made.pte), "m"))
    views = [row for row in rows if "view_copy" in row["operator"]]
    assert views and {row["name"] for row in views} == {"heads"}
    assert all(row["layer"] for row in views)


def test_a_line_stands_only_where_the_users_code_makes_the_call(lowered: Lowered) -> None:
    lines = {row.name: row.layer for row in lowered.operators}
    with Path(__file__).open() as file:
        place = next(n for n, text in enumerate(file, 1) if text.strip() == "return x + self.body(x)")
    assert lines["2"] == lines["2.body.0"] == f"{Path(__file__).name}:{place}"
    # torch.nn.Sequential calls these.
    assert lines["0"] == lines["4"] == ""


def test_rows_of_lowering_have_names_and_shapes(lowered: Lowered) -> None:
    (row,) = [row for row in lowered.operators if "linear" in row.operator]
    assert (row.name, row.shape) == ("4", (1, 2))


def test_a_program_made_elsewhere_has_no_names(lowered: Lowered) -> None:
    program = parse(lowered.pte)
    ours = next(call for call in program.instructions if isinstance(call, KernelCall) and call.module)
    assert ours.frames[-1].name == frame_function(ours.module)
    # What Python's own frames have there.
    assert [module_of(name) for name in ("forward", "_conv_forward", "<lambda>")] == [""] * 3


def test_a_name_in_words() -> None:
    name = layer_at("features.0", "cortex_m::quantized_conv2d.out", (1, 8, 8, 8), "model.py:31")
    assert name == "features.0 conv2d 8x8x8 (model.py:31)"
    assert layer_name("", "aten.view_copy.default", (4,)) == "view 4"
    assert layer_name("", "mcu_build.powers.default", (4,)) == "powers 4"
    assert layer_name("head", "aten::softmax.int", (1,)) == "head softmax 1"


def test_an_operation_that_vela_adds_is_of_the_operator_before_it(tmp_path: Path) -> None:
    columns = [
        "Original Operator",
        "Name",
        "Op Cycles",
        "NPU",
        "SRAM AC",
        "DRAM AC",
        "OnFlash AC",
        "OffFlash AC",
    ]
    rows = [("Conv2D", "conv_0"), ("Transpose", "added"), ("Add", "add_1_2")]
    lines = [",".join([*columns, "MAC Count"]), *(",".join([*row, *"1000000"]) for row in rows)]
    (tmp_path / "net_per-layer.csv").write_text("\n".join(lines) + "\n")
    names = {
        "conv": Origin("conv", "aten::conv2d", "", "stem"),
        "add_1": Origin("add_1", "aten::add", "", ""),
    }
    layers = [(layer["operator"], layer["output_of"], layer["name"]) for layer in layers_of(tmp_path, names)]
    assert layers[:2] == [("Conv2D", "aten::conv2d", "stem"), ("Transpose", "aten::conv2d", "stem")]
    assert layers[2] == ("Add", "aten::add", "")
