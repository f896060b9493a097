"""What a call of a kernel is: an operation with its parameters and its operands, each in its role."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Annotated, Any, ClassVar, Self, get_args, get_type_hints

from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.channels import Coupling, Cut, Mask, Range, Values
from mcu_build.ir.tensor import Tensor


class _Role:
    """What a call does with an operand."""

    def __init__(self, written: bool) -> None:
        self.written = written


# Ids of tensors, by what a call does with them. Scratch memory counts as written.
Read = Annotated[int, _Role(False)]
Written = Annotated[int, _Role(True)]
# Several of one role; None is a null pointer.
Reads = Annotated[tuple[int | None, ...], _Role(False)]
Writes = Annotated[tuple[int, ...], _Role(True)]


@dataclass(frozen=True)
class Call:
    """One operation on tensors, what it computes: a dataclass of its own for each kind.

    Fields of the types above are its operands, in the order of the kernel's pointers. What passes want to
    know of an operation they ask here; the answers below are those of one about which nothing is known.
    `params` is the parameter struct of the kernel.
    """

    KERNEL: ClassVar[str] = ""
    SOURCE: ClassVar[str] = ""

    params: Struct | None

    @property
    def kernel(self) -> str:
        """The portable kernel, in mcu::kernels."""
        return self.KERNEL

    @property
    def source(self) -> str:
        """The stem of the header and of the source that hold it."""
        return self.SOURCE

    @property
    def arguments(self) -> tuple[int | None, ...]:
        """Ids of the operands in the order of the kernel's pointers; None is a null pointer."""
        return tuple(id for ids in self._operands() for id in ids)

    @property
    def writes(self) -> tuple[int, ...]:
        """Ids of what is written, scratch memory included."""
        return tuple(id for ids in self._operands(written=True) for id in ids if id is not None)

    @property
    def _roles(self) -> Mapping[str, _Role]:
        kind: Any = type(self)  # mypy takes a class for unhashable whose instances have a hash of their own
        return roles_of(kind)

    def _operands(self, written: bool = False) -> list[tuple[int | None, ...]]:
        roles = self._roles.items()
        values = [getattr(self, name) for name, role in roles if role.written or not written]
        return [value if isinstance(value, tuple) else (value,) for value in values]

    def renamed(self, names: Mapping[int, int]) -> Self:
        """The same on the tensors that have taken the places of others."""

        def renamed(value: object) -> Any:
            if isinstance(value, tuple):
                return tuple(map(renamed, value))
            return names.get(value, value) if isinstance(value, int) else value

        return replace(self, **{name: renamed(getattr(self, name)) for name in self._roles})

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return 0

    @property
    def computes(self) -> bool:
        """Whether it computes anything: others only move or choose elements."""
        return True

    @property
    def weight_operand(self) -> int | None:
        """The weights, where it is a layer that makes channels with weights."""
        return None

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """For inputs by id: how many bytes below them the output has to start to take over their memory.

        Kernels work in memory order: when they write output byte e, every input byte below need(e)
        has been read for the last time. The distance is the maximum over e of e + 1 - need(e); 0 is in place.
        """
        return {}

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Which rows of its images make `rows` of the output, by id; None: it does not work row by row.

        Images are [1][height][width][channels] in memory. What it reads besides, it reads whole.
        """
        return None

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """The same, making `rows` alone from those that they need, all as images of their own."""
        raise NotImplementedError(f"{type(self).__name__} does not work row by row")

    def value_range(self, values: Values) -> Range | None:
        """The values that each channel of the output can take. None: all."""
        return None

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channels that can only be left out together. None: all of its channels must stay."""
        return None

    def needed_channels(self, values: Values, written: Mask) -> Mask | None:
        """Which input channels the outputs `written` need, where it mixes channels. None: it does not."""
        return None

    def without_channels(self, cut: Cut) -> Self:
        """The same with some channels of its operands left out, which `coupled_channels` has allowed."""
        raise NotImplementedError(f"{type(self).__name__} keeps its channels")


def element_distances(source: Tensor, output: Tensor) -> Mapping[int, int]:
    """In-place distance where the two have the same elements in the same order.

    The kernel has read element i when it writes it, and reads element i + 1 afterwards: the maximum over i
    of i * written - i * read, plus the element being written.
    """
    if source.elements != output.elements:
        return {}
    return {source.id: max(0, output.dtype.size - source.dtype.size) * max(output.elements - 1, 0)}


@cache
def roles_of(kind: type[Any]) -> Mapping[str, _Role]:
    """The operands among the fields of a call, in their order."""
    hints = get_type_hints(kind, include_extras=True)
    roles = {field.name: _role(hints[field.name]) for field in fields(kind)}
    return {name: role for name, role in roles.items() if role}


def _role(hint: object) -> _Role | None:
    for part in (hint, *get_args(hint)):
        for extra in getattr(part, "__metadata__", ()):
            if isinstance(extra, _Role):
                return extra
    return None


@dataclass(frozen=True)
class Portable(Call):
    """A call of a kernel that is the same on every core, and of which passes ask its operands alone."""

    params: Struct
    function: str
    file: str
    reads: Reads
    results: Writes
    count: int = 0
    moves: bool = False

    @property
    def kernel(self) -> str:
        """The portable kernel, in mcu::kernels."""
        return self.function

    @property
    def source(self) -> str:
        """The stem of the header and of the source that hold it."""
        return self.file

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.count

    @property
    def computes(self) -> bool:
        """Whether it computes anything."""
        return not self.moves
