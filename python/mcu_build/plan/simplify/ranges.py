"""Which values each channel of a tensor can take, whatever the model's inputs are.

A channel is what the last dimension of memory that is not 1 counts: element i of a tensor of C channels is
of channel i mod C. Kernels are monotonic in the sum that they rescale, so the ends of a sum's range give the
ends of the output's; a channel whose two ends meet is constant. Ranges are never too narrow; what is not
known about a kernel leaves the whole range of int8.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from mcu_build.ir.plan import DType, Plan, Step, Tensor
from mcu_build.ir.plan import Value as Member
from mcu_build.reference_int8 import LINE_BITS, TAP_BITS
from mcu_build.reference_integer import requantize

Ints = npt.NDArray[np.int64]
Members = Mapping[str, Member]

_HEADROOM = 20  # of add.h
_MOST = 1 << 31
_SHIFTS = (-62, 31)


@dataclass(frozen=True)
class Range:
    """The least and the largest value of each channel."""

    low: Ints
    high: Ints

    def over(self, channels: int) -> "Range":
        """The same bytes counted in `channels` channels."""
        have = len(self.low)
        if channels % have == 0:
            return Range(np.tile(self.low, channels // have), np.tile(self.high, channels // have))
        if have % channels == 0:
            return Range(self.low.reshape(-1, channels).min(0), self.high.reshape(-1, channels).max(0))
        return Range(np.full(channels, self.low.min()), np.full(channels, self.high.max()))

    def hull(self, other: "Range") -> "Range":
        """What either can take."""
        return Range(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    @property
    def constant(self) -> npt.NDArray[np.bool_]:
        """Which channels have one value."""
        return np.equal(self.low, self.high)


def channels_of(tensor: Tensor) -> int:
    """Number of channels: the last size of memory that is not 1."""
    return next((size for size in reversed(tensor.shape) if size != 1), 1)


def array_of(tensor: Tensor) -> Ints:
    """A constant's elements, as it lies in memory."""
    assert tensor.data is not None
    return np.frombuffer(tensor.data, tensor.dtype.numpy_name).reshape(tensor.shape).astype(np.int64)


def is_whole(plan: Plan, tensor: Tensor) -> bool:
    """Whether an alias is all of the bytes of what it is an alias of."""
    assert tensor.alias_of is not None
    source = plan.tensors[tensor.alias_of]
    return (tensor.alias_offset, tensor.dtype, tensor.nbytes) == (0, source.dtype, source.nbytes)


