"""Cortex-M4: one instruction a cycle; loads overlap with what they stand next to, and nothing else does.

Sources: Arm 100166 and DDI 0439, Cortex-M4 Technical Reference Manual, "Instruction set summary",
"Load/store timings" and "FPU instruction set"; jnk0le's measurements on an STM32F407
(github.com/jnk0le/random, "pipeline cycle test", cortex_m3m4.md), marked "jnk0le".
"""

from collections.abc import Mapping

from mcu_build.profile.core import Core, Timing
from mcu_build.profile.operations import Operation as Op

# A load takes two cycles, one where a load or a store of one register is next ("Load/store timings").
NEXT: Mapping[tuple[Op, Op | None], int] = {
    (first, second): cycles
    for first in (Op.LOAD, Op.LOAD_NARROW)
    for second, cycles in (
        (None, 2),
        (Op.LOAD, 1),
        (Op.LOAD_NARROW, 1),
        (Op.STORE, 1),
        (Op.STORE_INDEXED, 1),
        (Op.NOP, 1),  # jnk0le
    )
} | {
    # "LDR following STR" is not pipelined (jnk0le: one more cycle).
    (first, second): 2
    for first in (Op.STORE, Op.STORE_INDEXED)
    for second in (Op.LOAD, Op.LOAD_NARROW, Op.LOAD_MULTIPLE)
}

TIMINGS: Mapping[Op, Timing] = {
    # "base address and offset must be available 1 cycle earlier than normally" (jnk0le), of chains of loads.
    Op.LOAD: Timing(latency=2),
    Op.LOAD_NARROW: Timing(latency=2),
    Op.LOAD_MULTIPLE: Timing(issue=1, per_register=1),
    Op.STORE: Timing(),
    Op.STORE_INDEXED: Timing(issue=2),  # jnk0le
    Op.STORE_MULTIPLE: Timing(issue=1, per_register=1),
    Op.DIVIDE: Timing(issue=7),  # 2 to 12
    Op.BRANCH: Timing(),
    Op.SYSTEM: Timing(issue=2),
    Op.FLOAT: Timing(latency=2),
    Op.FLOAT_MOVE: Timing(),
    Op.FLOAT_MULTIPLY: Timing(latency=2),
    Op.FLOAT_MULTIPLY_ADD: Timing(issue=3, latency=4),
    Op.FLOAT_DIVIDE: Timing(issue=14),
}

# A branch takes 1 + P cycles, P from 1 to 3: 1 where the target is aligned and known early. TBB takes 2 + P.
TAKEN: Mapping[Op, float] = {
    Op.BRANCH: 1,
    Op.BRANCH_CONDITIONAL: 1,
    Op.CALL: 2,
    Op.RETURN: 2,
    Op.LOAD: 2,
    Op.LOAD_MULTIPLE: 2,
}

CORE = Core(name="cortex-m4", width=1, timings=TIMINGS, taken=TAKEN, after=NEXT)
