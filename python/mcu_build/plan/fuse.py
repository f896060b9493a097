"""Steps that another step can do on the way."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from mcu_build.ir.plan import Params, Plan, Step
from mcu_build.ir.plan import Value as Member

# Kernels that add nothing for what lies outside the image, which is what the zero point would add.
_CONVOLUTIONS = ("conv2d_s8", "depthwise_conv2d_s8")

Members = Mapping[str, Member]


def fuse_padding(plan: Plan) -> Plan:
    """Let convolutions pad: a pad with the input's zero point writes a whole tensor for nothing."""
    steps: list[Step | None] = list(plan.steps)
    kept = {*plan.outputs, *(tensor.alias_of for tensor in plan.tensors.values())}
    readers = _readers(plan)
    for place, pad in enumerate(plan.steps):
        if pad.kernel != "pad_x8" or pad.writes[0] in kept:
            continue
        users = [cast(Step, steps[index]) for index in readers[pad.writes[0]]]
        padded = [_padding_itself(plan, pad, step) for step in users]
        if not users or None in padded or not _is_worth_it(plan, pad, users):
            continue
        for index, step in zip(readers[pad.writes[0]], padded, strict=True):
            steps[index] = step
        steps[place] = None
    return replace(plan, steps=tuple(step for step in steps if step is not None))


def _readers(plan: Plan) -> Mapping[int, list[int]]:
    """The steps that read each tensor, by their index."""
    found: dict[int, list[int]] = defaultdict(list)
    for index, step in enumerate(plan.steps):
        for id in {*step.reads}:
            found[id].append(index)
    return found


def _is_worth_it(plan: Plan, pad: Step, users: Sequence[Step]) -> bool:
    """Whether the padded tensor is larger than what the convolutions make of it.

    A smaller one never sets the size of the arena, and convolutions are quicker without borders.
    """
    size = plan.tensors[pad.writes[0]].nbytes
    return all(size > plan.tensors[step.writes[0]].nbytes for step in users)


def _padding_itself(plan: Plan, pad: Step, step: Step) -> Step | None:
    """`step` reading what `pad` reads, or None where the two are not a pad and a convolution that fit."""
    if pad.kernel != "pad_x8" or step.kernel not in _CONVOLUTIONS or step.arguments[0] != pad.writes[0]:
        return None
    if pad.writes[0] in step.arguments[1:]:
        return None
    assert pad.params is not None and step.params is not None
    border, members = pad.params.members, step.params.members
    image = _inner_image(border, cast(int, members["batch"]), cast(Mapping[str, int], members["input"]))
    if image is None or _signed(cast(int, border["value"])) != -cast(int, members["input_offset"]):
        return None
    (height, top), (width, left) = image
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


def _inner_image(
    border: Members, batch: int, padded: Mapping[str, int]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(height, rows above) and (width, columns before) of the image inside a `padded` one.

    None where it does not lie in memory as an image, or where batch or channels grow. A dimension of size 1
    may stand anywhere in memory, so only the wider ones are looked at.
    """
    names = ("shape", "inside", "strides", "before")
    wide = [
        row
        for row in zip(*(cast(tuple[int, ...], border[name]) for name in names), strict=True)
        if row[0] != 1
    ]
    sizes = {"batch": batch, **{name: padded[name] for name in ("height", "width", "channels")}}
    order = [name for name, size in sizes.items() if size != 1]
    if [row[0] for row in wide] != [sizes[name] for name in order]:
        return None
    found = {"height": (1, 0), "width": (1, 0)}
    dense = 1
    for name, (size, inside, stride, before) in zip(reversed(order), reversed(wide), strict=True):
        in_place = inside == 1 or stride == dense
        grows = 0 <= before <= size - inside if name in found else (size, before) == (inside, 0)
        if not in_place or not grows:
            return None
        dense *= inside
        if name in found:
            found[name] = (inside, before)
    return found["height"], found["width"]


def _signed(bits: int) -> int:
    return ((bits & 0xFF) ^ 0x80) - 0x80
