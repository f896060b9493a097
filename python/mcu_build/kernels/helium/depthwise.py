"""Depthwise convolutions by firmware/kernels/mve."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ONE, ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.dilation import filled
from mcu_build.kernels.function import Epilogue
from mcu_build.kernels.helium import depthwise_core as family
from mcu_build.kernels.helium.packing import Bytes, Scales, scales
from mcu_build.kernels.helium.tile_params import constant_bytes, lying, requantization_of

_BLOCK = 16  # channels at once


@dataclass(frozen=True)
class MveDepthwiseWindowsParams(Struct):
    """Parameters of mve_depthwise_windows.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    copies: int
    narrow: bool
    pairs: bool
    pad_value: int
    low: int
    high: int
    strip: int
    columns: int
    planes: int
    second: int
    record: int


def windows(context: Context, step: Step, call: DepthwiseConv2d) -> Sequence[Way]:
    """Any windows that a core's gathers reach, any number of outputs a channel."""
    params = lying(call.params)
    window, stride = params.window, params.window.stride.x
    weights = constant_bytes(context, call.weights)
    copies, rest = divmod(params.output.channels, params.input.channels)
    if weights is None or rest:
        return []
    taps = weights.reshape(window.size.y, window.size.x, -1)
    gathered = family.Windows((window.size.y, window.size.x), window.dilation.x)
    if not gathered.fits(stride):
        window, taps = filled(window, taps, rows=False)
        gathered = family.Windows((window.size.y, window.size.x), 1)
    wanted = requantization_of(context, call, weights.reshape(-1, weights.shape[3]).T)
    requantization = None if wanted is None else scales(wanted)
    known = requantization is not None and -128 <= -params.input_offset <= 127
    if requantization is None or not known or not gathered.fits(stride):
        return []
    pairs = gathered.are_pairs and window.stride == ONE and params.output.height > 1
    epilogue = Epilogue(requantization.half_away, requantization.clamps)
    narrow = params.input.channels == 1
    core = family.Core(gathered.bases, gathered.groups, stride, pairs, epilogue, narrow)
    layer = _Layer(replace(params, window=window), gathered, core, copies)
    return [Way(layer.cycles, lambda: _step(context, step, call, layer, taps, requantization))]


@dataclass(frozen=True)
class _Layer:
    """A layer with the core for its windows, without the dilation that gathers do not reach."""

    given: DepthwiseConv2dParams
    windows: family.Windows
    core: family.Core
    copies: int

    def columns(self, strip: int) -> int:
        """In scratch memory for a strip of the output. Sixteen of one channel are written at once."""
        return self.windows.columns(strip, self.core.stride, self.core.pairs) + _BLOCK * self.core.narrow

    @property
    def cycles(self) -> float:
        """Modelled ones of a Cortex-M55."""
        params = self.given
        rows = params.batch * -(-params.output.height // (1 + self.core.pairs))
        read = min(self.columns(params.output.width), params.input.width)
        blocks = -(-params.input.channels // _BLOCK)
        copied = blocks * self.windows.planes * self.core.copy_cycles(read)
        return rows * (
            family.ROW_CYCLES + copied + params.output.channels * self.core.cycles(params.output.width)
        )


def _step(
    context: Context, step: Step, call: DepthwiseConv2d, layer: _Layer, taps: Bytes, requantization: Scales
) -> Step:
    """The layer in one strip, and in narrower ones."""
    depthwise, core, gathered = layer.given, layer.core, layer.windows
    packed = family.records(gathered.vectors_of(taps), requantization.channels(), layer.copies, core.pairs)
    name = context.tensor(call.weights).name
    constant = context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)
    ways = []
    for strip in _narrower(depthwise.output.width, 2 if core.pairs else family.COLUMNS):
        columns = layer.columns(strip)
        plane = columns * core.column
        params = MveDepthwiseWindowsParams(
            batch=depthwise.batch,
            input=depthwise.input,
            output=depthwise.output.extent,
            window=depthwise.window,
            copies=layer.copies,
            narrow=core.narrow,
            pairs=core.pairs,
            pad_value=-depthwise.input_offset,
            low=depthwise.epilogue.activation_min,
            high=depthwise.epilogue.activation_max,
            strip=strip,
            columns=columns,
            planes=gathered.planes,
            second=2 * family.COLUMNS * core.column if gathered.is_wide else plane,
            record=len(packed) // depthwise.output.channels,
        )
        scratch = context.scratch(gathered.planes * plane + _BLOCK)
        way = replace(
            step,
            kernel="mve_depthwise_windows_s8",
            source="mve_depthwise_windows",
            params=params,
            arguments=(call.input, constant, call.output, scratch),
            writes=(call.output, scratch),
            inplace={call.input: distance(depthwise, 1 + core.pairs, strip)} if layer.copies == 1 else {},
            inplace_multiple=depthwise.input.channels,
            core=family.emit(core),
        )
        ways.append(way)
    return replace(ways[0], low_scratch=tuple(ways[1:]))


def _narrower(width: int, step: int) -> Iterator[int]:
    """The width, and narrower strips of whole steps, the widest first."""
    yield width
    yield from dict.fromkeys(-(-width // (count * step)) * step for count in range(2, width // 4 + 1))


def distance(layer: DepthwiseConv2dParams, rows: int, strip: int) -> int:
    """As the calls' own distances, for a multiple of channels: strips of `rows` are read, then written.

    What counts is the first pixel that a later strip reads. Pixels are numbered through all images.
    """
    image, output = layer.input, layer.output
    stride, padding = layer.window.stride, layer.window.padding
    starts, ends = [], []
    for n in range(layer.batch):
        for y in range(0, output.height, rows):
            top = n * image.height + max(0, y * stride.y - padding.y)
            last = n * output.height + min(y + rows, output.height) - 1
            for x in range(0, output.width, strip):
                starts.append(top * image.width + max(0, x * stride.x - padding.x))
                ends.append(last * output.width + min(x + strip, output.width))
    # The lowest of what is read later, from the end on.
    later = list(accumulate(reversed(starts), min))[::-1][1:]
    return image.channels * max((end - start for end, start in zip(ends, later, strict=False)), default=0)
