"""`precision` in a model file: layers that stay in float or have 16 bits, by name."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mcu_build.errors import McuError
from mcu_build.frontend import precision
from mcu_build.frontend.quantize import quantize
from mcu_build.lower.assigned import is_int16, why_in_float
from mcu_build.lower.cortex_m import lower

FILE = Path("model.py")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(self.stem(x).mean((2, 3)) + 1))


def exported() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return torch.export.export(Net().eval(), (torch.randn(1, 3, 6, 6),))


@pytest.mark.parametrize(
    ("wishes", "kept"),
    [
        ({"stem": "float"}, ["conv2d", "relu"]),
        ({"stem.*": "float", "stem.1": "int8"}, ["conv2d"]),
        ({"stem.1 relu": "float"}, ["relu"]),
        ({"tanh": "float", "add": "float"}, ["add", "tanh"]),
        ({"head": "float", "stem.?": "float", "mean": "int8"}, ["conv2d", "relu", "linear"]),
        ({}, []),
    ],
)
def test_names(wishes, kept):
    program = exported()
    precision.apply(program, wishes, FILE)
    found = [node.name for node in program.graph.nodes if why_in_float(node)]
    assert [name.partition("_")[0] for name in found] == kept


def test_sixteen_bits_by_name_and_as_a_rule():
    program = exported()
    precision.apply(program, {"stem": "int8", "head": "float"}, FILE, usual="int16")
    wide = {node.name.partition("_")[0] for node in program.graph.nodes if is_int16(node)}
    assert wide == {"mean", "add", "tanh"}


def test_a_name_that_is_none_is_told_with_those_alike():
    with pytest.raises(McuError) as caught:
        precision.apply(exported(), {"stm.0": "float", "nothing": "float", "head": "float"}, FILE)
    assert "model.py: precision: no layer 'stm.0': there are stem.0" in caught.value.message
    assert "no layer 'nothing'" in caught.value.message
    assert "'head'" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["stem"], "list, not a dictionary"),
        ({"stem": "int2"}, "'int2' is not one of float, int16, int8, int4"),
        ({"stem": 16}, "16 is not one of"),
        ({1: "float"}, "1 is no name"),
    ],
)
def test_what_is_no_wish_is_refused(given, told):
    with pytest.raises(McuError, match=r"model\.py: precision") as caught:
        precision.read(FILE, {"precision": given})
    assert told in caught.value.message
    assert caught.value.hint


def test_a_layer_stays_in_float_and_the_others_do_not():
    program = exported()
    precision.apply(program, {"head": "float"}, FILE)
    lowered = lower(quantize(program, [(torch.randn(1, 3, 6, 6),) for _ in range(4)]), "cortex-m4")
    rows = {row.name or row.operator: row for row in lowered.operators if row.where in ("int8", "float")}
    assert rows["head"].where == "float"
    assert "`precision`" in rows["head"].why
    assert rows["stem.0"].where == "int8"
