"""Cortex-M3: the Cortex-M4's pipeline with a slower multiplier and no DSP extension.

Source: Arm 100165, Cortex-M3 Technical Reference Manual, "Instruction set summary": MLA takes 2 cycles,
UMULL and SMULL 3 to 5, UMLAL and SMLAL 4 to 7, by the size of the operands.
"""

from mcu_build.profile.core import Core, Timing
from mcu_build.profile.cores import cortex_m4
from mcu_build.profile.operations import Operation as Op

CORE = Core(
    name="cortex-m3",
    width=1,
    timings={
        **cortex_m4.TIMINGS,
        Op.MULTIPLY_ADD: Timing(issue=2),
        Op.MULTIPLY_LONG: Timing(issue=4),  # 3 to 5
        Op.MULTIPLY_ADD_LONG: Timing(issue=6),  # 4 to 7
    },
    taken=cortex_m4.TAKEN,
    after=cortex_m4.NEXT,
)
