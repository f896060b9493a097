"""What a core's pipeline is described by. The tables are in cores/, one file a core."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcu_build.profile.operations import Operation


class Slot(StrEnum):
    """Where in a pair an instruction may stand: `OLDER` is the first."""

    ANY = "any"
    OLDER = "older"
    YOUNGER = "younger"
    ALONE = "alone"


@dataclass(frozen=True)
class Timing:
    """Cycles of one operation.

    Each of `pipes` is held for `hold` cycles; of "a|b" whichever is free. The next instruction follows
    `issue` cycles later, and `per_register` more for each register of a transfer. A result can be read
    `latency` cycles after issue. `early` is how many cycles before issue an address or an operand that is
    shifted is read, `accumulator_late` how many after it an addend, `data_late` how many after it any other
    operand. Of `stages` more than 0, it computes so many cycles sooner if its operands are there.
    """

    pipes: tuple[str, ...] = ()
    hold: int = 1
    issue: int = 1
    per_register: float = 0
    latency: int = 1
    early: int = 0
    accumulator_late: int = 0
    data_late: int = 0
    stages: int = 0
    slot: Slot = Slot.ANY


@dataclass(frozen=True)
class Core:
    """One core: how many instructions it starts in a cycle, and what each costs.

    `after` holds the fewest cycles from one operation to the next, where that is more than the table says:
    (this, next) → cycles, with None as any other next. `taken` are the cycles that a branch costs on top
    where it is taken, by operation. `mispredicted` is the price of a conditional branch that goes the other
    way than it mostly does; 0 where nothing is predicted. `narrow_pairs`: only two 16-bit instructions start
    together, of which one is of `seconds`; otherwise any two whose pipes and slots allow it. `loop_entry` is
    what LE costs once for each time that its loop is entered. `forward` are cycles on top of the latency from
    the first operation to the second.
    """

    name: str
    width: int
    timings: Mapping[Operation, Timing]
    taken: Mapping[Operation, float]
    after: Mapping[tuple[Operation, Operation | None], int] = field(default_factory=dict)
    mispredicted: float = 0
    narrow_pairs: bool = False
    seconds: frozenset[Operation] = frozenset()
    loop_entry: int = 0
    forward: Mapping[tuple[Operation, Operation], int] = field(default_factory=dict)

    def timing(self, operation: Operation) -> Timing:
        """What `operation` costs; one cycle where the table has no line.

        A pair of registers is a transfer of two where it has no line of its own.
        """
        return self.timings.get(operation) or self.timings.get(_WIDER.get(operation, operation), _PLAIN)


_PLAIN = Timing()
_WIDER = {
    Operation.LOAD_PAIR: Operation.LOAD_MULTIPLE,
    Operation.STORE_PAIR: Operation.STORE_MULTIPLE,
}
