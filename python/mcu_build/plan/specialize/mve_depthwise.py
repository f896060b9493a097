"""Depthwise convolutions by firmware/kernels/mve."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from mcu_build.ir.calls.convolution import DepthwiseConv2d, DepthwiseConv2dParams
from mcu_build.ir.calls.struct import ONE, ImageSize, Pair, Struct, Window
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.helium import depthwise as family
from mcu_build.plan.specialize.context import Context
from mcu_build.plan.specialize.mve_conv import constant_bytes, lying, requantization
from mcu_build.plan.specialize.mve_packing import depthwise_records, scales

_BLOCK = 16  # channels at once
_STRIDES = {1: "mve_depthwise_3x3_s8", 2: "mve_depthwise_3x3_stride_2_s8"}
_SHARED = "mve_depthwise_3x3_shared_s8"  # of stride 1
# Rows of the output at once.
_ROWS = {1: 2, 2: 1}


@dataclass(frozen=True)
class MveDepthwiseParams(Struct):
    """Parameters of mve_depthwise_conv2d.h."""

    batch: int
    input: ImageSize
    output: Pair
    padding: Pair
    pad_value: int
    plain: bool
    low: int
    high: int
    strip: int


@dataclass(frozen=True)
class MveDepthwiseWindowsParams(Struct):
    """Parameters of mve_depthwise_windows.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    copies: int
    pad_value: int
    low: int
    high: int
    strip: int
    columns: int
    planes: int
    second: int
    record: int


