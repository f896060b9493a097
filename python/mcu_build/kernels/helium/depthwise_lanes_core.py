"""Depthwise convolutions on Helium: the cores that make eight channels of two pixels at once.

A core is a naked function, whose contract is in mve_depthwise_lanes.h. Channels lie in the lanes of a vector,
so that neither the image's width nor the stride leaves any of them idle. For each tap it takes three loads,
four products of 16 bits, and four additions: 11 instructions for 16 products, of which no pipe has more than
four.

    r0 records  r1 r2 inputs of both pixels  r3 r4 their outputs  r5 channels left  r6 bytes between rows
    r8 back to the next channels  r9 row  r11 at hand  r12 pairs left  lr rows left
    q0 to q3 sums of the first pixel's even and odd channels, and of the second's  q4 to q7 at hand
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked
from mcu_build.kernels.helium.schedule import schedule

LANES = 8
_SUMS = (("q0", "q1"), ("q2", "q3"))  # of a pixel: even channels, odd ones
_INPUTS, _OUTPUTS = ("r1", "r2"), ("r3", "r4")
_REACH = 127  # bytes that a load moves its pointer on by
_UNROLLED = 9  # taps at most, beyond which rows are a loop
# Places of MveDepthwiseLanesRow.
_INPUT, _PAIRS, _BESIDE, _NEXT, _LANES, _ROWS, _ROW_STEP, _LOW, _HIGH, _TAP_STEP = (
    4,
    12,
    16,
    24,
    32,
    36,
    40,
    48,
    52,
    56,
)
# Modelled cycles of a Cortex-M55.
_TAP_CYCLES, _FAR_CYCLES, _EPILOGUE_CYCLES, _BLOCK_CYCLES, _PAIR_CYCLES = 12, 1, 25, 46, 14
_ROW_CYCLES, CALL_CYCLES = 4, 70
_ALONE = 0.6  # of them, of one pixel


@dataclass(frozen=True)
class Core:
    """Windows of `rows` by `columns` taps, `step` bytes apart in a row (0: there is one column).

    Of `pixels` at once, two, or the only one.
    """

    rows: int
    columns: int
    step: int
    epilogue: Epilogue
    pixels: int = 2

    @property
    def name(self) -> str:
        """What tells it from others."""
        rows = str(self.rows) if self.is_unrolled else "rows"
        step = "any" if self.is_far else str(self.step)
        alone = "_alone" if self.pixels == 1 else ""
        return f"depthwise_lanes_{rows}x{self.columns}_every_{step}_{self.epilogue.name}{alone}"

    @property
    def is_unrolled(self) -> bool:
        """Whether rows of taps are no loop."""
        return self.rows * self.columns <= _UNROLLED or self.rows == 1

    @property
    def is_far(self) -> bool:
        """Whether pointers are moved on by themselves."""
        return self.step > _REACH

    def moved(self, pitch: int) -> int:
        """Bytes that a window moves its pointers on by, of rows that are `pitch` bytes apart."""
        if self.is_unrolled:
            return (self.rows - 1) * pitch + self.columns * self.step
        return self.rows * pitch

    def cycles(self, pairs: int, lanes: int) -> float:
        """Modelled cycles of a Cortex-M55 for so many pairs of pixels of so many channels."""
        taps = self.rows * self.columns * (_TAP_CYCLES + _FAR_CYCLES * self.is_far)
        rows = 0 if self.is_unrolled else _ROW_CYCLES * (self.rows + 1)
        epilogue = _EPILOGUE_CYCLES * (self.epilogue.half_away + self.epilogue.clamps) / 2
        each = (_BLOCK_CYCLES + epilogue + taps) * (1 if self.pixels == 2 else _ALONE)
        return pairs * (_PAIR_CYCLES + -(-lanes // LANES) * (each + rows))


def records(taps: NDArray[np.int8], scales: NDArray[np.int32]) -> bytes:
    """[taps][channels] and int32[bias, multiplier, addend, shift][channels] for eight channels at once."""
    missing = -taps.shape[1] % LANES
    weights = np.pad(taps, ((0, 0), (0, missing))).reshape(len(taps), -1, LANES).transpose(1, 0, 2)
    # Even channels before odd ones.
    split = np.pad(scales, ((0, 0), (0, missing))).reshape(4, -1, LANES // 2, 2).transpose(1, 0, 3, 2)
    blocks = zip(split[:, 0], weights, split[:, 1:], strict=True)
    return b"".join(part.tobytes() for block in blocks for part in block)


@cache
def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    lines = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r9, r0"]
    lines += [f"ldrd r1, r3, [r9, #{_INPUT}]", f"ldr r12, [r9, #{_PAIRS}]"]
    lines += [f"ldrd r6, r8, [r9, #{_ROW_STEP}]", *([f"ldr r7, [r9, #{_TAP_STEP}]"] * core.is_far)]
    lines += ["1:", "ldr r0, [r9]", f"ldr r5, [r9, #{_LANES}]", f"ldrd r2, r4, [r9, #{_BESIDE}]"]
    lines += ["add r2, r1", "add r4, r3", "2:", *_block(core), f"subs r5, #{LANES}", "bgt 2b"]
    lines += [f"ldrd r2, r4, [r9, #{_NEXT}]", "add r1, r2", "add r3, r4", "subs r12, #1", "bne 1b"]
    lines += ["vpop {d8-d15}", "pop {r4-r11, pc}"]
    return naked("mve", core.name, "const MveDepthwiseLanesRow&", lines)


def _block(core: Core) -> list[str]:
    """Eight channels of both pixels."""
    first, second = ["vldrw.u32 q1, [r0, #16]"], ["vldrw.u32 q0, [r0], #32"]
    biases = [*first, *(["vldrw.u32 q3, [r0, #16]", "vldrw.u32 q2, [r0]"] * (core.pixels - 1)), *second]
    down, back = ([f"add {pointer}, {step}" for pointer in _INPUTS[: core.pixels]] for step in ("r6", "r8"))
    if core.is_unrolled:
        rows = [line for row in range(core.rows) for line in (*(down if row else []), *_taps(core))]
        return schedule([*biases, *rows, *back, *_requantized(core)])
    loop = [f"ldr lr, [r9, #{_ROWS}]", "dls lr, lr", "3:", *schedule([*_taps(core), *down]), "le lr, 3b"]
    return [*biases, *loop, *schedule([*back, *_requantized(core)])]


def _taps(core: Core) -> list[str]:
    """The products of a row of taps are added."""
    lines = list[str]()
    for _ in range(core.columns):
        lines.append("vldrb.s16 q4, [r0], #8")
        pixels = list(zip(("q5", "q6"), ("q7", "q7"), _INPUTS, _SUMS, strict=True))
        for into, other, pointer, (even, odd) in pixels[: core.pixels]:
            place = f"[{pointer}], #{core.step}" if core.step and not core.is_far else f"[{pointer}]"
            lines += [f"vldrb.s16 {into}, {place}", *([f"add {pointer}, r7"] * core.is_far)]
            lines += [f"vmullb.s16 {other}, {into}, q4", f"vadd.i32 {even}, {even}, {other}"]
            lines += [f"vmullt.s16 {into}, {into}, q4", f"vadd.i32 {odd}, {odd}, {into}"]
    return lines


def _requantized(core: Core) -> list[str]:
    """The sums become outputs and are stored."""
    lines, epilogue, sums = list[str](), core.epilogue, _SUMS[: core.pixels]
    parities = list(zip(*sums, strict=True))
    for totals, scale in zip(parities, ("q4", "q5"), strict=True):
        lines += [f"vldrw.u32 {scale}, [r0], #16", *(f"vqrdmulh.s32 {q}, {q}, {scale}" for q in totals)]
    if epilogue.half_away:
        for totals in parities:
            for q, sign in zip(totals, ("q6", "q7")[: core.pixels], strict=True):
                lines += [f"vshr.s32 {sign}, {q}, #31", f"vadd.i32 {q}, {q}, {sign}"]
    for word, number in (("vadd.i32", 0), ("vqshl.s32", 1)):
        for parity, totals in enumerate(parities):
            scale = f"q{(4, 6)[number] + parity}"
            lines += [f"vldrw.u32 {scale}, [r0], #16", *(f"{word} {q}, {q}, {scale}" for q in totals)]
    for even, odd in sums:
        lines += [f"vsri.32 {odd}, {even}, #16", f"vshr.s16 {odd}, {odd}, #8"]
    if epilogue.clamps:
        for word, place, q in (("vmax", _LOW, "q4"), ("vmin", _HIGH, "q5")):
            lines += [f"ldr r11, [r9, #{place}]", f"vdup.16 {q}, r11"]
            lines += [f"{word}.s16 {odd}, {odd}, {q}" for _, odd in sums]
    lines.append("vctp.16 r5")
    return [
        *lines,
        *(
            f"vpst\\n vstrbt.16 {odd}, [{to}], #8"
            for (_, odd), to in zip(sums, _OUTPUTS[: core.pixels], strict=True)
        ),
    ]
