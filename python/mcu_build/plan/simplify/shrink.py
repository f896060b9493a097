"""A plan with some channels left out of its tensors, weights and parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from mcu_build.ir.plan import DType, Params, Plan, Step, Tensor
from mcu_build.ir.plan import Value as Member
from mcu_build.plan.simplify.ranges import Ints, Ranges, array_of, channels_of, members_of

Mask = npt.NDArray[np.bool_]
Members = dict[str, Member]
# Kernels that make each channel of the output from one of the input.
_BY_CHANNEL = ("depthwise_conv2d_s8", "resample_s8")


@dataclass
class Cut:
    """What to keep of each tensor's channels, by id, and the tensors as they become."""

    plan: Plan
    keep: Mapping[int, Mask]
    ranges: Ranges
    tensors: dict[int, Tensor]

    def share(self, id: int | None, count: int) -> int:
        """A number of elements that goes with the channels of tensor `id`, with those that are kept."""
        keep = self.keep[cast(int, id)]
        return count // len(keep) * int(keep.sum())

    def constant(self, like: int, values: Ints) -> int:
        """Another constant in place of `like`, which other steps may read; its id."""
        old = self.plan.tensors[like]
        id = max(self.tensors) + 1
        data = values.astype(old.dtype.numpy_name).tobytes()
        order = tuple(range(values.ndim)) if values.ndim != len(old.dim_order) else old.dim_order
        self.tensors[id] = replace(old, id=id, shape=values.shape, dim_order=order, data=data)
        return id

    def bias(self, like: int | None, values: Ints) -> int:
        """A bias of these values."""
        if like is not None:
            return self.constant(like, values)
        id = max(self.tensors) + 1
        self.tensors[id] = Tensor(id, "bias", DType.I32, values.shape, (0,), values.astype("<i4").tobytes())
        return id


def shrink(plan: Plan, keep: Mapping[int, Mask], ranges: Ranges) -> Plan:
    """`keep` says of every tensor which channels stay; those that do not must be of no use (ties.py)."""
    cut = Cut(plan, keep, ranges, {id: _tensor(tensor, keep[id]) for id, tensor in plan.tensors.items()})
    steps = tuple(_step(cut, step) for step in plan.steps)
    return replace(plan, tensors=cut.tensors, steps=steps)


def _tensor(tensor: Tensor, keep: Mask) -> Tensor:
    if keep.all():
        return tensor
    position = max(place for place, size in enumerate(tensor.shape) if size != 1)
    shape = (*tensor.shape[:position], int(keep.sum()), *tensor.shape[position + 1 :])
    data = tensor.data
    if data is not None:
        data = array_of(tensor).reshape(-1, len(keep))[:, keep].astype(tensor.dtype.numpy_name).tobytes()
    return replace(tensor, shape=shape, data=data)


def _step(cut: Cut, step: Step) -> Step:
    if all(cut.keep[id].all() for id in step.arguments if id is not None):
        return step
    # Channels left out are those of steps that ties.py knows.
    members, arguments = _RULES[step.kernel](cut, step)
    assert step.params is not None
    macs = step.macs
    if macs:
        macs = cut.share(step.writes[0], macs)
        macs = macs if step.kernel in _BY_CHANNEL else cut.share(step.arguments[0], macs)
    params = Params(step.params.type, {**step.params.members, **members})
    return replace(step, params=params, arguments=arguments, macs=macs)


Changed = tuple[Members, tuple[int | None, ...]]


def _sizes(cut: Cut, step: Step) -> Members:
    ends = (("input", step.arguments[0]), ("output", step.writes[0]))
    found: Members = {}
    for name, id in ends:
        size = cast(Mapping[str, int], members_of(step)[name])
        found[name] = {**size, "channels": cut.share(id, size["channels"])}
    return found


def _convolution(cut: Cut, step: Step) -> Changed:
    source, weights_id = step.arguments[:2]
    read, written = cut.keep[cast(int, source)], cut.keep[step.writes[0]]
    weights = array_of(cut.plan.tensors[cast(int, weights_id)])
    taps = weights.reshape(*weights.shape[:3], -1).sum((1, 2))
    offset = cast(int, members_of(step)["input_offset"])
    bias = _folded(cut, step, taps, offset)[written]
    kept = weights[written][..., read]
    arguments = (source, *_constants(cut, step, written, kept, bias), *step.arguments[5:])
    return _sizes(cut, step), arguments


