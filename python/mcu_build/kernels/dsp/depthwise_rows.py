"""Depthwise convolutions by firmware/kernels/dsp/dsp_depthwise_rows: for which layers, and their weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import Conv2d, Conv2dParams, DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dilation import filled
from mcu_build.kernels.dsp import convolution as dense
from mcu_build.kernels.dsp import depthwise as windows
from mcu_build.kernels.dsp import depthwise_rows_core as family
from mcu_build.kernels.dsp import taps as gathered
from mcu_build.kernels.dsp.packing import Bytes, as_words
from mcu_build.kernels.dsp.requantize import DspBounds, DspRequantization, array, convolution
from mcu_build.kernels.function import Epilogue

# Zeros between weights take flash: of its cycles, the part that a layer with dilation may keep for them.
_WORTH_ZEROS = 0.5
_TOGETHER = 4  # channels that a word has
_FAR = 2  # times its cycles, from where on a way with less memory is none


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
    lanes: int
    depth: int
    outputs: int
    bounds: DspBounds


@dataclass(frozen=True)
class _Groups:
    """`channels` of the input, `depth` of them a group, of which `outputs` are made."""

    depth: int
    outputs: int
    channels: int

    @property
    def are_channels(self) -> bool:
        """Whether each channel is a group of one output, and those that are widened are made at once."""
        return self.depth == self.outputs == 1

    @property
    def is_plain(self) -> bool:
        """Whether dsp_depthwise serves it, too."""
        return self.are_channels and self.lanes == _TOGETHER

    @property
    def lanes(self) -> int:
        """Channels of the input that are widened together."""
        if self.channels >= _TOGETHER and _TOGETHER % self.depth == 0:
            return _TOGETHER
        return self.depth if self.depth > 1 else self.channels

    def cycles(self, core: family.Core, width: int, read: int, pairs: int) -> float:
        """Modelled cycles of a Cortex-M4 for a row of `width` outputs of all channels.

        `read` rows of the input are widened for it, of `pairs` of columns.
        """
        pair = 20 if self.lanes == _TOGETHER else 9 * self.lanes + 8
        widened = -(-self.channels // self.lanes) * (read * (25 + pair * pairs) + 170)
        if self.are_channels:
            return widened + -(-self.channels // self.lanes) * (100 + self.lanes * core.cycles(width))
        call = 110 + 8 * core.rows + self.outputs * core.cycles(width)
        return widened + self.channels // self.depth * call


def depthwise(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """Any number of outputs a channel; with less memory by dsp_depthwise, or window by window."""
    weights = array(context, call.weights, np.int8)
    others = [
        *dense.one_channel(context, step, call),
        *(windows.depthwise(context, step, call) or gathered.depthwise(context, step, call)),
    ]
    if weights is None or not others:
        return []
    return _ways(context, step, call, weights.transpose(3, 1, 2, 0), call.params.input.channels, others)


def conv2d(context: Context, step: Step, call: Conv2d) -> Sequence[Way]:
    """Groups of up to four input channels; with less memory window by window."""
    weights = array(context, call.weights, np.int8)
    others = [*gathered.conv2d(context, step, call), *dense.conv2d(context, step, call)]
    if weights is None or weights.shape[3] > _TOGETHER or not others:
        return []
    return _ways(context, step, call, weights, call.params.groups, others)


def _ways(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    weights: Bytes,
    groups: int,
    others: Sequence[Way],
) -> Sequence[Way]:
    """By weights [channels][rows][columns][depth]; `others` take less memory."""
    layer, (outputs, _, _, depth) = call.params, weights.shape
    known = -128 <= -layer.input_offset <= 127
    window, taps = filled(layer.window, weights.transpose(1, 2, 0, 3).reshape(*weights.shape[1:3], -1))
    if context.optimize == "size" or not known or depth * window.size.y > family.MOST_ROWS:
        return []
    # A group's channels are further rows.
    flat = taps.reshape(window.size.y, window.size.x, outputs, depth).transpose(2, 3, 0, 1)
    flat = flat.reshape(outputs, depth * window.size.y, window.size.x)
    requantized = convolution(context, call, flat.reshape(outputs, -1))
    if requantized is None:
        return []
    # The image begins with a pair.
    epilogue, phase = (
        Epilogue(requantized.form != "relu", requantized.form == "bounded"),
        window.padding.x % 2,
    )
    each = _Groups(depth, outputs // groups, depth * groups)
    sizes = (flat.shape[1], window.size.x, window.stride.x, phase, layer.output.width)
    core = family.core_of(*sizes, epilogue, outputs, not each.are_channels)
    if core is None:
        return []
    worth = 1.0 if window == layer.window else _WORTH_ZEROS
    other = min(others, key=lambda way: way.cycles)

    def make() -> Step:
        made = _step(context, step, call, replace(layer, window=window), flat, requantized, core, each)
        frugal = each.is_plain or context.optimize == "ram" or other.cycles < _FAR * way.cycles
        return replace(made, low_scratch=(other.make(),) if frugal else ())

    row = each.cycles(core, layer.output.width, min(window.stride.y, window.size.y), layer.input.width // 2)
    way = Way(layer.batch * layer.output.height * row / worth, make)
    return [way]


def _step(
    context: Context,
    step: Step,
    call: Conv2d | DepthwiseConv2d,
    params: Conv2dParams | DepthwiseConv2dParams,
    weights: Bytes,
    requantization: DspRequantization,
    core: family.Core,
    groups: _Groups,
) -> Step:
    """By weights [channels][rows][columns], and the call's parameters without dilation."""
    window = params.window
    stride, padding, width = window.stride.x, window.padding.x, params.input.width
    packed = as_words(family.records(core, weights, requantization.scales).reshape(-1))
    pairs = (core.phase + (params.output.width - 1) * stride + window.size.x + 1) // 2
    lead = (padding + core.phase) // 2
    reached = max(pairs - lead, 0)
    scratch = context.scratch(window.size.y * pairs * family.PAIR)
    inplace = {call.input: _distance(params)} if groups.are_channels else {}
    return replace(
        step,
        kernel="dsp_depthwise_rows" if groups.is_plain else "dsp_group_rows",
        source="dsp_depthwise_rows",
        params=DspDepthwiseRowsParams(
            batch=params.batch,
            input=params.input,
            output=params.output.extent,
            window=window,
            pad_value=-params.input_offset,
            pairs=pairs,
            lead=lead,
            whole=min(width // 2, reached),
            half=width % 2 == 1 and reached > width // 2,
            record=core.record,
            lanes=groups.lanes,
            depth=groups.depth,
            outputs=groups.outputs,
            bounds=requantization.limits,
        ),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            call.output,
            scratch,
        ),
        writes=(call.output, scratch),
        inplace=inplace,
        inplace_multiple=params.input.channels if inplace else 1,
        core=family.emit(core),
    )


def _distance(params: Conv2dParams | DepthwiseConv2dParams) -> int:
    """As the calls' own distances, for a multiple of channels: up to the first row that is read later.

    Pixels are numbered through all images.
    """
    image, output, window = params.input, params.output, params.window
    furthest = 0
    for n in range(params.batch):
        for y in range(output.height):
            below = y * window.stride.y - window.padding.y + window.size.y
            start = (n * image.height + min(max(below, 0), image.height)) * image.width
            if n < params.batch - 1 or start < params.batch * image.height * image.width:
                furthest = max(furthest, (n * output.height + y + 1) * output.width - start)
    return image.channels * furthest
