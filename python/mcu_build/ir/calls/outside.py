"""Calls of what is not ours: an NPU's command streams, functions of the user's."""

from dataclasses import dataclass

from mcu_build.ir.calls.call import Call, Read, Reads, Writes, Written
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import DType


@dataclass(frozen=True)
class EthosUParams(Struct):
    """Parameters of ethos_u.h."""

    configuration: int
    id: int
    commands: int
    weights: int
    scratch: int
    fast_scratch: int


@dataclass(frozen=True)
class EthosU(Call):
    """One run of an Ethos-U's command stream."""

    KERNEL, SOURCE = "ethos_u", "ethos_u"

    params: EthosUParams
    commands: Read
    weights: Read | None
    scratch: Written
    fast_scratch: Written | None


@dataclass(frozen=True)
class Delegated(Call):
    """A delegate of the program that is left to ExecuTorch's runtime, with memory of its own.

    `configuration` is that of its NPU, `fast_scratch` the bytes of fast scratch memory that it needs, and
    `fast_apart` tells that these lie outside of the arena.
    """

    KERNEL = "ethos_u"

    configuration: int
    fast_scratch: int
    fast_apart: bool
    reads: Reads
    results: Writes


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
class UserFunction(Call):
    """A call of a user's function as a step of a plan."""

    user: UserCall
    reads: Reads
    results: Writes

    @property
    def kernel(self) -> str:
        """The function, in the user's namespace."""
        return self.user.function
