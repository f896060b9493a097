"""Linear layers by firmware/kernels/dsp: one row by dsp_linear, several as pixels of a convolution."""

from collections.abc import Sequence

import numpy as np

from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp import tile_core
from mcu_build.kernels.dsp.convolution import pointwise_step, tiling
from mcu_build.kernels.dsp.one_row import row_cycles, row_step
from mcu_build.kernels.dsp.requantize import Bytes, DspRequantization, array, requantization


def linear(context: Context, step: Step, call: Linear) -> Sequence[Way]:
    """linear_s8 with constant weights and bias, and a filter offset of 0."""
    weights = array(context, call.weights, np.int8)
    if weights is None or call.params.filter_offset != 0:
        return []
    scale = requantization_of(context, call, weights)
    if scale is None:
        return []
    rows, inputs, outputs = call.params.rows, call.params.inputs, call.params.outputs
    pixels = Way(
        tile_core.pointwise_cycles(rows, inputs, outputs),
        lambda: pointwise_step(context, step, tiling(context, weights, scale), rows, inputs),
    )
    row = Way(row_cycles(inputs, outputs), lambda: row_step(context, step, weights, scale))
    return [row, pixels] if rows == 1 else [pixels]


def requantization_of(context: Context, call: Linear, weights: Bytes) -> DspRequantization | None:
    """One multiplier and shift for all outputs."""
    bias = array(context, call.bias, np.int32)
    if bias is None and call.bias is not None:
        return None
    params, outputs = call.params, len(weights)
    return requantization(
        weights,
        np.zeros(outputs, np.int64) if bias is None else bias.reshape(-1).astype(np.int64),
        params.input_offset,
        [params.multiplier] * outputs,
        [params.shift] * outputs,
        params.epilogue,
    )
