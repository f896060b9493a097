"""Convolutions on Helium: the text of a core, whose contract is in mve_conv_tiles.h.

A tile is four pixels by all channels. A core makes the sums of two pixels by four channels, then those of the
other two, and so on through the channels. For each vector of 16 products it takes 6 loads and 8
multiply-accumulates, 16 cycles of the multiplier. While these run, the sums before them are requantized and
stored: a Cortex-M55 starts one instruction a cycle, and products and loads leave two of 16 cycles free.

    r0 r2 r4 r6 r8 r10 r12 lr sums  r11 pixels  r3 weights  r5 scales  r7 output  r9 MveTile's `rounds`
    r1 rounds left, or whatever is at hand: narrow stores take low registers
    q0, q1 pixels  q2, q3 weights  q4, q5 the sums before of two pixels  q6, q7 scales
    [sp] MveTile, two of whose places the core keeps its own in
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked
from mcu_build.kernels.helium.schedule import schedule
from mcu_build.kernels.helium.tile_shapes import LANES, QUAD, Core

Accumulate = Literal["", "a"]

# By channel: the sums of both pixels.
_SUMS = (("r0", "r2"), ("r4", "r6"), ("r8", "r10"), ("r12", "lr"))
# Places of MveTile in the frame.
_INPUT, _SCALES, _OUTPUT, _WEIGHTS = 0, 4, 8, 12  # of the tile; scales and output of the quad
_FIRST_SCALES, _TILE_OUTPUT, _ROUNDS, _END = 16, 20, 24, 28
_TILES, _INPUT_STEP, _OUTPUT_STEP = 32, 36, 40
_FURTHER = (44, 48, 52)
_LOW, _HIGH, _FRAME = 56, 60, 64
_SCALE_BYTES = 64  # of a quad


@dataclass(frozen=True)
class TileEpilogue(Epilogue):
    """Also, the channels of the last quad."""

    tail: int = QUAD

    def _words(self) -> list[str]:
        return [*super()._words(), *[str(self.tail)] * (self.tail < QUAD)]


def tail_of(channels: int) -> int:
    """Channels of the last quad."""
    return (channels - 1) % QUAD + 1


@cache
def emit(core: Core, epilogue: TileEpilogue, even: bool = False) -> Emitted:
    """The core as a function of C++. `even`: outputs of pixels are `rounds` bytes from each other."""
    even = even and core.rows == 1 and core.pitch > 0  # elsewhere it says something else
    name = f"{core.name}_{epilogue.name}{'_even' if even else ''}"
    lines = [
        "push {r4-r11, lr}",
        "vpush {d8-d15}",
        f"sub sp, #{_FRAME}",
        "ldm r0!, {r1-r8}",
        "stm sp, {r1-r8}",
        "mov r9, r7",
        "ldm r0, {r1-r8}",
        "add r12, sp, #32",
        "stm r12, {r1-r8}",
        # What comes first is stored again when it is known.
        f"ldr r3, [sp, #{_WEIGHTS}]",
        f"ldrd r5, r7, [sp, #{_SCALES}]",
        "1:",
        *_half(core, 0, _requantized(1, epilogue, even)),
        *_half(core, 1, [f"ldrd r5, r7, [sp, #{_SCALES}]", *_requantized(0, epilogue, even)]),
        f"ldr r1, [sp, #{_END}]",
        "cmp r5, r1",
        "bne 1b",
        *_next_tile(),
        "3:",
        *schedule([*_moved(), *_requantized(1, epilogue, even)]),
        f"add sp, #{_FRAME}",
        "vpop {d8-d15}",
        "pop {r4-r11, pc}",
    ]
    return naked("mve", name, "const MveTile&", lines)


def _next_tile() -> list[str]:
    """On to the tile behind, or to 3. The last half's sums are still in r0 to lr."""
    lines = [f"ldr r1, [sp, #{_TILES}]", "subs r1, #1", f"str r1, [sp, #{_TILES}]", "beq 3f"]
    for place, step in ((_INPUT, _INPUT_STEP), (_TILE_OUTPUT, _OUTPUT_STEP)):
        lines += [f"ldr r11, [sp, #{place}]", f"ldr r1, [sp, #{step}]"]
        lines += ["add r11, r11, r1", f"str r11, [sp, #{place}]"]
    lines += [f"str r11, [sp, #{_OUTPUT}]", f"ldr r11, [sp, #{_FIRST_SCALES}]", f"str r11, [sp, #{_SCALES}]"]
    return [*lines, f"ldr r3, [sp, #{_WEIGHTS}]", "b 1b"]


def _half(core: Core, half: int, before: list[str]) -> list[str]:
    """The sums of two pixels and four channels; `before` is done meanwhile."""
    loop, start = core.loop, list[str]()
    moves = core.strides or core.rows > 1
    if half == 0 or moves:
        start.append(f"ldr r11, [sp, #{_INPUT}]")
    if half == 1:
        start.append(f"add r11, r11, #{2 * (core.pitch or LANES)}")
        start += _back(core)
    if core.is_short:
        start += [f"mov r1, #{core.nbytes // (4 if core.aligned else 1)}"]
        start += [f"vctp.{32 if core.aligned else 8} r1"]
    first = _vectors(core, 0, loop.first, first=True)
    # Sums are moved before others are made, predicates of loads set before others are.
    early = [*start, *first[:2]] if core.is_short else []
    lines = [*_moved(), *early, *before, *([] if core.is_short else start), *first[len(early) and 2 :]]
    if half == 1:
        lines += [f"add r1, r5, #{_SCALE_BYTES}", f"str r1, [sp, #{_SCALES}]"]
        lines += [f"add r1, r7, #{QUAD}", f"str r1, [sp, #{_OUTPUT}]"]
    down = ["add r11, r11, r9"] if core.rows > 1 else []
    if loop.first:
        lines += down
    else:
        lines += [f"mov {total}, #0" for pair in _SUMS for total in pair]
    if not loop.rounds:
        return schedule(lines)
    lines += [f"mov r1, #{loop.rounds}" if core.pitch else "mov r1, r9"]
    again = _vectors(core, 0 if core.rows > 1 else loop.first, loop.each, first=False)
    return [*schedule(lines), "2:", *schedule([*again, *down, "subs r1, r1, #1"]), "bne 2b"]