def _depthwise(cut: Cut, step: Step) -> Changed:
    written = cut.keep[step.writes[0]]
    weights = array_of(cut.plan.tensors[cast(int, step.arguments[1])])[..., written]
    bias_id = step.arguments[2]
    bias = array_of(cut.plan.tensors[bias_id]).reshape(-1)[written] if bias_id is not None else None
    return _sizes(cut, step), (
        step.arguments[0],
        *_constants(cut, step, written, weights, bias),
        *step.arguments[5:],
    )


def _constants(
    cut: Cut, step: Step, written: Mask, weights: Ints, bias: Ints | None
) -> tuple[int | None, ...]:
    """Ids of weights, bias, multipliers and shifts of the channels that are written."""
    scales = [cast(int, id) for id in step.arguments[3:5]]
    return (
        cut.constant(cast(int, step.arguments[1]), weights),
        cut.bias(step.arguments[2], bias) if bias is not None else None,
        *(cut.constant(id, array_of(cut.plan.tensors[id]).reshape(-1)[written]) for id in scales),
    )


def _linear(cut: Cut, step: Step) -> Changed:
    source, weights_id, bias_id = step.arguments[:3]
    read, written = cut.keep[cast(int, source)], cut.keep[step.writes[0]]
    members = cast(Mapping[str, int], members_of(step))
    weights = array_of(cut.plan.tensors[cast(int, weights_id)])
    bias = _folded(cut, step, weights + members["filter_offset"], members["input_offset"])[written]
    changed: Members = {"inputs": int(read.sum()), "outputs": int(written.sum())}
    kept = cut.constant(cast(int, weights_id), weights[written][:, read])
    return changed, (source, kept, cut.bias(bias_id, bias), *step.arguments[3:])


def _folded(cut: Cut, step: Step, taps: Ints, offset: int) -> Ints:
    """The bias with what the channels that are left out have added, `taps` [outputs, inputs] in all."""
    id = cast(int, step.arguments[0])
    image, bias_id = cut.ranges.of(id), step.arguments[2]
    # Channels that are not constant only go where their taps are 0.
    values = np.where(~cut.keep[id] & image.constant, image.low + offset, 0)
    bias = array_of(cut.plan.tensors[bias_id]).reshape(-1) if bias_id is not None else 0
    return cast(Ints, taps @ values + bias)


def _pool(cut: Cut, step: Step) -> Changed:
    return _sizes(cut, step), step.arguments


def _count(cut: Cut, step: Step) -> Changed:
    count = cast(int, members_of(step)["count"])
    return {"count": cut.share(step.writes[0], count)}, step.arguments


def _pair(cut: Cut, step: Step) -> Changed:
    walk = cast(Mapping[str, tuple[int, ...]], members_of(step)["walk"])
    shape = (*walk["shape"][:-1], cut.share(step.writes[0], walk["shape"][-1]))
    return {"walk": {**walk, "shape": shape}}, step.arguments


def _pad(cut: Cut, step: Step) -> Changed:
    names = ("shape", "inside", "strides")
    shape, inside, strides = (cast(tuple[int, ...], members_of(step)[name]) for name in names)
    kept = int(cut.keep[step.writes[0]].sum())
    # Strides of sizes of 1 mean nothing.
    outer = tuple(cut.share(step.writes[0], stride) for stride in strides[:-1])
    changed: Members = {
        "shape": (*shape[:-1], kept),
        "inside": (*inside[:-1], kept),
        "strides": (*outer, strides[-1]),
    }
    return changed, step.arguments


def _concat(cut: Cut, step: Step) -> Changed:
    members = cast(Mapping[str, int], members_of(step))
    source, keep = cast(int, step.arguments[0]), cut.keep[step.writes[0]]
    changed: Members = {
        "bytes": cut.share(source, members["bytes"]),
        "stride": cut.share(step.writes[0], members["stride"]),
    }
    if (members["bytes"], members["stride"]) == (channels_of(cut.plan.tensors[source]), len(keep)):
        changed["offset"] = int(keep[: members["offset"]].sum())
    else:
        changed["offset"] = cut.share(step.writes[0], members["offset"])
    return changed, step.arguments


_RULES: Mapping[str, Callable[[Cut, Step], Changed]] = {
    "conv2d_s8": _convolution,
    "depthwise_conv2d_s8": _depthwise,
    "linear_s8": _linear,
    "avg_pool2d_s8": _pool,
    "avg_pool2d_float_s8": _pool,
    "max_pool2d_s8": _pool,
    "resample_s8": _pool,
    "lookup_s8": _count,
    "add_s8": _pair,
    "mul_s8": _pair,
    "pad_x8": _pad,
    "concat": _concat,
}
