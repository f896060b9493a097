"""Emitted blocks in another order: dependences are kept, and the cycle model finds hardly a lost cycle."""

from collections import Counter

import pytest

from mcu_build.image.decode import Instruction
from mcu_build.kernels.helium import linear_core, tile_core, tile_shapes
from mcu_build.kernels.helium.schedule import schedule
from mcu_build.profile.operands import operands
from tests.support.emitted import loop_cycles

BLOCK = [
    "vldrw.u32 q6, [r5]",
    "vadd.i32 q4, q4, q6",
    "ldr r1, [sp, #44]",
    "add r1, r1, r7",
    "vstrb.32 q4, [r1]",
    "ldr r1, [sp, #48]",
    "vldrw.u32 q0, [r11], #16",
    "vldrw.u32 q2, [r3], #16",
    "vmladav.s8 r0, q0, q2",
    "vldrw.u32 q2, [r3], #16",
    "vmladava.s8 r0, q0, q2",
    "vmov d8, r0, r1",
    "str r1, [sp, #44]",
]


def instruction(line: str) -> Instruction:
    word, _, rest = line.rpartition("\\n ")[2].partition(" ")
    return Instruction(0, 4, word, rest)


def hazards(lines: list[str]) -> Counter[tuple[str, str, str]]:
    """Which line sees which register as which other left it, by the cycle model's reading of text."""
    writers: dict[str, str] = {}
    found: Counter[tuple[str, str, str]] = Counter()
    for line in lines:
        used = operands(instruction(line))
        for name in {*used.reads, *used.early, *used.accumulator}:
            found[line, name, writers.get(name, "")] += 1
        for name in (*used.writes, *used.updated):
            writers[name] = line
    found.update({("end", name, line): 1 for name, line in writers.items()})
    return found


def test_each_instruction_reads_what_it_did() -> None:
    order = schedule(BLOCK)
    assert sorted(order) == sorted(BLOCK) and order != BLOCK
    assert hazards(order) == hazards(BLOCK)
    assert order.index("str r1, [sp, #44]") > order.index("ldr r1, [sp, #44]")
    # The comparison notices two that change places.
    assert hazards([*BLOCK[:3], BLOCK[5], *BLOCK[3:5], *BLOCK[6:]]) != hazards(BLOCK)


@pytest.mark.parametrize(
    ("core", "most"),
    [
        (tile_shapes.Core(64, 64), 0.178),
        (tile_shapes.Core(16, 16), 0.39),
        (tile_shapes.Core(128, 128), 0.162),
        (tile_shapes.Core(16, 48, rows=3), 0.172),
    ],
)
def test_cores_hardly_wait(core: tile_shapes.Core, most: float) -> None:
    """Cycles of a Cortex-M55 for a product of a quad that is one of many."""
    emitted = tile_core.emit(core, tile_core.TileEpilogue())
    taken = loop_cycles("cortex-m55", emitted, {"2": core.loop.rounds})
    assert taken / (16 * core.nbytes * core.rows) < most


@pytest.mark.parametrize(("inputs", "most"), [(128, 0.146), (640, 0.145)])
def test_linear_cores_hardly_wait(inputs: int, most: float) -> None:
    """Cycles of a Cortex-M55 for a product of eight outputs among many."""
    core = linear_core.Core(inputs, right=7, half_away=False)
    taken = loop_cycles("cortex-m55", linear_core.emit(core), {"2": core.loop.rounds})
    assert taken / (linear_core.TILE * inputs) < most
