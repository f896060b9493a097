"""Resizing by firmware/kernels/dsp and mve, averages by thumb too; means and sums have equal weights."""

from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.arithmetic import LINE_BITS, TAP_BITS
from mcu_build.ir.calls.int8 import Resample, ResampleParams
from mcu_build.ir.calls.struct import ImageSize, OutputEpilogue, Pair, Struct
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.requantize import DspScale, array, one_scale

# Magnitude of sums, the bias among them, that the requantization of Armv6-M takes (thumb/requantize.h).
_MOST = (1 << 29) - (1 << 16)
_LINE = 1 << (TAP_BITS - LINE_BITS)  # a multiple of which is exact as a line


@dataclass(frozen=True)
class MeanParams(Struct):
    """Parameters of mean.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    taps: Pair
    stride: Pair
    factor: int
    scale: DspScale


@dataclass(frozen=True)
class RescaledResampleParams(Struct):
    """Parameters of rescaled_resample.h."""

    windows: ResampleParams
    scale: DspScale


@dataclass(frozen=True)
class _Windows:
    """Equal windows along an axis: all of one weight, `stride` apart from the image's begin on."""

    weight: int
    stride: int


def dsp(context: Context, step: Step, call: Resample) -> Step | None:
    """On cores with the DSP extension."""
    return _mean(context, step, call, "dsp_mean") or _resample(context, step, call, "dsp_resample")


def thumb(context: Context, step: Step, call: Resample) -> Step | None:
    """On cores without the extension: means alone."""
    made = _mean(context, step, call, "thumb_mean")
    if made is None or not isinstance(made.params, MeanParams):
        return None
    params, point = made.params, call.params.input_zero_point
    largest = (params.factor // 2) * params.taps.product * max(point + 128, 127 - point)
    return made if largest < _MOST else None


def mve(context: Context, step: Step, call: Resample) -> Step | None:
    """On Helium."""
    return _mean(context, step, call, "mve_mean") or _resample(context, step, call, "mve_resample")


def _mean(context: Context, step: Step, call: Resample, source: str) -> Step | None:
    """Windows of equal weights whose lines need no rounding."""
    layer = call.params
    rows = _windows(context, call.row_starts, call.row_weights)
    columns = _windows(context, call.column_starts, call.column_weights)
    if rows is None or columns is None or columns.weight % _LINE:
        return None
    factor = rows.weight * (columns.weight // _LINE)
    largest = factor * layer.taps.product
    epilogue = OutputEpilogue(layer.output_zero_point, -128, 127)
    bias = -layer.input_zero_point * largest
    scale = one_scale(layer.multiplier, layer.shift, epilogue, 128 * largest, bias)
    if scale is None:
        return None
    stride = Pair(rows.stride, columns.stride)
    params = MeanParams(layer.batch, layer.input, layer.output, layer.taps, stride, 2 * factor, scale)
    return replace(
        step,
        kernel=f"{source}_s8",
        source=source,
        params=_joined(params),
        arguments=(call.input, call.output),
    )


def _resample(context: Context, step: Step, call: Resample, source: str) -> Step | None:
    """Any windows, by their tables."""
    params = call.params
    rows, columns = (array(context, id, np.int16) for id in (call.row_weights, call.column_weights))
    if rows is None or columns is None:
        return None
    line = 255 * int(np.abs(columns.astype(np.int64)).sum(axis=1).max()) // _LINE + 1
    largest = line * int(np.abs(rows.astype(np.int64)).sum(axis=1).max())
    epilogue = OutputEpilogue(params.output_zero_point, -128, 127)
    scale = one_scale(params.multiplier, params.shift, epilogue, largest)
    if scale is None:
        return None
    return replace(step, kernel=f"{source}_s8", source=source, params=RescaledResampleParams(params, scale))


def _windows(context: Context, starts: int, weights: int) -> _Windows | None:
    """Those of a table of resample.h; None where it has others."""
    first, factors = array(context, starts, np.int32), array(context, weights, np.int16)
    if first is None or factors is None:
        return None
    weight = int(factors.flat[0])
    stride = int(first[1]) if len(first) > 1 else 1
    regular = np.array_equal(first, stride * np.arange(len(first)))
    return _Windows(weight, stride) if regular and weight > 0 and (factors == weight).all() else None


def _joined(params: MeanParams) -> MeanParams:
    """The same with columns that no window joins as channels, and rows likewise as images."""
    image, output = params.input, params.output
    if params.taps.x == params.stride.x == 1 and image.width == output.width:
        channels = image.width * image.channels
        image, output = ImageSize(image.height, 1, channels), ImageSize(output.height, 1, channels)
    if params.taps.y == params.stride.y == 1 and image.height == output.height:
        params = replace(params, batch=params.batch * image.height)
        image, output = replace(image, height=1), replace(output, height=1)
    return replace(params, input=image, output=output)
