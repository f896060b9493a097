"""Linear layers and sums by firmware/kernels/thumb."""

from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.pairs import Add
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.thumb import linear as family
from mcu_build.plan.specialize import dsp_elementwise, dsp_linear
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.dsp_rescale import DspBounds, array
from mcu_build.plan.specialize.thumb_conv import finish_of, takes
from mcu_build.plan.specialize.thumb_packing import halved


@dataclass(frozen=True)
class ThumbLinearParams(Struct):
    """Parameters of thumb_linear.h."""

    rows: int
    inputs: int
    outputs: int
    bounds: DspBounds


def add(context: Context, step: Step, call: Add) -> Step | None:
    """Two dense operands, with the factors of dsp_add.h."""
    return dsp_elementwise.add_by("thumb", step, call)


def linear(context: Context, step: Step, call: Linear, *, thumb2: bool) -> Step | None:
    """Constant weights and bias, and a filter offset of 0."""
    given = call.params
    weights = array(context, call.weights, np.int8)
    if weights is None or given.filter_offset != 0:
        return None
    rescaling = dsp_linear.rescaling_of(context, call, weights)
    if rescaling is None or not takes(rescaling):
        return None
    packed = family.packed(weights, halved(rescaling.scales))
    loop = family.loop_of(given.inputs, context.optimize == "size")
    return replace(
        step,
        kernel="thumb_linear",
        source="thumb_linear",
        params=ThumbLinearParams(given.rows, given.inputs, given.outputs, rescaling.limits),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            call.output,
        ),
        inplace={call.input: call.row_distance},
        core=family.emit(loop, finish_of(rescaling), thumb2),
    )
