"""The instructions of an image by address, and what kind each is, from the text of GNU objdump."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from mcu_build import process
from mcu_build.codegen.target import GCC_HINT
from mcu_build.errors import McuError


class Kind(StrEnum):
    """What an instruction does. Every instruction is of one kind; vector instructions are those of Helium."""

    LOAD = "load"
    STORE = "store"
    VECTOR_LOAD = "vector_load"
    VECTOR_STORE = "vector_store"
    VECTOR = "vector"
    MULTIPLY = "multiply"
    FLOAT = "float"
    BRANCH = "branch"
    OTHER = "other"


VECTOR_KINDS = frozenset({Kind.VECTOR, Kind.VECTOR_LOAD, Kind.VECTOR_STORE})

# Address, halfwords, mnemonic with its suffixes, operands.
_LINE = re.compile(r"^\s*([0-9a-f]+):\t((?:[0-9a-f]{4} ?){1,2})\s*\t(\S+)(?:\t([^@;]*))?")
_CONDITIONS = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al"
_BRANCH = re.compile(rf"^(bl?x?(ns)?({_CONDITIONS})?|cbn?z|tb[bh]|le|letp|wls|wlstp)$")
_LOAD = re.compile(rf"^(ldr(b|h|d|sb|sh|t|bt|ht|ex|exb|exh)?|ldm(ia|db|fd|ea)?|pop)({_CONDITIONS})?$")
_STORE = re.compile(rf"^(str(b|h|d|t|bt|ht|ex|exb|exh)?|stm(ia|db|fd|ea)?|push)({_CONDITIONS})?$")
_MULTIPLY = re.compile(
    r"^(muls?|ml[as]|[su]mul|[su]mlal|umaal|sm(ul|la|us|lal|lsl|mul|mla|mls|uad|lad|lsd|usd))"
)
_CONDITIONAL = re.compile(rf"^(cbn?z|b({_CONDITIONS}))$")
_DIVIDE = re.compile(r"^[su]div")
# Predication of Helium: these name no q register.
_PREDICATE = re.compile(r"^(vpst|vpt|vpnot|vctp|vpsel)")
_VECTOR_REGISTER = re.compile(r"\bq[0-7]\b")
_REGISTERS = re.compile(r"\{([^}]*)\}")
_TARGET = re.compile(r"(?:^|\s)([0-9a-f]+) <")


@dataclass(frozen=True)
class Instruction:
    """One instruction as objdump prints it, the width suffix (.n, .w) left out."""

    address: int
    size: int
    mnemonic: str
    operands: str

    @cached_property
    def kind(self) -> Kind:
        """What it does."""
        word = self.mnemonic.partition(".")[0]
        if word.startswith("v"):
            return self._vector_or_float(word)
        for pattern, kind in _SCALAR_KINDS:
            if pattern.match(word):
                return kind
        return Kind.OTHER

    def _vector_or_float(self, word: str) -> Kind:
        helium = _PREDICATE.match(word) or _VECTOR_REGISTER.search(self.operands)
        if word.startswith(("vldr", "vldm", "vpop", "vld2", "vld4")):
            return Kind.VECTOR_LOAD if helium else Kind.LOAD
        if word.startswith(("vstr", "vstm", "vpush", "vst2", "vst4")):
            return Kind.VECTOR_STORE if helium else Kind.STORE
        return Kind.VECTOR if helium else Kind.FLOAT

    @property
    def is_divide(self) -> bool:
        """Whether it divides integers."""
        return bool(_DIVIDE.match(self.mnemonic))

    @property
    def is_predicate(self) -> bool:
        """Whether it says no more than which lanes the next vector instructions work on."""
        return self.mnemonic.startswith(("vpst", "vpnot", "vctp"))

    @property
    def is_conditional_branch(self) -> bool:
        """Whether it may fall through."""
        word = self.mnemonic.partition(".")[0]
        return self.kind is Kind.BRANCH and _CONDITIONAL.match(word) is not None

    @property
    def registers(self) -> int:
        """How many registers it loads or stores."""
        braces = _REGISTERS.search(self.operands)
        if not braces:
            return 2 if self.mnemonic.startswith(("ldrd", "strd")) else 1
        count = 0
        for item in braces.group(1).split(","):
            first, dash, last = item.strip().partition("-")
            count += int(last[1:]) - int(first[1:]) + 1 if dash else 1
        return count

    @property
    def target(self) -> int | None:
        """Where a branch or a call to a fixed place goes."""
        match = _TARGET.search(self.operands) if self.kind is Kind.BRANCH else None
        return int(match.group(1), 16) if match else None


_SCALAR_KINDS = (
    (_BRANCH, Kind.BRANCH),
    (_LOAD, Kind.LOAD),
    (_STORE, Kind.STORE),
    (_MULTIPLY, Kind.MULTIPLY),
)


def disassemble(elf: Path) -> Mapping[int, Instruction]:
    """Every instruction of `elf` by its address. McuError (status 3) where objdump is missing."""
    tool = process.find_tool("arm-none-eabi-objdump", GCC_HINT)
    # By the ELF's attributes it takes some of Helium for a coprocessor's. Armv8.1-M has all of the others.
    finished = process.run([tool, "--disassemble", "--wide", "-m", "armv8.1-m.main", elf])
    if finished.status != 0:
        raise McuError(f"{elf}: {tool.name}: {finished.stderr.strip()}", "Build it again.")
    instructions = {}
    for line in finished.stdout.splitlines():
        parts = _LINE.match(line)
        if parts is None or parts.group(3).startswith("."):
            continue
        address = int(parts.group(1), 16)
        size = 2 * len(parts.group(2).split())
        mnemonic = re.sub(r"\.[nw]$", "", parts.group(3))
        instructions[address] = Instruction(address, size, mnemonic, (parts.group(4) or "").strip())
    return instructions
