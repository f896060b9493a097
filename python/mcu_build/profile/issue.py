"""Instructions in order → the cycle in which each starts, by a core's table."""

from dataclasses import dataclass, field
from math import ceil

from mcu_build.image.decode import Instruction
from mcu_build.profile.core import Core, Slot, Timing
from mcu_build.profile.operands import Operands, operands
from mcu_build.profile.operations import Operation, operation


@dataclass(frozen=True)
class Prepared:
    """An instruction with what a pipeline needs to know of it."""

    instruction: Instruction
    operation: Operation
    operands: Operands = field(repr=False)
    timing: Timing = field(repr=False)
    length: int  # cycles until the next one may start


def prepare(instruction: Instruction, core: Core) -> Prepared:
    """Look `instruction` up in the core's table."""
    kind = operation(instruction)
    timing = core.timing(kind)
    transferred = instruction.registers if timing.per_register else 0
    length = ceil(timing.issue + timing.per_register * transferred)
    return Prepared(instruction, kind, operands(instruction), timing, length)


class Pipeline:
    """A core that has executed what it was given."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._now = -1  # the cycle of the last start
        self._started = core.width  # how many in it
        self._next = 0  # the first cycle in which the next one may start alone
        self._free: dict[str, int] = {}
        self._ready: dict[str, int] = {}
        self._made_by: dict[str, Operation] = {}
        self._last: Prepared | None = None

    @property
    def end(self) -> int:
        """The first cycle in which the next instruction may start, were it independent and alone."""
        return self._next

    def branch(self) -> None:
        """What comes next was branched to: it starts in no cycle that has begun."""
        self._started = self._core.width

    def execute(self, item: Prepared) -> None:
        """Start `item` as early as its operands, its pipes and those before it allow."""
        start = self._now if self._may_pair(item) else self._next
        ready = self._operands_ready(item)
        start = max(start, ready, self._distance(item))
        pipes = [
            min(group.split("|"), key=lambda pipe: self._free.get(pipe, 0)) for group in item.timing.pipes
        ]
        start = max([start, *(self._free.get(pipe, 0) for pipe in pipes)])
        if start == self._now:
            self._started += 1
            self._next = max(self._next, start + item.length)
        elif item.length:
            start = max(start, self._next)
            self._now, self._started = start, 1
            self._next = start + item.length
        for pipe in pipes:
            self._free[pipe] = start + item.timing.hold
        self._note_results(item, max(start - item.timing.stages, ready))
        self._last = item

    def _may_pair(self, item: Prepared) -> bool:
        last = self._last
        if last is None or self._started >= self._core.width:
            return False
        if item.timing.slot in (Slot.ALONE, Slot.OLDER) or last.timing.slot in (Slot.ALONE, Slot.YOUNGER):
            return False
        if not self._core.narrow_pairs:
            return True
        if last.instruction.size != 2 or item.instruction.size != 2:
            return False
        return not {item.operation, last.operation}.isdisjoint(self._core.seconds)

    def _operands_ready(self, item: Prepared) -> int:
        timing, used = item.timing, item.operands
        times = [
            *(self._at(name, item) - timing.data_late for name in used.reads),
            *(self._at(name, item) + timing.early for name in used.early),
            *(self._at(name, item) - timing.accumulator_late for name in used.accumulator),
        ]
        return max(times, default=0)

    def _at(self, name: str, item: Prepared) -> int:
        """When `item` can read a register."""
        late = self._core.forward
        made_by = self._made_by.get(name)
        return self._ready.get(name, 0) + (late.get((made_by, item.operation), 0) if made_by else 0)

    def _distance(self, item: Prepared) -> int:
        if self._last is None:
            return 0
        after, before = self._core.after, self._last.operation
        cycles = after.get((before, item.operation), after.get((before, None), 0))
        return self._now + cycles

    def _note_results(self, item: Prepared, computed: int) -> None:
        for number, name in enumerate(item.operands.writes):
            waits = int(item.timing.per_register * number)
            self._ready[name] = computed + item.timing.latency + waits
            self._made_by[name] = item.operation
        for name in item.operands.updated:
            self._ready[name] = computed + 1 - item.timing.early
            self._made_by[name] = item.operation
