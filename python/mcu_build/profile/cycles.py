"""Executed instructions → an estimate of cycles. An estimate: no memory waits, caches, stalls or interrupts.

Where each number comes from is said beside it. "LLVM" is the scheduling model of that core in LLVM 19, asked
with `llvm-mca-19 -mcpu=<core>` for the reciprocal throughput of one instruction. docs/profiling.md has the
table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mcu_build.profile.decode import VECTOR_KINDS, Instruction, Kind

_MEMORY = frozenset({Kind.VECTOR_LOAD, Kind.VECTOR_STORE})


@dataclass(frozen=True)
class Model:
    """Cycles of one core.

    `load` and `store` are of one register; `transfer` is of each register where several are named, which
    cost `transfers` more once. `load_after_load` is of a load right behind a load. `taken` is what a branch
    costs on top where it is taken, `loop_end` what LE and LETP cost. `vector_overlapped` is of a vector
    instruction behind one of the other pipe: memory behind arithmetic, or arithmetic behind memory.
    """

    simple: float
    load: float
    load_after_load: float
    store: float
    transfer: float
    transfers: float
    multiply: float
    divide: float
    float_simple: float
    float_divide: float
    branch: float
    taken: float
    loop_end: float = 0
    vector: float = 0
    vector_overlapped: float = 0
    predicate: float = 0


MODELS: Mapping[str, Model] = {
    # Arm DDI 0439, Cortex-M4 TRM, "Instruction set summary", "Load/store timings" and "FPU instruction set".
    # Refill of the pipeline takes 1 to 3 cycles there, a divide 2 to 12: the middle of each.
    "cortex-m4": Model(
        simple=1,
        load=2,
        load_after_load=1,
        store=1,
        transfer=1,
        transfers=1,
        multiply=1,
        divide=7,
        float_simple=1,
        float_divide=14,
        branch=1,
        taken=2,
    ),
    # LLVM: two instructions a cycle, of which one stores, multiplies, computes floats or branches. Arm
    # publishes no timings. Every branch counts as predicted and every pair as found: it can only be more.
    "cortex-m7": Model(
        simple=0.5,
        load=0.5,
        load_after_load=0.5,
        store=1,
        transfer=0.5,
        transfers=0,
        multiply=1,
        divide=7,
        float_simple=1,
        float_divide=16,
        branch=1,
        taken=0,
    ),
    # LLVM: one instruction a cycle, and a vector instruction holds its pipe for two. Loop ends: Arm's
    # "Introduction to the Armv8.1-M architecture": from the second time on a loop branches back without
    # executing LE. A divide is taken to be the Cortex-M4's, for want of a number.
    "cortex-m55": Model(
        simple=1,
        load=1,
        load_after_load=1,
        store=1,
        transfer=1,
        transfers=0,
        multiply=1,
        divide=7,
        float_simple=1,
        float_divide=16,
        branch=1,
        taken=0,
        loop_end=0,
        vector=2,
        vector_overlapped=1,
        predicate=1,
    ),
}


def estimate(counts: Mapping[int, int], code: Mapping[int, Instruction], model: Model) -> int:
    """Cycles for instructions executed by address."""
    cycles = 0.0
    before: Instruction | None = None
    for address in sorted(counts):
        instruction = code[address]
        # What lies right before was, as a rule, executed right before.
        behind = before if before and before.address + before.size == address else None
        cycles += counts[address] * _cycles(instruction, behind, model)
        cycles += _taken(instruction, counts) * model.taken
        before = instruction
    return round(cycles)


def _cycles(instruction: Instruction, behind: Instruction | None, model: Model) -> float:
    kind = instruction.kind
    if kind in VECTOR_KINDS:
        if instruction.is_predicate:
            return model.predicate
        other_pipe = behind and behind.kind in VECTOR_KINDS and (behind.kind in _MEMORY) != (kind in _MEMORY)
        return model.vector_overlapped if other_pipe else model.vector
    if kind in (Kind.LOAD, Kind.STORE):
        if instruction.registers > 1:
            return model.transfers + model.transfer * instruction.registers
        if kind is Kind.STORE:
            return model.store
        return model.load_after_load if behind and behind.kind is Kind.LOAD else model.load
    if kind is Kind.FLOAT:
        slow = instruction.mnemonic.startswith(("vdiv", "vsqrt"))
        return model.float_divide if slow else model.float_simple
    if kind is Kind.BRANCH:
        return model.loop_end if instruction.mnemonic in ("le", "letp") else model.branch
    if kind is Kind.MULTIPLY:
        return model.multiply
    return model.divide if instruction.is_divide else model.simple


def _taken(instruction: Instruction, counts: Mapping[int, int]) -> int:
    """How often a branch was taken, at least: what ran next in memory may have been reached otherwise."""
    if instruction.kind is not Kind.BRANCH:
        # A function also returns by loading the program counter.
        return counts[instruction.address] if "pc}" in instruction.operands else 0
    if not instruction.is_conditional_branch:
        return counts[instruction.address]
    return max(0, counts[instruction.address] - counts.get(instruction.address + instruction.size, 0))
