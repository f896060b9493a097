"""The cycle model: what its rules say of short pieces of code, and which way branches went."""

from itertools import pairwise

import pytest

from mcu_build.image.decode import Instruction
from mcu_build.profile import cycles
from mcu_build.profile.blocks import flow
from mcu_build.profile.budget import over_budget
from mcu_build.profile.cores import CORES
from mcu_build.profile.operands import operands
from mcu_build.profile.operations import Operation, operation


def instructions(*lines: str) -> dict[int, Instruction]:
    """From address 0: two bytes each where the mnemonic ends in .n, four elsewhere."""
    found, address = {}, 0
    for line in lines:
        word, _, rest = line.partition(" ")
        size = 2 if word.endswith(".n") else 4
        found[address] = Instruction(address, size, word.removesuffix(".n"), rest)
        address += size
    return found


def rounds(core: str, *lines: str, count: int = 1000) -> float:
    """Cycles of one round of a loop over `lines`, whose last goes back to address 0."""
    code = instructions(*lines)
    return sum(cycles.model(dict.fromkeys(code, count), code, CORES[core]).values()) / count


LOADS = ("vldrb.u8 q0, [r0], #16", "vldrb.u8 q1, [r1], #16", "vldrb.u8 q2, [r2], #16")
PRODUCTS = ("vmladava.s8 r4, q4, q5", "vmladava.s8 r6, q4, q5", "vmladava.s8 r8, q4, q5")


def test_helium_overlaps_where_pipes_differ():
    """As `llvm-mca-19 -mcpu=cortex-m55` has it, but for LE: six vectors in turns take six cycles."""
    loop = "le lr, 0 <loop>"
    in_turns = [line for pair in zip(LOADS, PRODUCTS, strict=True) for line in pair]
    assert rounds("cortex-m55", *in_turns, loop) == pytest.approx(6, abs=0.1)
    # Three of one pipe after the other: two cycles each, but where the pipe changes.
    assert rounds("cortex-m55", *LOADS, *PRODUCTS, loop) == pytest.approx(10, abs=0.1)
    # The same instructions in the same number on a core that knows no pipes.
    assert rounds("cortex-m0plus", *in_turns, loop) == rounds("cortex-m0plus", *LOADS, *PRODUCTS, loop)


def test_a_result_that_is_wanted_early_is_waited_for():
    product, use = "vmul.i32 q0, q1, q2", "vadd.i32 q7, q0, q6"
    others = ("vldrw.u32 q3, [r0]", "vstrw.32 q4, [r1]")
    loop = "le lr, 0 <loop>"
    assert rounds("cortex-m55", product, *others, use, loop) < rounds(
        "cortex-m55", *others, product, use, loop
    )


@pytest.mark.parametrize(
    ("core", "lines", "expected"),
    [
        # Arm 100166: a load 2 cycles, 1 in front of a load; MLA 1; a branch 1 + P.
        (
            "cortex-m4",
            ("ldr r0, [r1]", "ldr r2, [r1, #4]", "mla r3, r2, r0, r3", "bne 0 <loop>"),
            1 + 2 + 1 + 2,
        ),
        ("cortex-m4", ("ldmia r0!, {r4-r7}", "bne 0 <loop>"), 1 + 4 + 2),
        # Arm 100165: SMLAL 4 to 7.
        ("cortex-m3", ("smlal r0, r1, r2, r3", "bne 0 <loop>"), 6 + 2),
        # Arm DDI 0484.
        ("cortex-m0plus", ("ldr.n r0, [r1]", "muls.n r0, r2", "bne.n 0 <loop>"), 2 + 1 + 2),
        ("cortex-m0plus", ("ldmia.n r0!, {r4, r5, r6}", "bne.n 0 <loop>"), 1 + 3 + 2),
        # jnk0le: "subs 1 cycle, bne 2 cycles taken", a word's load and its use.
        ("cortex-m33", ("subs r7, #1", "bne.n 0 <loop>"), 3),
        ("cortex-m33", ("ldr r0, [r1]", "add r2, r0, r3", "bne 0 <loop>"), 1 + 1 + 1 + 2),
        # Two of arithmetic start together, two products do not.
        ("cortex-m7", ("add r0, r1, #1", "add r2, r3, #1", "add r4, r5, #1", "add r6, r7, #1", "b 0 <l>"), 3),
        ("cortex-m7", ("mla r0, r8, r9, r0", "mla r1, r8, r9, r1", "mla r2, r8, r9, r2", "b 0 <l>"), 3),
        ("cortex-m7", ("ldmia r0!, {r4-r7}", "ldmia r1!, {r8-r11}", "b 0 <l>"), 5),
    ],
)
def test_what_references_say(core, lines, expected):
    assert rounds(core, *lines) == pytest.approx(expected, abs=0.1)


def test_every_core_that_a_board_can_have_is_modelled():
    from mcu_build.board import Board, find_board

    cores = set(Board.model_json_schema()["properties"]["core"]["enum"]) - {"host"}
    assert cores == set(CORES)
    assert find_board("corstone-300").core in CORES


