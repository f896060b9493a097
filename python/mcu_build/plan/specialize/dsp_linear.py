"""Linear layers by firmware/kernels/dsp: one row by dsp_linear, several as pixels of a convolution."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_dsp import linear as packed_linear
from mcu_build.codegen.packing_dsp import padded, takes_parts
from mcu_build.ir.plan import DType, Params, Step
from mcu_build.plan.specialize.dsp_conv import pointwise_step, tiling
from mcu_build.plan.specialize.dsp_rescale import Bytes, Rescaling, array, numbers, rescaling

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context


def linear(context: "Context", step: Step) -> Step | None:
    """linear_s8 with constant weights and bias, and a filter offset of 0."""
    assert step.params is not None
    members = step.params.members
    weights = array(context, step.arguments[1], np.int8)
    if weights is None or members["filter_offset"] != 0:
        return None
    scale = rescaling_of(context, step, weights)
    if scale is None:
        return None
    rows, inputs = (cast(int, members[name]) for name in ("rows", "inputs"))
    if rows > 1:
        found = tiling(weights, scale)
        params = Params("DspPointwiseParams", {"pixels": rows, "depth": inputs, "tile": found.params})
        return pointwise_step(context, step, found, params, rows, inputs)
    flat, bounds = padded(weights, 1), scale.bounds
    form: str = scale.form
    if takes_parts(flat, bounds):
        form, bounds = f"long_{form}", np.zeros_like(bounds)
    packed, fours = packed_linear(flat, scale.scales, bounds)
    return replace(
        step,
        kernel=f"dsp_linear_{form}",
        source="dsp_linear",
        params=Params("DspLinearParams", {"inputs": inputs, "fours": fours, "bounds": scale.limits}),
        arguments=(
            step.arguments[0],
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            step.writes[0],
        ),
        # The whole row is read until the end.
        overlaps={step.reads[0]: len(weights)},
    )


def rescaling_of(context: "Context", step: Step, weights: Bytes) -> Rescaling | None:
    """One multiplier and shift for all outputs."""
    assert step.params is not None
    members = step.params.members
    bias = array(context, step.arguments[2], np.int32)
    if bias is None and step.arguments[2] is not None:
        return None
    outputs = len(weights)
    return rescaling(
        weights,
        np.zeros(outputs, np.int64) if bias is None else bias.reshape(-1).astype(np.int64),
        cast(int, members["input_offset"]),
        [cast(int, members["multiplier"])] * outputs,
        [cast(int, members["shift"])] * outputs,
        numbers(members["stage"]),
    )
