"""Depthwise convolutions with channels in lanes by firmware/kernels/mve/mve_depthwise_lanes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import NONE, ONE, ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.function import Epilogue
from mcu_build.kernels.helium import depthwise_lanes_core as family
from mcu_build.kernels.helium.depthwise import distance
from mcu_build.kernels.helium.packing import Bytes, Scales
from mcu_build.kernels.helium.tile_params import constant_bytes, lying, scales_of

_STRIP = 8  # rows of the output at most, beyond which few rows are copied twice
_COPY_CYCLES, _VECTOR_CYCLES = 60, 6  # a row, and each vector of it


@dataclass(frozen=True)
class MveDepthwiseLanesParams(Struct):
    """Parameters of mve_depthwise_lanes.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    pad_value: int
    low: int
    high: int
    strip: int
    columns: int
    together: int
    moved: int


@dataclass(frozen=True)
class MveDepthwiseAloneParams(Struct):
    """Parameters of mve_depthwise_lanes.h, for one pixel."""

    lanes: int
    rows: int
    row_step: int
    back: int
    low: int
    high: int
    tap_step: int


def lanes(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """One output a channel, any window and stride."""
    params = lying(call.params)
    weights, channels = constant_bytes(context, call.weights), params.input.channels
    if weights is None or params.output.channels != channels:
        return []
    taps = weights.reshape(-1, channels)
    requantization = scales_of(context, call, taps.T)
    if requantization is None:
        return []
    if len(taps) == 1 and params.window.stride == ONE and params.window.padding == NONE:
        pixels = params.batch * params.input.pixels
        size = ImageSize(1, pixels, channels)
        params = replace(params, batch=1, input=size, output=size)
    layers = [_Layer(params, requantization, together) for together in _together(params)]
    layer = min(layers, key=lambda layer: layer.cycles)
    if layer.columns <= params.window.padding.x:
        return []
    return [Way(layer.cycles, lambda: _step(context, step, call, layer, taps))]


def _together(params: DepthwiseConv2dParams) -> Iterator[int]:
    """Pixels that may be as good as one: their channels fill vectors."""
    yield 1
    together = family.LANES // gcd(params.input.channels, family.LANES)
    if 1 < together <= params.output.width and params.window.stride.x == 1:
        yield together


@dataclass(frozen=True)
class _Layer:
    """A layer of which so many pixels are as good as one."""

    given: DepthwiseConv2dParams
    scales: Scales
    together: int

    @property
    def core(self) -> family.Core:
        """What makes its sums."""
        window, scales = self.given.window, self.scales
        step = window.dilation.x * self.given.input.channels if window.size.x > 1 else 0
        pixels = 1 if self.is_alone else 2
        epilogue = Epilogue(scales.half_away, scales.clamps)
        return family.Core(window.size.y, window.size.x, step, epilogue, pixels)

    @property
    def is_alone(self) -> bool:
        """Whether there is one pixel."""
        return self.given.batch * self.given.output.pixels == 1

    @property
    def lies(self) -> bool:
        """Whether windows are in the image, and what loads cover beside them too."""
        channels = self.given.input.channels
        lanes = {part * channels for part in (self.together, self.given.output.width % self.together)}
        fills = all(count % family.LANES == 0 for count in lanes)
        return fills and not self.given.window.leaves(self.given.input, self.given.output)

    @property
    def columns(self) -> int:
        """Of rows that are copied."""
        window = self.given.window
        return (self.given.output.width - 1) * window.stride.x + (window.size.x - 1) * window.dilation.x + 1

    def rows(self, strip: int) -> int:
        """That are copied for so many of the output."""
        window = self.given.window
        return (strip - 1) * window.stride.y + (window.size.y - 1) * window.dilation.y + 1

    @property
    def strips(self) -> Sequence[int]:
        """Rows of the output at once, the most first: two at least, whose pixels make pairs."""
        height = self.given.output.height
        first = -(-height // -(-height // _STRIP))
        return list(dict.fromkeys(max(-(-first // (1 << power)), min(first, 2)) for power in range(3)))

    @property
    def cycles(self) -> float:
        """Modelled ones of a Cortex-M55, with the least scratch memory."""
        output, channels = self.given.output, self.given.input.channels
        whole, rest = divmod(output.width, self.together)
        strip = output.height if self.lies else self.strips[-1]
        strips = [min(strip, output.height - row) for row in range(0, output.height, strip)]
        total = 0.0
        for columns, pixels in ((whole, self.together), (min(rest, 1), rest)):
            pairs = sum(-(-rows * columns // 2) for rows in strips)
            calls = output.height * (columns > 1) + -(-output.height // 2) * (columns % 2)
            total += self.core.cycles(pairs, pixels * channels) + calls * family.CALL_CYCLES
        if not self.lies:
            copied = sum(map(self.rows, strips))
            total += copied * (_COPY_CYCLES + _VECTOR_CYCLES * -(-self.columns * channels // 16))
        return self.given.batch * total + (40 if self.is_alone and self.lies else 200)


def _step(context: Context, step: Step, call: DepthwiseConv2d, layer: _Layer, taps: Bytes) -> Step:
    given, scales, together = layer.given, layer.scales, layer.together
    numbers = np.stack([scales.bias, scales.multiplier, scales.addend, scales.shift]).astype(np.int32)
    packed = family.records(np.tile(taps, (1, together)), np.tile(numbers, (1, together)))
    name = context.tensor(call.weights).name
    constant = context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)
    columns = given.input.width if layer.lies else layer.columns
    pitch = given.window.dilation.y * columns * given.input.channels
    if layer.is_alone and layer.lies:
        return _alone(step, call, layer, constant, pitch)
    # Pixels one after the other, or all channels of strips of rows.
    follows = together == 1 or len(taps) == 1
    ways = []
    for strip in [0] if layer.lies else layer.strips:
        params = MveDepthwiseLanesParams(
            batch=given.batch,
            input=given.input,
            output=given.output.extent,
            window=given.window,
            pad_value=-given.input_offset,
            low=given.epilogue.activation_min,
            high=given.epilogue.activation_max,
            strip=strip,
            columns=columns,
            together=together,
            moved=layer.core.moved(pitch),
        )
        size = layer.rows(strip) * columns * given.input.channels + family.LANES
        scratch = context.scratch(size) if strip else None
        rows = (strip, given.output.width) if strip else (1, 1)
        way = replace(
            step,
            kernel="mve_depthwise_lanes_s8",
            source="mve_depthwise_lanes",
            params=params,
            arguments=(call.input, constant, call.output, scratch),
            writes=(call.output, *([scratch] if scratch is not None else [])),
            inplace={call.input: distance(given, *rows)} if strip or follows else {},
            inplace_multiple=given.input.channels,
            core=family.emit(layer.core),
        )
        ways.append(way)
    return replace(ways[0], low_scratch=tuple(ways[1:]))


def _alone(step: Step, call: DepthwiseConv2d, layer: _Layer, records: int, pitch: int) -> Step:
    """One pixel, of rows that are `pitch` bytes apart in the image."""
    given, core = layer.given, layer.core
    params = MveDepthwiseAloneParams(
        lanes=given.input.channels,
        rows=core.rows,
        row_step=pitch - core.columns * core.step,
        back=family.LANES - core.moved(pitch),
        low=given.epilogue.activation_min,
        high=given.epilogue.activation_max,
        tap_step=given.window.dilation.x * given.input.channels,
    )
    return replace(
        step,
        kernel="mve_depthwise_alone_s8",
        source="mve_depthwise_lanes",
        params=params,
        arguments=(call.input, records, call.output),
        writes=(call.output,),
        inplace={call.input: distance(given, 1, 1)},
        inplace_multiple=given.input.channels,
        core=family.emit(core),
    )
