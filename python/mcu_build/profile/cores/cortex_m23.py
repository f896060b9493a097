"""Cortex-M23: the Cortex-M0+'s pipeline with Armv8-M Baseline's instructions.

Source: Arm DDI 0550, Cortex-M23 Technical Reference Manual, names the same two stages. Its division takes 17
or 34 cycles; 17 is taken. Nothing of it has been compared with silicon.
"""

from dataclasses import replace

from mcu_build.profile.core import Timing
from mcu_build.profile.cores import cortex_m0plus
from mcu_build.profile.operations import Operation as Op

CORE = replace(
    cortex_m0plus.CORE,
    name="cortex-m23",
    timings={**cortex_m0plus.CORE.timings, Op.DIVIDE: Timing(issue=17)},
)
