"""Linear layers without DSP instructions: the cores that make a row of the output, four outputs at once.

A core is a naked function, whose contract is in thumb_linear.h. A word has the weights of four outputs for an
input, moved to 0 ... 255. Its even and its odd bytes, two in a word, are each multiplied by the input: 65536
* a + b with signed halves, which are summed as in tile.py.

    r0 r1 weights  r2 input  r3 mask  r4 r5 sums of a, of odd and even bytes  r6 inputs  r7 packed weights
    r8 r9 sums of words, even and odd  r10 where inputs end
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked
from mcu_build.kernels.thumb.frame import Frame, Requantization, far

# The words of ThumbRow.
_PACKED, _INPUT, _INPUT_END, _MOVED, _OUTPUT, _OUTPUT_END, _LOW = range(7)
_FRAME = Frame(8)
_EACH = {False: 8, True: 2}  # inputs of a loop, by whether the core is to be small
# Modelled cycles of a Cortex-M0+: of a row, of four outputs, and for each input of these.
_ROW_CYCLES, _FOUR_CYCLES, _INPUT_CYCLES = 60, 200, 18
_MASK = 0x00FF00FF
_ORDER = (0, 2, 1, 3)  # of the biases: those of even bytes first


@dataclass(frozen=True)
class Loop:
    """`first` inputs, then rounds of `each`, or none of these."""

    first: int
    each: int

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.first}" + f"_{self.each}_each" * bool(self.each)


def loop_of(inputs: int, small: bool = False) -> Loop:
    """The loop over so many inputs."""
    each = _EACH[small]
    return Loop(inputs, 0) if inputs <= each else Loop(inputs % each, each)


def cycles(inputs: int, outputs: int) -> int:
    """Modelled cycles of a Cortex-M0+ for a row."""
    return _ROW_CYCLES + 3 * inputs + -(-outputs // 4) * (_FOUR_CYCLES + _INPUT_CYCLES * inputs)


def packed(weights: NDArray[np.int8], scales: NDArray[np.int64]) -> bytes:
    """`packed` of thumb_linear.h from weights [outputs][inputs] and scales [outputs][4]."""
    fill = ((0, -len(weights) % 4), (0, 0))
    fours = np.pad(weights, fill).reshape(-1, 4, weights.shape[1]).transpose(0, 2, 1) ^ -128
    constants = np.pad(scales, fill).reshape(-1, 4, 4).astype("<i4")
    parts = []
    for four, words in zip(fours, constants, strict=True):
        biases, others = words[:, 0][list(_ORDER)], words[:, 1:]
        parts += [biases.tobytes(), np.ascontiguousarray(four).tobytes(), others.tobytes()]
    return b"".join(parts)


@cache
def emit(loop: Loop, epilogue: Epilogue, thumb2: bool) -> Emitted:
    """The core as a function of C++."""
    name = f"linear_{loop.name}_{epilogue.name}"
    lines = [*_FRAME.entered(), f"ldr r7, {_FRAME.slot(_PACKED)}", "1:", *_begun(thumb2)]
    lines += _inputs(loop.first, thumb2)
    if loop.each:
        round = list(_inputs(loop.each, thumb2))
        lines += ["2:", *round, "cmp r6, r10", *far("bne", "beq", "2", round)]
    lines += [*_stored(epilogue, thumb2), "b 1b", "7:", *_FRAME.left()]
    return naked("thumb", name, "const ThumbRow&", lines)


def _begun(thumb2: bool) -> Iterator[str]:
    """Each sum of a with its bias, each sum of words with two of them."""
    yield f"ldr r3, {_FRAME.slot(_MOVED)}"
    for high, words in (("r5", "r8"), ("r4", "r9")):
        yield from ("ldm r7!, {r0, r1}", "adds r0, r0, r3", f"adds {high}, r1, r3")
        yield from (f"lsls r2, {high}, #16", "adds r0, r0, r2", f"mov {words}, r0")
    yield from (f"ldr r6, {_FRAME.slot(_INPUT)}", f"ldr r0, {_FRAME.slot(_INPUT_END)}", "mov r10, r0")
    yield from (
        (f"mov.w r3, #{_MASK}",) if thumb2 else ("movs r3, #255", "lsls r0, r3, #16", "adds r3, r3, r0")
    )


def _inputs(count: int, thumb2: bool) -> Iterator[str]:
    for at in range(count):
        if thumb2:
            yield from (f"ldrsb.w r2, [r6, #{at}]", "ldr r0, [r7], #4")
            yield from ("and.w r1, r0, r3", "and.w r0, r3, r0, lsr #8")
        else:
            yield from (f"ldrb r2, [r6, #{at}]", "ldm r7!, {r0}", "sxtb r2, r2")
            yield from ("mov r1, r3", "ands r1, r0", "lsrs r0, r0, #8", "ands r0, r3")
        yield from ("muls r1, r2", "muls r0, r2")
        for word, high, words in (("r1", "r5", "r8"), ("r0", "r4", "r9")):
            yield from (f"add {words}, {word}", f"asrs {word}, {word}, #16", f"adcs {high}, {word}")
    if count:
        yield f"adds r6, #{count}"


def _stored(epilogue: Epilogue, thumb2: bool) -> Iterator[str]:
    """Four outputs, or the last of the row, behind which it goes on at 7."""
    for high, words, kept in (("r5", "r8", "r10"), ("r4", "r9", "r11")):
        yield from (f"lsls r0, {high}, #16", f"mov r1, {words}", "subs r1, r1, r0", f"mov {words}, r1")
        yield f"mov {kept}, {high}"
    ends = _FRAME.slot(_LOW), _FRAME.slot(_LOW + 1)
    made = Requantization(epilogue, thumb2, ends, addend="r5", multiplier="lr", sign="r12")
    for sum in ("r8", "r9", "r10", "r11"):
        yield from (*made.constants("r7"), *made.spread(), f"mov r6, {sum}", *made.of("r6"))
        yield from (f"ldr r0, {_FRAME.slot(_OUTPUT)}", "strb r6, [r0]", "adds r0, #1")
        yield from (f"str r0, {_FRAME.slot(_OUTPUT)}", f"ldr r1, {_FRAME.slot(_OUTPUT_END)}", "cmp r0, r1")
        yield from ("bne 6f", "b 7f", "6:")
