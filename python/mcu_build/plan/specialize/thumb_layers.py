"""Depthwise convolutions, linear layers and sums by firmware/kernels/thumb and thumb2."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen import packing_thumb
from mcu_build.codegen.packing_dsp import Bytes, Ints
from mcu_build.ir.plan import DType, Params, Step
from mcu_build.plan.specialize import dsp_depthwise, dsp_elementwise, dsp_linear
from mcu_build.plan.specialize.dsp_rescale import array
from mcu_build.plan.specialize.thumb_conv import takes

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_MOST_INPUTS = 8064  # of thumb2_linear.h
_DEPTHWISE = dsp_depthwise.Kernels(
    source="thumb_depthwise",
    params="ThumbDepthwiseParams",
    function=lambda layer: f"thumb_depthwise_{layer.rescaling.form}",
    packed=lambda layer: packing_thumb.depthwise(layer.taps, layer.rescaling.scales),
    takes=lambda layer: takes(layer.rescaling),
    taps=packing_thumb.taps,
    members=lambda layer: {"taps": packing_thumb.taps(layer.taps.shape[1])},
)


def depthwise(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of one output channel for each of four input channels at least."""
    return dsp_depthwise.step_of(_DEPTHWISE, context, step)


def add(context: "Context", step: Step) -> Step | None:
    """add_s8 of two dense operands, with the factors of dsp_add.h."""
    found = dsp_elementwise.add(context, step)
    if found is None:
        return None
    return replace(found, kernel=found.kernel.replace("dsp", "thumb"), source="thumb_add")


def linear(context: "Context", step: Step) -> Step | None:
    """linear_s8 with constant weights and bias, and a filter offset of 0."""
    return _linear(context, step, "thumb_linear", "ThumbLinearParams", packing_thumb.linear)


def linear_pairs(context: "Context", step: Step) -> Step | None:
    """The same with 64-bit sums, whose rows are not too long."""
    assert step.params is not None
    if cast(int, step.params.members["inputs"]) > _MOST_INPUTS:
        return None
    return _linear(context, step, "thumb2_linear", "Thumb2LinearParams", packing_thumb.linear_pairs)


def _linear(
    context: "Context", step: Step, source: str, struct: str, pack: Callable[[Bytes, Ints], bytes]
) -> Step | None:
    assert step.params is not None
    members = step.params.members
    weights = array(context, step.arguments[1], np.int8)
    if weights is None or members["filter_offset"] != 0:
        return None
    rescaling = dsp_linear.rescaling_of(context, step, weights)
    if rescaling is None or not takes(rescaling):
        return None
    packed = pack(weights, rescaling.scales)
    rows, inputs, outputs = (cast(int, members[name]) for name in ("rows", "inputs", "outputs"))
    return replace(
        step,
        kernel=f"{source}_{rescaling.form}",
        source=source,
        params=Params(
            struct, {"rows": rows, "inputs": inputs, "outputs": outputs, "bounds": rescaling.limits}
        ),
        arguments=(
            step.arguments[0],
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            step.writes[0],
        ),
        # A row is read until its last output is made.
        overlaps={step.reads[0]: max((row + 1) * outputs - row * inputs for row in (0, rows - 1))},
    )
