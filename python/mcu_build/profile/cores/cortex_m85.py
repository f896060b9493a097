"""Cortex-M85: two scalars a cycle, Helium as on Cortex-M55 with loads beside stores; branches are predicted.

Sources: SLOTHY, targets/arm_v81m/cortex_m85r1.py (units and latencies of Helium); jnk0le's measurements on an
RA8D1 (github.com/jnk0le/random, "pipeline cycle test", cortex_m85.md), where they add to Arm 107950,
Cortex-M85 Software Optimization Guide, which was not at hand. LLVM 19's model serialises loads and products,
against silicon.
"""

from mcu_build.profile.core import Core, Slot, Timing
from mcu_build.profile.operations import Operation as Op

_ALU = "alu0|alu1"
_LOAD, _STORE, _A, _B, _C, _AB = ("load",), ("store",), ("a",), ("b",), ("c",), ("a|b",)


def _vector(pipes: tuple[str, ...], latency: int, early: int = 0, data_late: int = 0) -> Timing:
    """Two beats. It starts beside a scalar before it."""
    return Timing(pipes, hold=2, latency=latency, early=early, data_late=data_late, slot=Slot.YOUNGER)


CORE = Core(
    name="cortex-m85",
    width=2,
    timings={
        # Three stages compute; a time is that of the last. Additions are done in any of them, logic in the
        # last two, shifts in the first two, products from the second to the last.
        Op.ALU: Timing((_ALU,), stages=1),
        Op.ALU_SIMPLE: Timing((_ALU,), stages=2),
        Op.SHIFT: Timing((_ALU,), data_late=-1, stages=1, latency=0),
        Op.ALU_SHIFTED: Timing((_ALU,), early=1),
        Op.EXTEND: Timing((_ALU, "dsp"), data_late=-1, latency=0),
        Op.BITFIELD: Timing((_ALU,), data_late=-1, stages=1, latency=0),
        Op.DSP: Timing((_ALU, "dsp"), data_late=-1, latency=0),
        Op.MULTIPLY: Timing(("multiply",), data_late=-1),
        Op.MULTIPLY_ADD: Timing(("multiply",), data_late=-1),
        Op.MULTIPLY_LONG: Timing(("multiply",), data_late=-1),
        Op.MULTIPLY_ADD_LONG: Timing(("multiply",), data_late=-1),
        Op.DIVIDE: Timing(issue=7, latency=7, slot=Slot.ALONE),
        # Addresses in the first stage, a word's data in the second, a byte's in the third.
        Op.LOAD: Timing(("load0|load1",), latency=0, early=2),
        Op.LOAD_NARROW: Timing(("load0|load1",), latency=1, early=2),
        Op.STORE: Timing(_STORE, early=2),
        Op.STORE_INDEXED: Timing(_STORE, early=2),
        Op.LOAD_PAIR: Timing(("load0", "load1"), latency=0, early=2),
        Op.STORE_PAIR: Timing(_STORE, early=2),
        Op.LOAD_MULTIPLE: Timing(issue=0, per_register=0.5, early=2, slot=Slot.ALONE),
        Op.STORE_MULTIPLE: Timing(issue=0, per_register=0.5, early=2, slot=Slot.ALONE),
        Op.BRANCH: Timing(("branch",)),
        Op.BRANCH_CONDITIONAL: Timing(("branch",)),
        Op.CALL: Timing(("branch",)),
        Op.RETURN: Timing(("branch",)),
        Op.LOOP_END: Timing(issue=0),
        Op.SYSTEM: Timing(issue=3, slot=Slot.ALONE),
        Op.FLOAT: Timing(_A, latency=2),
        Op.FLOAT_MOVE: Timing(_AB, latency=2),
        Op.FLOAT_MULTIPLY: Timing(_B, latency=3),
        Op.FLOAT_MULTIPLY_ADD: Timing(_B, latency=4, accumulator_late=2),
        Op.FLOAT_DIVIDE: Timing(_B, hold=14, latency=16),
        Op.DOUBLE: Timing(_B, hold=4, latency=6),
        Op.DOUBLE_DIVIDE: Timing(_B, hold=28, latency=30),
        Op.VECTOR_LOAD: _vector(_LOAD, 2),
        Op.VECTOR_LOAD_INTERLEAVED: _vector(_LOAD, 4),
        Op.VECTOR_GATHER: Timing(_LOAD, hold=2, issue=2, latency=3, early=3, slot=Slot.ALONE),
        Op.VECTOR_STORE: _vector(_STORE, 1, data_late=1),
        Op.VECTOR_STORE_INTERLEAVED: _vector(_STORE, 1),
        Op.VECTOR_SCATTER: Timing(_STORE, hold=2, issue=2, early=3, slot=Slot.ALONE),
        Op.VECTOR_INTEGER: _vector(_A, 1),
        Op.VECTOR_SHIFT: _vector(_A, 2),
        Op.VECTOR_NARROW: _vector(_A, 2),
        Op.VECTOR_MAXIMUM: _vector(_A, 3),
        Op.VECTOR_COMPARE: _vector(_C, 1),
        Op.VECTOR_MULTIPLY: _vector(_B, 2),
        Op.VECTOR_DOT: _vector(_B, 2),
        Op.VECTOR_DOT_LONG: _vector(_B, 3),
        Op.VECTOR_FLOAT: _vector(_A, 2),
        Op.VECTOR_FLOAT_MULTIPLY: _vector(_B, 3),
        Op.VECTOR_FROM_SCALAR: _vector(_AB, 1),
        Op.VECTOR_TO_SCALAR: _vector(_A, 3),
        Op.VECTOR_PREDICATE: Timing(_C, slot=Slot.ALONE),
    },
    taken={},
    mispredicted=4,  # jnk0le: 3 to 7 in nested loops
    loop_entry=4,
)
