"""Loads and stores of Thumb code: what the instruction at an address does to memory and registers.

For registers of a device, so what moves 8, 16, 32 or 64 bits between general registers and memory. Every
other access is refused by name: a device does not expect it. Encodings: Armv8-M Architecture Reference Manual
(Arm DDI 0553), chapter C2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mcu_build.errors import Exit, McuError

PC = 15
_MASK = 0xFFFF_FFFF
_NAMES = (*(f"r{number}" for number in range(13)), "sp", "lr", "pc")
_SUFFIX = {1: "b", 2: "h", 4: ""}


class NotAnAccessError(McuError):
    """An instruction that is no load or store of general registers, or one that a device cannot serve."""

    def __init__(self, what: str) -> None:
        super().__init__(what, exit_code=Exit.FIRMWARE)


@dataclass(frozen=True)
class Access:
    """A load or store. `width` is the bytes of each of `registers`, which follow each other in memory.

    The address is base + offset, or base alone where `indexed` is false; with `writeback` the base register
    becomes base + offset. The offset is `offset` bytes, or the register `index` shifted left by `offset`
    bits. `length` is the instruction's, in bytes. `ordered` marks load-acquire and store-release.
    """

    kind: Literal["load", "store"]
    width: Literal[1, 2, 4]
    registers: tuple[int, ...]
    base: int
    length: Literal[2, 4]
    offset: int = 0
    index: int | None = None
    signed: bool = False
    indexed: bool = True
    writeback: bool = False
    ordered: bool = False

    def addresses(self, registers: Sequence[int]) -> tuple[int, int | None]:
        """The address of the first byte, and the new value of the base register where it changes.

        `registers` are the core's r0 to pc, where pc is the address of this instruction.
        """
        base = registers[self.base]
        if self.base == PC:
            base = (base + 4) & ~3
        change = self.offset if self.index is None else registers[self.index] << self.offset
        moved = (base + change) & _MASK
        return (moved if self.indexed else base), (moved if self.writeback else None)

    def __str__(self) -> str:
        stem = {"load": "ld", "store": "st"}[self.kind]
        if self.ordered:
            letter = "a" if self.kind == "load" else "l"
            return f"{stem}{letter}{_SUFFIX[self.width]} {self._registers()}, {self._operand()}"
        suffix = "d" if len(self.registers) == 2 else ("s" if self.signed else "") + _SUFFIX[self.width]
        return f"{stem}r{suffix} {self._registers()}, {self._operand()}"

    def _registers(self) -> str:
        return ", ".join(_NAMES[register] for register in self.registers)

    def _operand(self) -> str:
        base = _NAMES[self.base]
        if self.index is not None:
            shift = f", lsl #{self.offset}" if self.offset else ""
            return f"[{base}, {_NAMES[self.index]}{shift}]"
        if not self.indexed:
            return f"[{base}], #{self.offset}"
        offset = f", #{self.offset}" if self.offset else ""
        return f"[{base}{offset}]{'!' if self.writeback else ''}"


def decode(code: bytes) -> Access:
    """The access that the instruction at the start of `code` makes; two or four bytes of it are read.

    NotAnAccessError names what is there instead.
    """
    first = int.from_bytes(code[:2], "little")
    if len(code) < 2 or (is_wide(first) and len(code) < 4):
        raise NotAnAccessError("the instruction is cut short")
    if not is_wide(first):
        return _narrow(first)
    second = int.from_bytes(code[2:4], "little")
    if first & 0xFE00 == 0xF800:
        return _single(first, second)
    if first & 0xFE40 == 0xE840:
        return _dual(first, second)
    if first & 0xFE40 == 0xE800 and first & 0x0180 in (0x0080, 0x0100):
        raise NotAnAccessError(f"{'ldm' if first & 0x10 else 'stm'}: a load or store of several registers")
    if first & 0xEE00 == 0xEC00:
        raise NotAnAccessError("a floating-point or vector load or store")
    raise NotAnAccessError(f"no load or store: {first:#06x} {second:#06x}")


def is_wide(first: int) -> bool:
    """Whether the halfword `first` begins an instruction of four bytes."""
    return first >> 11 in (0b11101, 0b11110, 0b11111)


def _narrow(code: int) -> Access:
    n, t = (code >> 3) & 7, code & 7
    upper, imm5 = code >> 12, (code >> 6) & 31
    kind: Literal["load", "store"] = "load" if code & 0x0800 else "store"
    if upper == 0b0101:
        return _narrow_register(code, n, t)
    if upper == 0b0110:
        return Access(kind, 4, (t,), n, 2, imm5 * 4)
    if upper == 0b0111:
        return Access(kind, 1, (t,), n, 2, imm5)
    if upper == 0b1000:
        return Access(kind, 2, (t,), n, 2, imm5 * 2)
    if upper == 0b1001:
        return Access(kind, 4, ((code >> 8) & 7,), 13, 2, (code & 0xFF) * 4)
    if code >> 11 == 0b01001:
        return Access("load", 4, ((code >> 8) & 7,), PC, 2, (code & 0xFF) * 4)
    if upper == 0b1100:
        raise NotAnAccessError(f"{'ldm' if kind == 'load' else 'stm'}: a load or store of several registers")
    if code & 0xF600 == 0xB400:
        raise NotAnAccessError(f"{'pop' if kind == 'load' else 'push'}: a load or store of several registers")
    raise NotAnAccessError(f"no load or store: {code:#06x}")


# Bits 11:9 of the narrow forms with an index register: kind, width, sign.
_NARROW_REGISTER: tuple[tuple[Literal["load", "store"], Literal[1, 2, 4], bool], ...] = (
    ("store", 4, False),
    ("store", 2, False),
    ("store", 1, False),
    ("load", 1, True),
    ("load", 4, False),
    ("load", 2, False),
    ("load", 1, False),
    ("load", 2, True),
)
_WIDTHS: tuple[Literal[1, 2, 4], ...] = (1, 2, 4)


def _narrow_register(code: int, n: int, t: int) -> Access:
    kind, width, signed = _NARROW_REGISTER[(code >> 9) & 7]
    return Access(kind, width, (t,), n, 2, index=(code >> 6) & 7, signed=signed)


def _single(first: int, second: int) -> Access:
    """1111 100 S U size L n: one register, wide."""
    size, signed, n, t = (first >> 5) & 3, bool(first & 0x100), first & 15, second >> 12
    kind: Literal["load", "store"] = "load" if first & 0x10 else "store"
    if size == 3 or (signed and (kind == "store" or size == 2)) or (kind == "store" and n == PC):
        raise NotAnAccessError(f"an undefined instruction: {first:#06x} {second:#06x}")
    if t == PC:
        raise NotAnAccessError("ldr pc: a branch through memory" if size == 2 else "a hint to fetch memory")
    width = _WIDTHS[size]
    up = bool(first & 0x80)
    if n == PC:
        imm12 = second & 0xFFF
        return Access(kind, width, (t,), n, 4, imm12 if up else -imm12, signed=signed)
    if up:
        return Access(kind, width, (t,), n, 4, second & 0xFFF, signed=signed)
    if second & 0x0FC0 == 0:
        return Access(kind, width, (t,), n, 4, (second >> 4) & 3, index=second & 15, signed=signed)
    return _single_imm8(Access(kind, width, (t,), n, 4, signed=signed), second)


def _single_imm8(access: Access, second: int) -> Access:
    before, up, back = second & 0x400, second & 0x200, bool(second & 0x100)
    if not second & 0x800 or not (before or back):
        raise NotAnAccessError("an undefined instruction among the loads and stores")
    if before and up and not back:
        raise NotAnAccessError("ldrt or strt: an unprivileged load or store")
    if back and access.base in access.registers:
        raise NotAnAccessError("a load or store that writes its base register twice")
    imm8 = second & 0xFF
    return _replaced(access, imm8 if up else -imm8, bool(before), back)


def _dual(first: int, second: int) -> Access:
    """1110 100 P U 1 W L n: two registers; with P = W = 0 exclusive, ordered and table branch."""
    n, registers = first & 15, (second >> 12, (second >> 8) & 15)
    before, up, back = first & 0x100, first & 0x80, bool(first & 0x20)
    kind: Literal["load", "store"] = "load" if first & 0x10 else "store"
    if not before and not back:
        return _ordered(first, second, kind)
    if PC in registers or (n == PC and (kind == "store" or back)):
        raise NotAnAccessError(f"an unpredictable instruction: {first:#06x} {second:#06x}")
    if back and n in registers:
        raise NotAnAccessError("a load or store that writes its base register twice")
    if kind == "load" and registers[0] == registers[1]:
        raise NotAnAccessError("a load of two words into one register")
    imm8 = (second & 0xFF) * 4
    return _replaced(Access(kind, 4, registers, n, 4), imm8 if up else -imm8, bool(before), back)


def _ordered(first: int, second: int, kind: Literal["load", "store"]) -> Access:
    operation, size = (second >> 6) & 3, (second >> 4) & 3
    if not first & 0x80 or operation in (1, 3):
        raise NotAnAccessError("an exclusive load or store, or a test of an address")
    if operation == 0:
        raise NotAnAccessError("a table branch")
    n, t = first & 15, second >> 12
    if size == 3 or PC in (n, t) or second & 0x0F0F != 0x0F0F:
        raise NotAnAccessError(f"an undefined instruction: {first:#06x} {second:#06x}")
    return Access(kind, _WIDTHS[size], (t,), n, 4, ordered=True)


def _replaced(access: Access, offset: int, indexed: bool, writeback: bool) -> Access:
    return Access(
        access.kind,
        access.width,
        access.registers,
        access.base,
        access.length,
        offset,
        signed=access.signed,
        indexed=indexed,
        writeback=writeback,
    )