def test_ways_follow_from_counts():
    """A loop in a loop, and a branch over a block: none of it is counted, all of it follows."""
    code = instructions(
        "mov r0, #0",  # 0: 1
        "mov r1, #0",  # 4: 10, the outer loop
        "cbz r2, 10 <skip>",  # 8: 100, the inner loop; skips 30
        "add r1, r1, #2",  # c: 70
        "add r1, r1, #1",  # 10: 100
        "bne 8 <inner>",  # 14: 100, back 90 times
        "bne 4 <outer>",  # 18: 10, back 9 times
        "bx lr",  # 1c: 1
    )
    counts = dict(zip(code, (1, 10, 100, 70, 100, 100, 10, 1), strict=True))
    found = flow(counts, code)
    ends = {block.last.address: taken for block, taken in zip(found.blocks, found.taken, strict=True)}
    assert (ends[0x8], ends[0x14], ends[0x18], ends[0x1C]) == (30, 90, 9, 1)
    # What enters a block is its count, but for the first.
    for number, block in enumerate(found.blocks):
        entered = sum(edge.count for edge in found.edges if edge.target == number)
        assert entered == block.count or number == 0


def test_addresses_add_up_and_time_is_linear():
    lines = [f"add r{i % 8}, r{i % 8}, #1" for i in range(50)] + ["bne 0 <loop>"]
    code = instructions(*lines)
    found = cycles.model(dict.fromkeys(code, 7), code, CORES["cortex-m55"])
    assert set(found) == set(code) and cycles.total(found) == round(sum(found.values()))
    assert all(cost >= 0 for cost in found.values())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("umaal r0, r1, r2, r3", Operation.MULTIPLY_ADD_LONG),
        ("smlabbne r0, r1, r2, r3", Operation.MULTIPLY_ADD),
        ("ldrsb r0, [r1, #1]", Operation.LOAD_NARROW),
        ("popne {r4, pc}", Operation.LOAD_MULTIPLE),
        ("vldr s0, [r1]", Operation.LOAD),
        ("vldrb.u16 q0, [r0, q1]", Operation.VECTOR_GATHER),
        ("vmlaldava.s16 r0, r1, q0, q1", Operation.VECTOR_DOT_LONG),
        ("vqdmulh.s32 q0, q0, r3", Operation.VECTOR_MULTIPLY),
        ("vmul.f32 q0, q0, q3", Operation.VECTOR_FLOAT_MULTIPLY),
        ("vqmovnb.s32 q0, q1", Operation.VECTOR_NARROW),
        ("vmov.32 q0[1], r2", Operation.VECTOR_FROM_SCALAR),
        ("vmov r2, r3, q0[2], q0[0]", Operation.VECTOR_TO_SCALAR),
        ("add r0, r1, r2, lsl #2", Operation.ALU_SHIFTED),
        ("movs r0, r1, lsr #31", Operation.SHIFT),
        ("movs r0, #4", Operation.ALU_SIMPLE),
        ("vadd.f64 d0, d1, d2", Operation.DOUBLE),
        ("bls 400 <conv>", Operation.BRANCH_CONDITIONAL),
        ("blx r3", Operation.CALL),
    ],
)
def test_operations(line, expected):
    assert operation(instructions(line)[0]) is expected


@pytest.mark.parametrize(
    ("line", "reads", "early", "writes"),
    [
        ("add r0, r1, r2", "r1 r2", "", "r0"),
        ("adds r0, #1", "r0", "", "r0"),
        ("add r0, r1, r2, lsl #2", "r1", "r2", "r0"),
        ("cmp r0, r1", "r0 r1", "", ""),
        ("ldr r0, [r1, r2, lsl #2]", "", "r1 r2", "r0"),
        ("strd r0, r1, [sp, #8]", "r0 r1", "sp", ""),
        ("ldmia r0!, {r4-r6, pc}", "", "r0", "r4 r5 r6 pc"),
        ("vldrw.u32 q0, [r3], #16", "", "r3", "s0 s1 s2 s3"),
        ("vmov q0[2], q0[0], r5, ip", "r5 r12 s0 s1 s2 s3 s0 s1 s2 s3", "", "s0 s1 s2 s3 s0 s1 s2 s3"),
        ("vmov r2, r3, d1", "s2 s3", "", "r2 r3"),
        ("cbz r0, 100 <r4>", "r0", "", ""),
    ],
)
def test_operands(line, reads, early, writes):
    found = operands(instructions(line)[0])
    assert (found.reads, found.early, found.writes) == tuple(
        tuple(names.split()) for names in (reads, early, writes)
    )


def test_an_accumulator_is_an_operand_of_its_own():
    for line, name in (
        ("mla r0, r1, r2, r3", "r3"),
        ("smlad r0, r1, r2, r0", "r0"),
        ("vmladava.s8 r4, q0, q1", "r4"),
    ):
        assert operands(instructions(line)[0]).accumulator == (name,)
    assert operands(instructions("ldr r0, [r1], #4")[0]).updated == ("r1",)


def test_budgets():
    assert over_budget("net", 100, 150, 100, 150) is None
    assert over_budget("net", 100, None, 100, None) is None
    for limits, word in (((99, None), "100 instructions"), ((None, 149), "150 modelled cycles")):
        error = over_budget("net", 100, 150, *limits)
        assert error and word in error.message and error.exit_code == 6
    missing = over_budget("net", 100, None, None, 1)
    assert missing and missing.exit_code == 2


def test_more_code_costs_more():
    lines = [f"ldr r{i % 6}, [r8, #4]" for i in range(8)]
    for core in CORES:
        found = [rounds(core, *lines[:length], "b 0 <l>") for length in range(1, 8)]
        assert all(a < b or core in ("cortex-m7", "cortex-m85") for a, b in pairwise(found)), core
