"""Depthwise convolutions with SMLAD: the cores that make a row of the output of some channels.

A core is a naked function, whose contract is in dsp_depthwise_rows.h. It makes four outputs of a channel at
once, from words that hold two neighbours of a row each: outputs at even columns take pairs of weights as they
are, those at odd columns the pairs beside them. With a window of 3x3 an output takes 6 products. Weights are
doubled, and the first product is added to the doubled bias. Rows of more than seven weights are cut into
segments. Of groups, whose outputs take several channels of the input each, these are further rows.

    r1 weights  r8 to r11 sums  r7 r12 lr rows where they are three or less, else r0 the one at hand
    others: words of weights and pixels, then the constants of the requantization
    [sp] rows that no register holds, places of DspDepthwiseRow
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked

BLOCK = 4  # outputs
MOST_ROWS = 15
_WIDEST = 7  # weights of a segment
_CUT = 6
PAIR = 16  # bytes from a word to the next of its channel
_SUMS = ("r8", "r9", "r10", "r11")
_ROWS = ("r7", "r12", "lr")
# Places behind the rows.
_OUTPUT, _BASE, _PACKED_END, _LOW, _HIGH, _END, _BACK = range(0, 28, 4)
_FRAME = 28
_STRAIGHT = 3  # blocks
_SMALL = 9  # weights of a window
_REACH = 4095  # bytes that a store reaches


@dataclass(frozen=True)
class Product:
    """A multiplication of word `weights` of a segment by word `pixels`: for the sum of output `output`."""

    word: str
    output: int
    weights: int
    pixels: int


@dataclass(frozen=True)
class Segment:
    """`width` weights of a row, `first` words from the row's begin. Output 0 begins at column `phase`."""

    width: int
    first: int
    stride: int
    phase: int

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """The weights in each of its words, by number in the segment; -1 for none."""
        return [self._possible[number] for number in self._used]

    def products(self, outputs: int) -> list[Product]:
        """Those of a block, by their pixels."""
        products = [product for output in range(outputs) for product in self._of(output)]
        numbered = [replace(product, weights=self._used.index(product.weights)) for product in products]
        return sorted(numbered, key=lambda product: product.pixels)

    @cached_property
    def _possible(self) -> list[tuple[int, int]]:
        """Pairs for outputs at even columns, then those between them."""
        pairs = [(i, i + 1) for i in range(0, self.width - 1, 2)]
        return [*pairs, *((i, i + 1) for i in range(1, self.width - 1, 2))] or [(0, -1)]

    @cached_property
    def _used(self) -> list[int]:
        return sorted({product.weights for output in range(BLOCK) for product in self._of(output)})

    def _of(self, output: int) -> Iterator[Product]:
        column = self.stride * output + self.phase
        at, pairs = column // 2, self.width // 2
        if column % 2 == 0:
            yield from (Product("smlad", output, i, at + i) for i in range(pairs))
            if self.width % 2:
                last = "smlabb" if self.width == 1 else "smlatb"
                yield Product(last, output, len(self._possible) - 1, at + pairs)
            return
        yield Product("smlabt", output, 0, at)
        yield from (Product("smlad", output, pairs + i, at + 1 + i) for i in range((self.width - 1) // 2))
        if self.width % 2 == 0:
            yield Product("smlatb", output, pairs - 1, at + pairs)


@dataclass(frozen=True)
class Core:
    """Windows of `rows` and `columns`; rows of `blocks` of outputs (None: any number) and `tail` more.

    An output is stored `pixel` bytes behind the one before. `stays`: all its channels are made of the same
    rows, those of a group. Else each has the next one's.
    """

    rows: int
    columns: int
    stride: int
    phase: int
    blocks: int | None
    tail: int
    epilogue: Epilogue
    pixel: int
    stays: bool = False

    @property
    def name(self) -> str:
        """What tells it from others."""
        blocks = "any" if self.blocks is None else self.blocks
        window = f"{self.rows}x{self.columns}_stride_{self.stride}" + "_odd" * self.phase
        window += "_group" * self.stays
        return f"depthwise_{window}_{blocks}_and_{self.tail}_every_{self.pixel}_{self.epilogue.name}"

    @property
    def segments(self) -> list[Segment]:
        """Of a row."""
        return segments(self.columns, self.stride, self.phase)

    @property
    def held(self) -> bool:
        """Whether registers hold the rows, and leave enough for words."""
        return self.rows <= len(_ROWS) and max(len(segment.pairs) for segment in self.segments) <= 4

    @property
    def reached(self) -> bool:
        """Whether a store reaches all outputs of a row from the first one on."""
        outputs = BLOCK * (self.blocks or 0) + self.tail
        return self.blocks is not None and (outputs - 1) * self.pixel <= _REACH

    @property
    def step(self) -> int:
        """Bytes of a row from a block to the next."""
        return PAIR * BLOCK * self.stride // 2

    @property
    def record(self) -> int:
        """Words of a channel."""
        return 4 + self.rows * sum(len(segment.pairs) for segment in self.segments)

    def cycles(self, width: int) -> int:
        """Modelled cycles of a Cortex-M4 for a channel of a row of `width` outputs."""
        blocks, tail = divmod(width, BLOCK)
        return 17 + blocks * self._block_cycles(BLOCK) + (self._block_cycles(tail) if tail else 0)

    def _block_cycles(self, outputs: int) -> int:
        """Of a block: loads, with one more for each run, products, and the requantization."""
        row = 0 if self.held else 2
        for segment in self.segments:
            products = segment.products(outputs)
            words, pixels = (
                len({product.weights for product in products}),
                len({product.pixels for product in products}),
            )
            row += words + pixels + -(-pixels // (len(self.free) - words)) + len(products)
        stores = 4 + outputs if self.reached else 6 + 2 * outputs
        return stores + self.rows * row + (4 + self.epilogue.half_away) * outputs

    @property
    def free(self) -> list[str]:
        """Registers for words."""
        return ["r2", "r3", "r4", "r5", "r6", *(["r0"] if self.held else ["r7", "r12", "lr"])]


def core_of(
    rows: int,
    columns: int,
    stride: int,
    phase: int,
    width: int,
    epilogue: Epilogue,
    pixel: int,
    stays: bool = False,
) -> Core | None:
    """The core for rows of `width` outputs, the first at an even column or (`phase` 1) at an odd one."""
    if rows > MOST_ROWS or stride > 2:
        return None
    blocks, tail = divmod(width, BLOCK)
    straight = blocks <= (_STRAIGHT if rows * columns <= _SMALL else 1)
    return Core(rows, columns, stride, phase, blocks if straight else None, tail, epilogue, pixel, stays)


def segments(columns: int, stride: int, phase: int) -> list[Segment]:
    """Of a row of `columns` weights."""
    result, first = list[Segment](), 0
    while columns > _WIDEST:
        result.append(Segment(_CUT, first, stride, phase))
        columns, first = columns - _CUT, first + _CUT // 2
    return [*result, Segment(columns, first, stride, phase)]


def records(core: Core, weights: NDArray[np.int8], scales: NDArray[np.int64]) -> NDArray[np.int64]:
    """[channels][rows][columns] and DspScale of each as [channels][words of a record]."""
    channels, columns = len(weights), core.columns
    # Weight number -1 is a zero behind the others.
    doubled = np.pad(2 * weights.astype(np.int64), ((0, 0), (0, 0), (0, 1)))
    places = [
        [columns if i < 0 else 2 * segment.first + i for i in pair]
        for segment in core.segments
        for pair in segment.pairs
    ]
    halves = doubled[:, :, np.array(places)] & 0xFFFF
    words = (halves[..., 0] | halves[..., 1] << 16).reshape(channels, -1)
    return np.concatenate([scales[:, :1], words - ((words >> 31) << 32), scales[:, 1:]], axis=1)


@cache
def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    rows = 0 if core.held else 4 * core.rows
    lines = ["push {r4-r11, lr}", "ldr r1, [r0], #4", "ldm r0!, {r2-r8}", "push {r2-r8}"]
    if core.held:
        lines += [f"ldr {row}, [r0, #{4 * index}]" for index, row in enumerate(_ROWS[: core.rows])]
    else:
        lines.append(f"sub sp, #{rows}")
        for row in range(core.rows):
            lines += [f"ldr r2, [r0, #{4 * row}]", f"str r2, [sp, #{4 * row}]"]
    lines += ["1:", *_channel(core, rows), *_next(core, rows), "bne.w 1b"]
    lines += [f"add sp, #{rows + _FRAME}", "pop {r4-r11, pc}"]
    return naked("dsp", core.name, "const DspDepthwiseRow&", lines)


def _channel(core: Core, rows: int) -> Iterator[str]:
    """A row of a channel."""
    if core.blocks is None:
        yield "2:"
        yield from _block(core, rows, BLOCK, 0, more=True)
        last = _ROWS[core.rows - 1] if core.held else "r0"
        yield from (f"ldr r2, [sp, #{rows + _END}]", f"cmp {last}, r2", "bne.w 2b")
    for block in range(core.blocks or 0):
        yield from _block(core, rows, BLOCK, block, more=block < _advanced(core))
    if core.tail:
        yield from _block(core, rows, core.tail, core.blocks or 0, more=False)


def _advanced(core: Core) -> int:
    """Blocks after which the rows go on."""
    blocks = core.blocks or 0
    return blocks if core.tail else max(blocks - 1, 0)


def _next(core: Core, rows: int) -> Iterator[str]:
    """On to the next channel, whose rows begin a word behind unless they are the same."""
    on = 0 if core.stays else 4
    back = f"#{core.step * _advanced(core) - on}"
    yield from (f"ldr r3, [sp, #{rows + _BASE}]", f"ldr r4, [sp, #{rows + _PACKED_END}]")
    if core.blocks is None:
        yield f"ldr r2, [sp, #{rows + _BACK}]"
        back = "r2"
    if core.held:
        yield from (f"sub {row}, {row}, {back}" for row in _ROWS[: core.rows])
    else:
        for row in range(core.rows):
            yield from (f"ldr r0, [sp, #{4 * row}]", f"sub r0, r0, {back}", f"str r0, [sp, #{4 * row}]")
    if core.blocks is None and on:
        yield from (f"ldr r5, [sp, #{rows + _END}]", f"add r5, #{on}", f"str r5, [sp, #{rows + _END}]")
    yield from ("add r3, #1", f"str r3, [sp, #{rows + _BASE}]")
    if not core.reached:
        yield f"str r3, [sp, #{rows + _OUTPUT}]"
    yield from (f"add r1, r1, #{4 * core.record}", "cmp r1, r4")


def _block(core: Core, rows: int, outputs: int, block: int, more: bool) -> Iterator[str]:
    """Some outputs of a channel, behind `block` blocks. `more`: there are further ones behind."""
    at, fresh = 4, set(range(outputs))
    for row in range(core.rows):
        pointer = _ROWS[row] if core.held else "r0"
        moved = 0
        for segment in core.segments:
            products = segment.products(outputs)
            free = list(core.free)
            loads = [f"ldr r0, [sp, #{4 * row}]"] if not core.held and segment.first == 0 else []
            bias = free.pop() if fresh else ""
            if bias and at == 4:
                loads.append(f"ldr {bias}, [r1]")
            used = sorted({product.weights for product in products})
            words = {word: free.pop(0) for word in used}
            loads += [f"ldr {register}, [r1, #{at + 4 * word}]" for word, register in words.items()]
            pixels = sorted({product.pixels for product in products})
            for start in range(0, len(pixels), len(free)):
                held = dict(zip(pixels[start : start + len(free)], free, strict=False))
                for pixel, register in held.items():
                    place = PAIR * (pixel + segment.first) - moved
                    if more and not moved:
                        loads.append(f"ldr {register}, [{pointer}], #{core.step}")
                        moved = core.step
                    else:
                        loads.append(f"ldr {register}, [{pointer}, #{place}]")
                if not core.held and more and segment == core.segments[-1] and pixels[-1] in held:
                    loads.append(f"str r0, [sp, #{4 * row}]")
                yield from loads
                loads = []
                for product in products:
                    if product.pixels in held:
                        total = _SUMS[product.output]
                        onto = bias if product.output in fresh else total
                        fresh.discard(product.output)
                        factors = f"{words[product.weights]}, {held[product.pixels]}"
                        yield f"{product.word} {total}, {factors}, {onto}"
            at += 4 * len(segment.pairs)
    yield from _epilogue(core, rows, _SUMS[:outputs], at)
    yield from _stored(core, rows, _SUMS[:outputs], block, more)


def _epilogue(core: Core, rows: int, sums: Sequence[str], at: int) -> Iterator[str]:
    """The sums requantized, and in r5 where they belong."""
    yield from (f"ldr r{2 + i}, [r1, #{at + 4 * i}]" for i in range(3))
    yield f"ldr r5, [sp, #{rows + (_BASE if core.reached else _OUTPUT)}]"
    spare = core.free[-1]
    for register in sums:
        if core.epilogue.half_away:
            yield f"add {spare}, r3, {register}, asr #31"
        yield f"smmlar {register}, {register}, r2, {spare if core.epilogue.half_away else 'r3'}"
    yield from (f"asr {register}, {register}, r4" for register in sums)
    if core.epilogue.clamps:
        yield from (f"ldr r2, [sp, #{rows + _LOW}]", f"ldr r3, [sp, #{rows + _HIGH}]")
        for register in sums:
            yield from (f"cmp {register}, r2", "it lt", f"movlt {register}, r2")
            yield from (f"cmp {register}, r3", "it gt", f"movgt {register}, r3")
    else:
        yield from (f"ssat {register}, #8, {register}" for register in sums)


def _stored(core: Core, rows: int, sums: Sequence[str], block: int, more: bool) -> Iterator[str]:
    """The outputs stored."""
    if core.reached:
        first = BLOCK * block
        yield from (f"strb {total}, [r5, #{(first + i) * core.pixel}]" for i, total in enumerate(sums))
        return
    yield f"movw r6, #{core.pixel}"
    for total in sums:
        yield from (f"strb {total}, [r5]", "add r5, r6")
    if more:
        yield f"str r5, [sp, #{rows + _OUTPUT}]"