def depthwise(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """3x3 windows, with as many output as input channels."""
    given = call.params
    stride = _stride(given)
    weights = constant_bytes(context, call.weights)
    if stride is None or weights is None:
        return None
    wanted = requantization(context, call, weights.reshape(9, -1).T)
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None or not -128 <= -given.input_offset <= 127:
        return None
    params = MveDepthwiseParams(
        batch=given.batch,
        input=given.input,
        output=given.output.extent,
        padding=given.window.padding,
        pad_value=-given.input_offset,
        plain=not (rescaling.ties or rescaling.clamps),
        low=given.stage.activation_min,
        high=given.stage.activation_max,
        strip=given.output.width,
    )
    packed = depthwise_records(weights[0], rescaling)
    name = context.tensor(call.weights).name
    records = context.constant(f"{name} (packed)", DType.I32, (len(packed) // 4,), packed)
    ways = []
    for strip in _strips(given, stride):
        columns = context.scratch(4 * _BLOCK * _columns(strip, stride) + _BLOCK)
        way = replace(
            step,
            kernel=_kernel(context, stride),
            source="mve_depthwise_conv2d",
            params=replace(params, strip=strip),
            arguments=(call.input, records, call.output, columns),
            writes=(call.output, columns),
            inplace={call.input: _distance(given, _ROWS[stride], strip)},
            # Outputs of a channel then lie only where inputs of the same channel did.
            inplace_multiple=given.input.channels,
        )
        ways.append(way)
    return replace(ways[0], low_scratch=tuple(ways[1:]))


def windows(context: Context, step: Step, call: DepthwiseConv2d) -> Step | None:
    """Any windows that a core's gathers reach, any number of outputs a channel."""
    given = lying(call.params)
    window, stride = given.window, given.window.stride.x
    weights = constant_bytes(context, call.weights)
    copies, rest = divmod(given.output.channels, given.input.channels)
    if weights is None or rest:
        return None
    gathered = family.Windows((window.size.y, window.size.x), window.dilation.x)
    wanted = requantization(context, call, weights.reshape(-1, weights.shape[3]).T)
    rescaling = None if wanted is None else scales(wanted)
    known = rescaling is not None and -128 <= -given.input_offset <= 127
    if rescaling is None or not known or not gathered.fits(stride):
        return None
    finish: family.Finish = "any" if rescaling.clamps else "ties" if rescaling.ties else "plain"
    core = family.emit(family.Core(gathered.bases, gathered.groups, stride, finish))
    packed = family.records(
        gathered.vectors_of(weights.reshape(*gathered.size, -1)), rescaling.channels(), copies
    )
    name = context.tensor(call.weights).name
    constant = context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)
    ways = []
    for strip in _narrower(given.output.width, family.COLUMNS):
        columns = gathered.columns(strip, stride)
        plane = columns * family.COLUMN
        params = MveDepthwiseWindowsParams(
            batch=given.batch,
            input=given.input,
            output=given.output.extent,
            window=window,
            copies=copies,
            pad_value=-given.input_offset,
            low=given.stage.activation_min,
            high=given.stage.activation_max,
            strip=strip,
            columns=columns,
            planes=gathered.planes,
            second=2 * family.COLUMNS * family.COLUMN if gathered.is_wide else plane,
            record=len(packed) // given.output.channels,
        )
        scratch = context.scratch(gathered.planes * plane + _BLOCK)
        way = replace(
            step,
            kernel="mve_depthwise_windows_s8",
            source="mve_depthwise_windows",
            params=params,
            arguments=(call.input, constant, call.output, scratch),
            writes=(call.output, scratch),
            inplace={call.input: _distance(given, 1, strip)} if copies == 1 else {},
            inplace_multiple=given.input.channels,
            core=core,
        )
        ways.append(way)
    return replace(ways[0], low_scratch=tuple(ways[1:]))


def _narrower(width: int, step: int) -> Iterator[int]:
    """The width, and narrower strips of whole steps, the widest first."""
    yield width
    yield from dict.fromkeys(-(-width // (count * step)) * step for count in range(2, width // 4 + 1))


def _kernel(context: Context, stride: int) -> str:
    """Where both strides occur, their kernels share what they can."""
    return _SHARED if stride == 1 and len(context.once(_strides_of)) > 1 else _STRIDES[stride]


def _strides_of(plan: Plan) -> set[int]:
    """The strides of the layers that these kernels take."""
    calls = (step.call for step in plan.steps)
    strides = (_stride(call.params) for call in calls if isinstance(call, DepthwiseConv2d))
    return {stride for stride in strides if stride is not None}


def _strips(given: DepthwiseConv2dParams, stride: int) -> Iterator[int]:
    """The width, and the strips that a kernel can be told to make instead, the widest first."""
    width, image, before = given.output.width, given.input.width, given.window.padding.x
    yield width
    step = 4 // (3 - stride)  # columns of a vector of outputs
    narrower = dict.fromkeys(-(-width // (count * step)) * step for count in range(2, width // 4 + 1))
    for strip in narrower:
        # With stride 1 two columns at least; everywhere some column of the image.
        last = (width - 1) // strip * strip
        if (stride == 2 or width - last > 1) and before <= 2 and last * stride - before < image:
            yield strip


def _stride(given: DepthwiseConv2dParams) -> int | None:
    """The stride, where a kernel takes the layer."""
    window, stride = given.window, given.window.stride.x
    square = window.size == Pair(3, 3) and window.dilation == ONE and window.stride.y == stride
    if not square or given.input.channels != given.output.channels or stride not in _STRIDES:
        return None
    # The image and its left border lie within the columns.
    fits = window.padding.x + given.input.width <= _columns(given.output.width, stride)
    return stride if fits and given.output.width > 1 else None


def _columns(width: int, stride: int) -> int:
    return width + 2 if stride == 1 else -(-width // 4) * 8 + 2


def _distance(given: DepthwiseConv2dParams, rows: int, strip: int) -> int:
    """As the calls' own distances, for a multiple of channels: strips of `rows` are read, then written.

    What counts is the first pixel that a later strip reads. Pixels are numbered through all images.
    """
    image, output = given.input, given.output
    stride, padding = given.window.stride, given.window.padding
    starts, ends = [], []
    for n in range(given.batch):
        for y in range(0, output.height, rows):
            top = n * image.height + max(0, y * stride.y - padding.y)
            last = n * output.height + min(y + rows, output.height) - 1
            for x in range(0, output.width, strip):
                starts.append(top * image.width + max(0, x * stride.x - padding.x))
                ends.append(last * output.width + min(x + strip, output.width))
    # The lowest of what is read later, from the end on.
    later = list(accumulate(reversed(starts), min))[::-1][1:]
    return image.channels * max((end - start for end, start in zip(ends, later, strict=False)), default=0)
