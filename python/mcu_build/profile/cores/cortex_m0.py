"""Cortex-M0: three stages, so that a branch costs one cycle more than on Cortex-M0+.

Source: Arm DDI 0432, Cortex-M0 Technical Reference Manual, "Instruction set summary": a taken branch 3
cycles, BL 4, BX and BLX 3, POP with the program counter 4 + N, barriers 4.
"""

from dataclasses import replace

from mcu_build.profile.cores import cortex_m0plus
from mcu_build.profile.operations import Operation as Op

CORE = replace(
    cortex_m0plus.CORE,
    name="cortex-m0",
    taken={Op.BRANCH: 2, Op.BRANCH_CONDITIONAL: 2, Op.CALL: 3, Op.RETURN: 2, Op.LOAD_MULTIPLE: 3},
)
