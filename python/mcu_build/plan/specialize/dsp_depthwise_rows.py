"""Depthwise convolutions by firmware/kernels/dsp/dsp_depthwise_rows: for which layers, and their weights."""

from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.dilation import filled
from mcu_build.kernels.dsp import depthwise as family
from mcu_build.kernels.function import Finish
from mcu_build.plan.specialize import dsp_depthwise
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.dsp_packing import as_words
from mcu_build.plan.specialize.dsp_rescale import DspBounds, array, convolution

# Zeros between weights take flash: of its cycles, the part that a layer with dilation may keep for them.
_WORTH_ZEROS = 0.5


@dataclass(frozen=True)
class DspDepthwiseRowsParams(Struct):
    """Parameters of dsp_depthwise_rows.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    pad_value: int
    pairs: int
    lead: int
    whole: int
    half: bool
    record: int
    bounds: DspBounds


def rows(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """One output channel for each of four input channels at least, where that takes fewer cycles.

    Where it does not, or memory is short, by dsp_depthwise.
    """
    given = call.params
    weights = array(context, call.weights, np.int8)
    pad_value, channels = -given.input_offset, given.input.channels
    other = dsp_depthwise.depthwise(context, step, call)
    if other is None or weights is None or context.optimize == "size":
        return other
    size = given.window.size
    window, taps = filled(given.window, weights.reshape(size.y, size.x, channels))
    flat = taps.transpose(2, 0, 1)
    rescaling = convolution(context, call, flat.reshape(channels, -1))
    if rescaling is None:
        return other
    finish = Finish(rescaling.form != "relu", rescaling.form == "bounded")
    stride, padding, width = window.stride.x, window.padding.x, given.input.width
    # The image begins with a pair.
    phase = padding % 2
    core = family.core_of(window.size.y, window.size.x, stride, phase, given.output.width, finish)
    worth = 1.0 if window == given.window else _WORTH_ZEROS
    if core is None or _cycles(call, core) > worth * _cycles_of_taps(call):
        return other
    packed = as_words(family.records(core, flat, rescaling.scales).reshape(-1))
    pairs = (phase + (given.output.width - 1) * stride + window.size.x + 1) // 2
    lead = (padding + phase) // 2
    reached = max(pairs - lead, 0)
    scratch = context.scratch(window.size.y * pairs * family.PAIR)
    made = replace(
        step,
        kernel="dsp_depthwise_rows",
        source="dsp_depthwise_rows",
        params=DspDepthwiseRowsParams(
            batch=given.batch,
            input=given.input,
            output=given.output.extent,
            window=window,
            pad_value=pad_value,
            pairs=pairs,
            lead=lead,
            whole=min(width // 2, reached),
            half=width % 2 == 1 and reached > width // 2,
            record=core.record,
            bounds=rescaling.limits,
        ),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            call.output,
            scratch,
        ),
        writes=(call.output, scratch),
        inplace={call.input: _distance(replace(given, window=window))},
        inplace_multiple=channels,
        core=family.emit(core),
    )
    return replace(made, low_scratch=(other,))


def _cycles(call: DepthwiseConv2d, core: family.Core) -> float:
    """Modelled cycles of a Cortex-M4 for four channels of an image."""
    given = call.params
    read = min(given.window.stride.y, core.rows)
    return given.output.height * core.cycles(given.output.width, read, given.input.width // 2)


def _cycles_of_taps(call: DepthwiseConv2d) -> float:
    """Those of dsp_depthwise.h. That a window meets the image's edge is shared by all channels."""
    given, size = call.params, call.params.window.size
    taps = size.y * size.x
    pixel = 150 if size == Pair(3, 3) else 23 * -(-taps // 2) + 145
    edge = 4 * (4 * taps + 60) / given.input.channels
    return given.output.pixels * (pixel + edge)


def _distance(given: DepthwiseConv2dParams) -> int:
    """As the calls' own distances, for a multiple of channels: up to the first row that is read later.

    Pixels are numbered through all images.
    """
    image, output, window = given.input, given.output, given.window
    found = 0
    for n in range(given.batch):
        for y in range(output.height):
            below = y * window.stride.y - window.padding.y + window.size.y
            start = (n * image.height + min(max(below, 0), image.height)) * image.width
            if n < given.batch - 1 or start < given.batch * image.height * image.width:
                found = max(found, (n * output.height + y + 1) * output.width - start)
    return image.channels * found
