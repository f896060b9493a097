"""Layers of few distinct weights equal their definitions on simulated cores, too."""

import pytest

from tests.host.kernels.definitions import differing, share_that_varies
from tests.host.kernels.test_codebook import clustered, right, small_sums
from tests.host.kernels.test_convolution import convolutions
from tests.host.kernels.test_matmul import linear
from tests.support.cases_on_board import plans_on, run_cases_on


@pytest.mark.slow
@pytest.mark.parametrize("board", ["corstone-300", "mps2-an386"])
def test_codes_equal_the_definition(board, monkeypatch):
    def wherever_possible(steps, coded, saved):
        return [code or step for step, code in zip(steps, coded, strict=True)]

    monkeypatch.setattr("mcu_build.plan.specialize.with_codebooks", wherever_possible)
    monkeypatch.setattr("mcu_build.kernels.codebooks._SHARE", 99)
    cases = [clustered(case) for case in [*filter(small_sums, linear()), *convolutions()[:24]]]
    kernels = [step.kernel for plan in plans_on(board, cases, optimize="size") for step in plan.steps]
    assert sum(kernel.endswith("_codes_s8") for kernel in kernels) > len(cases) / 2
    outputs = run_cases_on(board, cases, optimize="size")
    assert differing(cases, outputs, right) == []
    assert share_that_varies(outputs) > 0.8
