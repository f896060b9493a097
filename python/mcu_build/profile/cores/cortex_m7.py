"""Cortex-M7: two instructions a cycle, in order, where their pipes differ; branches are predicted.

Sources: LLVM 19, ARMScheduleM7.td (written by Arm); jnk0le's measurements on an STM32H743
(github.com/jnk0le/random, "pipeline cycle test", cortex_m7.md); SLOTHY, targets/arm_v7m/cortex_m7.py.
"""

from mcu_build.profile.core import Core, Slot, Timing
from mcu_build.profile.operations import Operation as Op

_ALU, _LOAD = "alu0|alu1", "load0|load1"

CORE = Core(
    name="cortex-m7",
    width=2,
    timings={
        # An adder stands a stage before the others: what it computes, they can use in the same cycle.
        Op.ALU: Timing((_ALU,)),
        Op.ALU_SIMPLE: Timing((_ALU,), stages=1),
        Op.SHIFT: Timing((_ALU,), stages=1),
        # So does the shifter of an operand.
        Op.ALU_SHIFTED: Timing((_ALU, "shifter"), early=1),
        Op.EXTEND: Timing((_ALU, "dsp"), slot=Slot.OLDER),
        Op.BITFIELD: Timing((_ALU, "dsp", "shifter"), slot=Slot.OLDER),
        Op.DSP: Timing((_ALU, "dsp"), slot=Slot.OLDER),
        Op.MULTIPLY: Timing(("multiply",), latency=2),
        Op.MULTIPLY_ADD: Timing(("multiply",), latency=2, accumulator_late=1),
        Op.MULTIPLY_LONG: Timing(("multiply",), latency=2),
        Op.MULTIPLY_ADD_LONG: Timing(("multiply",), latency=2, accumulator_late=1),
        Op.DIVIDE: Timing(issue=7, latency=7, slot=Slot.ALONE),
        # Addresses are wanted a cycle early. A word can be used in the next cycle, a byte in the one after.
        Op.LOAD: Timing((_LOAD,), early=1),
        Op.LOAD_NARROW: Timing((_LOAD,), latency=2, early=1),
        # Stores take any result of the same cycle, and pair with no multiplication.
        Op.STORE: Timing(("store", "multiply"), early=1, data_late=1),
        Op.STORE_INDEXED: Timing(("store", "multiply"), early=1, data_late=1),
        Op.LOAD_MULTIPLE: Timing(issue=0, per_register=0.5, latency=1, early=1, slot=Slot.ALONE),
        Op.STORE_MULTIPLE: Timing(issue=0, per_register=0.5, early=1, slot=Slot.ALONE),
        Op.BRANCH: Timing(("branch",)),
        Op.BRANCH_CONDITIONAL: Timing(("branch",)),
        Op.CALL: Timing(("branch",)),
        Op.RETURN: Timing(("branch",), early=1),
        Op.IT: Timing(),
        Op.SYSTEM: Timing(issue=3, slot=Slot.ALONE),
        Op.FLOAT: Timing(("float",), latency=3),
        Op.FLOAT_MOVE: Timing(("float",), latency=3),
        Op.FLOAT_MULTIPLY: Timing(("float",), latency=3),
        Op.FLOAT_MULTIPLY_ADD: Timing(("float",), latency=5, accumulator_late=2),
        Op.FLOAT_DIVIDE: Timing(("float",), hold=16, latency=16),
        Op.DOUBLE: Timing(("float",), hold=2, latency=4),
        Op.DOUBLE_DIVIDE: Timing(("float",), hold=30, latency=30),
    },
    taken={},
    mispredicted=8,  # jnk0le: 6 to 8
    # jnk0le: multiplications "can't consume ldr result from previous cycle".
    forward={
        (Op.LOAD, operation): 1
        for operation in (
            Op.MULTIPLY,
            Op.MULTIPLY_ADD,
            Op.MULTIPLY_LONG,
            Op.MULTIPLY_ADD_LONG,
        )
    },
)
