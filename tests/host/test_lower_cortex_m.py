"""Lowering: what a program tells about itself, its boundary, its constants, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

from mcu_build.errors import McuError
from mcu_build.frontend.quantize import quantize
from mcu_build.ir.program import KernelCall, TensorValue, parse
from mcu_build.lower.cortex_m import finish, lower, to_cortex_m
from mcu_build.lower.upstream.quiet import quiet
from mcu_build.oracle.reference import evaluate
from tests.support.lowering import Function

Exported = torch.export.ExportedProgram


class Mixed(nn.Module):
    """int8 before and after a cumulative sum, which stays in float."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.first(x))
        x = torch.cumsum(x, 1)
        return torch.softmax(self.last(x), -1)


def _quantized(model: nn.Module, *example: torch.Tensor) -> Exported:
    torch.manual_seed(9)
    draws = [tuple(torch.randn(tensor.shape) for tensor in example) for _ in range(8)]
    with quiet():
        exported = torch.export.export(model.eval(), example)
    return quantize(exported, draws)


@pytest.fixture(scope="module")
def mixed() -> Exported:
    return _quantized(Mixed(), torch.zeros(2, 8))


def _line(text: str) -> int:
    with open(__file__) as file:  # noqa: PTH123
        return next(number for number, line in enumerate(file, 1) if line.strip() == text)


def test_float_operators_are_named_with_their_line(mixed: Exported) -> None:
    lowered = lower(mixed, "cortex-m4")
    layer = f"test_lower_cortex_m.py:{_line('x = torch.cumsum(x, 1)')}"
    floats = [row for row in lowered.operators if row.where == "float"]
    assert [(row.operator, row.layer) for row in floats] == [("aten::cumsum", layer)]
    (warning,) = lowered.warnings
    assert layer in warning
    assert "cumsum" in warning


def test_a_view_of_floats_takes_no_time_and_brings_no_warning() -> None:
    viewed = _quantized(Function(lambda m, x: torch.cumsum(x, 1).view(4, 4)), torch.zeros(2, 8))
    lowered = lower(viewed, "cortex-m4")
    assert [row.operator for row in lowered.operators if row.where == "float"] == [
        "aten::cumsum",
        "aten::view_copy",
    ]
    (warning,) = lowered.warnings
    assert "1 operator stays" in warning and "cumsum" in warning and "view" not in warning


def test_every_call_of_the_program_has_a_row_and_a_line(mixed: Exported) -> None:
    lowered = lower(mixed, "cortex-m4")
    calls = [call for call in parse(lowered.pte).instructions if isinstance(call, KernelCall)]
    names = [call.operator.removesuffix(".out") for call in calls]
    assert names == [row.operator for row in lowered.operators if "view" not in row.operator]
    assert all(call.frames and call.frames[-1].filename == "test_lower_cortex_m.py" for call in calls)
    where = dict(zip(names, calls, strict=True))
    softmax = where["cortex_m::softmax"].frames[-1].lineno
    assert softmax == _line("return torch.softmax(self.last(x), -1)")
    assert b"/tests/" not in lowered.pte


def test_int8_boundary(mixed: Exported) -> None:
    plain, bare = lower(mixed, "cortex-m4"), lower(mixed, "cortex-m4", "int8")
    assert plain.inputs == plain.outputs == (None,)
    (source,), (result,) = bare.inputs, bare.outputs
    assert source is not None
    assert result is not None
    assert (result.scale, result.zero_point) == (1 / 256, -128)
    x = np.random.default_rng(3).normal(size=(2, 8)).astype(np.float32)
    inverse = np.float32(1.0 / source.scale)
    q = np.clip(np.rint(x * inverse) + source.zero_point, -128, 127).astype(np.int8)
    (integers,) = evaluate(parse(bare.pte), [q])
    (reals,) = evaluate(parse(plain.pte), [x])
    assert integers.dtype == np.int8
    np.testing.assert_array_equal(
        (integers.astype(np.float32) - result.zero_point) * np.float32(result.scale), reals
    )
    assert np.any(evaluate(parse(bare.pte), [q[::-1].copy()])[0] != integers)


