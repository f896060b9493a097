"""Convolutions by firmware/kernels/mve: which kernel takes a step, and its packed weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_mve import (
    LANES,
    Bytes,
    Ints,
    Requantization,
    Scales,
    quads_of_weights,
    scales,
)
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.kernels.helium import convolution

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_PIXELS = 3  # that a kernel computes at once

Numbers = Mapping[str, int]


def conv2d(context: "Context", step: Step) -> Step | None:
    """conv2d_s8 with constant weights."""
    assert step.params is not None
    weights = constant_bytes(context, step.arguments[1])
    if weights is None:
        return None
    if step.params.members["groups"] != 1:
        return _grouped(context, step, weights)
    return _convolution(context, step, weights)


def one_channel(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of an image with one channel: a convolution like any other."""
    assert step.params is not None
    if numbers(step.params.members["input"])["channels"] != 1:
        return None
    weights = constant_bytes(context, step.arguments[1])
    return None if weights is None else _convolution(context, step, weights.transpose(3, 1, 2, 0))


def side_by_side(context: "Context", step: Step) -> Step | None:
    """transpose_conv2d_s8 whose windows do not overlap and fill the output."""
    assert step.params is not None
    given, weights = step.params.members, constant_bytes(context, step.arguments[1])
    image, output = numbers(given["input"]), numbers(given["output"])
    window = cast(Mapping[str, Value], given["window"])
    size, stride, padding, dilation = (
        numbers(window[name]) for name in ("size", "stride", "padding", "dilation")
    )
    fits = stride == size and not any(padding.values()) and set(dilation.values()) == {1}
    fills = output["height"] == image["height"] * size["y"] and output["width"] == image["width"] * size["x"]
    vectors, rest = divmod(image["channels"], LANES)
    if weights is None or not (fits and fills) or rest or image["width"] < _PIXELS:
        return None
    # A row of the window after the other: channels [row][column][output].
    rows = weights.transpose(1, 2, 0, 3).reshape(-1, image["channels"])
    wanted = requantization(context, step, rows, copies=size["y"] * size["x"])
    rescaling = None if wanted is None else scales(wanted)
    if rescaling is None:
        return None
    channels = size["x"] * len(weights)
    lines = [slice(ky * channels, (ky + 1) * channels) for ky in range(size["y"])]
    stage = stage_of(rescaling, channels, step)
    members: dict[str, Value] = {
        "input_rows": cast(int, given["batch"]) * image["height"],
        "window_rows": size["y"],
        "row": {"pixels": image["width"], "vectors": vectors, "stage": stage},
    }
    packed = b"".join(quads_of_weights(rows[line]) for line in lines)
    scale = b"".join(rescaling.part(line).quads() for line in lines)
    params = Params("MveSideBySideParams", members)
    return _packed(context, step, "mve_side_by_side_s8", params, packed, scale, ())


def numbers(value: Value) -> Numbers:
    """A struct of numbers among a step's parameters."""
    return cast(Numbers, value)


def requantization(context: "Context", step: Step, weights: Bytes, copies: int = 1) -> Requantization | None:
    """That of a convolution: `weights` are [copies of channels][products].

    The input's offset goes into the bias.
    """
    assert step.params is not None
    multipliers = _array(context, step.arguments[3], np.int32)
    shifts = _array(context, step.arguments[4], np.int32)
    bias = _array(context, step.arguments[2], np.int32)
    if multipliers is None or shifts is None or (bias is None and step.arguments[2] is not None):
        return None
    wide, stage = weights.astype(np.int64), numbers(step.params.members["stage"])
    offset = cast(int, step.params.members["input_offset"])
    folded = offset * wide.sum(axis=1) + (0 if bias is None else np.tile(bias.astype(np.int64), copies))
    bound = 128 * np.abs(wide).sum(axis=1)
    return Requantization(
        folded,
        bound,
        np.tile(multipliers.astype(np.int64), copies),
        np.tile(shifts.astype(np.int64), copies),
        stage["zero_point"],
        stage["activation_min"],
        stage["activation_max"],
    )


