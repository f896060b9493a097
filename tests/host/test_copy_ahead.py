"""Weights that a DMA copies ahead: the same to the bit, whenever it copies, though a cache sees nothing."""

from dataclasses import replace
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.model import generate
from mcu_build.export.contents import self_contained
from mcu_build.hardware import MemoryTiming
from mcu_build.image.elf import Symbol
from mcu_build.ir.calls.dma import DmaStart, DmaWait
from mcu_build.ir.calls.moves import Copy
from mcu_build.plan.memory import copy_ahead
from mcu_build.plan.memory.allocate import live_bytes, place
from mcu_build.plan.memory.copy_ahead import Candidate, choose
from mcu_build.plan.memory.copy_weights import copy_weights
from mcu_build.plan.memory.inplace import allow_inplace
from mcu_build.plan.memory.memories import Memories, Room, spread
from mcu_build.plan.rows.build import Chain, in_bands, in_one_line
from mcu_build.plan.specialize import specialize
from mcu_build.profile.attribute import Counts, Step
from mcu_build.profile.dma import waits, without_copies
from mcu_build.resources import data_dir
from tests.support.cases import included
from tests.support.row_chains import Draw
from tests.support.tables.host import kernel_object

SLOW = Memories((Room("sram", 1 << 20),), (Room("qspi", 1 << 20, 2.0),), copies=1 << 20, dma=1.0)
HERE = data_dir() / "tests" / "host"


def net(name="plain", chains=()):
    draw = Draw(1, 12, 10, 8)
    image = draw.input
    for channels in (24, 16, 40, 8):
        image = draw.table(draw.convolution(image, channels, same=True))
        image = draw.depthwise(image)
    plan = allow_inplace(draw.plan(name, [image]))
    return specialize(in_bands(plan, chains), ("reference",))


def of(plan, kind):
    return [index for index, step in enumerate(plan.steps) if isinstance(step.call, kind)]


def test_copies_run_while_other_layers_do():
    made = copy_weights(net(), SLOW)
    starts, waits = of(made, DmaStart), of(made, DmaWait)
    assert len(starts) >= 4
    for start, wait in zip(starts, waits, strict=True):
        # Beside a layer that computes, and over in front of the layer that reads.
        assert {step.kernel for step in made.steps[start:wait]} - {"dma_start", "dma_wait", "copy"}
        reader = next(
            step for step in made.steps[wait:] if not isinstance(step.call, DmaStart | DmaWait | Copy)
        )
        assert made.steps[wait].call.output in reader.reads
    # One at a time, while another layer reads its own.
    assert all(wait < start for wait, start in zip(waits, starts[1:], strict=False))
    assert any(wait + 1 == start for wait, start in zip(waits, starts[1:], strict=False))


def test_copies_ahead_take_no_more_than_they_may():
    plain = net()
    peak = max(live_bytes(plain))
    for more in (0, 300, 600):
        made = copy_weights(plain, replace(SLOW, copies=peak + more))
        assert max(live_bytes(made)) <= peak + more
    assert len(of(copy_weights(plain, replace(SLOW, copies=0)), DmaStart)) < len(
        of(copy_weights(plain, SLOW), DmaStart)
    )


def test_where_a_dma_does_not_reach_nothing_is_copied_by_it():
    rooms = (replace(SLOW.constants[0], dma=False),)
    made = copy_weights(net(), replace(SLOW, constants=rooms))
    assert not of(made, DmaStart) and of(made, Copy)
    # Buffers lie in the memory that it reaches, though the other is quicker.
    arenas = [Room("dtcm", 1 << 20, dma=False), Room("sram", 1 << 20, 0.1)]
    placed = spread(place(copy_weights(net(), SLOW)), arenas)
    buffers = {placed.owner(step.writes[0]).id for step in placed.steps if isinstance(step.call, DmaStart)}
    assert {placed.arena.memory_of.get(id) for id in buffers} == {"sram"}
    assert placed.arena.first_size > 0


def test_the_copies_chosen_save_most():
    """Of all subsets of candidates."""
    dice = np.random.default_rng(5)
    for _ in range(60):
        steps = int(dice.integers(4, 9))
        cycles, live = dice.integers(0, 3000, steps).tolist(), dice.integers(0, 1000, steps).tolist()
        candidates = [
            Candidate(reader, reader, int(dice.integers(64, 800)), *dice.integers(200, 4000, 2).tolist())
            for reader in range(steps)
        ]
        room = int(dice.integers(800, 1600))
        best = max(_saved(some, cycles, live, room) for some in _subsets(candidates))
        chosen = choose(candidates, cycles, live, room)
        assert _saved([candidates[copy.id] for copy in chosen], cycles, live, room) == best
        _check_room(chosen, candidates, live, room)


def _subsets(candidates):
    return (some for count in range(len(candidates) + 1) for some in combinations(candidates, count))


def _saved(some, cycles, live, room):
    """What all of these save together; where one of them is of no use, nothing."""
    copies = choose(some, cycles, live, room)
    if len(copies) < len(some):
        return 0.0
    total = 0.0
    for copy, one in zip(copies, some, strict=True):
        total += one.saved - 400 - max(0.0, one.cycles - sum(cycles[copy.first : copy.reader]))
    return total


