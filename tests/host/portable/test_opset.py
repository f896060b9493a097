"""Every operator of the Core ATen opset, from torch.export to native code, equals PyTorch's.

Which operators these are PyTorch says itself, so none can be forgotten. Floats: sums in another order and two
libraries' functions of values around 1, a few units of the last place; everything else is exact.
"""

from collections.abc import Sequence

import numpy as np
import torch

from mcu_build.ir.plan import Plan
from mcu_build.ir.program import parse
from mcu_build.lower.cortex_m import finish, to_cortex_m
from mcu_build.plan.compile import compile_program
from mcu_build.plan.left_out import left_out
from mcu_build.report.operators import core_opset
from tests.host.portable.opset import Row, rows
from tests.support.cases import run_plans

_ROWS_A_MODEL = 45


class Calls(torch.nn.Module):
    """A model that makes the calls of some rows, each on tensors of its own, and returns all results."""

    def __init__(self, listed: Sequence[Row]) -> None:
        super().__init__()
        self.listed = listed

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        return tuple(t for row in self.listed for a in row.arguments for t in _tensors(a))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = iter(inputs)
        results: list[torch.Tensor] = []
        for row in self.listed:
            arguments = [_filled(argument, given) for argument in row.arguments]
            results += _tensors(row.operator(*arguments, **row.keywords))[: row.results]
        # An output that is an input, or nothing at all, is another test's.
        return tuple(result.clone() for result in results if result.numel())


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for item in value for t in _tensors(item)] if isinstance(value, list | tuple) else []


def _filled(argument: object, given: object) -> object:
    if isinstance(argument, list) and _tensors(argument):
        return [_filled(item, given) for item in argument]
    return next(given) if isinstance(argument, torch.Tensor) else argument  # type: ignore[call-overload]


def plan_of(model: Calls, name: str) -> Plan:
    with torch.no_grad():
        exported = torch.export.export(model.eval(), model.inputs, strict=False)
    return compile_program(parse(finish(to_cortex_m(exported, "host")).pte), name)


def test_every_core_operator_is_called_here_or_left_out():
    # atan2.out is tagged beside atan2: one operator.
    core = {name.removesuffix(".default") for name in core_opset() if not name.endswith(".out")}
    called = {row.name.removesuffix(".default") for row in rows()}
    left = {name for name in core if left_out(name)}
    assert sorted(core - called - left - _MADE_EMPTY - _TRAINED) == []
    assert called & left == set()


# What they return is undefined, or depends on whether the model trains: tests of their own.
_MADE_EMPTY = {"aten::empty.memory_format", "aten::empty_strided"}
_TRAINED = {"aten::_native_batch_norm_legit"}


def test_core_operators_equal_pytorch_s(tmp_path):
    listed = rows()
    parts = [listed[start : start + _ROWS_A_MODEL] for start in range(0, len(listed), _ROWS_A_MODEL)]
    models = [Calls(part) for part in parts]
    plans = [plan_of(model, f"opset_{index}") for index, model in enumerate(models)]
    outputs = run_plans(plans, [t.numpy() for model in models for t in model.inputs], tmp_path)
    position = 0
    for model in models:
        for row, expected in _expected(model):
            want = expected.numpy()
            got = np.frombuffer(outputs, want.dtype, want.size, position).reshape(want.shape)
            position += want.nbytes
            near = 3e-6 if row.close and want.dtype == np.float32 else 0.0
            np.testing.assert_allclose(got, want, near, near, err_msg=row.name)
    assert position == len(outputs)


def _expected(model: Calls) -> list[tuple[Row, torch.Tensor]]:
    return [
        (row, result.contiguous())
        for row in model.listed
        for result in _tensors(row.operator(*row.arguments, **row.keywords))[: row.results]
        if result.numel()
    ]
