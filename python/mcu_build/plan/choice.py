"""Of the kernels that serve a step the one that is worth the code that it brings.

A function that several steps call is in the image once. BYTES of code have to save a thousandth of the
modelled cycles of all steps whose kernels have prices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mcu_build.ir.plan import Optimize, Step
from mcu_build.kernels.context import Way

BYTES = 512
_KERNEL = 1024  # bytes of a kernel, about
_INSTRUCTION = 4  # bytes of one of an emitted core
_MOST = 4096  # bytes that a kernel and its core have


def choose(steps: Sequence[Step], ways: Sequence[Sequence[Way]], optimize: Optimize) -> list[Step]:
    """Each step by one of the kernels that serve it, or as it is where there is none.

    Where size counts, the first kernel is that of the fewest bytes.
    """
    if optimize == "size":
        return [each[0].make() if each else step for step, each in zip(steps, ways, strict=True)]
    least = [min((way.cycles for way in each), default=0.0) for each in ways]
    a_byte = sum(least) / 1000 / BYTES
    rivals = [
        _rivals(step, [way for way in each if way.cycles <= cycles + _MOST * a_byte])
        for step, each, cycles in zip(steps, ways, least, strict=True)
    ]
    taken = [each[0] for each in rivals]
    least_cost = _cost(taken, a_byte)
    for name, _ in sorted(_functions(taken).items(), key=lambda item: (-item[1], item[0])):
        others = _without(name, taken, rivals, a_byte)
        if (cost := _cost(others, a_byte)) < least_cost:
            taken, least_cost = others, cost
    return [kernel.step for kernel in taken]


@dataclass(frozen=True)
class _Kernel:
    """A kernel that serves a step."""

    cycles: float
    step: Step

    @cached_property
    def functions(self) -> dict[str, int]:
        """Bytes of what it calls."""
        core = self.step.core
        emitted = {} if core is None else {core.name: _INSTRUCTION * core.text.count("\n")}
        return {self.step.kernel: _KERNEL, **emitted}


def _rivals(step: Step, ways: Sequence[Way]) -> list[_Kernel]:
    """The kernels of a step, the quickest first."""
    kernels = [_Kernel(way.cycles, way.make()) for way in ways]
    return sorted(kernels, key=lambda kernel: kernel.cycles) or [_Kernel(0, step)]


def _functions(kernels: Sequence[_Kernel]) -> dict[str, int]:
    return {name: size for kernel in kernels for name, size in kernel.functions.items()}


def _cost(kernels: Sequence[_Kernel], a_byte: float) -> float:
    """In cycles."""
    return sum(kernel.cycles for kernel in kernels) + a_byte * sum(_functions(kernels).values())


def _without(
    name: str, taken: Sequence[_Kernel], rivals: Sequence[Sequence[_Kernel]], a_byte: float
) -> list[_Kernel]:
    """The steps that call a function by other kernels, as far as there are."""
    others = list(taken)
    functions = _functions([kernel for kernel in taken if name not in kernel.functions])

    def cost(kernel: _Kernel) -> float:
        more = sum(size for other, size in kernel.functions.items() if other not in functions)
        return kernel.cycles + a_byte * more

    for index, kernel in enumerate(taken):
        if name in kernel.functions:
            without = [rival for rival in rivals[index] if name not in rival.functions]
            others[index] = min(without, key=cost, default=kernel)
            functions |= others[index].functions
    return others
