"""What the cores of all Thumb families share: how they begin and end, and the requantization of a sum.

Code is that of Armv6-M, which every core executes; Armv7-M requantizes by SMULL and SSAT. Scratch is r0 to
r2; r3 holds the multiplier (Armv6-M: its high half) and r4 the shift. `sum` is a low register.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcu_build.kernels.function import Epilogue

_FIRST = 7  # that a load can take, and so many are pushed last
_HIGH = ("r8", "r9", "r10", "r11")


@dataclass(frozen=True)
class Frame:
    """What a core is passed: r0 points to so many words, from 8 to 14, which are copied onto the stack."""

    words: int

    def entered(self) -> Iterator[str]:
        """Registers are saved, and the words lie where `slot` says."""
        # GCC takes another syntax for Armv6-M unless a directive names it.
        yield from (".syntax unified", "push {r4-r7, lr}")
        yield from (f"mov r{4 + i}, {high}" for i, high in enumerate(_HIGH))
        yield "push {r4-r7}"
        yield from ("ldm r0!, {r1-r7}", "push {r1-r7}")
        rest = f"{{r1-r{self.words - _FIRST}}}" if self.words > _FIRST + 1 else "{r1}"
        yield from (f"ldm r0!, {rest}", f"push {rest}")

    def left(self) -> Iterator[str]:
        """The end of a core."""
        yield from (f"add sp, #{4 * self.words}", "pop {r4-r7}")
        yield from (f"mov {high}, r{4 + i}" for i, high in enumerate(_HIGH))
        yield "pop {r4-r7, pc}"

    def slot(self, word: int) -> str:
        """Where a word lies."""
        return f"[sp, #{4 * ((word - _FIRST) % self.words)}]"


@dataclass(frozen=True)
class Requantization:
    """Sums to bytes by dsp_requantize.h's formula; `ends` are the slots of what clamps.

    `addend`, `multiplier` (Armv6-M: its low half) and `sign` are registers; the last is scratch.
    """

    epilogue: Epilogue
    thumb2: bool
    ends: tuple[str, str]
    addend: str
    multiplier: str
    sign: str

    def constants(self, pointer: str) -> Iterator[str]:
        """Loads the constants behind the bias, and moves the pointer on."""
        yield f"ldm {pointer}!, {{r1, r2, r4}}"

    def spread(self) -> Iterator[str]:
        """Loaded constants into their registers."""
        yield f"mov {self.addend}, r2"
        if self.thumb2:
            yield "mov r3, r1"
            return
        yield from ("uxth r0, r1", f"mov {self.multiplier}, r0", "lsrs r3, r1, #16")

    def of(self, sum: str) -> Iterator[str]:
        """`sum`, with its bias, in place. Armv6-M: 20 cycles, 3 more for ties."""
        yield f"lsls {sum}, {sum}, #1"
        yield from self._product_thumb2(sum) if self.thumb2 else self._product(sum)
        if self.epilogue.clamps:
            for end, keeps in zip(self.ends, ("bge", "ble"), strict=True):
                yield from (f"ldr r0, {end}", f"cmp {sum}, r0", f"{keeps} 9f", f"mov {sum}, r0", "9:")
        elif self.thumb2:
            yield f"ssat {sum}, #8, {sum}"
        else:
            yield from (f"sxtb r0, {sum}", f"cmp r0, {sum}", "beq 9f")
            yield from (f"asrs {sum}, {sum}, #31", "movs r0, #127", f"eors {sum}, r0", "9:")

    def _product(self, sum: str) -> Iterator[str]:
        """Its high word from four products of halves, as thumb/requantize.h does."""
        if self.epilogue.half_away:
            yield from (f"asrs r0, {sum}, #31", f"mov {self.sign}, r0")
        yield from (f"sxth r0, {sum}", f"subs {sum}, {sum}, r0", f"asrs {sum}, {sum}, #16")
        yield from (f"mov r1, {self.multiplier}", "muls r1, r0", "asrs r1, r1, #16")
        yield from (f"mov r2, {self.multiplier}", f"muls r2, {sum}", "muls r0, r3", f"muls {sum}, r3")
        # What the shift loses last is the carry that rounds.
        yield from ("adds r1, r1, r0", "adds r1, r1, r2", "asrs r1, r1, #16", f"adcs {sum}, r1")
        yield f"add {sum}, {self.addend}"
        if self.epilogue.half_away:
            yield f"add {sum}, {self.sign}"
        yield f"asrs {sum}, r4"

    def _product_thumb2(self, sum: str) -> Iterator[str]:
        addend = self.addend
        yield f"smull r1, r2, {sum}, r3"
        if self.epilogue.half_away:
            addend = "r0"
            yield f"add.w r0, {self.addend}, {sum}, asr #31"
        # The bit that leaves is the carry that rounds.
        yield from ("lsls r1, r1, #1", f"adc.w {sum}, r2, {addend}", f"asrs {sum}, r4")


def far(condition: str, opposite: str, label: str, between: Sequence[str]) -> Iterator[str]:
    """A branch back over `between`, further than a conditional one of Armv6-M reaches where it has to be."""
    # Four bytes an instruction at most.
    if 4 * len(between) < 250:
        yield f"{condition} {label}b"
    else:
        yield from (f"{opposite} 8f", f"b {label}b", "8:")
