"""Decode and disassemble the command stream.

A command is one word (opcode 9:0, parameter 31:16) or, with bit 14 set, two: the second is its payload. Bit
15 and bits 13:10 are zero. Commands SET_* write a register that keeps its value; commands OP_* act.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from mcu_build.npu import opcodes

_PAYLOAD = 1 << 14
_OPCODE = 0x3FF
_ZEROS = 0xBC00


class CommandError(Exception):
    """A command that cannot be decoded, or asks for what does not exist or is not modelled."""


class DecodeError(CommandError):
    """Words of a stream that are no command: `index` counts commands, `words` shows what stands there."""

    def __init__(self, index: int, offset: int, words: str, message: str) -> None:
        super().__init__(f"command {index} at byte {offset:#x}: {words} {message}")
        self.index, self.words, self.message = index, words, message


@dataclass(frozen=True)
class Field:
    """Bits of a command's value, with names for its values where they have any."""

    name: str
    bit: int
    width: int
    names: Mapping[int, str]


@dataclass(frozen=True)
class Command:
    """An opcode: `name` without the NPU_ that manuals put before it."""

    name: str
    opcode: int
    has_payload: bool
    fields: tuple[Field, ...]

    @property
    def known_bits(self) -> int:
        """Mask of the bits that belong to a field."""
        mask = 0
        for field in self.fields:
            mask |= ((1 << field.width) - 1) << field.bit
        return mask


@dataclass(frozen=True, slots=True)
class Instruction:
    """A command with its value: the parameter, or payload | parameter << 32. `offset` is in bytes."""

    index: int
    offset: int
    command: Command
    value: int

    @property
    def fields(self) -> dict[str, int]:
        """The value's fields as numbers, by name."""
        return {f.name: self.value >> f.bit & (1 << f.width) - 1 for f in self.command.fields}

    @property
    def text(self) -> str:
        """The command in words: `NPU_SET_KERNEL_STRIDE stride_x_lsb=0 ... weight_order=depth_first`."""
        words = [f"NPU_{self.command.name}"]
        for field in self.command.fields:
            value = self.value >> field.bit & (1 << field.width) - 1
            shown = hex(value) if field.name == "addr" else str(value)
            words.append(f"{field.name}={field.names.get(value, '?') if field.names else shown}")
        return " ".join(words)


@dataclass(frozen=True)
class InstructionSet:
    """The commands of a product, by (has_payload, opcode)."""

    commands: Mapping[tuple[bool, int], Command]
    enums: Mapping[str, Mapping[int, str]]

    def by_name(self) -> dict[str, Command]:
        """The commands by name."""
        return {command.name: command for command in self.commands.values()}


def _rows(table: str) -> Iterator[str]:
    return filter(None, table.replace("\n    ", " ").splitlines())


def _parse_table(commands: str, enums: str) -> InstructionSet:
    names: dict[str, dict[int, str]] = {}
    for row in _rows(enums):
        name, *values = row.split()
        names[name] = {int(value): word for value, _, word in (v.partition("=") for v in values)}
    parsed = {}
    for row in _rows(commands):
        payload, opcode, name, *fields = row.split()
        key = (payload == "1", int(opcode, 16))
        parsed[key] = Command(name, key[1], key[0], tuple(_field(text, names) for text in fields))
    return InstructionSet(parsed, names)


def _field(text: str, names: Mapping[str, Mapping[int, str]]) -> Field:
    place, _, enum = text.partition("/")
    name, _, bits = place.partition("@")
    bit, _, width = bits.partition("+")
    return Field(name, int(bit), int(width), names[enum] if enum else {})


@cache
def instruction_set(product: str) -> InstructionSet:
    """The commands of "u55", "u65" (the same) or "u85"."""
    if product == "u85":
        return _parse_table(opcodes.COMMANDS + opcodes.COMMANDS_U85, opcodes.ENUMS + opcodes.ENUMS_U85)
    return _parse_table(opcodes.COMMANDS + opcodes.COMMANDS_U65, opcodes.ENUMS + opcodes.ENUMS_U65)


def decode(stream: bytes, product: str) -> Iterator[Instruction]:
    """The commands of `stream` in order. DecodeError at the first that is none."""
    if len(stream) % 4:
        raise CommandError(f"the stream has {len(stream)} bytes, not a multiple of 4")
    commands = instruction_set(product).commands
    words = struct.unpack(f"<{len(stream) // 4}I", stream)
    position = index = 0
    while position < len(words):
        word = words[position]
        has_payload = bool(word & _PAYLOAD)
        command = commands.get((has_payload, word & _OPCODE))
        if command is None or word & _ZEROS:
            raise DecodeError(index, position * 4, f"{word:#010x}", "is no command")
        value = word >> 16
        if has_payload:
            if position + 1 == len(words):
                raise DecodeError(index, position * 4, f"NPU_{command.name}", "has no payload")
            value = value << 32 | words[position + 1]
        yield Instruction(index, position * 4, command, value)
        position += 1 + has_payload
        index += 1


def disassemble(stream: bytes, product: str) -> list[str]:
    """One line a command: offset in bytes, then the command in words.

    A stream that cannot be decoded to its end closes with a line that says why.
    """
    lines = []
    try:
        for instruction in decode(stream, product):
            lines.append(f"{instruction.offset:#08x}: {instruction.text}")
    except CommandError as error:
        lines.append(f"error: {error}")
    return lines
