"""Of the kernels that serve a step the one that is worth the code that it brings.

A function that several steps call is in the image once. BYTES of code have to save a thousandth of the
modelled cycles of all steps whose kernels have prices.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
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
    chosen = _Chosen([each[0] for each in rivals], a_byte)
    for name in chosen.names():
        chosen.replace(chosen.without(name, rivals))
    return [kernel.step for kernel in chosen.kernels]


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


class _Chosen:
    """The kernels that steps have, and which steps call each function."""

    def __init__(self, kernels: Sequence[_Kernel], a_byte: float) -> None:
        self.kernels = list(kernels)
        self._a_byte = a_byte  # cycles
        self._sizes: dict[str, int] = {}
        self._callers: dict[str, set[int]] = {}
        for index, kernel in enumerate(kernels):
            self._add(index, kernel)

    def names(self) -> list[str]:
        """The functions that are called, the largest first."""
        return sorted(self._sizes, key=lambda name: (-self._sizes[name], name))

    def without(self, name: str, rivals: Sequence[Sequence[_Kernel]]) -> dict[int, _Kernel]:
        """Other kernels, as far as there are, for the steps that call a function.

        None where the image would not be cheaper with them. Only those steps are looked at, so that all
        functions of a model take time by its length.
        """
        callers = sorted(self._callers.get(name, ()))
        leaving = Counter(function for index in callers for function in self.kernels[index].functions)
        others: dict[int, _Kernel] = {}
        added: dict[str, int] = {}

        def cost(kernel: _Kernel) -> float:
            there = (
                other in added or len(self._callers.get(other, ())) > leaving[other]
                for other in kernel.functions
            )
            more = sum(size for size, has in zip(kernel.functions.values(), there, strict=True) if not has)
            return kernel.cycles + self._a_byte * more

        for index in callers:
            without = [rival for rival in rivals[index] if name not in rival.functions]
            others[index] = min(without, key=cost, default=self.kernels[index])
            added |= others[index].functions
        cycles = sum(kernel.cycles - self.kernels[index].cycles for index, kernel in others.items())
        new = sum(size for other, size in added.items() if not self._callers.get(other))
        unused = [other for other, count in leaving.items() if len(self._callers[other]) == count]
        gone = sum(self._sizes[other] for other in unused if other not in added)
        return others if cycles + self._a_byte * (new - gone) < 0 else {}

    def replace(self, others: Mapping[int, _Kernel]) -> None:
        """Give steps other kernels."""
        for index, kernel in others.items():
            for name in self.kernels[index].functions:
                self._callers[name].discard(index)
            self.kernels[index] = kernel
            self._add(index, kernel)

    def _add(self, index: int, kernel: _Kernel) -> None:
        for name, size in kernel.functions.items():
            self._sizes[name] = size
            self._callers.setdefault(name, set()).add(index)
