"""Cortex-M0+: two stages, one bus; every access to memory takes a cycle of its own.

Source: Arm DDI 0484, Cortex-M0+ Technical Reference Manual, "Instruction set summary": loads and stores 2
cycles, 1 + N for N registers, POP with the program counter 3 + N, a taken branch 2, BL 3, BX and BLX 2, MRS
and barriers 3; MULS 1 with the fast multiplier, 32 without. The fast one is taken to be there, as in every
part that we have a board of.
"""

from mcu_build.profile.core import Core, Timing
from mcu_build.profile.operations import Operation as Op

CORE = Core(
    name="cortex-m0plus",
    width=1,
    timings={
        Op.LOAD: Timing(issue=2),
        Op.LOAD_NARROW: Timing(issue=2),
        Op.STORE: Timing(issue=2),
        Op.STORE_INDEXED: Timing(issue=2),
        Op.LOAD_MULTIPLE: Timing(issue=1, per_register=1),
        Op.STORE_MULTIPLE: Timing(issue=1, per_register=1),
        Op.SYSTEM: Timing(issue=3),
    },
    taken={Op.BRANCH: 1, Op.BRANCH_CONDITIONAL: 1, Op.CALL: 2, Op.RETURN: 1, Op.LOAD_MULTIPLE: 2},
)
