"""Convolutions without DSP instructions: the cores that make four pixels of the output, channel by channel.

A core is a naked function, whose contract is in thumb_conv2d.h. A block is two products of four pixels, two
pixels in a word: on a Cortex-M0 22 cycles for 8 products. A product's words are added by twos, then
32 bits are 65536 * a + b; ASRS leaves b's sign in the carry, so that ADCS adds a exactly.

    r0 r1 words of pixels  r2 r3 weights  r4 pixels  r5 weights less pixels  r6 r7 sums of a
    r8 r9 sums of words  r10 where pixels end  r12 as r5
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked
from mcu_build.kernels.thumb.frame import Frame, Requantization, far

# The words of ThumbTile.
_PATCH, _PATCH_END, _WEIGHTS, _SCALES, _OUTPUT, _SECOND, _THIRD = range(7)
_FOURTH, _OUTPUT_END, _EIGHT_STRIDE, _IN_EIGHT, _LOW = range(7, 12)
_FRAME = Frame(13)
_ENDS = _FRAME.slot(_LOW), _FRAME.slot(_LOW + 1)
_STRAIGHT = {False: 8, True: 4}  # blocks of a core without a loop, by whether it is to be small
_ROUND = range(4, 8)  # blocks of a loop
# Modelled cycles of a Cortex-M0+.
_BLOCK_CYCLES, _ROUND_CYCLES, _CHANNEL_CYCLES, _TILE_CYCLES, _BYTE_CYCLES = 22, 3, 190, 120, 4
WINDOW, TAP = 35, 17  # what one that is brought together takes beside its bytes, in bytes
_PIXELS = 4  # made together


@dataclass(frozen=True)
class Loop:
    """Rounds of `each` blocks, or these once where nothing `repeats`."""

    each: int
    repeats: bool

    def padded(self, blocks: int) -> int:
        """The blocks that are made for so many, those beyond them of zeros."""
        return -(-blocks // self.each) * self.each

    def cycles(self, blocks: int) -> int:
        """Modelled cycles of a Cortex-M0+ for the sums of a channel."""
        padded = self.padded(blocks)
        return padded * _BLOCK_CYCLES + (padded // self.each * _ROUND_CYCLES if self.repeats else 0)

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.each}" + "_each" * self.repeats


def loop_of(products: int, small: bool = False) -> Loop:
    """The loop that makes sums of so many products in the fewest cycles."""
    blocks = -(-products // 2)
    if blocks <= _STRAIGHT[small]:
        return Loop(blocks, False)
    if small:
        return Loop(_ROUND[0], True)

    return min((Loop(each, True) for each in _ROUND), key=lambda way: way.cycles(blocks))


def cycles(loop: Loop, pixels: int, window: int, products: int, channels: int) -> int:
    """Modelled cycles of a Cortex-M0+ for all channels; `window` is what one takes to copy, in bytes."""
    tile = _TILE_CYCLES + _PIXELS * _BYTE_CYCLES * window
    tile += channels * (_CHANNEL_CYCLES + loop.cycles(-(-products // 2)))
    return -(-pixels // _PIXELS) * tile


@cache
def emit(loop: Loop, epilogue: Epilogue, thumb2: bool) -> Emitted:
    """The core as a function of C++."""
    name = f"tile_{loop.name}_{epilogue.name}"
    lines = [*_FRAME.entered(), f"ldr r5, {_FRAME.slot(_WEIGHTS)}", "mov r12, r5", "1:", *_begun()]
    blocks = [line for _ in range(loop.each) for line in _block()]
    if loop.repeats:
        blocks = ["2:", *blocks, "cmp r4, r10", "bne 2b"]
    lines += blocks
    lines += _stored(Requantization(epilogue, thumb2, _ENDS, addend="r10", multiplier="lr", sign="r11"))
    lines += [*_next_channel(), *far("bne", "beq", "1", lines), *_FRAME.left()]
    return naked("thumb", name, "const ThumbTile&", lines)


def _begun() -> Iterator[str]:
    """Both sums with the bias in each pixel's half."""
    yield from (f"ldr r0, {_FRAME.slot(_SCALES)}", "ldr r6, [r0]", "mov r7, r6")
    yield from ("lsls r0, r6, #16", "adds r0, r0, r6", "mov r8, r0", "mov r9, r0")
    yield from (
        f"ldr r4, {_FRAME.slot(_PATCH)}",
        f"ldr r0, {_FRAME.slot(_PATCH_END)}",
        "mov r10, r0",
        "mov r5, r12",
    )


def _block() -> Iterator[str]:
    # The second weight is eight bytes behind the first, as far as the words' pointer moves between.
    yield from ("ldrsb r2, [r4, r5]", "ldm r4!, {r0, r1}", "ldrsb r3, [r4, r5]")
    yield from _words("r6", "r8")
    yield "ldm r4!, {r0, r1}"
    yield from _words("r7", "r9")


def _words(high: str, words: str) -> Iterator[str]:
    yield from ("muls r0, r2", "muls r1, r3", "adds r0, r0, r1")
    yield from (f"add {words}, r0", "asrs r0, r0, #16", f"adcs {high}, r0")


def _stored(made: Requantization) -> Iterator[str]:
    """Four outputs; r0 is where the next channel's first goes. Pixel 0 is last: others may lie there."""
    yield from (
        f"ldr r0, {_FRAME.slot(_SCALES)}",
        "adds r0, #4",
        *made.constants("r0"),
        f"str r0, {_FRAME.slot(_SCALES)}",
    )
    yield from made.spread()
    yield from _low_half("r7", "r9")
    for sum, offset in (("r5", _THIRD), ("r7", _FOURTH)):
        yield from (*made.of(sum), *_put(sum, offset))
    yield from _low_half("r6", "r8")
    yield from (*made.of("r6"), *_put("r6", _SECOND), *made.of("r5"))
    yield from (
        f"ldr r0, {_FRAME.slot(_OUTPUT)}",
        "strb r5, [r0]",
        "adds r0, #1",
        f"str r0, {_FRAME.slot(_OUTPUT)}",
    )


def _low_half(high: str, words: str) -> Iterator[str]:
    """The sum of the words' low halves, in r5."""
    yield from (f"lsls r0, {high}, #16", f"mov r5, {words}", "subs r5, r5, r0")


def _put(sum: str, offset: int) -> Iterator[str]:
    yield from (f"ldr r0, {_FRAME.slot(_OUTPUT)}", f"ldr r1, {_FRAME.slot(offset)}", f"strb {sum}, [r0, r1]")


def _next_channel() -> Iterator[str]:
    """Of eight that lie side by side, or the first of the next eight. Z: it was the last."""
    yield from ("movs r1, #1", "add r12, r1")
    yield from (f"ldr r1, {_FRAME.slot(_IN_EIGHT)}", "subs r1, #1", "bne 3f")
    yield from (f"ldr r1, {_FRAME.slot(_EIGHT_STRIDE)}", "add r12, r1", "movs r1, #8")
    yield from (
        "3:",
        f"str r1, {_FRAME.slot(_IN_EIGHT)}",
        f"ldr r1, {_FRAME.slot(_OUTPUT_END)}",
        "cmp r0, r1",
    )
