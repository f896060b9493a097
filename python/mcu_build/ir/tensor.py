"""Tensors: what kernels read and write."""

from dataclasses import dataclass, field
from enum import Enum
from math import prod

# Alignment of every tensor, in bytes: the widest vector load of Helium.
ALIGNMENT = 16


def aligned(size: int) -> int:
    """Bytes that `size` takes where the next tensor follows."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class DType(Enum):
    """Element types: name in NumPy, name in C++, size in bytes."""

    BOOL = ("bool", "bool", 1)
    U8 = ("uint8", "uint8_t", 1)
    I8 = ("int8", "int8_t", 1)
    I16 = ("int16", "int16_t", 2)
    I32 = ("int32", "int32_t", 4)
    I64 = ("int64", "int64_t", 8)
    F32 = ("float32", "float", 4)

    def __init__(self, numpy_name: str, c_name: str, size: int) -> None:
        self.numpy_name = numpy_name
        self.c_name = c_name
        self.size = size


@dataclass(frozen=True)
class Quantization:
    """real = scale * (q - zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Tensor:
    """Bytes that kernels read and write.

    `shape` is in memory order. `dim_order` says which of the model's dimensions each of them is, so
    that the model's own shape is recovered for the header: (0, 2, 3, 1) is an NCHW tensor kept as NHWC.
    `data` is set for constants only. `alias_of` names the tensor whose bytes these are, from byte
    `alias_offset`. `fast` bytes lie outside the arena, in the fast scratch memory that the delegates of an
    NPU share, all at its start. `state` is a byte offset in the memory that keeps its bytes between calls,
    which is no part of the arena either. `image` is an input of which rows alone lie in the arena: all of it
    is in memory of its own, for those who do not bring it by rows.
    """

    id: int
    name: str
    dtype: DType
    shape: tuple[int, ...]
    dim_order: tuple[int, ...]
    data: bytes | None = field(default=None, repr=False)
    alias_of: int | None = None
    alias_offset: int = 0
    quantization: Quantization | None = None
    fast: bool = False
    state: int | None = None
    image: bool = False

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def is_apart(self) -> bool:
        """Whether it lies in memory of its own, outside of the arena and of flash."""
        return self.fast or self.image or self.state is not None

    @property
    def nbytes(self) -> int:
        """Size in bytes, without padding."""
        return self.elements * self.dtype.size

    @property
    def is_constant(self) -> bool:
        """Whether it lies in flash."""
        return self.data is not None

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The shape in the order of the model's own dimensions."""
        shape = [0] * len(self.shape)
        for position, dimension in enumerate(self.dim_order):
            shape[dimension] = self.shape[position]
        return tuple(shape)
