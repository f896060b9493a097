"""Convolutions by firmware/kernels/dsp/dsp_conv2d: which kernel takes a step, and its packed weights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_dsp import Bytes, padded, takes_parts, tiles
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.plan.specialize.dsp_rescale import Rescaling, array, convolution, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_GROUP_BYTES = 16  # of the patch, for four products


@dataclass(frozen=True)
class Tiling:
    """Packed weights of the tile, and what goes with them."""

    packed: bytes
    pairs: int
    groups: int
    unroll: int
    channels: int
    rescaling: Rescaling

    @property
    def params(self) -> dict[str, Value]:
        """The members of DspTileParams."""
        return {
            "groups": self.groups,
            "pairs": self.pairs,
            "channels": self.channels,
            "bounds": self.rescaling.limits,
        }

    def kernel(self, stem: str) -> str:
        """The function of dsp_conv2d.h for this form and unrolling."""
        return f"{stem}_{self.rescaling.form}_x{self.unroll}"


def conv2d(context: "Context", step: Step) -> Step | None:
    """conv2d_s8 of one group with constant weights."""
    assert step.params is not None
    weights = array(context, step.arguments[1], np.int8)
    if weights is None or step.params.members["groups"] != 1:
        return None
    return _convolution(context, step, weights)


def one_channel(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of an image with one channel: a convolution like any other."""
    assert step.params is not None
    weights = array(context, step.arguments[1], np.int8)
    if weights is None or numbers(step.params.members["input"])["channels"] != 1:
        return None
    return _convolution(context, step, weights.transpose(3, 1, 2, 0))


def unrolling(products: Iterable[int]) -> int:
    """That which makes sums of so many products in the fewest instructions."""
    groups = [-(-count // 4) for count in products]
    # 51 instructions for a turn of four groups, 27 for one of two.
    four, two = sum(-(-n // 4) * 51 for n in groups), sum(-(-n // 2) * 27 for n in groups)
    return 4 if four <= two else 2


def tiling(weights: Bytes, rescaling: Rescaling, unroll: int | None = None) -> Tiling:
    """Packed weights from [channels][products]; an unrolling of 0 takes sums of any size."""
    bounds = rescaling.bounds
    if unroll is None:
        long = takes_parts(weights, bounds)
        unroll, bounds = (0, np.zeros_like(bounds)) if long else (unrolling([weights.shape[1]]), bounds)
    flat = padded(weights, max(unroll, 1))
    packed, pairs = tiles(flat, rescaling.scales, bounds)
    return Tiling(packed, pairs, flat.shape[1] // 4, unroll, len(weights), rescaling)


def _convolution(context: "Context", step: Step, weights: Bytes) -> Step | None:
    assert step.params is not None
    members = step.params.members
    window = cast(Mapping[str, Value], members["window"])
    pad_value = -cast(int, members["input_offset"])
    dilation = numbers(window["dilation"])
    # The edge is filled with the value that adds nothing.
    if dict(dilation) != {"y": 1, "x": 1} or not -128 <= pad_value <= 127:
        return None
    channels = len(weights)
    image, output = numbers(members["input"]), numbers(members["output"])
    rescaling = convolution(context, step, weights.reshape(channels, -1))
    if rescaling is None:
        return None
    found = tiling(weights.reshape(channels, -1), rescaling)
    batch = cast(int, members["batch"])
    if is_pointwise(window):
        pixels = batch * image["height"] * image["width"]
        params = Params(
            "DspPointwiseParams", {"pixels": pixels, "depth": image["channels"], "tile": found.params}
        )
        return pointwise_step(context, step, found, params, pixels, image["channels"])
    params = Params(
        "DspConv2dParams",
        {
            "batch": batch,
            "input": members["input"],
            "output": members["output"],
            "window": window,
            "pad_value": pad_value,
            "tile": found.params,
        },
    )
    if image["channels"] % 4 == 0:
        made = _step(context, step, found, "dsp_conv2d", params)
    else:
        made = _step(context, step, found, "dsp_conv2d_bytes", params, 8 + weights[0].size)
    starts = window_starts(batch, image, output, window)
    return replace(made, overlaps={made.reads[0]: distance(starts, output["width"], 2, channels)})


def pointwise_step(
    context: "Context", step: Step, found: Tiling, params: Params, pixels: int, depth: int
) -> Step:
    """A step of dsp_pointwise in place of `step`, whose input is argument 0."""
    made = _step(context, step, found, "dsp_pointwise", params)
    starts = [depth * pixel for pixel in range(pixels)]
    return replace(made, overlaps={made.reads[0]: distance(starts, pixels, 2, found.channels)})


def is_pointwise(window: Mapping[str, Value]) -> bool:
    """Whether a window is one pixel, and each makes one of the output."""
    size, stride, padding = (numbers(window[name]) for name in ("size", "stride", "padding"))
    return all(pair == {"y": 1, "x": 1} for pair in (size, stride)) and padding == {"y": 0, "x": 0}


def _step(context: "Context", step: Step, found: Tiling, stem: str, params: Params, beyond: int = 0) -> Step:
    """A step of `stem`, with `beyond` bytes behind the patch."""
    packed = context.constant("packed_weights", DType.I32, (len(found.packed) // 4,), found.packed)
    patch = context.scratch(_GROUP_BYTES * found.groups + -(-beyond // 4) * 4)
    output = step.writes[0]
    return replace(
        step,
        kernel=found.kernel(stem),
        source="dsp_conv2d",
        params=params,
        arguments=(step.arguments[0], packed, output, patch),
        writes=(output, patch),
    )


def window_starts(
    batch: int, image: Mapping[str, int], output: Mapping[str, int], window: Mapping[str, Value]
) -> list[int]:
    """For each pixel of the output, in order, the first byte of the image that its window reads."""
    stride, padding = numbers(window["stride"]), numbers(window["padding"])
    found = []
    for n in range(batch):
        for oy in range(output["height"]):
            y = min(max(0, oy * stride["y"] - padding["y"]), image["height"])
            for ox in range(output["width"]):
                x = min(max(0, ox * stride["x"] - padding["x"]), image["width"])
                found.append(((n * image["height"] + y) * image["width"] + x) * image["channels"])
    return found


def distance(starts: Iterable[int], width: int, together: int, channels: int) -> int:
    """As plan/overlap.py, where `together` pixels of a row of `width` are read before any of them is written.

    `starts` are the first bytes that each pixel reads; those of the pixels behind are still needed. With 0
    together, a pixel is read until its last byte is written.
    """
    first = list(starts)
    needed = [*first, first[-1] + (1 << 40)]
    for pixel in range(len(first) - 1, -1, -1):
        needed[pixel] = min(needed[pixel], needed[pixel + 1])
    found = 0
    for row in range(0, len(first), width):
        for pixel in range(row, row + width, max(together, 1)):
            end = min(pixel + max(together, 1), row + width)
            found = max(found, end * channels - needed[end if together else pixel])
    return found
