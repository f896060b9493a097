"""Convolutions by firmware/kernels/dsp/dsp_conv_taps: dilated, grouped, with a multiplier, transposed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_dsp import Bytes, as_words
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.plan.specialize.dsp_conv import Tiling, tiling, unrolling
from mcu_build.plan.specialize.dsp_rescale import Numbers, array, convolution, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_GROUP_BYTES = 16  # of the patch, for four products
_PART_WORDS = 13  # of DspPart

Taps = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Part:
    """Weights [channels][tap][depth] for `channels` of the output, and where they apply (DspPart)."""

    weights: Bytes
    channels: slice
    taps: Taps
    row: int
    width: int
    input: int
    output: int


@dataclass(frozen=True)
class Walk:
    """From window to window: where the first begins, and how far apart they and their outputs are."""

    origin: Numbers
    step: Numbers
    every: Numbers


def conv2d(context: "Context", step: Step) -> Step | None:
    """conv2d_s8 of any groups and dilation, constant weights."""
    assert step.params is not None
    weights = array(context, step.arguments[1], np.int8)
    if weights is None:
        return None
    return _grouped(context, step, weights, cast(int, step.params.members["groups"]))


def depthwise(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of any multiplier, constant weights: each input channel is a group."""
    assert step.params is not None
    weights = array(context, step.arguments[1], np.int8)
    if weights is None:
        return None
    groups = numbers(step.params.members["input"])["channels"]
    return _grouped(context, step, weights.transpose(3, 1, 2, 0), groups)


def _grouped(context: "Context", step: Step, weights: Bytes, groups: int) -> Step | None:
    """A part for each group, from weights [channels][y][x][depth]."""
    assert step.params is not None
    window = cast(Mapping[str, Value], step.params.members["window"])
    stride, padding, dilation = (numbers(window[name]) for name in ("stride", "padding", "dilation"))
    count, height, width, depth = weights.shape
    each = count // groups
    taps = tuple((y * dilation["y"], x * dilation["x"]) for y, x in product(range(height), range(width)))
    pixels = numbers(step.params.members["output"])["width"]
    parts = [
        Part(
            weights=weights[first : first + each].reshape(each, -1, depth),
            channels=slice(first, first + each),
            taps=taps,
            row=0,
            width=pixels,
            input=first // each * depth,
            output=first,
        )
        for first in range(0, count, each)
    ]
    walk = Walk({axis: -padding[axis] for axis in ("y", "x")}, stride, {"y": 1, "x": 1})
    return _step(context, step, parts, walk)


def transpose(context: "Context", step: Step) -> Step | None:
    """transpose_conv2d_s8: a convolution for each place within a stride, of the weights that reach it."""
    assert step.params is not None
    weights = array(context, step.arguments[1], np.int8)
    if weights is None:
        return None
    stride = numbers(cast(Mapping[str, Value], step.params.members["window"])["stride"])
    output = numbers(step.params.members["output"])
    parts = []
    for row, column in product(range(stride["y"]), range(stride["x"])):
        rows, columns = (_reaching(step, axis, at) for axis, at in (("y", row), ("x", column)))
        chosen = weights[:, [k for k, _ in rows]][:, :, [k for k, _ in columns]]
        parts.append(
            Part(
                weights=chosen.reshape(len(weights), -1, weights.shape[3]),
                channels=slice(None),
                taps=tuple(product((y for _, y in rows), (x for _, x in columns))),
                row=row,
                width=len(range(column, output["width"], stride["x"])),
                input=0,
                output=column * output["channels"],
            )
        )
    return _step(context, step, parts, Walk({"y": 0, "x": 0}, {"y": 1, "x": 1}, stride))


def _reaching(step: Step, axis: str, place: int) -> list[tuple[int, int]]:
    """The weights along an axis that reach the outputs `place`, `place` + stride ..., by their number.

    With each, the first input that it takes there.
    """
    assert step.params is not None
    window = cast(Mapping[str, Value], step.params.members["window"])
    size, stride, padding, dilation = (
        numbers(window[name])[axis] for name in ("size", "stride", "padding", "dilation")
    )
    starts = [(k, place + padding - k * dilation) for k in range(size)]
    return [(k, start // stride) for k, start in starts if start % stride == 0]


def _step(context: "Context", step: Step, parts: Sequence[Part], walk: Walk) -> Step | None:
    assert step.params is not None
    members = step.params.members
    pad_value, image = -cast(int, members["input_offset"]), numbers(members["input"])
    found = _tilings(context, step, parts)
    if found is None or not -128 <= pad_value <= 127:
        return None
    depth = parts[0].weights.shape[2]
    table = list(dict.fromkeys(part.taps for part in parts))
    packed = b"".join(
        _packed(part, made, sum(len(taps) for taps in table[: table.index(part.taps)]))
        for part, made in zip(parts, found, strict=True)
    )
    places = [(y, x, (y * image["width"] + x) * image["channels"]) for taps in table for y, x in taps]
    window_bytes = -(-max(len(part.taps) for part in parts) * depth // 4) * 4
    patch = context.scratch(window_bytes + _GROUP_BYTES * max(made.groups for made in found))
    params: dict[str, Value] = {
        "batch": members["batch"],
        "input": members["input"],
        "output": members["output"],
        "origin": walk.origin,
        "step": walk.step,
        "every": walk.every,
        "parts": len(parts),
        "depth": depth,
        "pad_value": pad_value,
        "window_bytes": window_bytes,
        "bounds": found[0].rescaling.limits,
    }
    output = step.writes[0]
    return replace(
        step,
        kernel=found[0].kernel("dsp_conv_taps"),
        source="dsp_conv_taps",
        params=Params("DspConvTapsParams", params),
        arguments=(
            step.arguments[0],
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            context.constant("taps", DType.I32, (len(places), 3), as_words(np.array(places, np.int64))),
            output,
            patch,
        ),
        writes=(output, patch),
    )


def _tilings(context: "Context", step: Step, parts: Sequence[Part]) -> list[Tiling] | None:
    """Packed weights of each part, all of one unrolling and form."""
    # A part that no weight reaches has one of zero.
    flat = [part.weights.reshape(len(part.weights), -1) for part in parts]
    flat = [weights if weights.shape[1] else np.zeros((len(weights), 1), np.int8) for weights in flat]
    unroll = unrolling(weights.shape[1] for weights in flat)
    found = []
    for part, weights in zip(parts, flat, strict=True):
        rescaling = convolution(context, step, weights, part.channels)
        if rescaling is None:
            return None
        found.append(tiling(weights, rescaling, unroll))
    return found


def _packed(part: Part, made: Tiling, first_tap: int) -> bytes:
    """DspPart and what follows it."""
    rows, columns = [y for y, _ in part.taps] or [0], [x for _, x in part.taps] or [0]
    header = [
        _PART_WORDS + len(made.packed) // 4,
        first_tap,
        len(part.taps),
        made.groups,
        made.pairs,
        part.row,
        part.width,
        part.input,
        part.output,
        *(min(rows), min(columns)),
        *(max(rows), max(columns)),
    ]
    return as_words(np.array(header, np.int64)) + made.packed
