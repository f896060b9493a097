"""How far an output may reach into an input that the same step uses up.

Kernels work in the order of memory: when they write output byte e, every input byte below need(e) has been
read for the last time. Output and input may then share bytes if the output starts at least

    distance = max over e of (e + 1 - need(e))

bytes below the input; 0 is in place. A kernel that works on some channels after the others wants more: an
output that starts a multiple of a pixel's bytes below the input, so that channels meet only themselves. Two
orders occur here: by element (each output element is written after the input element of the same number was
read) and by row (nothing below the first input row of the current window is needed again).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from mcu_build.ir.plan import Plan, Step, Tensor
from mcu_build.ir.plan import Value as Member

Rule = Callable[[Plan, Step], Mapping[int, int]]


def allow_overlaps(plan: Plan) -> Plan:
    """Note on every step of a known order how its inputs and its output may share bytes."""
    return replace(plan, steps=tuple(_annotate(plan, step) for step in plan.steps))


def _annotate(plan: Plan, step: Step) -> Step:
    rule = _RULES.get(step.kernel)
    if rule is None or len(step.writes) != 1:
        return step
    return replace(step, overlaps=dict(rule(plan, step)))


def _elements(plan: Plan, step: Step) -> Mapping[int, int]:
    """The first operand and the output have the same elements in the same order."""
    source, output = plan.tensors[step.reads[0]], plan.tensors[step.writes[0]]
    return {source.id: _element_distance(source, output)} if source.elements == output.elements else {}


def _element_distance(source: Tensor, output: Tensor) -> int:
    # max over i of i * written - i * read, for i = 0 ... count - 1, plus the element being written: the
    # kernel has read element i when it writes it, and reads element i + 1 afterwards.
    grown = output.dtype.size - source.dtype.size
    return max(0, grown) * max(output.elements - 1, 0)


def _pairs(plan: Plan, step: Step) -> Mapping[int, int]:
    """Two operands that broadcast: each that is not repeated is read element by element."""
    assert step.params is not None
    walk = step.params.members["walk"]
    assert isinstance(walk, Mapping)
    shape = _integers(walk["shape"])
    dense = tuple(prod(shape[position + 1 :]) for position in range(len(shape)))
    output, found = plan.tensors[step.writes[0]], {}
    for id, name in zip(step.reads, ("first", "second"), strict=False):
        strides = _integers(walk[name])
        if all(size == 1 or have == want for size, have, want in zip(shape, strides, dense, strict=True)):
            found[id] = _element_distance(plan.tensors[id], output)
    # An operand that is repeated is read to the end: it may be neither overwritten nor be in place.
    return found


def _image_rows(plan: Plan, step: Step) -> Mapping[int, int]:
    """Windows over an image: rows of the output in order, each from input rows at its window and below."""
    assert step.params is not None
    members = step.params.members
    source, output = _numbers(members["input"]), _numbers(members["output"])
    window = _mapping(members["window"])
    stride, padding = _numbers(window["stride"])["y"], _numbers(window["padding"])["y"]
    in_row, out_row = source["width"] * source["channels"], output["width"] * output["channels"]
    distance = 0
    # It grows or falls evenly from image to image, and from row to row on either side of the padding's end.
    end, inside = output["height"] - 1, padding // max(stride, 1)
    for image in {0, _integer(members["batch"]) - 1}:
        for y in {0, end, *(row for row in (inside, inside + 1) if 0 <= row <= end)}:
            first = image * source["height"] + max(0, y * stride - padding)
            distance = max(distance, (image * output["height"] + y + 1) * out_row - first * in_row)
    return {step.reads[0]: distance}


def _linear_rows(plan: Plan, step: Step) -> Mapping[int, int]:
    """Each row of the output from the input's row of the same number."""
    assert step.params is not None
    rows, inputs, outputs = (_integer(step.params.members[name]) for name in ("rows", "inputs", "outputs"))
    return {step.reads[0]: max((row + 1) * outputs - row * inputs for row in (0, rows - 1))}


def _softmax(plan: Plan, step: Step) -> Mapping[int, int]:
    """Lines of the last dimension: each is read twice before its elements are replaced one by one."""
    assert step.params is not None
    return {step.reads[0]: 0} if step.params.members["inner"] == 1 else {}


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        # Not those between float and 16 bits: a compiler may take for granted that the two never meet.
        ("quantize_f32_s8", "dequantize_s8_f32", "lookup_s8"),
        _elements,
    ),
    **dict.fromkeys(("add_s8", "mul_s8", "div_s8", "div_s16"), _pairs),
    **dict.fromkeys(
        (
            "conv2d_s8",
            "depthwise_conv2d_s8",
            "avg_pool2d_s8",
            "avg_pool2d_float_s8",
            "max_pool2d_s8",
        ),
        _image_rows,
    ),
    "linear_s8": _linear_rows,
    "softmax_s8": _softmax,
}


def _integer(value: Member) -> int:
    assert isinstance(value, int)
    return value


def _integers(value: Member) -> tuple[int, ...]:
    assert isinstance(value, tuple)
    return tuple(_integer(item) for item in value)


def _mapping(value: Member) -> Mapping[str, Member]:
    assert isinstance(value, Mapping)
    return value


def _numbers(value: Member) -> Mapping[str, int]:
    return {name: _integer(item) for name, item in _mapping(value).items()}