class Ranges:
    """The ranges of a plan's int8 tensors."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._known: dict[int, Range] = {}
        writers: dict[int, list[str]] = defaultdict(list)
        for step in plan.steps:
            for id in step.writes:
                writers[plan.owner(id).id].append(step.kernel)
        for step in plan.steps:
            rule = _RULES.get(step.kernel)
            if rule is None or len(step.writes) != 1 or plan.tensors[step.writes[0]].alias_of is not None:
                continue
            output = step.writes[0]
            # The parts of a concatenation have one step each.
            alone = len(writers[output]) == 1 or {*writers[output]} == {"concat"}
            found = rule(self, step) if alone and output not in plan.inputs else None
            if found is not None:
                self._known[output] = found

    def known(self, id: int) -> Range | None:
        """What steps so far have told of a tensor."""
        return self._known.get(id)

    def of(self, id: int | None, channels: int | None = None) -> Range:
        """The range of a tensor, counted in its own channels or in `channels`."""
        assert id is not None
        tensor = self.plan.tensors[id]
        found = self._own(tensor)
        return found.over(channels or channels_of(tensor))

    def _own(self, tensor: Tensor) -> Range:
        if tensor.data is not None and tensor.dtype is DType.I8:
            values = array_of(tensor).reshape(-1, channels_of(tensor))
            return Range(values.min(0), values.max(0))
        if tensor.alias_of is not None and is_whole(self.plan, tensor):
            return self._own(self.plan.tensors[tensor.alias_of])
        return self._known.get(tensor.id, Range(np.full(1, -128), np.full(1, 127)))


def convolution(ranges: Ranges, step: Step) -> Range | None:
    """Plain and depthwise convolutions."""
    members = members_of(step)
    products = _products(ranges, step)
    if leaves_image(members):
        products = products.hull(Range(np.zeros(1, np.int64), np.zeros(1, np.int64)))
    bias, multipliers, shifts = (_constant(ranges.plan, id) for id in step.arguments[2:5])
    if multipliers is None or shifts is None or (bias is None and step.arguments[2] is not None):
        return None
    sums = Range(_total(products.low, bias), _total(products.high, bias))
    return _rescaled(sums, multipliers, shifts, cast(Mapping[str, int], members["stage"]))


def _products(ranges: Ranges, step: Step) -> Range:
    """Least and largest product of each tap, [outputs, taps]."""
    members, plan = members_of(step), ranges.plan
    channels = cast(Mapping[str, int], members["input"])["channels"]
    outputs = cast(Mapping[str, int], members["output"])["channels"]
    weights = _constant(plan, step.arguments[1])
    if weights is None:
        return Range(np.full((outputs, 1), -_MOST), np.full((outputs, 1), _MOST))
    image = ranges.of(step.arguments[0], channels)
    offset = cast(int, members["input_offset"])
    if step.kernel == "depthwise_conv2d_s8":
        taps = weights.reshape(-1, outputs).T
        pick = np.arange(outputs) // (outputs // channels)
        low, high = (image.low + offset)[pick, None], (image.high + offset)[pick, None]
    else:
        depth = weights.shape[-1]
        taps = weights.reshape(outputs, -1)
        groups = np.arange(outputs) // (outputs // cast(int, members["groups"]))
        repeats = taps.shape[1] // depth
        low, high = (
            np.tile((end + offset).reshape(-1, depth)[groups], (1, repeats))
            for end in (image.low, image.high)
        )
    return Range(np.minimum(taps * low, taps * high), np.maximum(taps * low, taps * high))


def linear(ranges: Ranges, step: Step) -> Range | None:
    """Fully connected layers."""
    members = cast(Mapping[str, int], members_of(step))
    weights, bias = (_constant(ranges.plan, id) for id in step.arguments[1:3])
    if weights is None or (bias is None and step.arguments[2] is not None):
        return None
    taps = weights + members["filter_offset"]
    found = ranges.of(step.arguments[0], members["inputs"])
    ends = [taps * (end + members["input_offset"]) for end in (found.low, found.high)]
    sums = Range(_total(np.minimum(*ends), bias), _total(np.maximum(*ends), bias))
    scale = (np.full(1, members["multiplier"]), np.full(1, members["shift"]))
    return _rescaled(sums, *scale, cast(Mapping[str, int], members["stage"]))


def _total(products: Ints, bias: Ints | None) -> Ints:
    return cast(Ints, products.sum(1) + (0 if bias is None else bias.reshape(-1)))


def _rescaled(sums: Range, multipliers: Ints, shifts: Ints, stage: Mapping[str, int]) -> Range | None:
    """to_int8() of both ends; None where a number may wrap on the way."""
    multipliers, shifts = multipliers.reshape(-1), shifts.reshape(-1)
    if (multipliers < 0).any() or shifts.min() < _SHIFTS[0] or shifts.max() > _SHIFTS[1]:
        return None
    largest = np.maximum(np.abs(sums.low), np.abs(sums.high))
    if (largest >= _MOST >> np.maximum(shifts, 0)).any():
        return None
    low, high = (
        np.clip(
            requantize(end, multipliers, shifts) + stage["zero_point"],
            stage["activation_min"],
            stage["activation_max"],
        )
        for end in (sums.low, sums.high)
    )
    return Range(low, high)


def _add(ranges: Ranges, step: Step) -> Range | None:
    members = members_of(step)
    if not is_dense(members):
        return None
    first, second = (_fixed(ranges, step, place, name) for place, name in enumerate(("first", "second")))
    if first is None or second is None or len(first.low) != len(second.low):
        return None
    sums = Range(first.low + second.low, first.high + second.high)
    numbers = cast(Mapping[str, int], members)
    scale = (np.full(1, numbers["multiplier"]), np.full(1, numbers["shift"]))
    return _rescaled(sums, *scale, cast(Mapping[str, int], members["stage"]))


def _fixed(ranges: Ranges, step: Step, place: int, name: str) -> Range | None:
    """An operand of add.h, rescaled."""
    operand = cast(Mapping[str, int], members_of(step)[name])
    if operand["multiplier"] < 0 or not _SHIFTS[0] <= operand["shift"] <= 0:
        return None
    found = ranges.of(step.arguments[place])
    scale = (np.full(1, operand["multiplier"]), np.full(1, operand["shift"]))
    low, high = ((end - operand["zero_point"]) << _HEADROOM for end in (found.low, found.high))
    return Range(requantize(low, *scale), requantize(high, *scale))


def _same(ranges: Ranges, step: Step) -> Range:
    """Averages lie between what they are of, and their rounding keeps integers."""
    return ranges.of(step.arguments[0], channels_of(ranges.plan.tensors[step.writes[0]]))


def _maximum(ranges: Ranges, step: Step) -> Range:
    members, found = cast(Mapping[str, int], members_of(step)), _same(ranges, step)
    ends = members["activation_min"], members["activation_max"]
    return Range(np.clip(found.low, *ends), np.clip(found.high, *ends))


def _resample(ranges: Ranges, step: Step) -> Range | None:
    """Averages: weights of one sign keep the order of what they sum."""
    members, plan = cast(Mapping[str, int], members_of(step)), ranges.plan
    rows, columns = (_constant(plan, step.arguments[index]) for index in (2, 4))
    if rows is None or columns is None or rows.min() < 0 or columns.min() < 0:
        return None
    found = _same(ranges, step)

    def ends(values: Ints) -> Ints:
        """What a whole image of each of the values becomes, at each place of the output [values, places]."""
        lines = np.multiply.outer(values - members["input_zero_point"], columns.sum(1))
        rounded = (lines + (1 << (TAP_BITS - LINE_BITS - 1))) >> (TAP_BITS - LINE_BITS)
        sums = np.multiply.outer(rounded, rows.sum(1)).reshape(len(values), -1)
        results = requantize(sums, members["multiplier"], members["shift"]) + members["output_zero_point"]
        return np.clip(results, -128, 127)

    return Range(ends(found.low).min(1), ends(found.high).max(1))


def _pad(ranges: Ranges, step: Step) -> Range | None:
    shape, inside = (cast(tuple[int, ...], members_of(step)[name]) for name in ("shape", "inside"))
    wide = [position for position, size in enumerate(shape) if size != 1]
    if not wide or shape[wide[-1]] != inside[wide[-1]]:
        return None
    border = np.full(1, (cast(int, members_of(step)["value"]) & 0xFF ^ 0x80) - 0x80)
    return _same(ranges, step).hull(Range(border, border))


def _lookup(ranges: Ranges, step: Step) -> Range | None:
    table, found = _constant(ranges.plan, step.arguments[1]), _same(ranges, step)
    if table is None:
        return None
    parts = [
        table[low + 128 : high + 129].reshape(-1) for low, high in zip(found.low, found.high, strict=True)
    ]
    return Range(np.array([part.min() for part in parts]), np.array([part.max() for part in parts]))


def _concat(ranges: Ranges, step: Step) -> Range | None:
    """Channels into their place among the output's, or pixels beside pixels."""
    members, output = cast(Mapping[str, int], members_of(step)), step.writes[0]
    source, channels = ranges.of(step.arguments[0]), channels_of(ranges.plan.tensors[output])
    so_far = ranges.known(output)
    if (members["bytes"], members["stride"]) == (len(source.low), channels):
        low, high = (np.full(channels, -128), np.full(channels, 127))
        if so_far is not None:
            low, high = so_far.low.copy(), so_far.high.copy()
        place = slice(members["offset"], members["offset"] + members["bytes"])
        low[place], high[place] = source.low, source.high
        return Range(low, high)
    if any(members[name] % channels for name in ("bytes", "stride", "offset")):
        return Range(np.full(channels, -128), np.full(channels, 127))
    found = source.over(channels)
    return found if so_far is None else found.hull(so_far)