def stage_of(rescaling: Scales, channels: int, step: Step) -> dict[str, Value]:
    """The members of MveConvStage."""
    assert step.params is not None
    stage = numbers(step.params.members["stage"])
    whole = not rescaling.clamps and channels % 4 == 0
    return {
        "channels": channels,
        "whole": whole,
        "plain": whole and not rescaling.ties,
        "ties": rescaling.ties,
        "low": stage["activation_min"],
        "high": stage["activation_max"],
    }


def _convolution(context: "Context", step: Step, weights: Bytes) -> Step | None:
    assert step.params is not None
    rescaling = _rescaling(context, step, weights)
    if rescaling is None:
        return None
    stage = stage_of(rescaling, len(weights), step)
    if _is_pointwise(step.params.members):
        found = _pointwise(context, step, weights, rescaling, stage)
        if found is not None:
            return found
    return _windows(context, step, weights, rescaling, stage)


def _rescaling(context: "Context", step: Step, weights: Bytes) -> Scales | None:
    """That of a convolution whose edge can be filled with the value that adds nothing."""
    assert step.params is not None
    wanted = requantization(context, step, weights.reshape(len(weights), -1))
    fills = -128 <= -cast(int, step.params.members["input_offset"]) <= 127
    return scales(wanted) if wanted is not None and fills else None


def _is_pointwise(members: Mapping[str, Value]) -> bool:
    """Whether it is 1x1 of stride 1."""
    window = cast(Mapping[str, Value], members["window"])
    size, stride, padding = (numbers(window[name]) for name in ("size", "stride", "padding"))
    return all(pair == {"y": 1, "x": 1} for pair in (size, stride)) and padding == {"y": 0, "x": 0}


