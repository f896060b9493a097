"""Steps for firmware/kernels/cmsis_nn: calls of the user's CMSIS-NN where its arithmetic is the program's.

Its kernels promise nothing for outputs that overlap inputs: no step keeps its overlaps. Sizes of its buffers
are the largest that it asks for on any core with this instruction set (CMSIS-NN 7); the glue checks them.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from mcu_build.ir.plan import DType, Params, Step, Value
from mcu_build.plan.specialize.dsp_rescale import array, numbers

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context, Specializer

_SOURCE = "cmsis_nn"
_ROUNDED_WEIGHTS = 16  # a window's bytes are rounded up to a vector
_WINDOWS = 4  # brought together at a time
_DEPTHWISE_CHANNELS = 124  # of a block, on Helium
_FARTHEST = 31  # shift to the right


def conv2d(context: "Context", step: Step) -> Step | None:
    """conv2d_s8 of one group."""
    assert step.params is not None
    members = step.params.members
    if members["groups"] != 1 or not _shifts_right(context, step.arguments[4]):
        return None
    window = cast(Mapping[str, Value], members["window"])
    wanted = 0 if _one_pixel(window) else _window_bytes(members, window)
    return _with_scratch(context, _with_bias(context, step), "CmsisNnConv2dParams", "conv", wanted)


def depthwise(context: "Context", step: Step) -> Step | None:
    """depthwise_conv2d_s8."""
    assert step.params is not None
    members = step.params.members
    if not _shifts_right(context, step.arguments[4]):
        return None
    window = cast(Mapping[str, Value], members["window"])
    size, image, output = numbers(window["size"]), numbers(members["input"]), numbers(members["output"])
    taps = size["y"] * size["x"]
    wanted = 0
    if image["channels"] == output["channels"]:
        wanted = taps * max(2 * image["channels"], _WINDOWS * _DEPTHWISE_CHANNELS)
    elif image["channels"] == 1:
        # Helium turns it into a convolution, and its weights with it.
        wanted = _window_bytes(members, window) + taps * output["channels"]
    return _with_scratch(context, _with_bias(context, step), "CmsisNnDepthwiseParams", "conv", wanted)


def linear(context: "Context", step: Step) -> Step | None:
    """linear_s8 of constant weights, the input's offset in a bias of our own."""
    assert step.params is not None
    members = dict(step.params.members)
    weights = array(context, step.arguments[1], np.int8)
    bias = array(context, step.arguments[2], np.int32)
    if (
        weights is None
        or (bias is None and step.arguments[2] is not None)
        or members["filter_offset"] != 0
        or not -_FARTHEST <= cast(int, members["shift"]) <= 0
    ):
        return None
    sums = weights.astype(np.int64).sum(axis=1) * cast(int, members["input_offset"])
    sums += 0 if bias is None else bias.reshape(-1)
    if np.abs(sums).max(initial=0) >= 1 << 31:
        return None
    folded = context.constant("sums", DType.I32, sums.shape, sums.astype("<i4").tobytes())
    source, kernel, _ = step.arguments[:3]
    return _call(
        replace(step, arguments=(source, kernel, folded, *step.arguments[3:])),
        Params("LinearParams", {**members, "input_offset": 0}),
    )


def dense_pair(context: "Context", step: Step) -> Step | None:
    """add_s8 and mul_s8 of two operands of one shape in one order."""
    assert step.params is not None
    members = step.params.members
    walk = cast(Mapping[str, tuple[int, ...]], members["walk"])
    shape = walk["shape"]
    dense = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if any(
        size > 1 and have != want
        for name in ("first", "second")
        for size, have, want in zip(shape, walk[name], dense, strict=True)
    ):
        return None
    operands = [numbers(members[name]) for name in ("first", "second") if name in members]
    shifts = [cast(int, members["shift"]), *(operand["shift"] for operand in operands)]
    return _call(step) if all(-_FARTHEST <= shift <= 0 for shift in shifts) else None


def average(context: "Context", step: Step) -> Step | None:
    """avg_pool2d_s8 where no average is a tie, which CMSIS-NN rounds otherwise than the program."""
    assert step.params is not None
    members = step.params.members
    window = cast(Mapping[str, Value], members["window"])
    size, stride, image = numbers(window["size"]), numbers(window["stride"]), numbers(members["input"])
    output, padding = numbers(members["output"]), numbers(window["padding"])
    whole = all(
        padding[axis] == 0 and (output[length] - 1) * stride[axis] + size[axis] <= image[length]
        for axis, length in (("y", "height"), ("x", "width"))
    )
    if not whole or size["y"] * size["x"] % 2 == 0:
        return None
    return _with_scratch(context, step, "CmsisNnAvgPool2dParams", "pool", 4 * image["channels"])


def maximum(context: "Context", step: Step) -> Step | None:
    """max_pool2d_s8."""
    return _call(step)


TABLE: "Mapping[str, tuple[Specializer, ...]]" = {
    "conv2d_s8": (conv2d,),
    "depthwise_conv2d_s8": (depthwise,),
    "linear_s8": (linear,),
    "add_s8": (dense_pair,),
    "mul_s8": (dense_pair,),
    "avg_pool2d_s8": (average,),
    "max_pool2d_s8": (maximum,),
}


def _call(step: Step, params: Params | None = None) -> Step:
    return replace(
        step,
        kernel=f"cmsis_nn_{step.kernel}",
        source=_SOURCE,
        params=params or step.params,
        overlaps={},
    )


def _with_scratch(context: "Context", step: Step, struct: str, member: str, wanted: int) -> Step:
    """The call of `step` with a buffer; its parameters become the struct's member."""
    assert step.params is not None
    made = _call(step, Params(struct, {member: step.params.members, "scratch": wanted}))
    buffer = context.scratch(wanted) if wanted else None
    written = (*step.writes, buffer) if buffer is not None else step.writes
    return replace(made, arguments=(*step.arguments, buffer), writes=written)


def _with_bias(context: "Context", step: Step) -> Step:
    """A bias of zeros where the layer has none: not every kernel of CMSIS-NN looks."""
    source, weights, bias, *others = step.arguments
    if bias is None:
        channels = context.tensor(others[0]).elements
        bias = context.constant("bias", DType.I32, (channels,), bytes(4 * channels))
    return replace(step, arguments=(source, weights, bias, *others))


def _shifts_right(context: "Context", id: int | None) -> bool:
    shifts = array(context, id, np.int32)
    return shifts is not None and bool(((shifts <= 0) & (shifts >= -_FARTHEST)).all())


def _one_pixel(window: Mapping[str, Value]) -> bool:
    return dict(numbers(window["size"])) == {"y": 1, "x": 1} and not any(numbers(window["padding"]).values())


def _window_bytes(members: Mapping[str, Value], window: Mapping[str, Value]) -> int:
    size, image = numbers(window["size"]), numbers(members["input"])
    # A window of one row may be given its padding on both sides as well.
    columns = size["x"] + 2 * numbers(window["padding"])["x"] if size["y"] == 1 else size["x"]
    count = size["y"] * columns * image["channels"]
    return _WINDOWS * -(-count // _ROUNDED_WEIGHTS) * _ROUNDED_WEIGHTS
