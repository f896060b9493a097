"""Damage to files, the same each time, and limits within which a reader has to refuse it.

What a mutation hits is either any byte, or a field: a number that a good file's reader looks at (offsets,
lengths, enumerations, sizes), which gets a value that has broken readers before.
"""

import io
import json
import random
import resource
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from flatbuffers import number_types
from flatbuffers.table import Table

_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}


@dataclass(frozen=True)
class Field:
    """A little-endian number in a file: its first byte and its size in bytes."""

    start: int
    nbytes: int


def fields_read(read: Callable[[], object]) -> tuple[Field, ...]:
    """The numbers of a flatbuffer that `read` looks at, in order of their place; no offsets of tables."""
    found: set[Field] = set()
    original = Table.Get

    def get(table: Table, flags: Any, start: int) -> Any:
        if flags not in (number_types.SOffsetTFlags, number_types.VOffsetTFlags):
            found.add(Field(start, flags.bytewidth))
        return original(table, flags, start)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "Get", get)
        read()
    return tuple(sorted(found, key=lambda field: (field.start, field.nbytes)))


def damaged(data: bytes, fields: Sequence[Field], dice: random.Random) -> bytes:
    """`data` with one to four faults: bits flipped, bytes replaced, fields set, cut short, parts moved."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        kind = dice.choice(("bit", "byte", "cut", "move", "drop", *("field",) * 6))
        if len(changed) < 16:
            break
        place = dice.randrange(len(changed))
        match kind:
            case "bit":
                changed[place] ^= 1 << dice.randrange(8)
            case "byte":
                changed[place] = dice.randrange(256)
            case "cut":
                del changed[place:]
            case "move":
                size = dice.randrange(1, 64)
                other = dice.randrange(len(changed))
                changed[place : place + size] = changed[other : other + size]
            case "drop":
                del changed[place : place + dice.randrange(1, 32)]
            case "field":
                _set(changed, dice.choice(fields), dice)
    return bytes(changed)


def _set(data: bytearray, field: Field, dice: random.Random) -> None:
    """Another value in a field: an end of its range, a neighbour, another field's kind of value."""
    if field.start + field.nbytes > len(data):
        return
    bits = 8 * field.nbytes
    (value,) = struct.unpack_from("<" + _SIGNED[field.nbytes], data, field.start)
    chosen = dice.choice(
        (
            *(0, 1, 2, 3, 5, 7, -1, -2, 64, 127, 255, 1 << 16, 1 << 31, (1 << 31) - 1, 1 << (bits - 1)),
            *(value + 1, value - 1, value + 4, value - 4, -value, 2 * value, value + 1000),
            *(len(data), 1 << 24),
        )
    )
    data[field.start : field.start + field.nbytes] = (chosen % (1 << bits)).to_bytes(field.nbytes, "little")


@contextmanager
def limits(seconds: float = 10, nbytes: int = 2 << 30) -> Iterator[None]:
    """TimeoutError and MemoryError where what runs takes longer, or more memory than there is now."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it takes more than {seconds} s")

    with open("/proc/self/statm") as file:  # noqa: PTH123
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    previous = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (used + nbytes, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


_ODD_VALUES = (
    *("-1", "0", "1", "3", "4294967295", "4294967296", "99999999999999999999999", "-9223372036854775808"),
    *("0.5", "nan", "inf", "-inf", "true", "1979-05-27", '""', '"0"', '"-5K"', '"8Q"', '"999999999G"', '"K"'),
    *(
        '"a\\u0000b"',
        '"two\\nlines"',
        '"ünïcode"',
        '"' + "x" * 5000 + '"',
        '"../../etc"',
        '"$(false)"',
        '"\\""',
    ),
    *("[]", "[[]]", '["", ""]', "[1, 2]", "{}", "{ a = 1 }", "[{}]"),
)


def damaged_text(text: str, others: Sequence[str], dice: random.Random) -> bytes:
    """TOML with one to four faults: values and bytes replaced, lines dropped, doubled, moved, taken over."""
    lines = text.splitlines()
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        place = dice.randrange(len(lines))
        key, equals, value = lines[place].partition(" = ")
        match dice.choice(
            ("value", "value", "value", "value", "drop", "double", "move", "other", "key", "cut")
        ):
            case "value" if equals:
                lines[place] = (
                    key + equals + dice.choice((*_ODD_VALUES, "-" + value, f"[{value}]", value + "0"))
                )
            case "drop" if len(lines) > 1:
                del lines[place]
            case "double":
                lines.insert(dice.randrange(len(lines)), lines[place])
            case "move":
                lines.insert(dice.randrange(len(lines)), lines.pop(place))
            case "other":
                lines.insert(place, dice.choice(others))
            case "key" if equals:
                lines[place] = dice.choice(("", "x", '"a.b"', "extends", key.upper())) + equals + value
            case "cut":
                lines[place] = lines[place][: dice.randrange(len(lines[place]) + 1)]
    data = bytearray("\n".join(lines).encode())
    if dice.random() < 0.2:
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


_ODD_JSON: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 1 << 31, 1 << 40, 1 << 63, -(1 << 63), 1 << 70, 0.5, -1e300),
    *("", "x", "torch.ops.aten.relu.default", "torch.ops.no.such", "../../x", [], [None], {}, {"as_int": -1}),
)


def damaged_archive(data: bytes, dice: random.Random) -> bytes:
    """A zip archive with one to three faults: members damaged, absent or exchanged, JSON altered."""
    if dice.random() < 0.1:
        return damaged(data, [Field(dice.randrange(len(data) - 8), 4) for _ in range(4)], dice)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(dice.choice((1, 1, 2, 3))):
        documents = [name for name in members if name.endswith(".json")]
        name = dice.choice(list(members))
        content = members[name]
        match dice.choice(("json", "json", "json", "json", "bytes", "cut", "missing", "exchange")):
            case "json" if documents:
                name = dice.choice(documents)
                members[name] = _damaged_json(members[name], dice)
            case "bytes" if len(content) > 16:
                members[name] = damaged(content, [Field(dice.randrange(len(content) - 8), 4)], dice)
            case "cut":
                members[name] = content[: dice.randrange(len(content) + 1)]
            case "missing":
                del members[name]
            case "exchange":
                members[name] = members[dice.choice(list(members))]
        if not members:
            break
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def _damaged_json(content: bytes, dice: random.Random) -> bytes:
    """A document with one entry replaced, removed, doubled, or exchanged with another."""
    try:
        document = json.loads(content)
    except ValueError:
        return content
    places = list(_places(document))
    if not places:
        return content
    holder, key = dice.choice(places)
    match dice.choice(("odd", "odd", "near", "remove", "double", "exchange")):
        case "odd":
            holder[key] = dice.choice(_ODD_JSON)
        case "near" if isinstance(holder[key], int):
            holder[key] += dice.choice((-1, 1, 3, 1000))
        case "remove":
            del holder[key]
        case "double" if isinstance(holder, list):
            holder.append(holder[key])
        case _:
            other, its_key = dice.choice(places)
            holder[key] = json.loads(json.dumps(other[its_key]))
    return json.dumps(document).encode()


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every entry below `node`: the list or dictionary that holds it, and its key there."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield node, key
        yield from _places(node[key])
