"""Convolutions with SMLAD: the cores that make two pixels of the output and four channels at once.

A core is a naked function, whose contract is in dsp_conv2d.h. For two products of each sum (a step) it takes
4 loads, 8 SMLAD and 2 SXTB16: on a Cortex-M4, whose loads take a cycle in a row and one more behind the last,
15 cycles for 16 products. Eight sums, two words each of pixels and weights and the pointers to these are all
the registers that there are, so nothing is ahead of its use, and a round's end is read from the stack. A
Cortex-M7 starts two instructions a cycle, but no two products: there the loads of a step go with the last
products of the one before, 8.4 cycles in place of 10.3.

    r0 pixels  r1 weights, both a word before what is next  r2 r3 words of the two pixels  r4 r5 of weights
    r6 r7 sums of channel b  r8 r9 of 256 * a + b  r10 r11 of d  r12 lr of 256 * c + d
    [sp] places of DspTile
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked

_B, _A, _D, _C = ("r6", "r7"), ("r8", "r9"), ("r10", "r11"), ("r12", "lr")
_CHANNELS = (_B, _A, _D, _C)  # in the order of their scales and numbers
_PIXELS, _PIXELS_END, _FIRST, _SECOND, _END, _BOUNDS = 0, 4, 8, 12, 16, 20
_FRAME = 28
_SCALE = 16  # bytes
_UNROLLED = {False: 12, True: 4}  # steps of a core without a loop, by whether it is to be small
_ROUND = {False: 8, True: 4}
# Modelled cycles of a Cortex-M4.
_STEP_CYCLES, _ROUND_CYCLES = 15, 5
_QUAD_CYCLES = 80  # of four channels, beside their products
_PIXELS_AT_ONCE = 2


@dataclass(frozen=True)
class Loop:
    """`first` steps, then rounds of `each` steps: none at all of them for some, where it `skips`."""

    first: int
    each: int = 0
    skips: bool = False

    def padded(self, steps: int) -> int:
        """The steps that are made for so many, those beyond them of zeros."""
        return self.first + self.each * self._rounds(steps)

    def _rounds(self, steps: int) -> int:
        return -(-max(steps - self.first, 0) // self.each) if self.each else 0

    def cycles(self, steps: int) -> int:
        """Modelled cycles of a Cortex-M4 for the products of a quad."""
        return _STEP_CYCLES * self.padded(steps) + _ROUND_CYCLES * self._rounds(steps)

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.first}" + f"_{self.each}" * bool(self.each) + "_or_none" * self.skips


@dataclass(frozen=True)
class TileEpilogue(Epilogue):
    """Also, how channels are known: `numbered` ones have a number each, else they follow the first one."""

    numbered: bool = False

    def _words(self) -> list[str]:
        return [*super()._words(), *["numbered"] * self.numbered]


def loop_of(steps: Sequence[int], small: bool = False) -> Loop:
    """The loop that makes sums of so many steps, each of them even, in the fewest cycles."""
    wanted = set(steps)
    if len(wanted) > 1:
        ways = [
            Loop(first, each, any(count <= first for count in wanted))
            for each in range(2, _ROUND[small] + 1, 2)
            for first in range(2, _ROUND[small] + 1, 2)
        ]
        return min(ways, key=lambda way: (sum(way.cycles(count) for count in steps), way.first + way.each))
    (count,) = wanted
    if count <= _UNROLLED[small]:
        return Loop(count)
    each = _ROUND[small]  # the same code for as many layers as can be
    return Loop((count - 2) % each + 2, each)


def window_cycles(pixels: int, rows: int, products: int, channels: int, whole: bool) -> int:
    """Modelled cycles of a Cortex-M4 for windows of some rows in the image, `whole` words or bytes."""
    window = 50 + 20 * rows + 12 * -(-products // 4) + (0 if whole else 140 + 4 * products)
    return _cycles(pixels, window, products, channels)


def pointwise_cycles(pixels: int, depth: int, channels: int) -> int:
    """Modelled cycles of a Cortex-M4 for windows of one pixel."""
    return _cycles(pixels, 20 + 12 * -(-depth // 4), depth, channels)


def gathered_cycles(pixels: int, taps: int, depth: int, channels: int) -> int:
    """Modelled cycles of a Cortex-M4 for windows of taps that are brought together one by one."""
    window = 175 + taps * (22 + 4 * -(-depth // 4)) + 7 * -(-taps * depth // 4)
    return _cycles(pixels, window, taps * depth, channels)


def _cycles(pixels: int, window: int, products: int, channels: int) -> int:
    """`window` is what it takes to bring one together, as words of two products."""
    steps = 2 * -(-products // 4)
    quads = -(-channels // 4) * (_QUAD_CYCLES + loop_of([steps]).cycles(steps))
    return -(-pixels // _PIXELS_AT_ONCE) * (2 * window + 80 + quads)


@cache
def emit(loop: Loop, epilogue: TileEpilogue, dual_issue: bool = False) -> Emitted:
    """The core as a function of C++, for cores that start one instruction a cycle, or two."""
    name = f"tile_{loop.name}_{epilogue.name}" + "_dual_issue" * dual_issue
    steps = _steps_in_pairs if dual_issue else _steps
    lines = [
        "push {r4-r11, lr}",
        "ldm r0, {r1-r8}",
        "push {r2-r8}",
        "1:",
        f"ldr r0, [sp, #{_PIXELS}]",
        *steps(loop.first, first=True),
    ]
    if loop.each:
        end = [f"ldr r2, [sp, #{_PIXELS_END}]", "cmp r0, r2"]
        lines += [*end, "beq.w 3f"] if loop.skips else []
        lines += ["2:", *steps(loop.each, first=False), *end, "bne.w 2b", "3:"]
    lines += [*_requantized(epilogue), *_stored(epilogue), "cmp r1, r5", "bne.w 1b"]
    lines += [f"add sp, #{_FRAME}", "pop {r4-r11, pc}"]
    return naked("dsp", name, "const DspTile&", lines)


def _steps(count: int, first: bool) -> Iterator[str]:
    """`count` steps, after which the pointers have moved on. The first sets the sums, the others add."""
    for step in range(count):
        weights, pixels = _loads(step, step == count - 1)
        yield from (*weights, *pixels)
        sets = first and step == 0
        # Results of SXTB16 are wanted two instructions later at the earliest.
        yield from (_product(_A, 0, "r4", sets), _product(_A, 1, "r4", sets), _product(_C, 0, "r5", sets))
        yield "sxtb16 r4, r4"
        yield _product(_C, 1, "r5", sets)
        yield "sxtb16 r5, r5"
        yield from (_product(_B, 0, "r4", sets), _product(_B, 1, "r4", sets))
        yield from (_product(_D, 0, "r5", sets), _product(_D, 1, "r5", sets))


def _steps_in_pairs(count: int, first: bool) -> Iterator[str]:
    """The same, with the loads of a step between the products of the one before."""
    weights, pixels = _loads(0, count == 1)
    yield from (*weights, *pixels)
    for step in range(count):
        sets = first and step == 0
        yield from (_product(_A, 0, "r4", sets), _product(_A, 1, "r4", sets), "sxtb16 r4, r4")
        yield from (_product(_C, 0, "r5", sets), _product(_C, 1, "r5", sets), "sxtb16 r5, r5")
        yield from (_product(_B, 0, "r4", sets), _product(_B, 1, "r4", sets))
        last = [_product(_D, 0, "r5", sets), _product(_D, 1, "r5", sets)]
        if step == count - 1:
            yield from last
            return
        weights, pixels = _loads(step + 1, step + 1 == count - 1)
        yield from (weights[0], last[0], pixels[0], last[1], pixels[1], weights[1])


def _loads(step: int, last: bool) -> tuple[tuple[str, str], tuple[str, str]]:
    """Those of a step's weights, and of its pixels; those of the last one move the pointers on."""
    at, on = 8 * step, "!" if last else ""
    return (
        (f"ldr r4, [r1, #{at + 4}]", f"ldr r5, [r1, #{at + 8}]{on}"),
        (f"ldr r2, [r0, #{at + 4}]", f"ldr r3, [r0, #{at + 8}]{on}"),
    )


