"""Linear layers and sums by firmware/kernels/thumb and thumb2."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.pairs import Add
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.plan.specialize import dsp_elementwise, dsp_linear, thumb_packing
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.dsp_packing import Bytes, Ints
from mcu_build.plan.specialize.dsp_rescale import DspBounds, array
from mcu_build.plan.specialize.thumb_conv import takes

_MOST_INPUTS = 8064  # of thumb2_linear.h


@dataclass(frozen=True)
class ThumbLinearParams(Struct):
    """Parameters of thumb_linear.h."""

    rows: int
    inputs: int
    outputs: int
    bounds: DspBounds


@dataclass(frozen=True)
class Thumb2LinearParams(Struct):
    """Parameters of thumb2_linear.h."""

    rows: int
    inputs: int
    outputs: int
    bounds: DspBounds


def add(context: Context, step: Step, call: Add) -> Step | None:
    """Two dense operands, with the factors of dsp_add.h."""
    return dsp_elementwise.add_by("thumb", step, call)


def linear(context: Context, step: Step, call: Linear) -> Step | None:
    """Constant weights and bias, and a filter offset of 0."""
    return _linear(context, step, call, "thumb_linear", ThumbLinearParams, thumb_packing.linear)


def linear_pairs(context: Context, step: Step, call: Linear) -> Step | None:
    """The same with 64-bit sums, whose rows are not too long."""
    if call.params.inputs > _MOST_INPUTS:
        return None
    return _linear(context, step, call, "thumb2_linear", Thumb2LinearParams, thumb_packing.linear_pairs)


def _linear(
    context: Context,
    step: Step,
    call: Linear,
    source: str,
    struct: Callable[[int, int, int, DspBounds], Struct],
    pack: Callable[[Bytes, Ints], bytes],
) -> Step | None:
    given = call.params
    weights = array(context, call.weights, np.int8)
    if weights is None or given.filter_offset != 0:
        return None
    rescaling = dsp_linear.rescaling_of(context, call, weights)
    if rescaling is None or not takes(rescaling):
        return None
    packed = pack(weights, rescaling.scales)
    return replace(
        step,
        kernel=f"{source}_{rescaling.form}",
        source=source,
        params=struct(given.rows, given.inputs, given.outputs, rescaling.limits),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            call.output,
        ),
        inplace={call.input: call.row_distance},
    )
