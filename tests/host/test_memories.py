"""An arena and constants over several memories: the same to the bit, each byte where it was decided."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.board import load_board
from mcu_build.codegen.linker import linker_script
from mcu_build.codegen.model import generate
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.tensor import aligned
from mcu_build.plan.describe import arena, memory
from mcu_build.plan.memory.allocate import block_distances, lifetimes, live_of, place
from mcu_build.plan.memory.fit import check_fit, constants_elsewhere, memories_of
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.memories import Memories, Pin, Room, check_pins, reads, spread, spread_constants
from mcu_build.plan.specialize import specialize
from mcu_build.resources import data_dir
from mcu_build.stages import pipeline
from mcu_build.stages.request import request_for
from tests.host.test_memory import overlaps, plan_of, step, tensor
from tests.support.row_chains import Draw, drawn

ROOMS = (Room("tcm", 3000), Room("sram", 9000, 0.5), Room("psram", 1 << 20, 2.0))


def placed(seed):
    plan, _ = drawn(seed)
    return place(specialize(allow_inplace(plan), ("reference",)))


def parts(plan):
    """Its activations, a plan for each memory."""
    where = plan.arena.memory_of
    for name in ("", *plan.arena.elsewhere):
        ids = {block.id for block in lifetimes(plan) if where.get(block.id, "") == name}
        yield name, ids


def misplaced(plan):
    """Pairs that share bytes of one memory although they may not."""
    return [pair for _, ids in parts(plan) for pair in overlaps(plan) if ids.issuperset(pair)]


def test_random_nets_lie_within_their_rooms():
    spilled = 0
    for seed in range(40):
        plan = spread(placed(seed), ROOMS)
        assert not misplaced(plan)
        used = {"tcm": plan.arena.first_size, **plan.arena.elsewhere}
        assert sum(used.values()) == plan.arena.size
        assert plan.arena.over == 0
        for room in ROOMS:
            assert used.get(room.name, 0) <= room.size
        rows = arena(plan)
        assert max(row["offset"] + row["size"] for row in rows) <= plan.arena.size
        spilled += len(plan.arena.elsewhere) > 1
        assert memory(plan)["arena_elsewhere"] == plan.arena.elsewhere
    assert spilled > 5


def test_what_fits_the_first_memory_stays_there():
    plan = placed(3)
    same = spread(plan, [Room("a", 1 << 20), Room("b", 1 << 20)])
    assert (same.arena.offsets, same.arena.size) == (plan.arena.offsets, plan.arena.size)
    assert not same.arena.elsewhere
    # Where another one is quicker, all of it goes there.
    quicker = spread(plan, [Room("a", 1 << 20, 1.0), Room("b", 1 << 20)])
    assert quicker.arena.first_size == 0 and quicker.arena.elsewhere == {"b": plan.arena.size}


def test_what_does_not_fit_at_all_is_told():
    plan = placed(3)
    found = spread(plan, [Room("a", 64), Room("b", 64)])
    assert found.arena.over >= plan.arena.lower_bound - 128


def test_what_is_read_most_lies_where_reads_are_quick():
    # t1 is read by three steps, t2 by one: both have 1024 bytes and are live together.
    tensors = [tensor(0, 64), tensor(1, 1024), tensor(2, 1024), *(tensor(id, 64) for id in (3, 4, 5, 6))]
    steps = [step([0], [2]), step([0], [1]), step([1], [3]), step([1], [4]), step([1], [5]), step([2], [6])]
    plan = place(plan_of(tensors, steps, [0], [3, 4, 5, 6]))
    assert reads(plan)[1] == 3 * reads(plan)[2]
    for order in ((0, 1), (1, 0)):
        rooms = [(Room("quick", 1400), Room("slow", 4096, 1.0))[index] for index in order]
        found = spread(plan, rooms).arena
        names = {id: found.memory_of.get(id, rooms[0].name) for id in (1, 2)}
        assert names == {1: "quick", 2: "slow"}
        assert found.waits == reads(plan)[2]


def test_the_cost_is_no_more_than_that_of_other_ways():
    for seed in range(12):
        plan = placed(seed)
        chosen = spread(plan, ROOMS).arena
        dice = random.Random(seed)
        blocks, distances = lifetimes(plan), block_distances(plan, lifetimes(plan))
        count = reads(plan)
        for _ in range(60):
            at = {block.id: dice.randrange(3) for block in blocks}
            own = [[block for block in blocks if at[block.id] == number] for number in range(3)]
            both = [
                {pair: one for pair, one in distances.items() if {block.id for block in group} >= set(pair)}
                for group in own
            ]
            fits = all(
                max(live_of(group, pairs, len(plan.steps))) <= room.size
                for group, pairs, room in zip(own, both, ROOMS, strict=True)
            )
            if fits:
                assert chosen.waits <= sum(count.get(id, 0) * ROOMS[n].wait for id, n in at.items()) * 1.01


MAIN = """
#include <cstdio>
#include <cstring>
#include "plain.h"
#include "parted.h"
#include "broken.h"
int main() {
    for (int i = 0; i < PLAIN_INPUT_SIZE; ++i) plain_input()[i] = static_cast<int8_t>(i * i * 31 + i / 7);
    std::memcpy(parted_input(), plain_input(), PLAIN_INPUT_SIZE);
    std::memcpy(broken_input(), plain_input(), PLAIN_INPUT_SIZE);
    plain_run();
    parted_run();
    broken_run();
    const int8_t *own = plain_output();
    const auto same = [=](const void *other) { return std::memcmp(own, other, PLAIN_OUTPUT_SIZE) == 0; };
    std::printf("%d %d %d", same(parted_output()), same(broken_output()), own[5] != own[50]);
}
"""


def test_the_firmware_computes_the_same_over_memories(tmp_path: Path) -> None:
    draw = Draw(1, 24, 16, 8)
    wide = draw.table(draw.convolution(draw.input, 32, same=True))
    narrow = draw.convolution(draw.depthwise(wide), 8, same=True)
    plan = place(allow_inplace(draw.plan("plain", [draw.added(narrow, draw.input)])))
    memories = Memories(
        (Room("tcm", 16000), Room("sram", 1 << 20)), (Room("flash", 400), Room("qspi", 1 << 20))
    )
    parted = replace(memories.spread(plan), name="parted")
    assert parted.arena.first_size and parted.arena.elsewhere
    assert (
        0
        < constants_elsewhere(parted)["qspi"]
        < sum(one.nbytes for one in plan.tensors.values() if one.is_constant)
    )
    # One that lies upon another that is still needed.
    crowded = dict.fromkeys(parted.arena.offsets, 0)
    broken = replace(parted, name="broken", placed=replace(parted.arena, offsets=crowded))
    sources = [tmp_path / "main.cpp"]
    sources[0].write_text(MAIN)
    for one in (plan, parted, broken):
        for name, text in generate(one).items():
            (tmp_path / name).write_text(text)
            sources += [tmp_path / name] * name.endswith(".cpp")
    firmware = data_dir() / "firmware"
    sources += [
        firmware / "kernels" / "reference" / f"{stem}.cpp" for stem in {step.source for step in plan.steps}
    ]
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{firmware / 'include'}", f"-I{tmp_path}"]
    app = tmp_path / "app"
    built = process.run(["g++", *flags, *sources, "-o", app], timeout=120)
    assert built.status == 0, built.stderr
    assert process.run([app], timeout=20).stdout == "1 0 1"
    assert '".bss.mcu_arena_in.sram.parted"' in (tmp_path / "parted_arena.cpp").read_text()
    assert '".rodata.mcu_constants_in.qspi.parted"' in (tmp_path / "parted_constants.cpp").read_text()
    sizes = f"PARTED_ARENA_SRAM_SIZE {parted.arena.elsewhere['sram']}\n"
    assert sizes in (tmp_path / "parted.h").read_text()


def named(plan):
    steps = [replace(step, name=f"net.{index}") for index, step in enumerate(plan.steps)]
    return replace(plan, steps=tuple(steps))


def test_pins_name_memories():
    plan = named(placed(3))
    rooms = [Room("a", 1 << 20), Room("b", 1 << 20), Room("c", 1 << 20)]
    pins = [Pin.of("net.0=b"), Pin.of("input=c")]
    found = spread(plan, rooms, pins).arena
    ids = {plan.owner(plan.steps[0].writes[0]).id: "b", plan.owner(plan.inputs[0]).id: "c"}
    assert {id: found.memory_of[id] for id in ids} == ids
    everything = spread(plan, rooms, [Pin.of("net=b")]).arena
    assert set(everything.memory_of.values()) == {"b"}
    weights = spread_constants(plan, [Room("flash", 1 << 20), Room("qspi", 1 << 20)], [Pin.of("net.0=qspi")])
    own = {id for id in plan.steps[0].arguments if id is not None and plan.owner(id).is_constant}
    assert own and set(weights.constants_in) == own


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        ("net.0=d", "--place: net.0=d: neither arena nor constants of the board may lie in 'd'"),
        ("nett.0=b", "no layer of .* is called 'nett.0'"),
        ("net.0", "--place: 'net.0' is not LAYER=MEMORY"),
        ("=b", "'=b' is not LAYER=MEMORY"),
    ],
)
def test_a_wrong_pin_is_refused(pin, message):
    with pytest.raises(McuError, match=message) as found:
        check_pins(named(placed(3)), [Pin.of(pin)], ["a", "b"])
    assert found.value.exit_code is Exit.USAGE


BOARD = """
extends = "mps2-an386"
[placement]
{placement}
[[memory]]
name = "ssram1"
origin = 0x00000000
size = "4M"
access = "rwx"
[[memory]]
name = "dtcm"
origin = 0x10000000
size = "{size}"
access = "rw"
[[memory]]
name = "ssram23"
origin = 0x20000000
size = "12K"
access = "rwx"
[[memory]]
name = "psram"
origin = 0x21000000
size = "1M"
access = "rwx"
"""


def board(folder, placement, size="6K"):
    file = folder / "parted.toml"
    file.write_text(BOARD.format(placement=placement, size=size))
    return load_board(file)


def test_a_board_lists_memories(tmp_path):
    made = board(tmp_path, 'arena = ["dtcm", "psram"]\nconstants = ["ssram1", "psram"]')
    assert made.placement.arenas == ("dtcm", "psram") and made.placement.weights == ("ssram1", "psram")
    assert made.free_memories == ()
    script = linker_script(made)
    for line in (
        "    .arena_psram (NOLOAD) : ALIGN(16)\n    {\n        *(.bss.mcu_arena_in.psram.*)\n    } >psram ",
        "        *(.rodata.mcu_constants_in.psram.*)\n    } >psram :constants_psram\n",
        "    constants_psram PT_LOAD FLAGS(4);\n",
        "psram (1048576 bytes) is too small for .constants_psram, .arena_psram",
    ):
        assert line in script
    memories = memories_of(made, 100)
    # In the first lies the state, too; code takes a part of its memory.
    assert memories.arenas == (Room("dtcm", 6 * 1024 - 100, npu=False), Room("psram", 1 << 20, npu=False))
    assert [room.size for room in memories.constants] == [(4 << 20) - (32 << 10), 1 << 20]


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ('arena = ["dtcm", "dtcm"]', "arena: \\['dtcm', 'dtcm'\\] is no list of different memories"),
        ("arena = []", "arena: \\[\\] is no list"),
        ('arena = ["dtcm", "sram"]', "placement.arena: no memory is called 'sram'; there are: ssram1, dtcm"),
        ('constants = ["psram", 7]', "constants"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, placement, message):
    with pytest.raises(McuError, match=message):
        board(tmp_path, placement)


def test_what_is_too_large_names_a_memory_that_would_do(tmp_path):
    plan = placed(3)
    need = plan.arena.size
    assert 1024 < need < 12 * 1024
    with pytest.raises(McuError, match="dtcm: needs") as found:
        check_fit(plan, board(tmp_path, 'arena = "dtcm"', size="1K"))
    assert 'psram has room: --arena dtcm --arena psram, or `arena = ["dtcm", "psram"]`' in found.value.hint
    with pytest.raises(McuError) as found:
        check_fit(plan, board(tmp_path, 'arena = "dtcm"', size="1K"), spreads=False)
    assert 'psram has room: `arena = "psram"`' in found.value.hint
    # The hint works.
    larger = board(tmp_path, 'arena = ["dtcm", "psram"]', size="1K")
    check_fit(memories_of(larger, 0).spread(plan), larger)


def test_options_choose_memories(tmp_path):
    board(tmp_path, 'arena = "dtcm"')
    file = str(tmp_path / "parted.toml")
    made = request_for("m.py", BuildOptions.of(board=file, arena=["dtcm", "psram"], constants=["psram"]))
    assert made.board.placement.arenas == ("dtcm", "psram")
    assert made.folder("m").name == "parted-arena-dtcm-psram-constants-psram"
    one = request_for("m.py", BuildOptions.of(board=file, arena=["psram", "dtcm"], runtime="table"))
    assert one.board.placement.arenas == ("psram",)
    for options, message in (
        ({"arena": ["dtc"]}, "--arena: no memory is called 'dtc'; there are: ssram1, dtcm, ssram23, psram"),
        ({"arena": ["dtcm", "dtcm"]}, "--arena: .* is no list of different memories"),
        ({"board": "host", "arena": ["dtcm"]}, "--arena: host has no memories to choose from"),
        ({"place": ["a=dtcm"], "runtime": "table"}, "--place: it has no effect without --runtime static"),
        (
            {"input_by": "rows", "runtime": "executorch"},
            "--input-by: it has no effect without --runtime static: ExecuTorch's Method and the runner of "
            "tables take an input as one tensor, whole",
        ),
    ):
        with pytest.raises(McuError, match=message) as found:
            request_for("m.py", BuildOptions.of(**{"board": file, **options}))
        assert found.value.exit_code is Exit.USAGE


def test_build_systems_link_models_where_they_say(tmp_path):
    """With the script of the board, whatever the options of one model."""
    board(tmp_path, 'arena = "dtcm"')
    options = {"board": str(tmp_path / "parted.toml"), "arena": ["psram", "dtcm"]}
    made = request_for("m.py", BuildOptions.of(**options))
    assert made.first_memories == ("psram", "")
    assert made.board.placement.arenas == ("psram", "dtcm") and made.linked.placement.arena == "dtcm"
    script = linker_script(made.linked)
    assert "*(.bss.mcu_arena_in.psram.*)\n    } >psram" in script
    assert "*(.rodata.mcu_constants_in.psram.*)\n    } >psram" in script
    pipeline.check_memories(made)
    for more, message in (
        ({"constants": ["ssram1"]}, "--constants: ssram1: the linker script of parted loads nothing there"),
        ({"runtime": "table"}, "build systems link models of this runtime where the board has them"),
    ):
        with pytest.raises(McuError, match=message) as found:
            pipeline.check_memories(request_for("m.py", BuildOptions.of(**options, **more)))
        assert found.value.exit_code is Exit.USAGE


def test_constants_go_where_they_fit():
    plan = placed(5)
    total = sum(aligned(one.nbytes) for one in plan.tensors.values() if one.is_constant)
    parted = spread_constants(plan, [Room("flash", total // 2), Room("qspi", total)])
    elsewhere = constants_elsewhere(parted)["qspi"]
    assert total / 2 <= aligned(elsewhere) < total
    assert not spread_constants(plan, [Room("flash", total), Room("qspi", total)]).constants_in
