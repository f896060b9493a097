"""Convolutions on Helium: the cores that make the sums of four pixels by four channels.

A core is a naked function, whose contract is in mve_conv_tiles.h and tile_finish.h: eight sums take r0, r2,
... r14, so that no compiler has a register left. Per vector of 16 products it takes 6 loads and 8
multiply-accumulates for two channels of four pixels, in turns: a Cortex-M55 does a load and a product at
once, so that a vector takes the 16 cycles of its products.

    r1 pixels  r3 weights  r5 scales  r7 output  r9 rounds, the third pixel, or bytes from a row to the next
    r11 rounds left
    q0, q1 pixels  q2, q3 weights  q4 to q7 sums of four channels
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.calls.struct import Pair
from mcu_build.ir.plan import Emitted

LANES = 16  # products of a vector
PIXELS = 4  # that a core computes at once
QUAD = 4  # channels likewise
_UNROLLED = 4  # vectors that a core without a loop has at most
_VECTOR_BYTES = 56  # of code, in a half
_LARGE = 1000  # bytes of code, beyond which windows are rather copied for a core that others share
_FINISH_CYCLES = 70  # for a quad, beside its products

_SUMS = (("r0", "r8"), ("r2", "r10"), ("r4", "r12"), ("r6", "lr"))


@dataclass(frozen=True)
class Loop:
    """`first` vectors, then `rounds` times `each` vectors."""

    first: int
    each: int
    rounds: int


@dataclass(frozen=True)
class Core:
    """Sums of `rows` rows of `nbytes` bytes of each of four pixels that are `pitch` bytes apart.

    The first vector of a row is bytes 0 to 15, the others are the last ones, so that nothing beside it is
    read; of fewer bytes no more are loaded. A pitch of 0 is that of vectors of four pixels that lie in turns,
    one behind the other. Loads of bytes that are not `aligned` to words do not reach as far.
    """

    pitch: int
    nbytes: int
    rows: int = 1
    aligned: bool = True

    @property
    def vectors(self) -> int:
        """Vectors of a row."""
        return -(-self.nbytes // LANES)

    @property
    def reach(self) -> int:
        """Bytes that a load reaches."""
        return 508 if self.aligned else 127

    @property
    def is_short(self) -> bool:
        """Whether a row is less than a vector, and loads are predicated."""
        return self.pitch > 0 and self.nbytes < LANES

    @property
    def second(self) -> int:
        """Bytes from the first vector to the second."""
        return self.nbytes - LANES * (self.vectors - 1)

    @property
    def loop(self) -> Loop:
        """How the vectors are unrolled: few instructions, weighed against the code's size."""
        if self.rows > 1:
            first = self.vectors if self.vectors < _UNROLLED else 0
            return Loop(first, self.vectors, self.rows - 1 if first else self.rows)
        if self.vectors <= _UNROLLED:
            return Loop(self.vectors, 0, 0)
        if not self.pitch:  # the same code for as many layers as can be
            first = (self.vectors - 1) % _UNROLLED + 1
            return Loop(first, _UNROLLED, (self.vectors - first) // _UNROLLED)
        ways = [
            Loop(first, each, (self.vectors - first) // each)
            for each in range(2, 7)
            for first in range(1, each + 1)
            if (self.vectors - first) % each == 0 and first + each <= 2 * _UNROLLED
        ]
        return min(ways, key=lambda way: (3 * way.rounds + 1.4 * (way.first + way.each), way.each))

    @property
    def walks(self) -> bool:
        """Whether r1 moves on from vector to vector."""
        return not self.pitch or (self.rows == 1 and self.loop.rounds > 0)

    @property
    def is_far(self) -> bool:
        """Whether the third and the fourth pixel are out of r1's reach."""
        return self.pitch > 0 and 3 * self.pitch + self._last > self.reach

    @property
    def _last(self) -> int:
        """Bytes from where a pixel's pointer is to its last vector."""
        return 0 if self.walks else max(self.nbytes - LANES, 0)

    @property
    def is_encodable(self) -> bool:
        """Whether loads reach all pixels."""
        if not self.pitch:
            return True
        if self.aligned and (self.pitch % 4 or self.nbytes % 4):
            return False
        return (1 if self.is_far else 3) * self.pitch + self._last <= self.reach and not (
            self.is_far and self.rows > 1
        )

    @property
    def name(self) -> str:
        """What tells it from others: cores of one name are the same code."""
        if not self.pitch:
            return f"core_turns_{self.loop.first}_{self.loop.each}"
        return f"core_{self.rows}x{self.nbytes}_every_{self.pitch}{'' if self.aligned else '_unaligned'}"

    @property
    def rounds(self) -> int:
        """Of its loop, which a core of vectors in turns is told."""
        return self.loop.rounds

    @property
    def code(self) -> int:
        """Bytes of its loops."""
        return 2 * _VECTOR_BYTES * (self.loop.first + self.loop.each)

    @property
    def cycles(self) -> int:
        """Modelled cycles of a Cortex-M55 for a quad."""
        rows = 0 if self.loop.first else 8
        return 2 * (16 * self.vectors * self.rows + 2 + 5 * self.loop.rounds + rows) + _FINISH_CYCLES


@dataclass(frozen=True)
class Patch:
    """Where windows of `pieces` times `nbytes` bytes are brought together, and the core that reads them."""

    pieces: int
    nbytes: int
    core: Core

    @property
    def pixel(self) -> int:
        """Bytes from a window to the next."""
        return self.core.pitch or LANES

    @property
    def vector(self) -> int:
        """Bytes from a vector of a window to the next."""
        return LANES if self.core.pitch else PIXELS * LANES

    @property
    def size(self) -> int:
        """Bytes of all windows, and what the last vector may cover."""
        return PIXELS * self.core.nbytes + LANES

    @property
    def instructions(self) -> int:
        """What it takes to bring one window here by itself; some are at the image's edge."""
        return 100 + self.pieces * (8 + 6 * -(-self.nbytes // LANES))

    def vectors_of(self, rows: NDArray[np.int8]) -> NDArray[np.int8]:
        """[channels][products] as [channels][vectors * 16]."""
        if self.core.pitch:
            return spread(np.pad(rows, ((0, 0), (0, self.core.nbytes - rows.shape[1]))))
        return spread(rows.reshape(-1, self.nbytes)).reshape(len(rows), -1)


def patch_of(pieces: int, nbytes: int) -> Patch:
    """The patch for pieces of `nbytes`: dense where they are short, else in turns."""
    dense = -(-pieces * nbytes // 4) * 4
    core = Core(dense, dense)
    if nbytes >= LANES or not core.is_encodable:
        core = Core(0, pieces * -(-nbytes // LANES) * LANES)
    return Patch(pieces, nbytes, core)


def image_core(rows: int, nbytes: int, pitch: int, aligned: bool) -> Core | None:
    """The core for windows as they lie in an image, `pitch` bytes apart, where there is a small one.

    `aligned` is whether pixels are whole words. Rows that are short are better brought together.
    """
    core = Core(pitch, nbytes, rows, aligned)
    fits = core.is_encodable and core.code <= _LARGE
    return core if fits and (rows == 1 or nbytes >= LANES) else None


def joined_groups(groups: int, depth: int) -> int:
    """Groups of `depth` channels that are computed as one, as their pieces are less than half a vector."""
    most = LANES // 2 // depth
    return max((count for count in range(1, min(groups, most) + 1) if groups % count == 0), default=1)


def between_groups(weights: NDArray[np.int8], groups: int, joined: int) -> NDArray[np.int8]:
    """[outputs][rows][columns][depth] over the inputs of `joined` groups: [...][joined * depth]."""
    outputs, rows, columns, depth = weights.shape
    wide = np.zeros((outputs, rows, columns, joined, depth), np.int8)
    places = np.arange(outputs) // (outputs // groups) % joined
    wide[np.arange(outputs), :, :, places] = weights
    return wide.reshape(outputs, rows, columns, joined * depth)


def phases_of(weights: NDArray[np.int8], stride: Pair, padding: Pair) -> tuple[NDArray[np.int8], Pair, Pair]:
    """A transposed convolution as plain ones of stride 1, one for each phase of the output.

    `weights` are [outputs][rows][columns][inputs], strides 1 or 2. Gives [phases][outputs][rows][columns]
    [inputs], all with the taps of the largest, and the padding of the first and of the second phase.
    """
    rows, before_y = _axis(weights.shape[1], stride.y, padding.y)
    columns, before_x = _axis(weights.shape[2], stride.x, padding.x)
    # Tap number -1 is a zero behind the others.
    padded = np.pad(weights, ((0, 0), (0, 1), (0, 1), (0, 0)))
    taps = [padded[:, np.array(y)[:, None], np.array(x)[None, :]] for y in rows for x in columns]
    return np.stack(taps), Pair(before_y[0], before_x[0]), Pair(before_y[-1], before_x[-1])


def _axis(size: int, stride: int, padding: int) -> tuple[list[list[int]], tuple[int, ...]]:
    """For each phase of an axis: the tap at each pixel of its window, -1 for none, and its padding."""
    count, taps, before = -(-size // stride), [], []
    for phase in range(stride):
        first = (phase + padding) % stride
        reached = [first + stride * number for number in reversed(range(count))]
        taps.append([tap if tap < size else -1 for tap in reached])
        before.append(count - 1 - (phase + padding - first) // stride)
    return taps, tuple(before)


def spread(rows: NDArray[np.int8]) -> NDArray[np.int8]:
    """[...][bytes] as the vectors of mve_conv_tiles.h, [...][vectors * 16]: each byte in one of them."""
    count, nbytes = rows.shape
    vectors = -(-nbytes // LANES)
    if vectors < 2:
        return np.pad(rows, ((0, 0), (0, LANES - nbytes)))
    return np.concatenate(
        [rows[:, :LANES], np.zeros((count, vectors * LANES - nbytes), np.int8), rows[:, LANES:]], axis=1
    )


def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    lines = [
        "push {r4-r11, lr}",
        "vpush {d8-d15}",
        "ldm r0!, {r1, r3, r5, r7, r9}",
        "ldm r0, {r2, r4, r6, r8, r10, r11, r12, lr}",
        "push {r2, r4, r6, r8, r10, r11, r12, lr}",
        "push {r1}",
        "1:",
    ]
    for half in range(2):
        lines += _half(core)
        # The sums of two channels into a half of q4 to q7.
        lines += [f"vmov d{8 + 2 * pixel + half}, {a}, {b}" for pixel, (a, b) in enumerate(_SUMS)]
    lines += [
        "ldr r0, [sp, #4]",
        "blx r0",
        "ldr r0, [sp, #8]",
        "cmp r5, r0",
        "bne 1b",
        "add sp, #36",
        "vpop {d8-d15}",
        "pop {r4-r11, pc}",
    ]
    text = "".join(f'        "{line}\\n"\n' for line in lines)
    function = (
        f"[[gnu::naked, gnu::noinline]] inline void {core.name}(const MveTile&) {{\n"
        f"    __asm__ volatile(\n{text.rstrip()});\n}}\n"
    )
    # The sources of several models may be one translation unit.
    guard = f"MCU_MVE_{core.name.upper()}"
    text = f"namespace mcu::kernels::mve {{\n{function}}}  // namespace mcu::kernels::mve\n"
    return Emitted(core.name, f"#ifndef {guard}\n#define {guard}\n{text}#endif\n")


def _half(core: Core) -> list[str]:
    """The sums of two channels."""
    loop, lines = core.loop, list[str]()
    if core.walks or core.rows > 1:
        lines.append("ldr r1, [sp]")
    if core.is_short:
        lines += [f"mov r11, #{core.nbytes // (4 if core.aligned else 1)}"]
        lines += [f"vctp.{32 if core.aligned else 8} r11"]
    if core.is_far:
        lines.append(f"add r9, r1, #{2 * core.pitch}")
    lines += _vectors(core, 0, loop.first, first=True)
    down = ["add r1, r1, r9"] if core.rows > 1 else []
    if loop.first:
        lines += down
    else:
        lines += [f"mov {sum}, #0" for pair in _SUMS for sum in pair]
    if loop.rounds:
        lines += [f"mov r11, #{loop.rounds}" if core.pitch else "mov r11, r9", "2:"]
        lines += _vectors(core, 0 if core.rows > 1 else loop.first, loop.each, first=False)
        lines += [*down, "subs r11, #1", "bne 2b"]
    return lines


Accumulate = Literal["", "a"]


def _vectors(core: Core, start: int, count: int, first: bool) -> list[str]:
    """Sums of `count` vectors from number `start` on: set by the `first` one, else added to."""
    lines = list[str]()
    for index in range(count):
        loads = _loads(core, start + index)
        following = _loads(core, start + index + 1)[0] if index + 1 < count else None
        lines += _vector(loads, "" if first and index == 0 else "a", index == 0, following)
    return lines


def _vector(loads: list[str], a: Accumulate, starts: bool, following: str | None) -> list[str]:
    """One vector of four pixels and two channels, which loads what the `following` one begins with."""
    first, second = "vldrw.u32 q2, [r3], #16", "vldrw.u32 q3, [r3], #16"
    products = [
        f"vmladav{a}.s8 {_SUMS[pixel][channel]}, q{pixel % 2}, q{2 + channel}"
        for pixel in range(PIXELS)
        for channel in range(2)
    ]
    if starts:
        before = [[loads[0], first], [second], [loads[1]], [loads[2]], [loads[3]], [], [], []]
    else:
        before = [[], [loads[1]], [loads[2]], [], [loads[3]], [], [], []]
    # q0 is free behind the fifth and sixth product, q2 and q3 behind their last ones.
    after: list[list[str]] = [[] for _ in products]
    if following is not None:
        after[5], after[6], after[7] = [following], [first], [second]
    return [
        line
        for load, product, behind in zip(before, products, after, strict=True)
        for line in (*load, product, *behind)
    ]


def _loads(core: Core, vector: int) -> list[str]:
    """The loads of a vector of four pixels, to q0, q1, q0, q1."""
    if not core.pitch:
        return [f"vldrw.u32 q{pixel % 2}, [r1], #16" for pixel in range(PIXELS)]
    bases = (
        [("r1", 0), ("r1", 1), ("r9", 0), ("r9", 1)] if core.is_far else [("r1", i) for i in range(PIXELS)]
    )
    on = core.second if vector == 0 else LANES
    at = 0 if vector == 0 else core.second + LANES * (vector - 1)
    lines = []
    for pixel, (base, step) in enumerate(bases):
        if not core.walks:
            place = f"[{base}, #{step * core.pitch + at}]"
        elif step == 0:
            place = f"[{base}], #{on}"
        else:
            place = f"[{base}, #{step * core.pitch - on}]"
        load = "vldrw{}.u32" if core.aligned else "vldrb{}.u8"
        word = f"vpst\\n {load.format('t')}" if core.is_short else load.format("")
        lines.append(f"{word} q{pixel % 2}, {place}")
    return lines
