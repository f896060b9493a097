"""Cortex-M55: one instruction a cycle. Helium's hold their pipe for two; neighbours on other pipes overlap.

Sources: LLVM 19, ARMScheduleM55.td (written by Arm), from which all pipes and latencies are where nothing
else is said; SLOTHY, targets/arm_v81m/cortex_m55r1.py. They agree on pipes, and on latencies but for a few
shifts.
"""

from mcu_build.profile.core import Core, Timing
from mcu_build.profile.operations import Operation as Op

_LS, _INT, _MUL, _CONTROL, _EITHER = (
    ("memory",),
    ("integer",),
    ("multiply",),
    ("control",),
    ("integer|multiply",),
)


def _vector(pipes: tuple[str, ...], latency: int, early: int = 0) -> Timing:
    """Two beats."""
    return Timing(pipes, hold=2, latency=latency, early=early)


CORE = Core(
    name="cortex-m55",
    width=2,
    narrow_pairs=True,
    # LLVM: "two 16-bit T1 instructions providing one is one of NOPs, ITs, Brs, ADDri/SUBri, UXTB/H, SXTB/H
    # and MOVri's"
    seconds=frozenset({Op.NOP, Op.IT, Op.BRANCH, Op.BRANCH_CONDITIONAL, Op.EXTEND, Op.ALU_SIMPLE}),
    timings={
        Op.ALU: Timing(),
        Op.ALU_SIMPLE: Timing(),
        Op.SHIFT: Timing(),
        Op.EXTEND: Timing(),
        Op.BITFIELD: Timing(latency=2),
        Op.ALU_SHIFTED: Timing(latency=2),
        Op.DSP: Timing(latency=2),
        Op.MULTIPLY: Timing(latency=2),
        # The accumulator is read a stage later, as on the Cortex-M33.
        Op.MULTIPLY_ADD: Timing(latency=2, accumulator_late=1),
        Op.MULTIPLY_LONG: Timing(latency=2),
        Op.MULTIPLY_ADD_LONG: Timing(latency=2, accumulator_late=1),
        Op.DIVIDE: Timing(issue=7, latency=7),  # 2 to 12 on Cortex-M4, whose middle this is: no source has it
        # SLOTHY: scalars share the memory pipe with vectors. One register a cycle.
        Op.LOAD: Timing(_LS, latency=2),
        Op.LOAD_NARROW: Timing(_LS, latency=2),
        Op.LOAD_MULTIPLE: Timing(_LS, issue=0, per_register=1, latency=2),
        # As on Cortex-M33: what a stage late computes can be stored in the next cycle.
        Op.STORE: Timing(_LS, data_late=1),
        Op.STORE_INDEXED: Timing(_LS, data_late=1),
        Op.STORE_MULTIPLE: Timing(_LS, issue=0, per_register=1),
        Op.LOOP_END: Timing(issue=0),
        Op.SYSTEM: Timing(issue=2),
        Op.FLOAT: Timing(_MUL, latency=2),
        Op.FLOAT_MOVE: Timing(_MUL, latency=2),
        Op.FLOAT_MULTIPLY: Timing(_MUL, latency=2),
        Op.FLOAT_MULTIPLY_ADD: Timing(_MUL, latency=2),
        Op.FLOAT_DIVIDE: Timing(_MUL, hold=14, latency=16),
        Op.DOUBLE: Timing(_MUL, hold=13, latency=15),
        Op.DOUBLE_DIVIDE: Timing(_MUL, hold=28, latency=30),
        Op.VECTOR_LOAD: _vector(_LS, 1),
        Op.VECTOR_LOAD_INTERLEAVED: _vector(_LS, 2),
        Op.VECTOR_GATHER: _vector(_LS, 2, early=3),
        Op.VECTOR_STORE: Timing(_LS, hold=2, data_late=1),
        Op.VECTOR_STORE_INTERLEAVED: _vector(_LS, 1),
        Op.VECTOR_SCATTER: _vector(_LS, 1, early=3),
        Op.VECTOR_INTEGER: _vector(_INT, 1),
        Op.VECTOR_SHIFT: _vector(_INT, 2),
        Op.VECTOR_NARROW: _vector(_INT, 3),
        Op.VECTOR_MAXIMUM: _vector(_INT, 3),
        Op.VECTOR_COMPARE: _vector(_MUL, 1),
        Op.VECTOR_MULTIPLY: _vector(_MUL, 2),
        Op.VECTOR_DOT: _vector(_MUL, 2),
        Op.VECTOR_DOT_LONG: _vector(_MUL, 3),  # SLOTHY; LLVM has 2
        Op.VECTOR_FLOAT: _vector(_MUL, 1),
        Op.VECTOR_FLOAT_MULTIPLY: _vector(_MUL, 2),
        Op.VECTOR_FROM_SCALAR: _vector(_EITHER, 1),
        Op.VECTOR_TO_SCALAR: _vector(_MUL, 1),
        Op.VECTOR_PREDICATE: Timing(_CONTROL),
    },
    # LLVM: MispredictPenalty = 3, of a core that predicts that no branch is taken.
    taken={Op.BRANCH: 2, Op.BRANCH_CONDITIONAL: 2, Op.CALL: 2, Op.RETURN: 2, Op.LOAD_MULTIPLE: 2, Op.LOAD: 2},
    loop_entry=3,
)
