"""Kernels by number: the set that plans which are data can call, as an array of C++. Pure text.

A kernel is a function of ours, one with a core that was emitted for a shape, or a user's function with its
numbers and shapes. What of it tables stand on is in the set's id.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mcu_build import __version__
from mcu_build.codegen import user_calls
from mcu_build.ir.calls.memory import layout
from mcu_build.ir.calls.outside import UserCall, UserFunction, UserTensor
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Emitted, Step

ARRAY = "kernels_numbered"
VERSION = f"mcu-build {__version__}"


@dataclass(frozen=True)
class Kernel:
    """What a step calls: a function, with the struct of its parameters, and what is baked into the call."""

    function: str
    source: str
    params: type[Struct] | None
    core: Emitted | None = None
    user: UserCall | None = None

    @classmethod
    def of(cls, step: Step) -> "Kernel":
        """That of a step."""
        user = step.call.user if isinstance(step.call, UserFunction) else None
        params = type(step.params) if step.params is not None else None
        return cls(step.kernel, step.source, params, step.core, user)

    @property
    def name(self) -> str:
        """Its function, with what was emitted for it."""
        return f"{self.function} with {self.core.name}" if self.core else self.function

    @property
    def contract(self) -> str:
        """What a table must have been made for: one line."""
        params = layout(self.params).members if self.params else ()
        members = " ".join(f"{param.offset}{param.format}:{param.path}" for param in params)
        core = hashlib.sha256(self.core.text.encode()).hexdigest() if self.core else ""
        return f"{self.function}({members}) {self.core.name if self.core else ''} {core} {self.user or ''}"


@dataclass(frozen=True)
class Numbers:
    """The kernels of a firmware as tables know them: what each takes, in the order of their numbers.

    A manifest keeps them, so that a plan can be made for a firmware later.
    """

    contracts: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """What the id is made of: the tool that packs weights, and the kernels."""
        return (VERSION, *self.contracts)

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> "Numbers":
        """The kernels of a firmware that was made by this version of the tool. ValueError: by another."""
        version, *contracts = lines
        if version != VERSION:
            raise ValueError(version)
        return cls(tuple(contracts))

    @cached_property
    def id(self) -> int:
        """64 bits that tell the set from others."""
        named = "".join(f"{line}\n" for line in sorted(self.lines))
        return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "little")

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {contract: number for number, contract in enumerate(self.contracts)}

    def number(self, step: Step) -> int:
        """The number of what a step calls. KeyError where the set lacks it."""
        return self._numbers[Kernel.of(step).contract]

    def missing(self, steps: Iterable[Step]) -> list[str]:
        """Names of the kernels that steps call and the set lacks, sorted."""
        kernels = {Kernel.of(step) for step in steps}
        return sorted({kernel.name for kernel in kernels if kernel.contract not in self._numbers})


@dataclass(frozen=True)
class KernelSet:
    """Kernels in the order of their numbers."""

    kernels: tuple[Kernel, ...]

    @classmethod
    def of(cls, steps: Iterable[Step]) -> "KernelSet":
        """What some steps call: the same set for the same kernels, whatever the order of the steps."""
        return cls(tuple(sorted({Kernel.of(step) for step in steps}, key=lambda kernel: kernel.contract)))

    def joined(self, other: "KernelSet") -> "KernelSet":
        """With the kernels of another one."""
        kernels = {*self.kernels, *other.kernels}
        return KernelSet(tuple(sorted(kernels, key=lambda kernel: kernel.contract)))

    @cached_property
    def numbers(self) -> Numbers:
        """What tables need to know of it."""
        return Numbers(tuple(kernel.contract for kernel in self.kernels))

    @property
    def sources(self) -> tuple[str, ...]:
        """Stems of the sources to link, sorted."""
        return tuple(sorted({kernel.source for kernel in self.kernels if kernel.source}))

    def includes(self) -> list[str]:
        """Lines that declare what `array` names."""
        lines = [f'#include "mcu/kernels/{stem}.h"\n' for stem in self.sources]
        lines += ['#include "mcu/operator.h"\n'] if any(kernel.user for kernel in self.kernels) else []
        return [*lines, '#include "mcu/runtime/plan.h"\n']

    def emitted(self) -> list[str]:
        """The cores that were emitted for it, each once, and declarations of users' functions."""
        cores = {kernel.core.name: kernel.core.text for kernel in self.kernels if kernel.core}
        users = user_calls.declarations(kernel.user for kernel in self.kernels if kernel.user)
        return [users, *(f"{cores[name]}\n" for name in sorted(cores))]

    def array(self) -> str:
        """The array and `kernels_of_model`, for a namespace without a name."""
        parts = [*self._checks(), *self._user_constants()]
        parts.append(f"constexpr mcu::runtime::Kernel {ARRAY}[] = {{\n")
        parts += [f"    {self._entry(number, kernel)},\n" for number, kernel in enumerate(self.kernels)]
        parts.append(
            f"}};\nconstexpr mcu::runtime::KernelSet kernels_of_model{{{ARRAY}, {self.numbers.id:#018x}}};\n"
        )
        if not self.kernels:
            # C++ has no arrays of length 0.
            parts[-2:] = [
                f"constexpr mcu::runtime::KernelSet kernels_of_model{{{{}}, {self.numbers.id:#018x}}};\n"
            ]
        return "".join(parts)

    def _checks(self) -> Iterator[str]:
        structs = {kernel.params for kernel in self.kernels if kernel.params}
        for kind in sorted(structs, key=lambda kind: kind.__name__):
            size = layout(kind).size
            yield f"static_assert(sizeof(mcu::kernels::{kind.__name__}) == {size});\n"

    def _user_constants(self) -> Iterator[str]:
        for number, kernel in enumerate(self.kernels):
            if kernel.user:
                yield user_calls.constants(f"user_{number}", kernel.user)

    def _entry(self, number: int, kernel: Kernel) -> str:
        if kernel.user is None:
            core = kernel.core
            cores = f", &mcu::kernels::{core.scope}::{core.name}" if core else ""
            return f"mcu::runtime::kernel<&mcu::kernels::{kernel.function}{cores}>()"
        tensors = [operand for operand in kernel.user.operands if isinstance(operand, UserTensor)]
        constness = ("" if tensor.written else "const " for tensor in tensors)
        types = [f"{word}{tensor.dtype.c_name}" for word, tensor in zip(constness, tensors, strict=True)]
        pointer = "mcu::runtime::operand_at(places, {}, bases)"
        pointers = [f"static_cast<{type}*>({pointer.format(index)})" for index, type in enumerate(types)]
        call = user_calls.arguments(f"user_{number}", kernel.user, pointers)
        operands = f"mcu::runtime::kOperands<{', '.join(types)}>" if types else "{}"
        names = (" places", " bases") if types else ("", "")
        taken = "const void*, const unsigned char*{}, unsigned char* const*{}".format(*names)
        return f"{{[]({taken}) {{ ::{kernel.function}({call}); }}, 0, 1, {operands}}}"