def _pointwise(
    context: "Context", step: Step, weights: Bytes, rescaling: Scales, stage: Mapping[str, Value]
) -> Step | None:
    assert step.params is not None
    image = numbers(step.params.members["input"])
    channels = image["channels"]
    pixels = cast(int, step.params.members["batch"]) * image["height"] * image["width"]
    rows = weights.reshape(len(weights), -1)
    core = convolution.image_core(1, channels, channels, channels % 4 == 0)
    if context.optimize != "size" and core is not None and pixels >= convolution.PIXELS:
        at_once = convolution.PIXELS
        tiles = Params(
            "MvePointwiseTilesParams", {"pixels": pixels, "depth": channels, "stage": _tile_stage(stage)}
        )
        packed = convolution.spread(rows)
        found = _in_tiles(context, step, "mve_pointwise_tiles_s8", tiles, packed, rescaling, (), core)
    elif context.optimize == "size" and channels % LANES == 0 and pixels >= _PIXELS:
        at_once = _PIXELS
        members: dict[str, Value] = {"pixels": pixels, "vectors": channels // LANES, "stage": stage}
        params = Params("MvePointwiseParams", members)
        found = _replaced(context, step, "mve_pointwise_s8", params, quads_of_weights(rows), rescaling, ())
    else:
        return None
    distance = _pointwise_distance(pixels, at_once, channels, len(weights))
    return replace(found, overlaps={found.reads[0]: distance})


def _tile_stage(stage: Mapping[str, Value]) -> dict[str, Value]:
    """The members of MveTileStage."""
    return {name: stage[name] for name in ("channels", "whole", "plain", "low", "high")}


def _pointwise_distance(pixels: int, at_once: int, inputs: int, outputs: int) -> int:
    """As plan/overlap.py: while pixels are written, they and those behind them are still read."""
    firsts = [min(pixel, pixels - at_once) for pixel in range(0, pixels, at_once)]
    return max((first + at_once) * outputs - first * inputs for first in firsts)


def _windows(
    context: "Context", step: Step, weights: Bytes, rescaling: Scales, stage: Mapping[str, Value]
) -> Step:
    assert step.params is not None
    given = step.params.members if context.optimize == "size" else lying(step.params.members)
    if given is not step.params.members:
        weights = weights.transpose(0, 2, 1, 3)
        step = replace(step, overlaps={})  # a row is computed four pixels by four, the last ones again
    output, rows = numbers(given["output"]), weights.reshape(len(weights), -1)
    common: dict[str, Value] = {
        "batch": given["batch"],
        "input": given["input"],
        "output": {"y": output["height"], "x": output["width"]},
        "window": given["window"],
        "pad_value": -cast(int, given["input_offset"]),
    }
    if context.optimize == "size":  # one kernel for all
        vectors = -(-rows.shape[1] // LANES)
        params = Params("MveConvParams", {**common, "vectors": vectors, "stage": stage})
        patch = context.scratch(_PIXELS * LANES * vectors)
        packed = quads_of_weights(rows)
        return _replaced(context, step, "mve_conv_patches_s8", params, packed, rescaling, (patch,))
    found = _tiles_of(given, weights)
    members: dict[str, Value] = {**common, **found.members, "stage": _tile_stage(stage)}
    scratch = (context.scratch(found.scratch) if found.scratch else None,)
    params = Params("MveWindowTilesParams", members)
    return _in_tiles(context, step, found.kernel, params, found.rows, rescaling, scratch, found.core)


@dataclass(frozen=True)
class _Tiles:
    """A kernel of mve_conv_tiles.h: its weights [channels][vectors * 16], and bytes of scratch memory."""

    kernel: str
    core: convolution.Core
    rows: Bytes
    members: Mapping[str, Value]
    scratch: int


def _tiles_of(given: Mapping[str, Value], weights: Bytes) -> _Tiles:
    """The kernel of tiles for a convolution with these parameters."""
    outputs, height, width, inputs = weights.shape
    window, leaves = cast(Mapping[str, Value], given["window"]), leaves_image(given)
    stride, dilation = numbers(window["stride"])["x"], numbers(window["dilation"])["x"]
    in_rows = dilation == 1 and numbers(given["output"])["width"] >= convolution.PIXELS
    rows = weights.reshape(outputs, -1)
    edge = height * (width + (convolution.PIXELS - 1) * stride) * inputs if leaves else 0
    core = convolution.image_core(height, width * inputs, stride * inputs, inputs % 4 == 0)
    if in_rows and core is not None:
        spread = convolution.spread(weights.reshape(outputs * height, -1)).reshape(outputs, -1)
        members = {"pixel": 0, "vector": 0, "patch_bytes": 0, "rounds": 0}
        return _Tiles("mve_image_tiles_s8", core, spread, members, edge)
    pieces = height * width if dilation != 1 else height
    patch = convolution.patch_of(pieces, height * width * inputs // pieces)
    members = {
        "pixel": patch.pixel,
        "vector": patch.vector,
        "patch_bytes": patch.size,
        "rounds": patch.core.rounds,
    }
    if in_rows and bool(patch.core.pitch) == (patch.nbytes < LANES):
        kernel = "mve_dense_tiles_s8" if patch.core.pitch else "mve_turns_tiles_s8"
    else:
        kernel, edge = "mve_window_tiles_s8", height * width * inputs if leaves else 0
    return _Tiles(kernel, patch.core, patch.vectors_of(rows), members, patch.size + edge)


def _grouped(context: "Context", step: Step, weights: Bytes) -> Step | None:
    """Groups, a few at a time where they are narrow: weights between those are zero."""
    assert step.params is not None
    given = step.params.members
    groups, image, output = cast(int, given["groups"]), numbers(given["input"]), numbers(given["output"])
    rescaling = _rescaling(context, step, weights)
    if rescaling is None or context.optimize == "size":
        return None
    outputs, height, width, depth = weights.shape
    joined = convolution.joined_groups(groups, depth)
    count, depth, outputs = groups // joined, depth * joined, outputs * joined // groups
    wide = convolution.between_groups(weights, groups, joined)
    patch = convolution.patch_of(height * width, depth)
    rows = patch.vectors_of(wide.reshape(len(wide), -1))
    parts = [slice(group * outputs, (group + 1) * outputs) for group in range(count)]
    packed = b"".join(quads_of_weights(rows[part]) for part in parts)
    scale = b"".join(rescaling.part(part).quads() for part in parts)
    windows: dict[str, Value] = {
        "batch": given["batch"],
        "input": given["input"],
        "output": {"y": output["height"], "x": output["width"]},
        "window": given["window"],
        "pad_value": -cast(int, given["input_offset"]),
        "pixel": patch.pixel,
        "vector": patch.vector,
        "patch_bytes": patch.size,
        "rounds": patch.core.rounds,
        "stage": _tile_stage(stage_of(rescaling, outputs, step)),
    }
    members: dict[str, Value] = {
        "windows": windows,
        "groups": {"count": count, "depth": depth, "weights": len(packed) // count},
    }
    edge = height * width * image["channels"] if leaves_image(given) else 0
    scratch = (context.scratch(count * patch.size + edge),)
    params = Params("MveGroupedTilesParams", members)
    found = _packed(context, step, "mve_grouped_tiles_s8", params, packed, scale, scratch)
    return replace(found, source="mve_conv_tiles", core=convolution.emit(patch.core))


def _in_tiles(
    context: "Context",
    step: Step,
    kernel: str,
    params: Params,
    rows: Bytes,
    rescaling: Scales,
    scratch: tuple[int | None, ...],
    core: convolution.Core,
) -> Step:
    packed, scale = quads_of_weights(rows), rescaling.quads()
    found = _packed(context, step, kernel, params, packed, scale, scratch)
    return replace(found, source="mve_conv_tiles", core=convolution.emit(core))


def lying(members: Mapping[str, Value]) -> Mapping[str, Value]:
    """The parameters of the same layer over an image of one row, where the image is one column."""
    image, output = numbers(members["input"]), numbers(members["output"])
    window = cast(Mapping[str, Value], members["window"])
    if (
        image["width"] != 1
        or output["width"] != 1
        or image["height"] == 1
        or numbers(window["size"])["x"] != 1
    ):
        return members
    turned = {name: {"y": numbers(pair)["x"], "x": numbers(pair)["y"]} for name, pair in window.items()}
    sizes = {
        name: {**size, "height": 1, "width": size["height"]}
        for name, size in (("input", image), ("output", output))
    }
    return {**members, **sizes, "window": turned}


def leaves_image(members: Mapping[str, Value]) -> bool:
    """Whether some window reaches beyond the image: before its start, or behind its end."""
    image, output = numbers(members["input"]), numbers(members["output"])
    window = cast(Mapping[str, Value], members["window"])
    size, stride, padding, dilation = (
        numbers(window[name]) for name in ("size", "stride", "padding", "dilation")
    )
    ends = (
        (output[length] - 1) * stride[axis] - padding[axis] + (size[axis] - 1) * dilation[axis]
        >= image[length]
        for axis, length in (("y", "height"), ("x", "width"))
    )
    return any(padding.values()) or any(ends)


def _replaced(
    context: "Context",
    step: Step,
    kernel: str,
    params: Params,
    weights: bytes,
    rescaling: Scales,
    scratch: tuple[int | None, ...],
) -> Step:
    return _packed(context, step, kernel, params, weights, rescaling.quads(), scratch)


def _packed(
    context: "Context",
    step: Step,
    kernel: str,
    params: Params,
    weights: bytes,
    scales: bytes,
    scratch: tuple[int | None, ...],
) -> Step:
    name = context.tensor(step.arguments[1]).name
    packed = context.constant(f"{name} (packed)", DType.I8, (len(weights),), weights)
    scale = context.constant(f"{name} (scales)", DType.I32, (len(scales) // 4,), scales)
    output = step.arguments[5]
    return replace(
        step,
        kernel=kernel,
        source="mve_conv2d",
        params=params,
        arguments=(step.arguments[0], packed, scale, output, *scratch),
        writes=(*step.writes, *(id for id in scratch if id is not None)),
    )


def constant_bytes(context: "Context", id: int | None) -> Bytes | None:
    """An int8 constant; None where it is absent or no constant."""
    return cast("Bytes | None", _array(context, id, np.int8))


def constant_words(context: "Context", id: int | None) -> Ints | None:
    """The values of an int32 constant; None where it is absent or no constant."""
    found = _array(context, id, np.int32)
    return None if found is None else found.reshape(-1).astype(np.int64)


def _array(context: "Context", id: int | None, dtype: type) -> Ints | Bytes | None:
    """A constant's values; None where it is absent or no constant."""
    if id is None:
        return None
    tensor = context.tensor(id)
    return None if tensor.data is None else np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
