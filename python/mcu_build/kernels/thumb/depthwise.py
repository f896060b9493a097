"""Depthwise convolutions by firmware/kernels/thumb/thumb_depthwise: the core for a layer, its weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dsp.packing import Bytes, as_words
from mcu_build.kernels.dsp.requantize import DspBounds, DspRequantization, array, convolution
from mcu_build.kernels.overlap import distance, furthest, in_rows, needed_from, window_starts
from mcu_build.kernels.thumb import depthwise_core as family
from mcu_build.kernels.thumb.convolution import epilogue_of, takes
from mcu_build.kernels.thumb.packing import halved

_POINTER_BYTES = 4
_ROW_CYCLES = 300  # modelled ones of a Cortex-M0+, for pointers to pixels


@dataclass(frozen=True)
class ThumbDepthwiseParams(Struct):
    """Parameters of thumb_depthwise.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    together: int
    reach: int
    bounds: DspBounds


def depthwise(context: Context, step: Step, call: DepthwiseConv2d, *, thumb2: bool) -> Sequence[Way]:
    """One output channel for each input channel."""
    params, window = call.params, call.params.window
    weights = array(context, call.weights, np.int8)
    pad_value, channels = -params.input_offset, params.input.channels
    if weights is None or params.output.channels != channels or not -128 <= pad_value <= 127:
        return []
    flat = weights.reshape(window.size.y, window.size.x, channels).transpose(2, 0, 1)
    requantization = convolution(context, call, flat.reshape(channels, -1))
    if requantization is None or not takes(requantization):
        return []
    core = family.core_of(
        (window.size.y, window.size.x),
        window.stride.x,
        window.dilation.x,
        params.output.width,
        epilogue_of(requantization),
        thumb2,
        context.optimize == "size",
    )
    if core is None:
        return []
    rows = params.batch * params.output.height
    cycles = rows * (channels * core.cycles(window.size.y, params.output.width) + _ROW_CYCLES)

    def make() -> Step:
        return _step(context, step, call, flat, requantization, core)

    return [Way(cycles, make)]


def _step(
    context: Context,
    step: Step,
    call: DepthwiseConv2d,
    flat: Bytes,
    requantization: DspRequantization,
    core: family.Core,
) -> Step:
    """By weights [channels][rows][columns]."""
    params, window, channels = call.params, call.params.window, call.params.input.channels
    packed = as_words(family.packed(flat, halved(requantization.scales)).reshape(-1))
    edge = bytes([-params.input_offset & 0xFF]) * channels
    needs_edge = call.leaves_image or params.output.width % core.outputs != 0
    table = context.scratch(_POINTER_BYTES * window.size.y * core.reach)
    return replace(
        step,
        kernel="thumb_depthwise",
        source="thumb_depthwise",
        params=ThumbDepthwiseParams(
            params.batch,
            params.input,
            params.output.extent,
            window,
            core.outputs,
            core.reach,
            requantization.limits,
        ),
        arguments=(
            call.input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            context.constant("edge", DType.I8, (channels,), edge) if needs_edge else None,
            call.output,
            table,
        ),
        writes=(call.output, table),
        inplace={call.input: _distance(params, core.outputs)},
        core=family.emit(core),
    )


def _distance(params: DepthwiseConv2dParams, together: int) -> int:
    """As Call.inplace_distances.

    While a channel of a block is stored, later channels of what the block sees are still to be read, and all
    of what later blocks see.
    """
    channels, width = params.input.channels, params.output.width
    starts = window_starts(params.batch, params.input, params.output, params.window)
    blocks = list(in_rows(len(starts), width, together))
    ends = np.array([block.stop - 1 for block in blocks]) * channels
    stored = furthest(ends, needed_from(starts)[[block.start for block in blocks]])
    return max(stored, distance(starts, channels, blocks))
