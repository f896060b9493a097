"""Parameter structs of kernels, each a frozen dataclass with the name and the members of its C++ twin.

The twins are in firmware/include/mcu/kernels; tests/host/test_structs.py proves them equal.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import Annotated

# Arrays of C++, with their length.
Ints3 = Annotated[tuple[int, ...], 3]
Ints4 = Annotated[tuple[int, ...], 4]
Ints6 = Annotated[tuple[int, ...], 6]
Floats2 = Annotated[tuple[float, ...], 2]
# An int64_t; plain ints are 32 bits wide.
LONG = "int64_t"
Long = Annotated[int, LONG]

# A member as plain data: a number, or a braced list of them (an aggregate or an array).
Value = int | float | bool | tuple["Value", ...] | Mapping[str, "Value"]


@dataclass(frozen=True)
class Struct:
    """An aggregate in mcu::kernels, named as the class is."""

    @property
    def type(self) -> str:
        """Its name in C++."""
        return type(self).__name__

    @property
    def members(self) -> Mapping[str, Value]:
        """Its members in their order, as plain data."""
        return {name: _plain(value) for name, value in self._items()}

    def _items(self) -> Iterator[tuple[str, object]]:
        for field in fields(self):
            yield field.name, getattr(self, field.name)


def _plain(value: object) -> Value:
    if isinstance(value, Struct):
        return value.members
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(f"{value!r} is no member of a struct")


@dataclass(frozen=True)
class Pair(Struct):
    """A vertical and a horizontal quantity."""

    y: int
    x: int

    @classmethod
    def of(cls, pair: tuple[int, int]) -> "Pair":
        """From (vertical, horizontal)."""
        return cls(*pair)

    @property
    def product(self) -> int:
        """y times x."""
        return self.y * self.x


ONE, NONE = Pair(1, 1), Pair(0, 0)


@dataclass(frozen=True)
class ImageSize(Struct):
    """Size of one image; memory is [batch][height][width][channels]."""

    height: int
    width: int
    channels: int

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def row(self) -> int:
        """Elements of a row."""
        return self.width * self.channels

    @property
    def extent(self) -> Pair:
        """Height and width."""
        return Pair(self.height, self.width)


@dataclass(frozen=True)
class Window(Struct):
    """A window that moves over an image. `padding` is that before the first row and column."""

    size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair = ONE

    @property
    def is_pointwise(self) -> bool:
        """Whether it is one pixel, and each pixel makes one of the output."""
        return self.size == self.stride == ONE and self.padding == NONE

    def leaves(self, image: ImageSize, output: ImageSize) -> bool:
        """Whether some window of those that make `output` reaches beyond the image."""
        return any(
            padding > 0 or -padding + (count - 1) * stride + (size - 1) * dilation >= length
            for padding, count, stride, size, dilation, length in (
                (self.padding.y, output.height, self.stride.y, self.size.y, self.dilation.y, image.height),
                (self.padding.x, output.width, self.stride.x, self.size.x, self.dilation.x, image.width),
            )
        )


@dataclass(frozen=True)
class OutputEpilogue(Struct):
    """What follows requantization: the zero point, and the ends of the activation."""

    zero_point: int
    activation_min: int
    activation_max: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is clamped but what int8 cannot hold."""
        return (self.activation_min, self.activation_max) == (-128, 127)


@dataclass(frozen=True)
class Broadcast(Struct):
    """An iteration space over pairs of elements: sizes, and strides of both operands, outermost first."""

    shape: Ints6
    first: Ints6
    second: Ints6

    @property
    def elements(self) -> int:
        """Elements of the output."""
        return prod(self.shape)

    @property
    def outermost(self) -> int:
        """The axis of the outermost loop that does anything."""
        return next((axis for axis, size in enumerate(self.shape) if size != 1), len(self.shape) - 1)

    def is_dense(self, strides: tuple[int, ...]) -> bool:
        """Whether an operand with these strides lies as the output does: nothing is repeated."""
        dense = (prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))
        return all(
            size == 1 or have == want for size, have, want in zip(self.shape, strides, dense, strict=True)
        )

    @property
    def both_dense(self) -> bool:
        """Whether both operands lie as the output does."""
        return self.is_dense(self.first) and self.is_dense(self.second)

    @property
    def has_dense_lines(self) -> bool:
        """Whether an innermost line is dense or one value for each operand, not one value for both."""
        return sorted((self.first[-1], self.second[-1])) in ([0, 1], [1, 1])

    @property
    def is_line(self) -> bool:
        """Whether both operands and the output are one line of elements."""
        return self.shape[:-1] == (1, 1, 1, 1, 1) and self.first[-1] == self.second[-1] == 1
