"""Tensors share a scale where their ranges are alike, and have scales of their own where they are not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mcu_build.ir.plan import DType
from tests.support.lowering import Function, Outcome, take

IMAGE = torch.zeros(1, 3, 8, 8)
POOL, OWN_SCALE = "cortex_m::quantized_avg_pool2d.out", "mcu_build::avg_pool2d.out"


def outcome_of(function: Callable[..., Any], *inputs: torch.Tensor, **modules: nn.Module) -> Outcome:
    torch.manual_seed(3)
    return take(Function(function, **modules), inputs or (IMAGE,), items=16)


def operators(outcome: Outcome) -> list[str]:
    return [call.operator for call in outcome.program.instructions]


def near(found: np.ndarray, wanted: np.ndarray) -> float:
    """Signal to quantization noise in dB."""
    noise = np.square(found.astype(np.float64) - wanted).sum()
    return float(10 * np.log10(np.square(wanted.astype(np.float64)).sum() / noise))


@pytest.mark.parametrize(
    ("power", "window", "expected"), [(0, 2, POOL), (0, 4, OWN_SCALE), (4, 2, OWN_SCALE)]
)
def test_small_means_share_the_scale_of_what_is_alike(power: int, window: int, expected: str) -> None:
    outcome = outcome_of(lambda m, x: F.avg_pool2d(x.pow(power) if power else x + 6, window))
    assert [name for name in operators(outcome) if name in (POOL, OWN_SCALE)] == [expected]
    assert near(outcome.evaluated[0], outcome.in_float[0]) > 30


def test_a_mean_behind_a_layer_is_int8() -> None:
    outcome = outcome_of(
        lambda m, x: m.second(F.avg_pool2d(F.relu(m.first(x)), 2)),
        first=nn.Conv2d(3, 4, 3),
        second=nn.Conv2d(4, 2, 1),
    )
    assert not outcome.float_operators
    assert near(outcome.evaluated[0], outcome.in_float[0]) > 30


def test_a_plain_max_pool_is_executorchs() -> None:
    """Windows that would end beyond an image of odd size are none: our own operator has them."""
    outcome = outcome_of(lambda m, x: F.max_pool2d(m.first(x), 2), first=nn.Conv2d(3, 4, 2))
    assert outcome.evaluated[0].shape == (1, 4, 3, 3)
    assert "cortex_m::quantized_max_pool2d.out" in operators(outcome)


def test_a_mean_over_many_rows_has_equal_weights() -> None:
    """Shares that are no powers of two add up to a whole in the multiplier, not in one of the weights."""
    outcome = outcome_of(lambda m, x: x.pow(4).mean(-1), torch.zeros(1, 4, 1300))
    assert OWN_SCALE in operators(outcome)
    assert near(outcome.evaluated[0], outcome.in_float[0]) > 35


@pytest.mark.parametrize(("factor", "dtype"), [(1.5, DType.I8), (100.0, DType.F32)])
def test_parts_of_an_output_are_joined_as_int8_where_they_are_alike(factor: float, dtype: DType) -> None:
    outcome = outcome_of(
        lambda m, x: torch.cat([m.first(x) * factor, m.second(x).tanh()], 1).flatten(2),
        first=nn.Conv2d(3, 4, 3),
        second=nn.Conv2d(3, 2, 3),
    )
    cat = next(call for call in outcome.program.instructions if call.operator == "aten::cat.out")
    assert outcome.program.values[cat.arguments[-1]].dtype == dtype
    assert outcome.float_operators == []
    (found,), (wanted,) = outcome.evaluated, outcome.in_float
    for part in (slice(0, 4), slice(4, 6)):
        assert near(found[:, part], wanted[:, part]) > 30


def test_parts_in_the_middle_of_a_net_stay_int8() -> None:
    outcome = outcome_of(
        lambda m, x: m.last(torch.cat([m.first(x) * 50, m.first(x)], 1)),
        first=nn.Conv2d(3, 4, 3),
        last=nn.Conv2d(8, 2, 1),
    )
    assert outcome.float_operators == []
    assert sum("dequantize" in name for name in operators(outcome)) == 1


def test_a_clamp_is_part_of_a_convolution_along_one_dimension() -> None:
    outcome = outcome_of(
        lambda m, x: F.relu6(m.second(torch.relu(m.first(x)))),
        torch.zeros(1, 3, 20),
        first=nn.Conv1d(3, 6, 3),
        second=nn.Conv1d(6, 4, 3),
    )
    assert not any("activation" in name for name in operators(outcome))
    assert near(outcome.evaluated[0], outcome.in_float[0]) > 30
    # Where something else reads what is not clamped, the clamp is a table.
    apart = outcome_of(
        lambda m, x: (torch.relu(y := m.first(x)), y), torch.zeros(1, 3, 20), first=nn.Conv1d(3, 6, 3)
    )
    assert any("activation" in name for name in operators(apart))