def _constant(plan: Plan, id: int | None) -> Ints | None:
    """The elements of a constant; None where it is none."""
    if id is None or plan.tensors[id].data is None:
        return None
    return array_of(plan.tensors[id])


def members_of(step: Step) -> Members:
    """The members of a step's parameters."""
    assert step.params is not None
    return step.params.members


def is_dense(members: Members) -> bool:
    """Whether both operands of a walk over pairs are walked as the output is: one line of elements."""
    walk = cast(Mapping[str, tuple[int, ...]], members["walk"])
    return walk["shape"][:-1] == (1, 1, 1, 1, 1) and walk["first"][-1] == walk["second"][-1] == 1


def leaves_image(members: Members) -> bool:
    """Whether a window of a convolution reaches beyond the image."""
    window = cast(Mapping[str, Mapping[str, int]], members["window"])
    for axis, side in (("y", "height"), ("x", "width")):
        size, count = (cast(Mapping[str, int], members[name])[side] for name in ("input", "output"))
        first = -window["padding"][axis]
        last = first + (count - 1) * window["stride"][axis]
        if first < 0 or last + (window["size"][axis] - 1) * window["dilation"][axis] >= size:
            return True
    return False


_RULES: Mapping[str, Callable[[Ranges, Step], Range | None]] = {
    "conv2d_s8": convolution,
    "depthwise_conv2d_s8": convolution,
    "linear_s8": linear,
    "add_s8": _add,
    "avg_pool2d_s8": _same,
    "max_pool2d_s8": _maximum,
    "resample_s8": _resample,
    "pad_x8": _pad,
    "lookup_s8": _lookup,
    "concat": _concat,
}
