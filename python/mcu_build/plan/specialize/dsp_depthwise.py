"""Depthwise convolutions by firmware/kernels/dsp/dsp_depthwise: which function takes a step, its weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.codegen.packing_dsp import Bytes
from mcu_build.codegen.packing_dsp import depthwise as packed_depthwise
from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.plan.specialize.dsp_conv import distance, window_starts
from mcu_build.plan.specialize.dsp_rescale import Rescaling, array, convolution, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_POINTER_BYTES = 4


@dataclass(frozen=True)
class Layer:
    """Weights [channels][taps] of a depthwise layer, whether it is 3x3, and its rescaling."""

    taps: Bytes
    nine: bool
    rescaling: Rescaling


@dataclass(frozen=True)
class Kernels:
    """A folder's kernel for depthwise layers: its source, its struct, its function and packed weights.

    `taps` are the pointers in its table for a window of so many taps; `members` are more of its struct.
    """

    source: str
    params: str
    function: Callable[[Layer], str]
    packed: Callable[[Layer], bytes]
    takes: Callable[[Layer], bool]
    taps: Callable[[int], int]
    members: Callable[[Layer], Mapping[str, Value]]


_DSP = Kernels(
    source="dsp_depthwise",
    params="DspDepthwiseParams",
    function=lambda layer: f"dsp_depthwise_{'3x3_' if layer.nine else ''}{layer.rescaling.form}",
    packed=lambda layer: packed_depthwise(layer.taps, layer.rescaling.scales, layer.nine),
    takes=lambda layer: True,
    taps=lambda count: count + count % 2,
    members=lambda layer: {},
)


def depthwise(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8 of one output channel for each of four input channels at least."""
    return step_of(_DSP, context, step)


def step_of(kernels: Kernels, context: "Context", step: Step) -> Step | None:
    """A step of `kernels` that walks over windows by a table of taps. None: they cannot take it."""
    assert step.params is not None
    members = step.params.members
    image, output = numbers(members["input"]), numbers(members["output"])
    window = cast(Mapping[str, Value], members["window"])
    weights = array(context, step.arguments[1], np.int8)
    pad_value, channels = -cast(int, members["input_offset"]), image["channels"]
    if weights is None or channels < 4 or output["channels"] != channels or not -128 <= pad_value <= 127:
        return None
    taps = weights.reshape(-1, channels).T
    rescaling = convolution(context, step, taps)
    if rescaling is None:
        return None
    layer = Layer(taps, dict(numbers(window["size"])) == {"y": 3, "x": 3}, rescaling)
    if not kernels.takes(layer):
        return None
    packed = kernels.packed(layer)
    edge = bytes([pad_value & 0xFF]) * channels
    scratch = context.scratch(_POINTER_BYTES * kernels.taps(taps.shape[1]))
    arguments = (
        step.arguments[0],
        context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
        context.constant("edge", DType.I8, (channels,), edge) if _leaves(image, output, window) else None,
        step.writes[0],
        scratch,
    )
    batch = cast(int, members["batch"])
    params: dict[str, Value] = {
        "batch": batch,
        "input": members["input"],
        "output": {"y": output["height"], "x": output["width"]},
        "window": window,
        **kernels.members(layer),
        "bounds": rescaling.limits,
    }
    starts = window_starts(batch, image, output, window)
    made = replace(
        step,
        kernel=kernels.function(layer),
        source=kernels.source,
        params=Params(kernels.params, params),
        arguments=arguments,
        writes=(step.writes[0], scratch),
    )
    return replace(made, overlaps={made.reads[0]: distance(starts, output["width"], 0, channels)})


def _leaves(image: Mapping[str, int], output: Mapping[str, int], window: Mapping[str, Value]) -> bool:
    """Whether some window reaches beyond the image."""
    padding, stride, size, dilation = (
        numbers(window[name]) for name in ("padding", "stride", "size", "dilation")
    )
    return any(
        padding[axis] > 0
        or (output[length] - 1) * stride[axis] + (size[axis] - 1) * dilation[axis] >= image[length]
        for axis, length in (("y", "height"), ("x", "width"))
    )
