"""Layers of few distinct weights: codes and tables give what the weights give, where that saves flash."""

from dataclasses import replace

import numpy as np
import pytest

from mcu_build.kernels.codebooks import ENTRIES
from mcu_build.plan.compile import Settings, compile_program
from tests.host.kernels.definitions import definition, differing, integers, share_that_varies, with_output
from tests.host.kernels.test_convolution import convolutions, expected
from tests.host.kernels.test_matmul import linear
from tests.support.cases import Case, T, program_of, run_plans, split_outputs


def clustered(case: Case, values: int = ENTRIES) -> Case:
    """The case with so many values of weights: in a linear layer, for each output of a convolution."""
    dice = np.random.default_rng(len(case.arguments))
    weights = case.arguments[1]
    assert isinstance(weights, T)
    shape = weights.array.shape
    tables = 1 if len(shape) == 2 else len(weights.array)
    rows = [
        dice.choice(dice.permutation(256)[:values], weights.array.size // tables) - 128 for _ in range(tables)
    ]
    new = T(np.array(rows, np.int8).reshape(shape), weights.dim_order, constant=True)
    return replace(case, arguments=[case.arguments[0], new, *case.arguments[2:]])


def right(case: Case) -> np.ndarray:
    """The definition, of convolutions that dilate, too."""
    return expected(case) if "conv2d" in case.operator else definition(case)


def small_sums(case: Case) -> bool:
    """Whether a linear layer has no filter offset and no folded sums: others are left as they are."""
    return case.arguments[5] == 0 and case.arguments[3] is None


@pytest.mark.parametrize("values", [1, 5, ENTRIES])
def test_codes_equal_the_definition(values, tmp_path, monkeypatch):
    def wherever_possible(steps, coded, saved):
        return [code or step for step, code in zip(steps, coded, strict=True)]

    monkeypatch.setattr("mcu_build.plan.specialize.with_codebooks", wherever_possible)
    monkeypatch.setattr("mcu_build.kernels.codebooks._SHARE", 99)
    cases = [clustered(case, values) for case in [*filter(small_sums, linear()), *convolutions()]]
    plans = [
        compile_program(program_of(case)[0], f"case_{at}", Settings(optimize="size"))
        for at, case in enumerate(cases)
    ]
    kernels = {step.kernel for plan in plans for step in plan.steps}
    assert (
        {"linear_codes_s8", "conv2d_codes_s8"}
        <= kernels
        <= {
            "linear_codes_s8",
            "conv2d_codes_s8",
            "depthwise_conv2d_s8",
        }
    )
    inputs = [array for case in cases for array in program_of(case)[1]]
    outputs = split_outputs(run_plans(plans, inputs, tmp_path), cases)
    assert differing(cases, outputs, right) == []
    assert values == 1 or share_that_varies(outputs) > 0.8
    # A weight of another value shows.
    other = [clustered(case, values + 1) for case in cases]
    assert len(differing(other, outputs, right)) > len(cases) / 2


def layer(values: int, outputs: int = 40) -> Case:
    dice = np.random.default_rng(values)
    x, weights = integers(dice, (1, 64)), integers(dice, (outputs, 64))
    arguments = [T(x), T(weights, constant=True), None, None, 3, 0, 5, [1 << 30], [-9], 127, -128]
    return clustered(with_output("quantized_linear", arguments), values)


@pytest.mark.parametrize(
    ("case", "optimize", "takes"),
    [
        (layer(ENTRIES), "size", True),
        (layer(ENTRIES), "speed", False),
        (layer(ENTRIES + 1), "size", False),
        (layer(ENTRIES, outputs=16), "size", False),  # saves less than the code of the kernel takes
    ],
)
def test_codes_are_taken_where_they_save_more_than_they_cost(case, optimize, takes):
    plan = compile_program(program_of(case)[0], "layer", Settings(optimize=optimize))
    (step,) = plan.steps
    assert (step.kernel == "linear_codes_s8") == takes
    constants = {plan.tensors[id].nbytes for id in step.arguments if id is not None and id not in plan.inputs}
    assert (64 * 40 // 2 in constants) == takes
