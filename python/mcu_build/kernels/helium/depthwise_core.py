"""Depthwise convolutions on Helium: the cores that make four outputs of a channel at once.

A core is a naked function, whose contract is in mve_depthwise_windows.h. For each output and vector of 16
products it takes a gather and a multiply-accumulate; of pairs, which are 2x2 outputs whose windows are in
one vector, a multiply-accumulate each and a gather for all four. The weights of a channel stay in registers.
Four outputs are requantized and stored while the sums of the next four are made, of another channel too.

    r0 at hand  r1 records  r2 r5 r11 r12 shift, bias, multiplier, addend  r3 output
    r4 r6 r8 r10 sums  r7 bytes to the next four outputs  r9 space  lr steps left, or whatever is at hand
    q1 the sums before  q2, q3 places of the words  q4 to q7 weights  q0, and what is free: words
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted
from mcu_build.kernels.function import Epilogue, naked
from mcu_build.kernels.helium.schedule import schedule

ROWS = 4  # of a word
COLUMNS = 4  # of a vector
COLUMN = 64  # bytes of 16 channels
NARROW_COLUMN = 4  # bytes of one channel, where there is no other
_BLOCK = 16  # channels
_REACH = 508  # bytes that a gather reaches
# Modelled cycles of a Cortex-M55.
_CHANNEL_CYCLES, _PAIRS_CYCLES, _STEP_CYCLES, _VECTOR_CYCLES = 19, 16.5, 10, 12.5
_HALF_AWAY_CYCLES = 4.5  # of pairs; counted for these alone
ROW_CYCLES, _COPY_CYCLES, _COLUMN_CYCLES, _NARROW_CYCLES = 200, 250, 25, 270
_SUMS = ("r4", "r6", "r8", "r10")
# Places of MveDepthwiseSpace.
_END, _LOOPS, _PITCH, _BACK, _NEXT, _LOW, _HIGH, _REST, _WRITTEN, _LOWER = range(8, 48, 4)
_OFFSETS, _BASES = 48, (64, 80)


@dataclass(frozen=True)
class Core:
    """Windows of `bases` times `groups` vectors, `stride` columns apart.

    Two bases are eight rows or, with up to four rows, more than eight columns. `pairs` are outputs of two
    rows and columns, of a stride of one. `narrow`: the image has one channel.
    """

    bases: int
    groups: int
    stride: int
    pairs: bool
    epilogue: Epilogue
    narrow: bool = False

    @property
    def name(self) -> str:
        """What tells it from others."""
        windows = "pairs" if self.pairs else f"{self.bases}x{self.groups}_stride_{self.stride}"
        return f"depthwise_{windows}{'_narrow' * self.narrow}_{self.epilogue.name}"

    @property
    def column(self) -> int:
        """Bytes from a column to the next."""
        return NARROW_COLUMN if self.narrow else COLUMN

    def copy_cycles(self, columns: int) -> int:
        """Modelled cycles of a Cortex-M55 to copy so many pixels of 16 channels, or one, and four rows."""
        if self.narrow:
            return _NARROW_CYCLES + _COLUMN_CYCLES * -(-columns // _BLOCK)
        return _COPY_CYCLES + _COLUMN_CYCLES * columns

    @property
    def vectors(self) -> int:
        """Of a channel's weights."""
        return self.bases * self.groups

    def cycles(self, width: int) -> float:
        """Modelled cycles of a Cortex-M55 for a channel of a row of `width` outputs, or of two with pairs."""
        steps = -(-width // (2 if self.pairs else COLUMNS))
        pairs = _PAIRS_CYCLES + _HALF_AWAY_CYCLES * self.epilogue.half_away
        each = pairs if self.pairs else _STEP_CYCLES + _VECTOR_CYCLES * self.vectors
        return _CHANNEL_CYCLES + steps * each


@dataclass(frozen=True)
class Windows:
    """How windows of `size` rows and columns are gathered."""

    size: tuple[int, int]
    dilation: int

    @property
    def are_pairs(self) -> bool:
        """Whether four rows and columns hold those of 2x2 outputs, where the stride is one."""
        return self.size[0] < ROWS and self.size[1] < COLUMNS and self.dilation == 1

    @property
    def planes(self) -> int:
        """Of four rows."""
        return -(-self.size[0] // ROWS)

    @property
    def groups(self) -> int:
        """Of four columns, from one base on."""
        return 1 if self.size[1] <= COLUMNS else 2

    @property
    def is_wide(self) -> bool:
        """Whether the second base is for further columns."""
        return self.size[1] > 2 * COLUMNS

    @property
    def bases(self) -> int:
        """Of gathers."""
        return 2 if self.is_wide else self.planes

    def fits(self, stride: int) -> bool:
        """Whether a core's gathers reach all words."""
        columns = 4 * COLUMNS if self.planes == 1 else 2 * COLUMNS
        reached = self.groups == 1 or self.dilation == 1
        return self.planes <= 2 and self.size[1] <= columns and reached and stride * COLUMN <= _REACH

    def columns(self, outputs: int, stride: int, pairs: bool) -> int:
        """In scratch memory for a number of outputs, as far as gathers read."""
        if pairs:
            return outputs + outputs % 2 + COLUMNS - 2
        steps = -(-outputs // COLUMNS) * COLUMNS
        last = COLUMNS * self.groups * (2 if self.is_wide else 1) - 1
        return (steps - 1) * stride + last * self.dilation + 1

    def vectors_of(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """[rows][columns][channels] as [channels][vectors][4 columns][4 rows]."""
        rows, columns, channels = weights.shape
        wide = COLUMNS * self.groups * (2 if self.is_wide else 1)
        padded = np.pad(weights, ((0, ROWS * self.planes - rows), (0, wide - columns), (0, 0)))
        split = padded.reshape(self.planes, ROWS, wide // COLUMNS, COLUMNS, channels)
        return split.transpose(4, 0, 2, 3, 1).reshape(channels, -1)


def records(vectors: NDArray[np.int8], scales: bytes, copies: int, pairs: bool) -> bytes:
    """[channels * copies][vectors] and their scales in the order of mve_depthwise_windows.h."""
    count = len(vectors)
    before = np.zeros((count, 4 if pairs else 0), np.int8)  # weights are read a column later, too
    joined = np.concatenate([before, vectors, np.frombuffer(scales, np.int8).reshape(count, -1)], axis=1)
    channels = joined.reshape(count // copies, copies, -1)
    blocks = (channels[start : start + _BLOCK] for start in range(0, len(channels), _BLOCK))
    return b"".join(block.transpose(1, 0, 2).tobytes() for block in blocks)


@cache
def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    lines = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r9, r0", "ldrd r1, r3, [r9]"]
    # Nothing is written of what comes first.
    lines += [f"ldr r0, [r9, #{_BACK}]", "sub r3, r3, r0", f"ldr r7, [r9, #{_PITCH}]"]
    lines += [f"vldrw.u32 q{2 + base}, [r9, #{_BASES[base]}]" for base in range(core.bases)]
    places = _free(core)[-1:] if len(_free(core)) > 1 else []
    lines += [f"vldrw.u32 {q}, [r9, #{_OFFSETS}]" for q in places]
    last = [*_moved(), *_requantized(core), *_predicate(), *_stored(places, "vpst\\n vstrbt.32")]
    first = [*last, f"ldr r0, [r9, #{_BACK}]", "add r3, r3, r0", *_weights(core), *_sums(core, places)]
    first += ["ldrd r5, r11, [r1], #8", "ldrd r12, r2, [r1], #8"]
    first += [f"ldr lr, [r9, #{_REST}]", f"str lr, [r9, #{_WRITTEN}]"]
    more = [*_moved(), *_requantized(core), *_stored(places, "vstrb.32"), "add r3, r3, r7"]
    more += _sums(core, places)
    lines += ["1:", *schedule(first), f"ldr r0, [r9, #{_LOOPS}]", "wls lr, r0, 3f"]
    lines += ["2:", *schedule(more), "le lr, 2b", "3:", f"ldr r0, [r9, #{_NEXT}]"]
    lines += [f"vadd.i32 q{2 + base}, q{2 + base}, r0" for base in range(core.bases)]
    lines += [f"ldr r0, [r9, #{_END}]", "cmp r1, r0", "bne 1b", *schedule(last)]
    lines += ["vpop {d8-d15}", "pop {r4-r11, pc}"]
    return naked("mve", core.name, "MveDepthwiseSpace&", lines)


def _free(core: Core) -> list[str]:
    """Vector registers for words: q0, and those that have no places and no weights."""
    weights = 4 if core.pairs else core.vectors
    return ["q0", *(["q3"] if core.bases == 1 else []), *(f"q{4 + i}" for i in range(weights, 4))]


def _moved() -> list[str]:
    return ["vmov d2, r4, r6", "vmov d3, r8, r10"]


def _requantized(core: Core) -> list[str]:
    """The sums in q1 become outputs."""
    lines = ["vadd.i32 q1, q1, r5", "vqrdmulh.s32 q1, q1, r11"]
    if core.epilogue.half_away:
        lines += ["vshr.s32 q0, q1, #31", "vadd.i32 q1, q1, q0"]
    lines += ["vadd.i32 q1, q1, r12", "vqshl.s32 q1, r2", "vshr.s32 q1, q1, #24"]
    if core.epilogue.clamps:
        for word, place in (("vmax", _LOW), ("vmin", _HIGH)):
            lines += [f"ldr r0, [r9, #{place}]", "vdup.32 q0, r0", f"{word}.s32 q1, q1, q0"]
    return lines


def _predicate() -> list[str]:
    """Of what the last step of a channel has."""
    return [f"ldr r0, [r9, #{_WRITTEN}]", "vctp.32 r0"]


def _stored(places: list[str], store: str) -> list[str]:
    """The outputs in q1 to where they belong."""
    if places:
        return [f"{store} q1, [r3, {places[0]}]"]
    return [f"vldrw.u32 q0, [r9, #{_OFFSETS}]", f"{store} q1, [r3, q0]"]


def _weights(core: Core) -> list[str]:
    """Those of a channel; of pairs for a column later and a row later, too."""
    if not core.pairs:
        return [f"vldrw.u32 q{4 + vector}, [r1], #16" for vector in range(core.vectors)]
    lines = ["vldrw.u32 q5, [r1], #4", "vldrw.u32 q4, [r1], #16", f"ldr lr, [r9, #{_LOWER}]"]
    return [*lines, "vmul.i32 q6, q4, lr", "vmul.i32 q7, q5, lr"]


def _sums(core: Core, places: list[str]) -> list[str]:
    """Of four outputs."""
    words = [q for q in _free(core) if q not in places]
    if core.pairs:
        # In the order of their places: down, then to the right.
        products = [
            f"vmladav.s8 {total}, q0, {q}" for total, q in zip(_SUMS, ("q4", "q6", "q5", "q7"), strict=True)
        ]
        return [f"vldrw.u32 q0, [q2, #{2 * core.column}]!", *products]
    lines = list[str]()
    for total in _SUMS:
        for vector in range(core.vectors):
            base, group = divmod(vector, core.groups)
            place = f"#{4 * core.column}]" if group else f"#{core.stride * core.column}]!"
            into = words[len(lines) // 2 % len(words)]
            lines.append(f"vldrw.u32 {into}, [q{2 + base}, {place}")
            lines.append(f"vmladav{'a' if vector else ''}.s8 {total}, {into}, q{4 + vector}")
    return lines