def _moved() -> list[str]:
    """The sums from r0 to lr into q4 and q5."""
    pairs = [(_SUMS[0], _SUMS[1]), (_SUMS[2], _SUMS[3])]
    return [
        f"vmov d{8 + 2 * pixel + pair}, {low[pixel]}, {high[pixel]}"
        for pixel in range(2)
        for pair, (low, high) in enumerate(pairs)
    ]


def _back(core: Core) -> list[str]:
    """r3 back to the weights of the quad."""
    step = QUAD * LANES
    lines, left = list[str](), step * core.vectors * core.rows
    if not core.pitch and core.loop.each:  # as many rounds as r9 says
        lines.append(f"sub r3, r3, r9, lsl #{(step * core.loop.each).bit_length() - 1}")
        left = step * core.loop.first
    while left:  # by constants that encode
        lines.append(f"sub r3, r3, #{min(left, 4095)}")
        left -= min(left, 4095)
    return lines


def _requantized(half: int, epilogue: TileEpilogue, even: bool) -> list[str]:
    """The sums in q4 and q5, of the first or the second two pixels of a quad, are stored."""
    both = ("q4", "q5")
    lines = ["vldrw.u32 q6, [r5]", *(f"vadd.i32 {q}, {q}, q6" for q in both)]
    lines += ["vldrw.u32 q7, [r5, #16]", *(f"vqrdmulh.s32 {q}, {q}, q7" for q in both)]
    if epilogue.half_away:  # where the zero point is below the low clamp, ties do not show
        for q, sign in zip(both, ("q6", "q7"), strict=True):
            lines += [f"vshr.s32 {sign}, {q}, #31", f"vadd.i32 {q}, {q}, {sign}"]
    lines += ["vldrw.u32 q6, [r5, #32]", *(f"vadd.i32 {q}, {q}, q6" for q in both)]
    lines += ["vldrw.u32 q7, [r5, #48]", *(f"vqshl.s32 {q}, {q}, q7" for q in both)]
    lines += [f"vshr.s32 {q}, {q}, #24" for q in both]
    store = "vstrb.32"
    if epilogue.clamps:
        for clamp, place, q in (("vmax", _LOW, "q6"), ("vmin", _HIGH, "q7")):
            lines += [f"ldr r1, [sp, #{place}]", f"vdup.32 {q}, r1"]
            lines += [f"{clamp}.s32 {sums}, {sums}, {q}" for sums in both]
    if epilogue.tail < QUAD:  # lanes of the last quad; all of those before
        lines += [f"ldr r1, [sp, #{_END}]", "sub r1, r1, r5", f"add r1, r1, #{epilogue.tail}", "vctp.32 r1"]
        store = "vpst\\n vstrbt.32"
    for pixel, q in enumerate(both):
        number = 2 * half + pixel
        if number == 0:
            lines.append(f"{store} {q}, [r7]")
            continue
        if even:
            lines.append(("add r1, r7, r9", "add r1, r7, r9, lsl #1", "add r1, r1, r9")[number - 1])
        else:
            lines += [f"ldr r1, [sp, #{_FURTHER[number - 1]}]", "add r1, r1, r7"]
        lines.append(f"{store} {q}, [r1]")
    return lines


def _vectors(core: Core, start: int, count: int, first: bool) -> list[str]:
    """Sums of `count` vectors from number `start` on: set by the `first` one, else added to."""
    lines = list[str]()
    for index in range(count):
        lines += _loads(core, start + index)
        a: Accumulate = "" if first and index == 0 else "a"
        for channel, sums in enumerate(_SUMS):
            weights = f"q{2 + channel % 2}"
            lines.append(f"vldrw.u32 {weights}, [r3], #{LANES}")
            lines += [f"vmladav{a}.s8 {total}, q{pixel}, {weights}" for pixel, total in enumerate(sums)]
    return lines


def _loads(core: Core, vector: int) -> list[str]:
    """The loads of a vector of two pixels, to q0 and q1."""
    if not core.pitch:
        return [f"vldrw.u32 q0, [r11], #{4 * LANES}", f"vldrw.u32 q1, [r11, #{-3 * LANES}]"]
    on = core.second if vector == 0 else LANES
    at = 0 if vector == 0 else core.second + LANES * (vector - 1)
    if core.strides:
        places = [f"[r11], #{on}", f"[r11, #{core.pitch - on}]"]
    else:
        places = [f"[r11, #{at}]", f"[r11, #{core.pitch + at}]"]
    load = "vldrw{}.u32" if core.aligned else "vldrb{}.u8"
    word = f"vpst\\n {load.format('t')}" if core.is_short else load.format("")
    return [f"{word} q{pixel}, {place}" for pixel, place in enumerate(places)]
