"""Linear layers on Helium: the cores that make eight outputs of a row at once.

A core is a naked function, whose contract is in mve_linear.h. 16 products take a load of weights and a
multiply-accumulate, which leave no cycle of a Cortex-M55 free. So there is little else in a tile of eight
outputs: the first vectors of a row stay in registers, and the sums of a tile are requantized while those of
the next are made, some of which are begun before the loop ends.

    r0 r2 r4 r6 r8 r10 r12 lr sums  r1 input  r3 weights  r5 multiplier  r7 output  r9 zero point
    r11 end of the output; where the input is read in a loop, end of the input
    q0 to q3 the first vectors of the input  q4 a further one  q5, q6 the sums before  q7 weights, biases
"""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import naked
from mcu_build.kernels.helium.schedule import schedule
from mcu_build.kernels.helium.tile_shapes import LANES, spread

TILE = 8  # outputs
_SUMS = ("r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr")
_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the output of each sum, as narrowing shifts take turns
_BEGUN = 4  # sums of the next tile that are begun before the loop ends
_RESIDENT = 4  # vectors of the input that stay in registers
_REACH = 8  # vectors of a row without a loop
_LONGEST = 12  # vectors of a round
_SECOND_SHIFT = 7  # bits at most: the first shift saturates at 16
# Among what was pushed: where the output ends, the input's loop starts, and the output starts.
_END, _INPUT, _OUTPUT = 64, 68, 72


@dataclass(frozen=True)
class Loop:
    """`first` vectors, then `rounds` times `each` vectors."""

    first: int
    rounds: int = 0
    each: int = 0


