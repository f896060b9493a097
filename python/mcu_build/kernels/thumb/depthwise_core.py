"""Depthwise convolutions without DSP instructions: the cores that make some pixels of a row of the output.

A core is a naked function, whose contract is in thumb_depthwise.h. It takes the window's rows one by one and
has three weights at most at once; each pixel is loaded once for these and multiplied for every output that
sees it. Channels follow each other.

    r0 r1 r2 weights  r3 products  r4 pixels  r5 channel  r6 table of pixels  r7 packed weights
    r8 to r12, lr sums
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked
from mcu_build.kernels.thumb.frame import Frame, Requantization, far

MOST = 6  # outputs
_SMALL = 4
_SUMS = ("r8", "r9", "r10", "r11", "r12", "lr")
_SEGMENT = 3  # weights
_MOST_COLUMNS = 60  # pixels of a row that an addition to a pointer reaches
# The words of ThumbTaps.
_PACKED, _TABLE, _TABLE_END, _FROM, _FROM_END, _LOW, _OUTPUTS = 0, 1, 2, 3, 4, 5, 7
_FRAME = Frame(13)
_ENDS = _FRAME.slot(_LOW), _FRAME.slot(_LOW + 1)
# Modelled cycles of a Cortex-M0+ for what every output, and every channel, takes beside products.
_OUTPUT_CYCLES, _CHANNEL_CYCLES = 32, 50


@dataclass(frozen=True)
class Core:
    """`outputs` pixels of a row, which see windows of `columns`."""

    columns: int
    stride: int
    dilation: int
    outputs: int
    epilogue: Epilogue
    thumb2: bool

    @property
    def name(self) -> str:
        """What tells it from others."""
        window = f"{self.columns}_stride_{self.stride}_dilation_{self.dilation}"
        return f"depthwise_{window}_by_{self.outputs}_{self.epilogue.name}"

    @property
    def reach(self) -> int:
        """Pixels of a row from the first that an output sees to the last."""
        return (self.outputs - 1) * self.stride + (self.columns - 1) * self.dilation + 1

    def cycles(self, rows: int, width: int) -> int:
        """Modelled cycles of a Cortex-M0+ for a channel of a row of `width` outputs."""
        code = [line for first in range(0, self.columns, _SEGMENT) for line in self.segment(first)]
        row = sum(2 if line.startswith("ld") else 1 for line in code)
        made = rows * row + _OUTPUT_CYCLES * self.outputs + _CHANNEL_CYCLES
        return -(-width // self.outputs) * made

    def segment(self, first: int) -> Iterator[str]:
        """Three weights of a row at most, from column `first` on; the table's pointer at the row's end."""
        count = min(_SEGMENT, self.columns - first)
        yield from ("ldm r7!, {r3}", "sxtb r0, r3")
        yield from ("lsls r1, r3, #16", "asrs r1, r1, #24") if count > 1 else ()
        yield from ("asrs r2, r3, #24",) if count > 2 else ()
        at = 0 if first == 0 else self.reach
        for pixel, uses in sorted(self._uses(range(first, first + count)).items()):
            yield from _moved("r6", pixel - at)
            yield from ("ldm r6!, {r4}", "ldrsb r4, [r4, r5]")
            at = pixel + 1
            for weight, output in uses[:-1]:
                yield from ("mov r3, r4", f"muls r3, r{weight}", f"add {_SUMS[output]}, r3")
            weight, output = uses[-1]
            yield from (f"muls r4, r{weight}", f"add {_SUMS[output]}, r4")
        yield from _moved("r6", self.reach - at)

    def _uses(self, columns: range) -> dict[int, list[tuple[int, int]]]:
        """For each pixel of a row: the weights, by number in the segment, and outputs it is for."""
        uses: dict[int, list[tuple[int, int]]] = {}
        for weight, column in enumerate(columns):
            for output in range(self.outputs):
                uses.setdefault(output * self.stride + column * self.dilation, []).append((weight, output))
        return uses


def core_of(
    size: tuple[int, int],
    stride: int,
    dilation: int,
    width: int,
    epilogue: Epilogue,
    thumb2: bool,
    small: bool,
) -> Core | None:
    """The core that makes a row of `width` outputs in the fewest cycles, with windows of rows and columns.

    None: its pixels lie too far from each other.
    """
    rows, columns = size
    most = min(_SMALL, width) if small else MOST
    ways = [Core(columns, stride, dilation, outputs, epilogue, thumb2) for outputs in range(1, most + 1)]
    near = [way for way in ways if way.reach <= _MOST_COLUMNS]
    if small:
        return near[-1] if near else None
    return min(near, key=lambda way: (way.cycles(rows, width), way.outputs), default=None)


def packed(weights: NDArray[np.int8], scales: NDArray[np.int64]) -> NDArray[np.int64]:
    """Words of all channels from weights [channels][rows][columns] and scales [channels][4]."""
    channels, rows, columns = weights.shape
    filled = np.pad(weights, ((0, 0), (0, 0), (0, -columns % _SEGMENT))).astype(np.int64)
    threes = filled.reshape(channels, rows * (filled.shape[2] // _SEGMENT), _SEGMENT)
    words = (threes[..., 0] & 0xFF) + ((threes[..., 1] & 0xFF) << 8) + (threes[..., 2] << 24)
    return np.concatenate([scales[:, :1], words, scales[:, 1:]], axis=1)


@cache
def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    lines = [*_FRAME.entered(), f"ldr r7, {_FRAME.slot(_PACKED)}", f"ldr r5, {_FRAME.slot(_FROM)}", "1:"]
    lines += ["ldm r7!, {r3}", *(f"mov {sum}, r3" for sum in _SUMS[: core.outputs])]
    rows = [line for first in range(0, core.columns, _SEGMENT) for line in core.segment(first)]
    rows += [f"ldr r3, {_FRAME.slot(_TABLE_END)}", "cmp r6, r3"]
    lines += [f"ldr r6, {_FRAME.slot(_TABLE)}", "2:", *rows, *far("bne", "beq", "2", rows)]
    lines += _stored(core)
    lines += [*far("bne", "beq", "1", lines), *_FRAME.left()]
    return naked("thumb", core.name, "const ThumbTaps&", lines)


def _stored(core: Core) -> Iterator[str]:
    """All outputs of a channel, the first last: others may lie there. Z: it was the last channel."""
    # Sums are taken from the last register, which is scratch then.
    made = Requantization(core.epilogue, core.thumb2, _ENDS, addend="r5", multiplier="r7", sign="lr")
    yield from (
        f"str r5, {_FRAME.slot(_FROM)}",
        *made.constants("r7"),
        f"str r7, {_FRAME.slot(_PACKED)}",
        *made.spread(),
    )
    for output in reversed(range(core.outputs)):
        yield from (f"mov r6, {_SUMS[output]}", *made.of("r6"))
        yield from (
            f"ldr r0, {_FRAME.slot(_OUTPUTS + output)}",
            f"ldr r1, {_FRAME.slot(_FROM)}",
            "strb r6, [r0, r1]",
        )
    yield from ("mov r5, r1", "adds r5, #1", f"ldr r7, {_FRAME.slot(_PACKED)}")
    yield from (f"ldr r0, {_FRAME.slot(_FROM_END)}", "cmp r5, r0")


def _moved(pointer: str, words: int) -> Iterator[str]:
    if words:
        yield f"{'adds' if words > 0 else 'subs'} {pointer}, #{4 * abs(words)}"
