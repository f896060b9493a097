"""Linear layers by firmware/kernels/mve."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_mve import Requantization, linear_weights, scales
from mcu_build.plan.ir import DType, Params, Step, Value
from mcu_build.plan.specialize.mve_conv import constant_bytes, constant_words, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_WIDE = 128  # inputs that the unrolled kernels take at once


def linear(context: "Context", step: Step) -> Step | None:
    """linear_s8 with constant weights, without a filter offset."""
    assert step.params is not None
    given = step.params.members
    weights, bias = constant_bytes(context, step.arguments[1]), constant_words(context, step.arguments[2])
    if weights is None or given["filter_offset"] != 0 or (bias is None and step.arguments[2] is not None):
        return None
    wide, stage = weights.astype(np.int64), numbers(given["stage"])
    outputs, inputs = wide.shape
    folded = cast(int, given["input_offset"]) * wide.sum(axis=1) + (0 if bias is None else bias)
    # One multiplier and shift for all outputs: those of the largest sum must do for every one.
    largest = int((128 * np.abs(wide).sum(axis=1) + np.abs(folded)).max())
    one = Requantization(
        np.zeros(1, np.int64),
        np.array([largest]),
        np.array([given["multiplier"]], np.int64),
        np.array([given["shift"]], np.int64),
        stage["zero_point"],
        stage["activation_min"],
        stage["activation_max"],
    )
    rescaling = scales(one)
    if rescaling is None:
        return None
    members: dict[str, Value] = {
        "rows": given["rows"],
        "inputs": inputs,
        "outputs": outputs,
        "multiplier": int(rescaling.multiplier[0]),
        "addend": int(rescaling.addend[0]),
        "shift": int(rescaling.shift[0]),
        "ties": rescaling.ties,
        "low": stage["activation_min"],
        "high": stage["activation_max"],
    }
    small = context.optimize == "size"  # one kernel for all
    # Four outputs are not worth a kernel of twice the size.
    wide_pays = inputs % _WIDE == 0 and outputs > 4 and not small
    kernel = "mve_linear_128n_s8" if wide_pays else "mve_linear_s8"
    if inputs == _WIDE and not small and outputs % 4 == 0 and not rescaling.clamps:
        kernel = "mve_linear_128_s8"
    name = context.tensor(step.arguments[1]).name
    packed = linear_weights(weights)
    words = np.pad(folded, (0, -outputs % 4)).astype(np.int32)
    return replace(
        step,
        kernel=kernel,
        source="mve_linear",
        params=Params("MveLinearParams", members),
        arguments=(
            step.arguments[0],
            context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed),
            context.constant(f"{name} (bias)", DType.I32, (len(words),), words.tobytes()),
            step.arguments[3],
        ),
    )
