"""Programs for the program slots of a firmware: mcu/slot.h has the layout."""

import binascii
import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mcu_build.board import Board
from mcu_build.codegen.program_key import SIGNATURE_BYTES, ProgramKey
from mcu_build.errors import Exit, McuError
from mcu_build.hardware import PROGRAM_SLOTS, Memory

HEADER_BYTES = 32
_END = b"MCUE"
# Of the header: of programs without and with a signature.
_UNSIGNED, _SIGNED = 1, 2
# A slot begins where a page of flash does; 32 bytes are the widest unit that flash is written in.
ALIGNMENT = 64
# What --program-slot calls the slot of the second image of MCUboot's.
MODEL_SLOT = "mcuboot"
# Of the program that a firmware is built with, and the file with it.
FIRST_SEQUENCE = 1
FIRST_PROGRAM = "program.slot"


@dataclass(frozen=True)
class Region:
    """Flash for two programs, a half each: from `address`, `size` bytes; `single`: for one.

    `public_key`: programs must be signed; in hexadecimal digits. `key` is the private one, where it is known.
    """

    address: int
    size: int
    single: bool = False
    public_key: str = ""
    key: ProgramKey | None = None

    def signed_with(self, key: ProgramKey) -> "Region":
        """The same for programs that are signed."""
        return replace(self, public_key=key.public, key=key)

    @property
    def capacity(self) -> int:
        """The longest program in bytes."""
        signature = SIGNATURE_BYTES if self.public_key else 0
        return self.size // (1 if self.single else 2) - HEADER_BYTES - signature - len(_END)

    @property
    def document(self) -> dict[str, Any]:
        """For the manifest: all but the private key."""
        return {
            "address": self.address,
            "size": self.size,
            "single": self.single,
            "public_key": self.public_key,
        }

    @property
    def includes(self) -> str:
        """What the source that defines the slots includes."""
        return '#include "mcu/ed25519.h"\n' if self.public_key else ""

    def definition(self, symbol: str, schema: str, operators: str) -> str:
        """C++ of `program_slots`, for programs of a schema and for these operators, at `symbol`."""
        firmware, key = f"{schema}, {operators}", ""
        if self.public_key:
            digits = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(self.public_key))
            key = f"constexpr unsigned char program_key[] = {{{digits}}};\n"
            firmware += ", {program_key, mcu::ed25519::verify}"
        kind = ", true" if self.single else ""
        return f"{key}constinit mcu::slot::Slots program_slots{{\n    {symbol}, {{{firmware}}}{kind}}};\n"


def slots_config(symbol: str, region: Region | None) -> str:
    """What CMake has to know of a model's slots; nothing where no link defines their `symbol`."""
    if region is None or not symbol:
        return ""
    second = f"set(MCU_MODEL_SECOND_IMAGE {FIRST_PROGRAM})\n" if region.single else ""
    return f"set(MCU_MODEL_SLOTS {symbol})\n{second}"


def memory_region(name: str, board: Board) -> Region:
    """All of a memory of `board` that images leave alone. McuError (status 2) where `name` is no such."""
    if name in board.free_memories:
        return Region(board.address(name), board.memory_named(name).size)
    known = name in [memory.name for memory in board.memory]
    free = f"Free are: {', '.join(board.free_memories)}. " if board.free_memories else ""
    raise McuError(
        f"--program-slot: {name}: {'images use this memory' if known else 'not a memory'} of {board.id}",
        f"{free}Or write ADDRESS:SIZE, such as 0x10080000:256K.",
        Exit.USAGE,
    )


def model_region(board: Board) -> Region:
    """The slot of MCUboot's second image behind its header. McuError (status 2): `board` has none."""
    boot = board.mcuboot
    if boot is None or boot.model_slot is None or boot.model_size is None:
        raise McuError(
            f"--program-slot: {MODEL_SLOT}: {board.id} describes no slot for a model",
            "Its file needs model_slot and model_size below [mcuboot]: docs/boards.md.",
            Exit.USAGE,
        )
    return Region(boot.model_slot + boot.header, boot.model_size - boot.header, single=True)


def with_model_slot(board: Board, region: Region) -> Board:
    """The board with `model_region` set apart for programs. What is behind it in its memory is not used."""
    assert board.mcuboot is not None and board.placement is not None
    start = region.address - board.mcuboot.header
    holder = board.memory_at(start)
    before = start - board.address(holder.name) if holder else 0
    rest = (holder.model_copy(update={"size": before}),) if holder and before else ()
    near = holder or board.memory_named(board.placement.constants)
    slot = Memory(name=PROGRAM_SLOTS, origin=region.address, size=region.size, access="rx", npu=near.npu)
    memory = [part for other in board.memory for part in (rest if other is holder else (other,))]
    return board.model_copy(update={"memory": (*memory, slot)})


def parse_region(text: str) -> Region:
    """ADDRESS:SIZE, such as 0x10080000:256K. McuError (status 2) says what is wrong."""
    from mcu_build.hardware import parse_size

    address, _, size = text.partition(":")
    parsed = parse_size(int(size) if size.isdigit() else size)
    hint = "Write ADDRESS:SIZE, such as 0x10080000:256K; half of it is for a program, half for its successor."
    if not re.fullmatch(r"0x[0-9a-fA-F]+|\d+", address) or not isinstance(parsed, int):
        raise McuError(f"--program-slot: {text!r} is not ADDRESS:SIZE", hint, Exit.USAGE)
    region = Region(int(address, 0), parsed)
    if region.address % ALIGNMENT or region.size % (2 * ALIGNMENT) or region.capacity <= 0:
        raise McuError(
            f"--program-slot: {text}: both halves must begin at a multiple of {ALIGNMENT} bytes",
            hint,
            Exit.USAGE,
        )
    return region


def operators_hash(operators: Iterable[str]) -> int:
    """The 64 bits by which a program and a firmware know that they were made for the same operators."""
    named = "".join(f"{name}\n" for name in sorted(set(operators)))
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "little")


def slot_file(
    program: bytes, operators: Iterable[str], sequence: int, key: ProgramKey | None = None
) -> bytes:
    """A program with its header and its end mark: what a slot holds, for firmware with these `operators`.

    Signed where there is a `key`.
    """
    form = _SIGNED if key else _UNSIGNED
    checked = struct.pack("<III4sQ", form, sequence, len(program), program[4:8], operators_hash(operators))
    header = struct.pack("<4sI", b"MCUP", binascii.crc32(checked + program)) + checked
    signature = key.sign(checked + program) if key else b""
    return header + program + bytes(-len(program) % 4) + signature + _END


def check_capacity(name: str, program: bytes, region: Region) -> None:
    """McuError where a program is too long for a slot."""
    excess = len(program) - region.capacity
    if excess > 0:
        raise McuError(
            f"{name}: the program has {len(program):,} bytes, a slot takes {region.capacity:,}: "
            f"{excess:,} too few",
            "Give the firmware a larger --program-slot; half of it is for one program."
            if not region.single
            else "Give the board's file a larger model_size below [mcuboot].",
        )
