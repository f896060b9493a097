"""Compare the NPU's model with the TOSA reference model."""

from typing import Any

import numpy as np

from mcu_build.npu import simulate
from mcu_build.npu.config import find
from tests.support.npu_cases import Case

# Fast scratch of U65 with memory mode Dedicated_Sram_384KB.
FAST_BYTES = 384 * 1024


def modelled(case: Case, run: int, payload: Any = None) -> list[np.ndarray]:
    """What the model gives for inputs[run], in the types and shapes of the reference's outputs."""
    found = simulate.run(payload or case.payload, find(case.target), case.inputs[run], FAST_BYTES)
    expected = case.outputs[run]
    return [np.frombuffer(f, e.dtype).reshape(e.shape) for f, e in zip(found, expected, strict=True)]


def mismatches(case: Case, run: int, payload: Any = None) -> list[int]:
    """Different elements of each output."""
    found = modelled(case, run, payload)
    return [int((f != e).sum()) for f, e in zip(found, case.outputs[run], strict=True)]


def constant_outputs(case: Case) -> list[int]:
    """Outputs that are the same in every run: a comparison of those proves nothing."""
    first, *others = case.outputs
    return [i for i in range(len(first)) if all(np.array_equal(first[i], o[i]) for o in others)]


def check_exact(case: Case) -> None:
    """Every output of every run equals the reference's, and every output varies."""
    assert constant_outputs(case) == []
    for run in range(len(case.inputs)):
        found = mismatches(case, run)
        assert found == [0] * len(found), f"{case.target}, run {run}: different elements by output: {found}"
