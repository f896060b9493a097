"""What a pass of executorch cannot take stays in float, or is named with its line and layer."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.errors import McuError
from mcu_build.failures import reported
from mcu_build.frontend.normalize import normalize
from mcu_build.lower.assigned import remember_origin
from mcu_build.lower.refusals import RefusedError, named, without_refused
from mcu_build.oracle.reference import Evaluator
from tests.support.lowering import Function, take

Tensor = torch.Tensor


class Block(nn.Module):
    """A layer whose product of two tensors a pass will refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(self.inside(x), x.transpose(1, 2))


def _model() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(6, 6), Block(), nn.Linear(4, 3))


def _line(text: str) -> int:
    with open(__file__) as file:  # noqa: PTH123
        return next(number for number, line in enumerate(file, 1) if line.strip() == text)


def _refuse(monkeypatch: pytest.MonkeyPatch, always: bool) -> None:
    from executorch.backends.cortex_m.passes import AtenToCortexMPass
    from executorch.exir.dialects._ops import ops

    def substitution(node: torch.fx.Node, _: object) -> None:
        if always or node.meta.get("input_qparams"):
            raise KeyError("no such product")

    table = AtenToCortexMPass._DIALECT_SUBSTITUTIONS
    monkeypatch.setitem(table, ops.edge.aten.bmm.default, substitution)


def test_what_a_pass_refuses_stays_in_float(monkeypatch: pytest.MonkeyPatch) -> None:
    example = [torch.randn(2, 4, 6)]
    whole = take(_model(), example)
    assert whole.float_operators == []
    _refuse(monkeypatch, always=False)
    outcome = take(_model(), example)
    assert outcome.float_operators == ["aten::bmm"]
    (row,) = [row for row in outcome.lowered.operators if row.where == "float"]
    assert "no such product" in row.why
    assert row.layer == f"test_refusals.py:{_line('return torch.bmm(self.inside(x), x.transpose(1, 2))')}"
    assert sum("linear" in row.operator for row in outcome.lowered.operators if row.where == "int8") == 3
    assert outcome.relative_error < 0.03


def test_what_it_refuses_in_float_too_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _refuse(monkeypatch, always=True)
    with pytest.raises(McuError) as refused:
        take(_model(), [torch.randn(2, 4, 6)])
    line = _line("return torch.bmm(self.inside(x), x.transpose(1, 2))")
    where = f"test_refusals.py:{line} (1): aten::bmm"
    assert refused.value.message == f"{where}: cannot be lowered: KeyError: 'no such product'"
    assert "docs/lowering.md" in refused.value.hint


def test_what_is_called_alike_is_refused_at_once() -> None:
    """Each attempt lowers the whole model anew."""
    attempts = []

    def refuses(refused: Mapping[str, str]) -> int:
        attempts.append(len(refused))
        node = next((one for one in products if one.name not in refused), None)
        if node is not None:
            raise RefusedError("no such product", {node.name: "no such product"})
        return len(refused)

    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    x.meta["val"] = torch.zeros(2, 3, 3)
    products = [graph.call_function(torch.ops.aten.bmm.default, (x, x)) for _ in range(20)]
    other = graph.call_function(torch.ops.aten.relu.default, (x,))
    for node in (*products, other):
        remember_origin(node)
    assert without_refused(refuses, graph) == 20
    assert attempts == [0, 1, 2, 20]
    with pytest.raises(RefusedError):
        without_refused(lambda _: refuses({}), graph)


def test_a_weight_of_two_layers_one_of_them_transposed() -> None:
    def tied(m: nn.Module, x: Tensor) -> Tensor:
        return m.layer(F.linear(F.relu(m.layer(x)), m.layer.weight.t()))

    outcome = take(Function(tied, layer=nn.Linear(6, 8)), [torch.randn(1, 6)])
    assert outcome.relative_error < 0.05
    assert np.ptp(outcome.evaluated[0]) > 0


def test_one_warning_for_a_reason() -> None:
    def sums(m: nn.Module, x: Tensor) -> Tensor:
        return torch.stack([x.cumsum(1) for _ in range(5)]).sort()[0] + 1

    warnings = take(Function(sums), [torch.randn(2, 6)]).lowered.warnings
    (warning,) = [one for one in warnings if "cumsum" in one]
    assert len(warnings) == 1
    assert warning[0].isdigit()
    assert warning.count("cumsum 2x6") == 1
    assert len(re.findall(r"\.py:\d+", warning)) == 3  # and so many others are counted


def test_an_exception_without_an_operator_names_its_cause() -> None:
    with pytest.raises(RefusedError) as refused, named("quantized"):
        try:
            raise AssertionError
        except AssertionError as error:
            raise RuntimeError("somewhere in a pass") from error
    assert refused.value.message == "the model: cannot be quantized: AssertionError: raise AssertionError"
    with pytest.raises(McuError, match=r"^as it was$"), named("quantized"):
        raise McuError("as it was")


def test_the_last_resort_names_the_operator() -> None:
    class Step:
        operator, layer = "aten::cumsum.out", "net.py:3"

    def fails(step: Step) -> None:
        raise IndexError("axis 2")

    with pytest.raises(McuError) as raised, reported():
        fails(Step())
    error = raised.value
    assert error.message == "net.py:3: aten::cumsum.out: mcu-build cannot compile this: IndexError: axis 2"
    assert "defect" not in error.hint


def test_what_the_reference_cannot_compute_is_named_with_its_line() -> None:
    outcome = take(nn.Linear(3, 2), [torch.randn(1, 3)])
    evaluator = Evaluator(outcome.program)
    wanted = next(
        index for index, call in enumerate(outcome.program.instructions) if "linear" in call.operator
    )

    def fails(*_: object) -> list[Tensor]:
        raise IndexError("axis 2")

    evaluator._steps[wanted] = (fails, *evaluator._steps[wanted][1:])
    with pytest.raises(McuError) as raised, reported():
        evaluator.run([array.astype(np.float32) for array in outcome.inputs])
    message = raised.value.message
    assert "cortex_m::quantized_linear.out: " in message and "IndexError: axis 2" in message


def test_types_without_a_kernel_are_told_with_operators_before_quantization() -> None:
    class Wide(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.double().mean() + 1, torch.mode(x, 1)[0]

    with pytest.raises(McuError) as refused:
        normalize(torch.export.export(Wide(), (torch.zeros(2, 3),)), Path(__file__))
    line = _line("return x.double().mean() + 1, torch.mode(x, 1)[0]")
    places = re.findall(r"test_refusals\.py:(\d+)", refused.value.message)
    assert set(places) == {str(line)} and "aten::mode" in refused.value.message
    assert "float64: no kernel computes with this type" in refused.value.message
    assert "`.float()`" in (refused.value.hint or "")
