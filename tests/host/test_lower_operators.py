"""What has to stay int8 does, means the same as in float, and evaluates as PyTorch runs the lowered graph."""

import numpy as np
import pytest

from tests.support.lowering import take
from tests.support.lowering_cases import CASES

# torch has no integer kernel for these, so the lowered graph runs nowhere but in the evaluator.
NOT_IN_TORCH = {"conv, dilated", "conv, dilated depthwise", "conv1d", "transposed conv, dilation", "upsample"}
# ExecuTorch's definition in Python rounds halves to even; CMSIS-NN, its kernels and ours away from zero.
HALVES = {"pool1d"}
# Cores whose linear layers take their bias in another form.
HELIUM = {"linear, 3-D", "attention, projections", "conv, flattened"}


@pytest.mark.parametrize("name", CASES)
def test_stays_int8_and_keeps_its_meaning(name: str) -> None:
    model, example = CASES[name]()
    outcome = take(model, example, "cortex-m55" if name in HELIUM else "cortex-m4")
    assert outcome.float_operators == []
    assert not outcome.lowered.warnings
    # Nothing in the middle leaves int8 and comes back: one dequantize for each output.
    boundary = [row.operator for row in outcome.lowered.operators if row.where == "boundary"]
    assert sum("dequantize" in operator for operator in boundary) == len(outcome.evaluated)
    assert sum("::quantize" in operator for operator in boundary) == len(example)
    assert outcome.relative_error < 0.025
    if name in NOT_IN_TORCH:
        assert outcome.in_torch is None
    else:
        assert outcome.in_torch is not None
        for evaluated, in_torch in zip(outcome.evaluated, outcome.in_torch, strict=True):
            if name in HALVES:
                step = np.diff(np.unique(evaluated)).min()
                assert 0 < np.abs(evaluated - in_torch).max() < 1.01 * step
            else:
                np.testing.assert_array_equal(evaluated, in_torch)
    # An answer that is the same everywhere would agree with much.
    assert all(output.size == 1 or np.ptp(output) > 0 for output in outcome.evaluated)
