"""Depthwise convolutions by firmware/kernels/mve."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from mcu_build.codegen.packing_mve import depthwise_records, scales
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.kernels.helium import depthwise as family
from mcu_build.plan.specialize.mve_conv import constant_bytes, lying, numbers, requantization

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_BLOCK = 16  # channels at once
_STRIDES = {1: "mve_depthwise_3x3_s8", 2: "mve_depthwise_3x3_stride_2_s8"}
_SHARED = "mve_depthwise_3x3_shared_s8"  # of stride 1
# Rows of the output at once.
_ROWS = {1: 2, 2: 1}


def depthwise(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of 3x3 windows, with as many output as input channels."""
    assert step.params is not None
    given = step.params.members
    stride = _stride(given)
    weights = constant_bytes(context, step.arguments[1])
    if stride is None or weights is None:
        return None
    wanted = requantization(context, step, weights.reshape(9, -1).T)
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None or not -128 <= -cast(int, given["input_offset"]) <= 127:
        return None
    output, stage = numbers(given["output"]), numbers(given["stage"])
    members: dict[str, Value] = {
        "batch": given["batch"],
        "input": given["input"],
        "output": {"y": output["height"], "x": output["width"]},
        "padding": cast(Mapping[str, Value], given["window"])["padding"],
        "pad_value": -cast(int, given["input_offset"]),
        "plain": not (rescaling.ties or rescaling.clamps),
        "low": stage["activation_min"],
        "high": stage["activation_max"],
    }
    packed = depthwise_records(weights[0], rescaling)
    name = context.tensor(step.arguments[1]).name
    records = context.constant(f"{name} (packed)", DType.I32, (len(packed) // 4,), packed)
    ways = [
        _in_strips(context, step, members, records, strip)
        for strip in _strips(given, output["width"], stride)
    ]
    return replace(ways[0], leaner=tuple(ways[1:]))


def windows(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of any windows that a core's gathers reach, any number of outputs a channel."""
    assert step.params is not None
    given = lying(step.params.members)
    image, output = numbers(given["input"]), numbers(given["output"])
    window = cast(Mapping[str, Value], given["window"])
    stride, dilation = numbers(window["stride"])["x"], numbers(window["dilation"])["x"]
    weights = constant_bytes(context, step.arguments[1])
    copies, rest = divmod(output["channels"], image["channels"])
    if weights is None or rest:
        return None
    size = numbers(window["size"])
    gathered = family.Windows((size["y"], size["x"]), dilation)
    wanted = requantization(context, step, weights.reshape(-1, weights.shape[3]).T)
    rescaling = None if wanted is None else scales(wanted)
    known = rescaling is not None and -128 <= -cast(int, given["input_offset"]) <= 127
    if rescaling is None or not known or not gathered.fits(stride):
        return None
    finish: family.Finish = "any" if rescaling.clamps else "ties" if rescaling.ties else "plain"
    core = family.emit(family.Core(gathered.bases, gathered.groups, stride, finish))
    packed = family.records(
        gathered.vectors_of(weights.reshape(*gathered.size, -1)), rescaling.channels(), copies
    )
    name = context.tensor(step.arguments[1]).name
    constant = context.constant(f"{name} (packed)", DType.I8, (len(packed),), packed)
    ways = []
    for strip in _narrower(output["width"], family.COLUMNS):
        columns = gathered.columns(strip, stride)
        plane = columns * family.COLUMN
        members: dict[str, Value] = {
            "batch": given["batch"],
            "input": given["input"],
            "output": {"y": output["height"], "x": output["width"]},
            "window": given["window"],
            "copies": copies,
            "pad_value": -cast(int, given["input_offset"]),
            "low": numbers(given["stage"])["activation_min"],
            "high": numbers(given["stage"])["activation_max"],
            "strip": strip,
            "columns": columns,
            "planes": gathered.planes,
            "second": 2 * family.COLUMNS * family.COLUMN if gathered.is_wide else plane,
            "record": len(packed) // output["channels"],
        }
        scratch = context.scratch(gathered.planes * plane + _BLOCK)
        source = step.arguments[0]
        assert source is not None
        way = replace(
            step,
            kernel="mve_depthwise_windows_s8",
            source="mve_depthwise_windows",
            params=Params("MveDepthwiseWindowsParams", members),
            arguments=(step.arguments[0], constant, step.arguments[5], scratch),
            writes=(*step.writes, scratch),
            overlaps={source: _distance(given, 1, strip)} if copies == 1 else {},
            overlap_multiple=image["channels"],
            core=core,
        )
        ways.append(way)
    return replace(ways[0], leaner=tuple(ways[1:]))


def _narrower(width: int, step: int) -> Iterator[int]:
    """The width, and narrower strips of whole steps, the widest first."""
    yield width
    yield from dict.fromkeys(-(-width // (count * step)) * step for count in range(2, width // 4 + 1))


def _in_strips(
    context: "Context", step: Step, members: Mapping[str, Value], records: int, strip: int
) -> Step:
    """The step with `strip` columns of the output at once."""
    assert step.params is not None and step.arguments[0] is not None
    source, target = step.arguments[0], step.arguments[5]
    stride = _stride(step.params.members)
    assert stride is not None
    columns = context.scratch(4 * _BLOCK * _columns(strip, stride) + _BLOCK)
    return replace(
        step,
        kernel=_kernel(context, stride),
        source="mve_depthwise_conv2d",
        params=Params("MveDepthwiseParams", {**members, "strip": strip}),
        arguments=(source, records, target, columns),
        writes=(*step.writes, columns),
        overlaps={source: _distance(step.params.members, _ROWS[stride], strip)},
        # Outputs of a channel then lie only where inputs of the same channel did.
        overlap_multiple=numbers(members["input"])["channels"],
    )


def _kernel(context: "Context", stride: int) -> str:
    """Where both strides occur, their kernels share what they can."""
    steps = [step for step in context.plan.steps if step.kernel == "depthwise_conv2d_s8" and step.params]
    strides = {_stride(step.params.members) for step in steps if step.params} - {None}
    return _SHARED if stride == 1 and len(strides) > 1 else _STRIDES[stride]


def _strips(members: Mapping[str, Value], width: int, stride: int) -> Iterator[int]:
    """The width, and the strips that a kernel can be told to make instead, the widest first."""
    yield width
    step = 4 // (3 - stride)  # columns of a vector of outputs
    image = numbers(members["input"])["width"]
    before = numbers(cast(Mapping[str, Value], members["window"])["padding"])["x"]
    narrower = dict.fromkeys(-(-width // (count * step)) * step for count in range(2, width // 4 + 1))
    for strip in narrower:
        # With stride 1 two columns at least; everywhere some column of the image.
        last = (width - 1) // strip * strip
        if (stride == 2 or width - last > 1) and before <= 2 and last * stride - before < image:
            yield strip


def _stride(members: Mapping[str, Value]) -> int | None:
    """The stride, where a kernel takes the step."""
    image, output = numbers(members["input"]), numbers(members["output"])
    window = cast(Mapping[str, Value], members["window"])
    size, stride, padding, dilation = (
        numbers(window[name]) for name in ("size", "stride", "padding", "dilation")
    )
    square = size == {"y": 3, "x": 3} and dilation == {"y": 1, "x": 1} and stride["x"] == stride["y"]
    if not square or image["channels"] != output["channels"] or stride["x"] not in _STRIDES:
        return None
    # The image and its left border lie within the columns.
    fits = padding["x"] + image["width"] <= _columns(output["width"], stride["x"])
    return stride["x"] if fits and output["width"] > 1 else None


def _columns(width: int, stride: int) -> int:
    return width + 2 if stride == 1 else -(-width // 4) * 8 + 2


def _distance(members: Mapping[str, Value], rows: int, strip: int) -> int:
    """As the calls' own distances, for a multiple of channels: strips of `rows` are read, then written.

    What counts is the first pixel that a later strip reads. Pixels are numbered through all images.
    """
    image, output = numbers(members["input"]), numbers(members["output"])
    window = cast(Mapping[str, Value], members["window"])
    stride, padding = numbers(window["stride"]), numbers(window["padding"])
    starts, ends = [], []
    for n in range(cast(int, members["batch"])):
        for y in range(0, output["height"], rows):
            top = n * image["height"] + max(0, y * stride["y"] - padding["y"])
            last = n * output["height"] + min(y + rows, output["height"]) - 1
            for x in range(0, output["width"], strip):
                starts.append(top * image["width"] + max(0, x * stride["x"] - padding["x"]))
                ends.append(last * output["width"] + min(x + strip, output["width"]))
    # The lowest of what is read later, from the end on.
    later = list(accumulate(reversed(starts), min))[::-1][1:]
    return image["channels"] * max((end - start for end, start in zip(ends, later, strict=False)), default=0)
