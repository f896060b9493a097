"""Channels of tensors: which values they can take, which go together, and what is left when some go.

A channel is what the last dimension of memory that is not 1 counts: element i of a tensor of C channels is
of channel i mod C.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mcu_build.ir.tensor import DType, Tensor

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
# Channels of one tensor and those of another that they are tied to, in pairs.
Coupling = tuple[int, Ints, int, Ints]


@dataclass(frozen=True)
class Range:
    """The least and the largest value of each channel."""

    low: Ints
    high: Ints

    @classmethod
    def whole(cls, channels: int) -> "Range":
        """All values of int8."""
        return cls(np.full(channels, -128), np.full(channels, 127))

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

    def clipped(self, low: int, high: int) -> "Range":
        """What is left of it between two ends."""
        return Range(np.clip(self.low, low, high), np.clip(self.high, low, high))

    def mapped(self, function: Callable[[Ints], Ints]) -> "Range":
        """What a function that never falls makes of it."""
        return Range(function(self.low), function(self.high))

    @property
    def constant(self) -> Mask:
        """Which channels have one value."""
        return np.equal(self.low, self.high)


class Values(Protocol):
    """What is known so far of the values in a plan."""

    def tensor(self, id: int) -> Tensor:
        """A tensor of the plan."""

    def known(self, id: int) -> Range | None:
        """What the calls so far found of a tensor."""

    def of(self, id: int, channels: int | None = None) -> Range:
        """The range of a tensor, counted in its own channels or in `channels`."""

    def constant(self, id: int | None) -> Ints | None:
        """The elements of a constant; None where it is none."""


@dataclass
class Cut:
    """What to keep of each tensor's channels, by id, and the tensors as they become."""

    plan: Mapping[int, Tensor]
    keep: Mapping[int, Mask]
    values: Values
    tensors: dict[int, Tensor]

    def share(self, id: int, count: int) -> int:
        """A number of elements that goes with the channels of tensor `id`, with those that are kept."""
        keep = self.keep[id]
        return count // len(keep) * int(keep.sum())

    def array(self, id: int) -> Ints:
        """A constant's elements as they were."""
        return array_of(self.plan[id])

    def constant(self, like: int, values: Ints) -> int:
        """Another constant in place of `like`, which other calls may read; its id."""
        old = self.plan[like]
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


def channels_of(tensor: Tensor) -> int:
    """Number of channels: the last size of memory that is not 1."""
    return next((size for size in reversed(tensor.shape) if size != 1), 1)


def array_of(tensor: Tensor) -> Ints:
    """A constant's elements, as it lies in memory."""
    assert tensor.data is not None
    return np.frombuffer(tensor.data, tensor.dtype.numpy_name).reshape(tensor.shape).astype(np.int64)


def by_channel(tensor: int, other: int, channels: int) -> Coupling:
    """Channel by channel."""
    return tensor, np.arange(channels), other, np.arange(channels)


def repeated(tensors: Mapping[int, Tensor], tensor: int, other: int) -> Iterator[Coupling]:
    """The same elements under two shapes, where the channels of one are a multiple of the other's."""
    if channels_of(tensors[tensor]) < channels_of(tensors[other]):
        tensor, other = other, tensor
    more, fewer = (channels_of(tensors[id]) for id in (tensor, other))
    if more % fewer == 0:
        yield tensor, np.arange(more), other, np.arange(more) % fewer
