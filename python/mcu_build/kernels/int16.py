"""Layers of int16 by firmware/kernels/dsp and mve: convolutions of one group and linear layers, as products
of rows whose sums have 32 bits. Others stay with the folder's linear_s16 and conv2d_s16."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mcu_build.ir.calls.int16 import Conv2dS16, Conv2dS16Params, DepthwiseS16, LinearS16, TransposeConv2dS16
from mcu_build.ir.calls.struct import NONE, ONE, ImageSize, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context

# Inputs that SMLAD takes with one word of weights.
_GROUP = 4
_ROWS = 2


def dsp(context: Context, step: Step, call: Conv2dS16 | LinearS16) -> Step | None:
    """With weights packed for SXTB16."""
    return _im2col(context, step, call, "dsp_im2col_s16", _GROUP)


def mve(context: Context, step: Step, call: Conv2dS16 | LinearS16) -> Step | None:
    """With weights as they are."""
    return _im2col(context, step, call, "mve_im2col_s16", 1)


def _im2col(
    context: Context, step: Step, call: Conv2dS16 | LinearS16, kernel: str, multiple: int
) -> Step | None:
    weights = context.tensor(call.weights)
    if isinstance(call, DepthwiseS16 | TransposeConv2dS16) or weights.data is None or call.params.is_long:
        return None
    params = _as_convolution(call)
    if params.groups > 1:
        return None
    depth = params.window.size.product * params.input.channels
    padded = -(-depth // multiple) * multiple
    window = params.window
    is_pixel = window.size == ONE and window.padding == NONE and depth == padded
    scratch = None if is_pixel else context.scratch(2 * _ROWS * padded)
    packed = call.weights
    if multiple > 1:
        taps = np.frombuffer(weights.data, np.int8).reshape(params.output.channels, depth)
        data = _packed(taps)
        packed = context.constant(f"{weights.name} (packed)", DType.I32, (len(data) // 4,), data)
    constants = (call.bias, call.multipliers, call.shifts)
    rows, inputs, outputs = params.input.pixels, params.input.channels, params.output.channels
    inplace = {}
    if isinstance(call, LinearS16):
        # Outputs of two rows are written while their inputs are read.
        last = (rows - 1) // _ROWS * _ROWS
        reach = (min(row + _ROWS, rows) * outputs - row * inputs for row in (0, last))
        inplace = {call.input: 2 * max(reach)}
    return replace(
        step,
        kernel=kernel,
        source=kernel,
        params=params,
        arguments=(call.input, packed, *constants, call.output, scratch),
        writes=step.writes if scratch is None else (*step.writes, scratch),
        inplace=inplace,
    )


def _as_convolution(call: Conv2dS16 | LinearS16) -> Conv2dS16Params:
    if isinstance(call, Conv2dS16):
        return call.params
    params = call.params
    read, made = (ImageSize(1, params.rows, channels) for channels in (params.inputs, params.outputs))
    return Conv2dS16Params(1, read, made, Window(ONE, ONE, NONE), 1, params.is_long, params.bounds)


def _packed(taps: npt.NDArray[np.int8]) -> bytes:
    """[outputs / 2][inputs / 4][2 outputs][inputs 0, 2, 1, 3], with zeros for what is missing."""
    outputs, depth = taps.shape
    full = np.zeros((-(-outputs // 2) * 2, -(-depth // _GROUP) * _GROUP), np.int8)
    full[:outputs, :depth] = taps
    groups = full.reshape(len(full) // 2, 2, -1, _GROUP)[..., [0, 2, 1, 3]]
    return groups.transpose(0, 2, 1, 3).tobytes()