def _product(sums: tuple[str, str], pixel: int, weights: str, sets: bool) -> str:
    words = f"{sums[pixel]}, r{2 + pixel}, {weights}"
    return f"smuad {words}" if sets else f"smlad {words}, {sums[pixel]}"


def _requantized(epilogue: TileEpilogue) -> Iterator[str]:
    """Each sum in its register as the int8 that is stored; r1 stays."""
    for high, low in ((_A, _B), (_C, _D)):
        yield from (f"sub {a}, {a}, {b}" for a, b in zip(high, low, strict=True))
    for number, sums in enumerate(_CHANNELS):
        yield from (f"ldr r{2 + i}, [r1, #{_SCALE * number + 4 * i + 4}]" for i in range(4))
        doubling = "lsl #1" if sums in (_B, _D) else "asr #7"
        yield from (f"add {register}, r2, {register}, {doubling}" for register in sums)
        for register, addend in zip(sums, ("r0", "r2") if epilogue.half_away else ("r4", "r4"), strict=True):
            if epilogue.half_away:
                yield f"add {addend}, r4, {register}, asr #31"
            yield f"smmlar {register}, {register}, r3, {addend}"
        yield from (f"asr {register}, {register}, r5" for register in sums)
        if not epilogue.clamps:
            yield from (f"ssat {register}, #8, {register}" for register in sums)
    if epilogue.clamps:
        yield from (f"ldr r2, [sp, #{_BOUNDS}]", f"ldr r3, [sp, #{_BOUNDS + 4}]")
        for register in (register for sums in _CHANNELS for register in sums):
            yield from (f"cmp {register}, r2", "it lt", f"movlt {register}, r2")
            yield from (f"cmp {register}, r3", "it gt", f"movgt {register}, r3")


def _stored(epilogue: TileEpilogue) -> Iterator[str]:
    """The outputs where they belong; r1 at the end of the quad and r5 where the last one ends.

    Pixel 1 is stored first: where it is pixel 0, the right one stays. Of a pair without an a, b is last.
    """
    numbers = _SCALE * len(_CHANNELS) + 4
    first, second, end = (f"[sp, #{place}]" for place in (_FIRST, _SECOND, _END))
    if not epilogue.numbered:
        yield from (f"ldr r2, [r1, #{numbers}]!", f"ldr r3, {first}", f"ldr r4, {second}", f"ldr r5, {end}")
        yield from ("add r4, r4, r2", "add r3, r3, r2")
        for pixel, output in ((1, "r4"), (0, "r3")):
            yield from (f"strb {sums[pixel]}, [{output}, #{i}]" for i, sums in enumerate(_CHANNELS))
        return
    for low, high, at in ((_B, _A, numbers), (_D, _C, numbers + 8)):
        on = "!" if low is _D else ""
        yield from (f"ldr r2, [r1, #{at}]", f"ldr r3, [r1, #{at + 4}]{on}")
        yield from (f"ldr r4, {first}", f"ldr r0, {second}")
        yield from (f"strb {high[1]}, [r0, r3]", f"strb {low[1]}, [r0, r2]")
        yield from (f"strb {high[0]}, [r4, r3]", f"strb {low[0]}, [r4, r2]")
    yield f"ldr r5, {end}"
