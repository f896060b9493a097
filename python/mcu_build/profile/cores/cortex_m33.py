"""Cortex-M33: one instruction a cycle, a branch beside the 16-bit instruction before it.

Source: jnk0le's measurements on an RP2350 (github.com/jnk0le/random, "pipeline cycle test", cortex_m33.md);
Arm publishes no timings but KA001260 (`muls` stalls for a cycle). Of divisions nobody tells: the Cortex-M4's.
"""

from mcu_build.profile.core import Core, Timing
from mcu_build.profile.operations import Operation as Op

CORE = Core(
    name="cortex-m33",
    width=2,
    narrow_pairs=True,
    seconds=frozenset({Op.NOP, Op.IT, Op.BRANCH, Op.BRANCH_CONDITIONAL}),
    timings={
        Op.ALU_SHIFTED: Timing(latency=2),
        Op.DSP: Timing(latency=2),
        Op.MULTIPLY: Timing(latency=2),
        Op.MULTIPLY_ADD: Timing(latency=2, accumulator_late=1),
        Op.MULTIPLY_LONG: Timing(latency=2),
        Op.MULTIPLY_ADD_LONG: Timing(latency=2, accumulator_late=1),
        Op.DIVIDE: Timing(issue=7),
        Op.LOAD: Timing(latency=2),
        Op.LOAD_NARROW: Timing(latency=2),
        Op.STORE: Timing(data_late=1),
        Op.STORE_INDEXED: Timing(data_late=1),
        Op.LOAD_MULTIPLE: Timing(issue=0, per_register=1, latency=2),
        Op.STORE_MULTIPLE: Timing(issue=0, per_register=1),
        Op.SYSTEM: Timing(issue=2),
        Op.FLOAT: Timing(("float",), latency=2),
        Op.FLOAT_MOVE: Timing(latency=2),
        Op.FLOAT_MULTIPLY: Timing(("float",), latency=2),
        Op.FLOAT_MULTIPLY_ADD: Timing(("float",), hold=3, latency=4, accumulator_late=1),
        Op.FLOAT_DIVIDE: Timing(("float",), hold=14, latency=14),
    },
    taken={Op.BRANCH: 1, Op.BRANCH_CONDITIONAL: 1, Op.CALL: 1, Op.RETURN: 2, Op.LOAD: 3, Op.LOAD_MULTIPLE: 3},
)
