"""The one intermediate representation: what runs, in which order, on which bytes.

A Plan is a straight line of kernel calls over tensors. Operators have become calls of C++ kernels with
their parameter structs filled in; shapes are those of memory (outermost dimension first), so nothing
downstream needs to know about dimension orders. Passes take a Plan and return a Plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from typing import Literal

# Alignment of every tensor, in bytes: the widest vector load of Helium.
ALIGNMENT = 16

# What to give priority to where kernels, plan and compiler can trade one for another.
Optimize = Literal["speed", "size", "ram"]


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

    `shape` is the order of memory. `dim_order` says which of the model's dimensions each of them is, so
    that the model's own shape is recovered for the header: (0, 2, 3, 1) is an NCHW tensor kept as NHWC.
    `data` is set for constants only. `alias_of` names the tensor whose bytes these are, from byte
    `alias_offset`. `fast` bytes lie outside the arena, in the fast scratch memory that the delegates of an
    NPU share, all at its start. `state` is a byte offset in the memory that keeps its bytes between calls,
    which is no part of the arena either.
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

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def is_apart(self) -> bool:
        """Whether it lies in memory of its own, outside of the arena and of flash."""
        return self.fast or self.state is not None

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


# A member of a parameter struct: a number, or a braced list of them (an aggregate or an array).
Value = int | float | bool | tuple["Value", ...] | Mapping[str, "Value"]


@dataclass(frozen=True)
class Params:
    """A parameter struct of a kernel: `type` is its C++ name in mcu::kernels, members in their order."""

    type: str
    members: Mapping[str, Value]


@dataclass(frozen=True)
class UserTensor:
    """A tensor argument of a user's function: its elements in the order of the model's dimensions."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    written: bool

    @property
    def c_type(self) -> str:
        """The parameter's type in C++."""
        return f"mcu::Tensor<{'' if self.written else 'const '}{self.dtype.c_name}>"


@dataclass(frozen=True)
class UserValue:
    """A number, or a list of integers, that a user's function is given."""

    name: str
    value: int | float | bool | tuple[int, ...]

    @property
    def c_type(self) -> str:
        """The parameter's type in C++."""
        if isinstance(self.value, tuple):
            return "std::span<const int64_t>"
        if isinstance(self.value, bool):
            return "bool"
        return "double" if isinstance(self.value, float) else "int64_t"


@dataclass(frozen=True)
class UserCall:
    """A call of a user's C++ function, the kernel of a custom operator (include/mcu/operator.h).

    The tensors among `operands` are the arguments of the step, in their order.
    """

    function: str
    operands: tuple[UserTensor | UserValue, ...]

    @property
    def prototype(self) -> str:
        """The function as C++ declares it, in its namespace."""
        parameters = ", ".join(f"{operand.c_type} {operand.name}" for operand in self.operands)
        return f"void {self.function}({parameters})"


@dataclass(frozen=True)
class Step:
    """One call of a kernel: `mcu::kernels::<kernel>(params, arguments...)`.

    `source` is the stem of the header and of the source file that hold the kernel. `arguments` are tensor
    ids in the order of the kernel's pointer parameters (None is a null pointer): what it reads, then what
    it writes, then scratch. `writes` are the ids among them that are written. `operator` is the program's
    operator, `layer` the line of the user's model that it stands in and `name` the path of its module there
    (either may be empty). `overlaps` says for inputs by id how many bytes below them the output must start at
    least if it takes over their memory, and `overlap_multiple` what that must be a multiple of
    (plan/overlap.py). `leaner` are ways to make the same call with less memory, slower ones last
    (plan/leaner.py). With `user` it is a call of a user's function instead, and `source` is empty.
    """

    operator: str
    layer: str
    kernel: str
    source: str
    params: Params | None
    arguments: tuple[int | None, ...]
    writes: tuple[int, ...]
    macs: int = 0
    overlaps: Mapping[int, int] = field(default_factory=dict)
    overlap_multiple: int = 1
    leaner: "tuple[Step, ...]" = ()
    user: UserCall | None = None
    name: str = ""

    @property
    def reads(self) -> tuple[int, ...]:
        """Ids of the tensors that are read."""
        return tuple(id for id in self.arguments if id is not None and id not in self.writes)


@dataclass(frozen=True)
class Arena:
    """Where each activation lies: byte offsets from the arena's start, by id of the tensor that owns bytes.

    `peak_step` is the index of the step at which the arena is fullest, `lower_bound` the bytes that are
    live there: no placement can need less.
    """

    size: int
    offsets: Mapping[int, int]
    peak_step: int
    lower_bound: int


@dataclass(frozen=True)
class Removed:
    """Channels that a layer no longer makes: `channels` of `of`; bytes of weights and MACs that it saves."""

    operator: str
    layer: str
    channels: int
    of: int
    nbytes: int
    macs: int
    name: str = ""


@dataclass(frozen=True)
class Plan:
    """A model, compiled: tensors by id, steps in order, ids of inputs and outputs.

    `program_arena_bytes` is what ExecuTorch's own memory plan takes for the same program. `removed` tells
    which channels of the program the plan has left out (plan/simplify). `program_constants` are the bytes of
    the constants before kernels laid them out, and `plain_steps` steps that keep theirs so that they fit the
    flash (plan/specialize). `initial_state` is what the memory of its state holds before the first call.
    """

    name: str
    tensors: Mapping[int, Tensor]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    program_arena_bytes: int = 0
    arena: Arena | None = None
    removed: tuple[Removed, ...] = ()
    program_constants: int = 0
    plain_steps: int = 0
    initial_state: bytes = b""

    @property
    def fast_size(self) -> int:
        """Bytes of fast scratch memory outside the arena."""
        return max((tensor.nbytes for tensor in self.tensors.values() if tensor.fast), default=0)

    def with_arena(self, arena: Arena) -> "Plan":
        """The same plan with its activations placed."""
        return replace(self, arena=arena)

    def with_quantization(self, known: Mapping[int, Quantization | None]) -> "Plan":
        """The same plan with the quantization of some tensors, by id, where it is known."""
        noted = {id: replace(self.tensors[id], quantization=q) for id, q in known.items() if q}
        return replace(self, tensors={**self.tensors, **noted})

    def owner(self, id: int) -> Tensor:
        """The tensor that owns the bytes of tensor `id`: itself, or the end of its chain of aliases."""
        tensor = self.tensors[id]
        while tensor.alias_of is not None:
            tensor = self.tensors[tensor.alias_of]
        return tensor

    def output_shape(self, step: Step) -> tuple[int, ...]:
        """The shape, as the model has it, of what a step writes; empty where that is scratch memory alone."""
        written = self.tensors[step.writes[0]] if step.writes else None
        return written.model_shape if written and written.name != "scratch" else ()

    def offset(self, id: int) -> int:
        """Byte offset of an activation in the arena, or of state in its memory. KeyError for constants."""
        assert self.arena is not None
        tensor, offset = self.tensors[id], 0
        while tensor.alias_of is not None:
            offset += tensor.alias_offset
            tensor = self.tensors[tensor.alias_of]
        start = self.arena.offsets[tensor.id] if tensor.state is None else tensor.state
        return start + offset
