"""Linear layers and sums by firmware/kernels/thumb."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.pairs import Add
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp import elementwise
from mcu_build.kernels.dsp.linear import requantization_of
from mcu_build.kernels.dsp.requantize import Bytes, DspBounds, DspRequantization, array
from mcu_build.kernels.sums import factors
from mcu_build.kernels.thumb import linear_core as family
from mcu_build.kernels.thumb import tile_core
from mcu_build.kernels.thumb.convolution import epilogue_of, pointwise_step, takes, tile_of
from mcu_build.kernels.thumb.packing import fits_blocks, halved


@dataclass(frozen=True)
class ThumbLinearParams(Struct):
    """Parameters of thumb_linear.h."""

    rows: int
    inputs: int
    outputs: int
    bounds: DspBounds


def add(context: Context, step: Step, call: Add) -> Step | None:
    """Two dense operands, with the factors of dsp_add.h."""
    terms = factors(call) if call.params.space.both_dense else None
    return elementwise.add_by("thumb", step, call, terms)


def linear(context: Context, step: Step, call: Linear, *, thumb2: bool) -> Sequence[Way]:
    """Constant weights and bias, and a filter offset of 0: row by row, or four rows as pixels."""
    params = call.params
    weights = array(context, call.weights, np.int8)
    if weights is None or params.filter_offset != 0:
        return []
    requantization = requantization_of(context, call, weights)
    if requantization is None or not takes(requantization):
        return []
    loop = family.loop_of(params.inputs, context.optimize == "size")
    cycles = params.rows * family.cycles(params.inputs, params.outputs)
    ways = [Way(cycles, lambda: _by_rows(context, step, call, weights, requantization, loop, thumb2))]
    if params.rows > 1 and fits_blocks(weights):
        made = tile_of(context, weights, requantization, thumb2)
        cycles = tile_core.cycles(made.loop, params.rows, params.inputs, params.inputs, params.outputs)
        ways.append(Way(cycles, lambda: pointwise_step(context, step, call, made)))
    return ways


def _by_rows(
    context: Context,
    step: Step,
    call: Linear,
    weights: Bytes,
    requantization: DspRequantization,
    loop: family.Loop,
    thumb2: bool,
) -> Step:
    params = call.params
    packed = family.packed(weights, halved(requantization.scales))
    return replace(
        step,
        kernel="thumb_linear",
        source="thumb_linear",
        params=ThumbLinearParams(params.rows, params.inputs, params.outputs, requantization.limits),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            call.output,
        ),
        inplace={call.input: call.row_distance},
        core=family.emit(loop, epilogue_of(requantization), thumb2),
    )
