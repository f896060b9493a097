"""Steps that another step can do on the way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from mcu_build.plan.ir import Params, Plan, Step
from mcu_build.plan.ir import Value as Member

# Kernels that add nothing for what lies outside the image, which is what the zero point would add.
_CONVOLUTIONS = ("conv2d_s8", "depthwise_conv2d_s8")

Members = Mapping[str, Member]


def fuse_padding(plan: Plan) -> Plan:
    """Let convolutions pad: a pad with the input's zero point writes a whole tensor for nothing."""
    steps = list(plan.steps)
    for pad in plan.steps:
        users = [index for index, step in enumerate(steps) if pad.writes[0] in step.reads]
        padded = [_padding_itself(plan, pad, steps[index]) for index in users]
        if not users or pad.writes[0] in plan.outputs or None in padded or _is_aliased(plan, pad.writes[0]):
            continue
        for index, step in zip(users, padded, strict=True):
            steps[index] = cast(Step, step)
        steps.remove(pad)
    return replace(plan, steps=tuple(steps))


def _is_aliased(plan: Plan, id: int) -> bool:
    return any(tensor.alias_of == id for tensor in plan.tensors.values())


def _padding_itself(plan: Plan, pad: Step, step: Step) -> Step | None:
    """`step` reading what `pad` reads, or None where the two are not a pad and a convolution that fit."""
    if pad.kernel != "pad_x8" or step.kernel not in _CONVOLUTIONS or step.arguments[0] != pad.writes[0]:
        return None
    if pad.writes[0] in step.arguments[1:]:
        return None
    assert pad.params is not None and step.params is not None
    border, members = pad.params.members, step.params.members
    image = _image_border(border)
    if image is None or _signed(cast(int, border["value"])) != -cast(int, members["input_offset"]):
        return None
    height, width, top, left = image
    window = cast(Members, members["window"])
    padding = cast(Mapping[str, int], window["padding"])
    grown = {"y": padding["y"] + top, "x": padding["x"] + left}
    source = {**cast(Members, members["input"]), "height": height, "width": width}
    changed = {**members, "input": source, "window": {**window, "padding": grown}}
    return replace(
        step,
        params=Params(step.params.type, changed),
        arguments=(pad.arguments[0], *step.arguments[1:]),
    )


def _image_border(border: Members) -> tuple[int, int, int, int] | None:
    """Height and width of the image, rows above and columns before it; None where other dimensions grow."""
    shape, inside, strides, before = (
        cast(tuple[int, ...], border[name]) for name in ("shape", "inside", "strides", "before")
    )
    _, height, width, channels = inside
    dense = (height * width * channels, width * channels, channels, 1)
    is_dense = all(n == 1 or have == want for n, have, want in zip(inside, strides, dense, strict=True))
    only_image = (shape[0], shape[3]) == (inside[0], inside[3]) and before[0] == before[3] == 0
    grows = all(0 <= before[d] <= shape[d] - inside[d] for d in (1, 2))
    return (height, width, before[1], before[2]) if is_dense and only_image and grows else None


def _signed(bits: int) -> int:
    return ((bits & 0xFF) ^ 0x80) - 0x80