def _check_room(chosen, candidates, live, room):
    for index, nbytes in enumerate(live):
        held = sum(candidates[copy.id].nbytes for copy in chosen if copy.first <= index <= copy.reader)
        assert not held or nbytes + held <= room
    assert all(first.reader <= second.first for first, second in pairwise(chosen))


def test_a_profile_has_what_a_dma_takes():
    """Without the stand-in's own copy, and with the wait where layers are too short for it."""
    board = replace_timing(find_board("mps2-an386"), waits=8, line=16)
    start = {"kernel": "dma_start", "copied": {"bytes": 4000, "memory": None}}
    rows = [
        start,
        {"kernel": "conv"},
        {"kernel": "dma_wait"},
        start,
        {"kernel": "conv"},
        {"kernel": "dma_wait"},
    ]
    # 4,000 bytes take 3,000 cycles: a line of 16 waits 8 and takes 4.
    assert waits(rows, [50, 1000, 30, 50, 5000, 30], board) == [0, 0, 1970, 0, 0, 0]

    run, kernel, stand_in = (
        Symbol(name, at, 16) for at, name in ((0, "net_run"), (32, OURS), (64, "memcpy"))
    )
    step = Step(Counts({0: 1, 32: 2, 64: 9000}), Counts({64: 7}))
    (own,) = without_copies([step], ["dma_start"], [run, kernel, stand_in], run)
    assert own == Step(Counts({0: 1, 32: 2}), Counts())
    assert without_copies([step], ["copy"], [run, kernel, stand_in], run) == [step]


OURS = "_ZN3mcu7kernels9dma_startERKNS0_10CopyParamsEPKvPv"


def replace_timing(board, **timing):
    """A board whose memory for constants waits."""
    name = board.placement.constants
    slow = MemoryTiming(kind="sram", **timing)
    memory = [one.model_copy(update={"timing": slow} if one.name == name else {}) for one in board.memory]
    return board.model_copy(update={"memory": tuple(memory)})


def ahead(name, chains=()):
    return place(copy_weights(net(name, chains), SLOW))


def built(folder, plans):
    """The driver with these models."""
    for plan in plans:
        for name, text in generate(plan).items():
            (folder / name).write_text(text)
    models = folder / "models.cpp"
    models.write_text("".join(f"{line}\n" for plan in plans for line in included(plan)))
    firmware = data_dir() / "firmware"
    reference = firmware / "kernels" / "reference"
    stems = {step.source for plan in plans for step in plan.steps} - {"dma"}
    objects = [kernel_object(reference / f"{stem}.cpp", firmware) for stem in sorted(stems)]
    sources = [models, HERE / "dma_driver.cpp", reference / "dma.cpp"]
    options = ["-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    folders = [f"-I{firmware / 'include'}", f"-I{folder}"]
    program = folder / "driver"
    process.run(
        ["g++", *options, "-DMCU_CACHE_MODEL", *folders, *sources, *objects, "-o", program], timeout=120
    )
    return program


def outputs(program, *words):
    image = np.random.default_rng(3).integers(-128, 128, 12 * 10 * 8).astype(np.int8)
    (program.parent / "image.bin").write_bytes(image.tobytes())
    command = f"{program} {' '.join(words)} <image.bin >outputs.bin"
    finished = process.run(["sh", "-c", command], cwd=program.parent, timeout=60)
    assert finished.status == 0, finished.stderr
    return (program.parent / "outputs.bin").read_bytes()


def test_copies_ahead_compute_the_same(tmp_path, monkeypatch):
    plans = [place(net()), ahead("whole"), ahead("rows", (Chain(0, 5, 2),))]
    monkeypatch.setattr(copy_ahead, "_BEFORE", 0)
    monkeypatch.setattr(copy_ahead, "_AROUND", 0)
    program = built(tmp_path, [in_one_line(plan) for plan in (*plans, ahead("shared"))])
    plain = outputs(program, "plain", "start", "off")
    assert len(set(plain)) > 20

    def is_exact(*words):
        return outputs(program, *words) == plain

    for model in ("whole", "rows"):
        for when in ("start", "wait"):
            assert is_exact(model, when, "off")
            assert is_exact(model, when, "on")
            # Without one of the cache's operations it is not.
            assert not is_exact(model, when, "no-invalidate")
        assert not is_exact(model, "start", "no-clean")
        # Nor with a DMA that copies when nobody waits for it any more.
        assert not is_exact(model, "late", "off")
    # Nor where the cache lines of a buffer hold something else.
    assert is_exact("shared", "wait", "off")
    assert not is_exact("shared", "wait", "on")


def test_an_export_has_the_dmas_kernel_under_the_models_name():
    config = SimpleNamespace(kernel_folders=("reference",))
    sources, internal = self_contained("kws", {}, ["dma"], config, {}, None)  # type: ignore[arg-type]
    assert {"kws_dma.h", "kws_cache.h", "kws_kernels/dma.h"} <= internal.keys()
    assert "mcu::" not in sources["kernels/reference/dma.cpp"] + internal["kws_cache.h"]
