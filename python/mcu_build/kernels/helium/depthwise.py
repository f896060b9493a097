"""Depthwise convolutions on Helium: the cores that make four outputs of a channel at once.

A core is a naked function, whose contract is in mve_depthwise_windows.h. For each output and vector of 16
products it takes a gather and a multiply-accumulate; the weights of a channel stay in registers.

    r0 columns left  r1 records  r2 r5 r11 r12 shift, bias, multiplier, addend  r3 output
    r4 r6 r8 r10 sums  r7 bytes to the next four outputs  r9 walk  lr steps left
    q0, q1 words, sums  q2, q3 places of the words  q4 to q7 weights
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mcu_build.ir.plan import Emitted

ROWS = 4  # of a word
COLUMNS = 4  # of a vector
COLUMN = 64  # bytes of 16 channels
_BLOCK = 16  # channels
_REACH = 508  # bytes that a gather reaches
_SUMS = ("r4", "r6", "r8", "r10")

Finish = Literal["plain", "ties", "any"]


@dataclass(frozen=True)
class Core:
    """Windows of `bases` times `groups` vectors, `stride` columns apart.

    Two bases are eight rows or, with up to four rows, more than eight columns. `finish` is what
    requantization needs: no ties, ties, or clamps as well.
    """

    bases: int
    groups: int
    stride: int
    finish: Finish

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"depthwise_{self.bases}x{self.groups}_stride_{self.stride}_{self.finish}"


@dataclass(frozen=True)
class Windows:
    """How windows of `size` rows and columns are gathered."""

    size: tuple[int, int]
    dilation: int

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

    def columns(self, outputs: int, stride: int) -> int:
        """In scratch memory for a number of outputs, as far as gathers read."""
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


def records(vectors: NDArray[np.int8], scales: bytes, copies: int) -> bytes:
    """[channels * copies][vectors] and their scales in the order of mve_depthwise_windows.h."""
    count = len(vectors)
    joined = np.concatenate([vectors, np.frombuffer(scales, np.int8).reshape(count, -1)], axis=1)
    channels = joined.reshape(count // copies, copies, -1)
    blocks = (channels[start : start + _BLOCK] for start in range(0, len(channels), _BLOCK))
    return b"".join(block.transpose(1, 0, 2).tobytes() for block in blocks)


def emit(core: Core) -> Emitted:
    """The core as a function of C++."""
    count = core.bases * core.groups
    lines = ["push {r4-r11, lr}", "vpush {d8-d15}", "mov r9, r0", "ldrd r1, r3, [r9]", "ldr r7, [r9, #16]"]
    lines += [f"vldrw.u32 q{2 + base}, [r9, #{64 + 16 * base}]" for base in range(core.bases)]
    lines.append("1:")
    lines += [f"vldrw.u32 q{4 + vector}, [r1], #16" for vector in range(count)]
    lines += ["ldrd r5, r11, [r1], #8", "ldrd r12, r2, [r1], #8", "ldr r0, [r9, #12]"]
    lines += ["add lr, r0, #3", "lsr lr, lr, #2", "dls lr, lr", "2:"]
    lines += _sums(core)
    lines += ["vmov d2, r4, r6", "vmov d3, r8, r10", "vctp.32 r0", "vadd.i32 q1, q1, r5"]
    lines += ["vqrdmulh.s32 q1, q1, r11"]
    if core.finish != "plain":
        lines += ["vshr.s32 q0, q1, #31", "vadd.i32 q1, q1, q0"]
    lines += ["vadd.i32 q1, q1, r12", "vqshl.s32 q1, r2", "vshr.s32 q1, q1, #24"]
    if core.finish == "any":
        lines += ["ldrd r4, r6, [r9, #28]", "vdup.32 q0, r4", "vmax.s32 q1, q1, q0"]
        lines += ["vdup.32 q0, r6", "vmin.s32 q1, q1, q0"]
    lines += ["vldrw.u32 q0, [r9, #48]", "subs r0, #4", "vpst", "vstrbt.32 q1, [r3, q0]", "add r3, r3, r7"]
    lines += ["le lr, 2b", "ldrd r4, r6, [r9, #20]", "add r3, r3, r4"]
    lines += [f"vadd.i32 q{2 + base}, q{2 + base}, r6" for base in range(core.bases)]
    lines += ["ldr r4, [r9, #8]", "cmp r1, r4", "bne 1b", "vpop {d8-d15}", "pop {r4-r11, pc}"]
    return _function(core.name, lines)


def _sums(core: Core) -> list[str]:
    """Four outputs: the gather of a vector stands before the product of the last one."""
    gathers, products = list[str](), list[str]()
    for total in _SUMS:
        for vector in range(core.bases * core.groups):
            base, group = divmod(vector, core.groups)
            place = f"#{4 * COLUMN}]" if group else f"#{core.stride * COLUMN}]!"
            into = f"q{len(gathers) % 2}"
            gathers.append(f"vldrw.u32 {into}, [q{2 + base}, {place}")
            products.append(f"vmladav{'a' if vector else ''}.s8 {total}, {into}, q{4 + vector}")
    lines = [gathers[0]]
    for gather, product in zip([*gathers[1:], ""], products, strict=True):
        lines += [gather, product] if gather else [product]
    return lines


def _function(name: str, lines: list[str]) -> Emitted:
    text = "".join(f'        "{line}\\n"\n' for line in lines).rstrip()
    guard = f"MCU_MVE_{name.upper()}"
    return Emitted(
        name,
        f"#ifndef {guard}\n#define {guard}\nnamespace mcu::kernels::mve {{\n"
        f"[[gnu::naked, gnu::noinline]] inline void {name}(const MveDepthwiseWalk&) {{\n"
        f"    __asm__ volatile(\n{text});\n}}\n}}  // namespace mcu::kernels::mve\n#endif\n",
    )
