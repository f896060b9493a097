"""Convolutions by firmware/kernels/thumb/thumb_conv2d: which kernel takes a step, and its packed weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_dsp import Bytes
from mcu_build.codegen.packing_thumb import fits_blocks, products, tiles
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.plan.specialize.dsp_conv import distance, is_pointwise, window_starts
from mcu_build.plan.specialize.dsp_rescale import Rescaling, array, convolution, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_PIXELS = 4  # made together
_PATCH_BYTES = 2 * _PIXELS  # for a product
# Magnitude of sums that the requantization of Armv6-M takes (thumb/rescale.h), less than it can.
_MOST = 1 << 28


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


def takes(rescaling: Rescaling) -> bool:
    """Whether thumb/rescale.h can do a rescaling."""
    return bool((rescaling.bounds + np.abs(rescaling.scales[:, 0]) // 2 < _MOST).all())


def _convolution(context: "Context", step: Step, weights: Bytes) -> Step | None:
    assert step.params is not None
    members = step.params.members
    window = cast(Mapping[str, Value], members["window"])
    pad_value = -cast(int, members["input_offset"])
    # The edge is filled with the value that adds nothing.
    if dict(numbers(window["dilation"])) != {"y": 1, "x": 1} or not -128 <= pad_value <= 127:
        return None
    channels = len(weights)
    flat = weights.reshape(channels, -1)
    image, output = numbers(members["input"]), numbers(members["output"])
    rescaling = convolution(context, step, flat)
    if rescaling is None or not takes(rescaling) or not fits_blocks(flat):
        return None
    batch = cast(int, members["batch"])
    tile: dict[str, Value] = {
        "products": products(flat.shape[1]),
        "channels": channels,
        "bounds": rescaling.limits,
    }
    packed = tiles(flat, rescaling.scales)
    patch = context.scratch(_PATCH_BYTES * products(flat.shape[1]))
    arguments: list[int | None] = [
        step.arguments[0],
        context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
    ]
    if is_pointwise(window):
        pixels = batch * image["height"] * image["width"]
        stem = "thumb_pointwise"
        params = Params("ThumbPointwiseParams", {"pixels": pixels, "depth": image["channels"], "tile": tile})
    else:
        edge = bytes([pad_value & 0xFF]) * image["channels"]
        arguments.append(context.constant("edge", DType.I8, (len(edge),), edge))
        stem = "thumb_conv2d"
        sizes = {name: members[name] for name in ("batch", "input", "output", "window")}
        params = Params("ThumbConv2dParams", {**sizes, "tile": tile})
    made = replace(
        step,
        kernel=f"{stem}_{rescaling.form}",
        source="thumb_conv2d",
        params=params,
        arguments=(*arguments, step.writes[0], patch),
        writes=(step.writes[0], patch),
    )
    starts = window_starts(batch, image, output, window)
    return replace(made, overlaps={made.reads[0]: distance(starts, len(starts), _PIXELS, channels)})