@dataclass(frozen=True)
class Core:
    """Rows of `inputs` bytes, whose products with a multiplier are shifted to the right by `right` bits."""

    inputs: int
    right: int
    half_away: bool

    @property
    def is_encodable(self) -> bool:
        """Whether two narrowing shifts are as good as one."""
        return 2 <= self.right <= 16 + _SECOND_SHIFT and self.inputs < 1 << 16

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"linear_{self.inputs}_by_{self.right}{'_half_away' if self.half_away else ''}"

    @property
    def vectors(self) -> int:
        """Of a row: its first 16 bytes, then its last ones."""
        return -(-self.inputs // LANES)

    @property
    def resident(self) -> int:
        """Of these, those that stay in registers."""
        return min(self.vectors, _RESIDENT)

    @property
    def shifts(self) -> tuple[int, int]:
        """To 16 bits, then to 8."""
        second = min(_SECOND_SHIFT, self.right - 1)
        return self.right - second, second

    @property
    def loop(self) -> Loop:
        """How the vectors are unrolled: few rounds, weighed against the code's size."""
        if self.vectors <= _REACH:
            return Loop(self.vectors)
        ways = (
            Loop(first, (self.vectors - first) // each, each)
            for each in range(2, _LONGEST + 1)
            for first in range(_RESIDENT, _REACH + 1)
            if (self.vectors - first) % each == 0 and first < self.vectors
        )
        return min(ways, key=lambda way: 4 * way.rounds + way.first + way.each)

    def cycles(self, outputs: int) -> int:
        """Modelled cycles of a Cortex-M55 for a row."""
        further, rounds = self.vectors - self.resident, self.loop.rounds
        # In a loop nothing is left to do while the memory pipe has a further vector to load.
        tile = 16 * self.vectors + (2 * further + 5 * rounds if rounds else further) + 17 + 5 * self.half_away
        return 110 + outputs // TILE * max(tile, 35 + 7 * self.half_away)

    def pack(self, weights: NDArray[np.int8], bias: NDArray[np.int64]) -> bytes:
        """Weights [outputs][inputs] and biases in the order in which they are read."""
        vectors = spread(weights).reshape(-1, TILE, self.vectors, LANES)[:, _ORDER]
        # The first tile is the last one: what is stored before there are sums goes to its place.
        tiles = np.roll(vectors.transpose(0, 2, 1, 3).reshape(len(vectors), -1, LANES), -1, axis=0)
        biases = np.roll(bias.reshape(-1, TILE)[:, _ORDER].astype(np.int32), -1, axis=0)
        parts, before = [tiles[0, :_BEGUN].tobytes()], bytes(4 * TILE)
        for number, tile in enumerate(tiles):
            parts += [tile[_BEGUN:TILE].tobytes(), before, tile[TILE:].tobytes()]
            parts.append(tiles[(number + 1) % len(tiles), :_BEGUN].tobytes())
            before = biases[number].tobytes()
        return b"".join([*parts, before])


@cache
def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    loop, begun = core.loop, _products("q0", first=True)
    lines = ["push {r0, r2-r11, lr}", "vpush {d8-d15}", "mov r7, r3", "ldm r0, {r5, r9, r11}"]
    lines += ["mov r3, r2", "add r11, r11, r7"]
    lines += [*_start(core), *schedule(begun[: 2 * _BEGUN]), "1:"]
    body = [*begun[2 * _BEGUN :], *_requantized(core)]
    for vector in range(1, loop.first):
        body += _vector(core, vector)
    if loop.rounds:
        again = [line for vector in range(loop.each) for line in _vector(core, loop.first + vector)]
        lines += [*schedule(body), "2:", *schedule([*again, "cmp r1, r11"]), "bne 2b"]
        body = [f"ldr r1, [sp, #{_INPUT}]"]
    body += ["vmov d10, r0, r2", "vmov d11, r4, r6", *begun[: 2 * _BEGUN]]
    body += ["vmov d12, r8, r10", "vmov d13, r12, lr"]
    body += [f"ldr lr, [sp, #{_END}]", "sub lr, lr, r7"] if loop.rounds else ["sub lr, r11, r7"]
    lines += [*schedule(body), "le lr, 1b", f"ldr r7, [sp, #{_OUTPUT}]", *schedule(_requantized(core))]
    lines += ["vpop {d8-d15}", "pop {r0, r2-r11, pc}"]
    parameters = "const MveLinearTile&, const int8_t*, const int8_t*, int8_t*"
    return naked("mve", core.name, parameters, map(_assembled, lines))


def _assembled(line: str) -> str:
    """A narrowing shift as its encoding: GNU as 2.40 makes one of it that rounds."""
    match = re.fullmatch(r"vqshrn([bt])\.s32 q5, q([56]), #(\d+)", line)
    if not match:
        return line
    top, source, bits = match[1] == "t", int(match[2]), int(match[3])
    return f".inst.w {0xEE90AF40 | (16 - bits) << 16 | top << 12 | source << 1:#x}"


def _start(core: Core) -> list[str]:
    """The first vectors, and r1 at the one behind them."""
    if core.inputs < LANES:
        return [f"mov r0, #{core.inputs}", "vctp.8 r0", "vpst", "vldrbt.u8 q0, [r1]"]
    lines = ["vldrb.u8 q0, [r1]", f"add r1, r1, #{core.inputs - LANES * (core.vectors - 1)}"]
    lines += [f"vldrb.u8 q{vector}, [r1], #{LANES}" for vector in range(1, core.resident)]
    if core.loop.rounds:
        lines.append(f"strd r11, r1, [sp, #{_END}]")
        lines += [f"movw r11, #{LANES * (core.vectors - core.resident)}", "add r11, r11, r1"]
    return lines


def _vector(core: Core, vector: int) -> list[str]:
    """The products of a vector, which is loaded where it is in no register."""
    further = vector - core.resident
    if further < 0:
        return _products(f"q{vector}")
    place = f"[r1], #{LANES}" if core.loop.rounds else f"[r1, #{LANES * further}]"
    return [f"vldrb.u8 q4, {place}", *_products("q4")]


def _products(vector: str, first: bool = False) -> list[str]:
    """A vector's for all outputs: the sums, or added to them."""
    word = "vmladav.s8" if first else "vmladava.s8"
    return [
        line for total in _SUMS for line in (f"vldrw.u32 q7, [r3], #{LANES}", f"{word} {total}, {vector}, q7")
    ]


def _requantized(core: Core) -> list[str]:
    """The sums in q5 and q6 are stored. Biases are where pack() has them."""
    both, lines = ("q5", "q6"), list[str]()
    for q in both:
        lines += [f"vldrw.u32 q7, [r3], #{LANES}", f"vadd.i32 {q}, {q}, q7"]
    lines += [f"vqrdmulh.s32 {q}, {q}, r5" for q in both]
    if core.half_away:
        for q in both:
            lines += [f"vshr.s32 q4, {q}, #31", f"vadd.i32 {q}, {q}, q4"]
    first, second = core.shifts
    lines += [f"vqshrnb.s32 q5, q5, #{first}", f"vqshrnt.s32 q5, q6, #{first}"]
    lines += ["vqadd.s16 q5, q5, r9", f"vqrshrnb.s16 q5, q5, #{second}"]
    return [*lines, f"vstrb.16 q5, [r7], #{TILE}"]