def test_float_at_the_boundary_stays_float() -> None:
    bare = lower(
        _quantized(Function(lambda m, x: torch.cumsum(x, 1)), torch.zeros(2, 8)), "cortex-m4", "int8"
    )
    assert bare.inputs == bare.outputs == (None,)
    assert bare.warnings


def test_helium_takes_its_bias_in_another_form_with_the_same_result(mixed: Exported) -> None:
    x = np.random.default_rng(4).normal(size=(2, 8)).astype(np.float32)
    programs = {core: lower(mixed, core).pte for core in ("cortex-m0", "cortex-m4", "host", "cortex-m55")}
    assert programs["host"] == programs["cortex-m4"] == programs["cortex-m0"] != programs["cortex-m55"]
    answers = [evaluate(parse(pte), [x])[0] for pte in programs.values()]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answers[0], answer)


def test_no_constant_is_carried_that_nothing_reads() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.Flatten(), nn.Linear(64, 4))
    program = parse(lower(_quantized(model, torch.zeros(1, 3, 6, 6)), "cortex-m55").pte)
    used = {id for call in program.instructions for id in call.arguments}
    constants = {
        id: value.nbytes
        for id, value in enumerate(program.values)
        if isinstance(value, TensorValue) and value.data is not None
    }
    assert set(constants) <= used
    weights = 8 * 3 * 9 + 4 * 8 + 4 * 64
    per_channel = 3 * 4 * (8 + 4) + 4 * 4  # bias, multiplier and shift; kernel sums
    assert sum(constants.values()) == weights + per_channel


def test_operators_without_a_kernel_are_all_named(mixed: Exported) -> None:
    supported = {"cortex_m::quantize_per_tensor.out", "cortex_m::dequantize_per_tensor.out"}
    supported |= {"cortex_m::quantized_linear.out", "cortex_m::quantized_activation.out"}
    with pytest.raises(McuError) as refused:
        lower(mixed, "cortex-m4", supported=supported)
    lines = refused.value.message.splitlines()
    running, last = _line("x = torch.cumsum(x, 1)"), _line("return torch.softmax(self.last(x), -1)")
    assert [line.split(": ")[:2] for line in lines] == [
        [f"test_lower_cortex_m.py:{running}", "aten::cumsum.out"],
        [f"test_lower_cortex_m.py:{last}", "cortex_m::softmax.out"],
    ]
    assert refused.value.hint
    lower(mixed, "cortex-m4", supported={*supported, "aten::cumsum.out", "cortex_m::softmax.out"})


def test_arithmetic_that_knows_no_scales_is_refused() -> None:
    graph = to_cortex_m(_quantized(Function(lambda m, x: x.relu() + x), torch.zeros(2, 8)), "cortex-m4")
    quantizer = next(n for n in graph.graph.nodes if "quantize_per_tensor" in str(n.target))
    wrong = next(n for n in graph.graph.nodes if "quantized_a" in str(n.target))
    from executorch.exir.dialects._ops import ops

    with graph.graph.inserting_before(wrong):
        double = graph.graph.call_function(ops.edge.aten.add.Tensor, (quantizer, quantizer))
    double.meta = dict(quantizer.meta)
    wrong.replace_input_with(quantizer, double)
    with pytest.raises(McuError, match=r"aten::add\.Tensor: it would take int8 numbers without their scale"):
        finish(graph)


def test_average_pool_and_softmax_are_exact_in_float32() -> None:
    # A mean that shares the scale of what it averages.
    model = Function(lambda m, x: torch.softmax(torch.nn.functional.avg_pool2d(x + 9, 2).flatten(1), -1))
    program = parse(lower(_quantized(model, torch.zeros(1, 3, 6, 6)), "cortex-m4").pte)
    calls = {call.operator: call for call in program.instructions if isinstance(call, KernelCall)}
    pool = [program.values[id] for id in calls["cortex_m::quantized_avg_pool2d.out"].arguments]
    assert pool[6:8] == [1 << 30, 1]
    multiplier = program.values[calls["cortex_m::softmax.out"].arguments[4]]
    assert isinstance(multiplier, int)
    assert multiplier % (1 << 16) == 0
    assert 1 << 30 <= multiplier < 1 << 31
