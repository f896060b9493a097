"""A core as a function of C++, and what cores of several families do to their sums."""

from collections.abc import Iterable
from dataclasses import dataclass

from mcu_build.ir.plan import Emitted


@dataclass(frozen=True)
class Epilogue:
    """What is done to sums beside multiplying and shifting."""

    half_away: bool = False
    clamps: bool = False

    @property
    def name(self) -> str:
        """What tells it from others."""
        return "_".join(self._words()) or "plain"

    def _words(self) -> list[str]:
        return ["half_away"] * self.half_away + ["clamps"] * self.clamps


def naked(scope: str, name: str, parameter: str, lines: Iterable[str]) -> Emitted:
    """Assembler `lines` as a function of mcu::kernels::<scope> without prologue; `parameter` is in r0."""
    text = "".join(f'        "{line}\\n"\n' for line in lines)
    # The sources of several models may be one translation unit.
    guard = f"MCU_{scope.upper()}_{name.upper()}"
    return Emitted(
        name,
        f"#ifndef {guard}\n#define {guard}\nnamespace mcu::kernels::{scope} {{\n"
        f"[[gnu::naked, gnu::noinline]] inline void {name}({parameter}) {{\n"
        f"    __asm__ volatile(\n{text.rstrip()});\n}}\n}}  // namespace mcu::kernels::{scope}\n#endif\n",
        scope,
    )
