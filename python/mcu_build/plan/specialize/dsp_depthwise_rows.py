"""Depthwise convolutions by firmware/kernels/dsp/dsp_depthwise_rows: for which layers, and their weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.dilation import filled
from mcu_build.kernels.dsp import depthwise as family
from mcu_build.kernels.function import Epilogue
from mcu_build.plan.specialize import dsp_depthwise
from mcu_build.plan.specialize.context import Context, Way
from mcu_build.plan.specialize.dsp_packing import Bytes, as_words
from mcu_build.plan.specialize.dsp_requantize import DspBounds, DspRequantization, array, convolution

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


def rows(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """One output channel for each of four input channels at least; with less memory by dsp_depthwise."""
    given = call.params
    weights = array(context, call.weights, np.int8)
    others = dsp_depthwise.depthwise(context, step, call)
    if not others or weights is None or context.optimize == "size":
        return []
    size = given.window.size
    window, taps = filled(given.window, weights.reshape(size.y, size.x, given.input.channels))
    flat = taps.transpose(2, 0, 1)
    found = convolution(context, call, flat.reshape(len(flat), -1))
    if found is None:
        return []
    # The image begins with a pair.
    epilogue, phase = Epilogue(found.form != "relu", found.form == "bounded"), window.padding.x % 2
    core = family.core_of(window.size.y, window.size.x, window.stride.x, phase, given.output.width, epilogue)
    if core is None:
        return []
    worth = 1.0 if window == given.window else _WORTH_ZEROS

    def make() -> Step:
        made = _step(context, step, replace(call, params=replace(given, window=window)), flat, found, core)
        return replace(made, low_scratch=(others[0].make(),))

    return [Way(_cycles(call, core) / worth, make)]


def _step(
    context: Context,
    step: Step,
    call: DepthwiseConv2d,
    weights: Bytes,
    requantization: DspRequantization,
    core: family.Core,
) -> Step:
    """By weights [channels][rows][columns], without dilation."""
    given, window = call.params, call.params.window
    stride, padding, width = window.stride.x, window.padding.x, given.input.width
    packed = as_words(family.records(core, weights, requantization.scales).reshape(-1))
    pairs = (core.phase + (given.output.width - 1) * stride + window.size.x + 1) // 2
    lead = (padding + core.phase) // 2
    reached = max(pairs - lead, 0)
    scratch = context.scratch(window.size.y * pairs * family.PAIR)
    return replace(
        step,
        kernel="dsp_depthwise_rows",
        source="dsp_depthwise_rows",
        params=DspDepthwiseRowsParams(
            batch=given.batch,
            input=given.input,
            output=given.output.extent,
            window=window,
            pad_value=-given.input_offset,
            pairs=pairs,
            lead=lead,
            whole=min(width // 2, reached),
            half=width % 2 == 1 and reached > width // 2,
            record=core.record,
            bounds=requantization.limits,
        ),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            call.output,
            scratch,
        ),
        writes=(call.output, scratch),
        inplace={call.input: _distance(given)},
        inplace_multiple=given.input.channels,
        core=family.emit(core),
    )


def _cycles(call: DepthwiseConv2d, core: family.Core) -> float:
    """Modelled cycles of a Cortex-M4."""
    given = call.params
    read = min(given.window.stride.y, core.rows)
    row = core.cycles(given.output.width, read, given.input.width // 2)
    return given.batch * given.output.height * -(-given.input.channels // 4) * row


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
