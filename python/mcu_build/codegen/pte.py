"""A program → the bytes of a .pte, as ExecuTorch's own runtime and ir/program.py read it. Pure bytes.

Numbers of fields are their positions in the tables of `exir/_serialize/program.fbs` in the executorch wheel.
Payloads of delegates lie in the flatbuffer, constants and named data in segments behind it.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from flatbuffers import Builder

from mcu_build.ir.program import (
    SCALAR_TYPES,
    DelegateCall,
    KernelCall,
    Program,
    TensorListValue,
    TensorValue,
    Value,
)
from mcu_build.ir.tensor import ALIGNMENT, aligned

_IDENTIFIER = b"ET12"
_SCALARS = {dtype: number for number, dtype in SCALAR_TYPES.items()}
# The extended header: magic, its length, bytes of the flatbuffer, where segments begin, their bytes.
_HEADER = struct.Struct("<4sIQQQ")


def encode(program: Program) -> bytes:
    """The file of a program. Places in the user's model, which its calls may know, are left out."""
    segments = _Segments()
    constants = [
        value.data for value in program.values if isinstance(value, TensorValue) and value.data is not None
    ]
    offsets = segments.constants(constants)
    named = {name: segments.add(data) for name, data in _named(program).items()}
    out = _Writer()
    payloads = [out.table({0: out.payload(delegate.payload)}) for delegate in program.delegates]
    rows = [out.table({}, {0: ("Uint64", start), 1: ("Uint64", size)}) for start, size in segments.rows]
    keys = [out.table({0: out.text(name)}, {1: ("Uint32", index)}) for name, index in named.items()]
    root = {1: out.tables([_method(out, program)]), 3: out.tables(payloads)}
    # Without constants, too: else the runtime looks for them where programs had them before version 0.7.
    root[5] = out.table({1: out.numbers("Uint64", 8, offsets)})
    root |= {4: out.tables(rows)} if rows else {}
    root |= {7: out.tables(keys)} if keys else {}
    return _with_segments(out.finish(out.table(root)), segments)


def _named(program: Program) -> Mapping[str, bytes]:
    return {name: data for delegate in program.delegates for name, data in delegate.named_data.items()}


@dataclass
class _Segments:
    """What lies behind the flatbuffer: offset and bytes of each."""

    data: bytearray = field(default_factory=bytearray)
    rows: list[tuple[int, int]] = field(default_factory=list)

    def add(self, part: bytes) -> int:
        """The number of a segment with these bytes."""
        self.data += bytes(-len(self.data) % ALIGNMENT)
        self.rows.append((len(self.data), len(part)))
        self.data += part
        return len(self.rows) - 1

    def constants(self, parts: Sequence[bytes]) -> list[int]:
        """Where each of them lies in a segment of their own; the first entry stands for no constant."""
        joined, offsets = bytearray(), [0]
        for part in parts:
            joined += bytes(-len(joined) % ALIGNMENT)
            offsets.append(len(joined))
            joined += part
        if parts:
            self.add(bytes(joined))
        return offsets


def _with_segments(flatbuffer: bytes, segments: _Segments) -> bytes:
    """The file. The extended header stands behind the identifier: what follows moves."""
    if not segments.rows:
        return flatbuffer
    size = len(flatbuffer) + _HEADER.size
    base = aligned(size)
    (root,) = struct.unpack_from("<I", flatbuffer)
    header = _HEADER.pack(b"eh00", _HEADER.size, size, base, len(segments.data))
    start = struct.pack("<I4s", root + len(header), _IDENTIFIER)
    return b"".join((start, header, flatbuffer[8:], bytes(base - size), segments.data))


def _method(out: "_Writer", program: Program) -> int:
    """The table of an ExecutionPlan."""
    operators = {name: number for number, name in enumerate(program.operators)}
    calls = [_instruction(out, call, operators) for call in program.instructions]
    chain = out.table({2: out.tables(calls)})
    names = [name.rpartition(".") if "." in name else (name, "", "") for name in operators]
    delegates = [
        out.table({0: out.text(delegate.id), 1: out.table({}, {1: ("Uint32", index)}), 2: out.tables([])})
        for index, delegate in enumerate(program.delegates)
    ]
    return out.table(
        {
            0: out.text(program.method),
            1: out.table({0: out.text(""), 1: out.text("")}),
            2: out.tables(_values(out, program.values)),
            3: out.numbers("Int32", 4, program.inputs),
            4: out.numbers("Int32", 4, program.outputs),
            5: out.tables([chain]),
            6: out.tables([out.table({0: out.text(n), 1: out.text(overload)}) for n, _, overload in names]),
            7: out.tables(delegates),
            8: out.numbers("Int64", 8, (0, *program.planned_sizes)),
        }
    )


def _instruction(out: "_Writer", call: KernelCall | DelegateCall, operators: Mapping[str, int]) -> int:
    is_delegate = isinstance(call, DelegateCall)
    number = call.delegate if isinstance(call, DelegateCall) else operators[call.operator]
    arguments = out.table({1: out.numbers("Int32", 4, call.arguments)}, {0: ("Int32", number)})
    return out.table({1: arguments}, {0: ("Uint8", 2 if is_delegate else 1)})


def _values(out: "_Writer", values: Sequence[Value]) -> list[int]:
    """A table for each value, and behind them one for each integer that only lists of integers have."""
    items = {item for value in values if _is_integers(value) for item in value}
    boxes = {value: index for index, value in enumerate(values) if type(value) is int}
    missing = sorted(items - boxes.keys())
    boxes |= {item: len(values) + index for index, item in enumerate(missing)}
    made, constants = [], 0
    for value in values:
        if isinstance(value, TensorValue) and value.data is not None:
            constants += 1
            made.append(out.table({1: _tensor(out, value, constants)}, {0: ("Uint8", 5)}))
        else:
            kind, body = _value(out, value, boxes)
            made.append(out.table({1: body}, {0: ("Uint8", kind)}))
    return made + [
        out.table({1: out.table({}, {0: ("Int64", int(item))})}, {0: ("Uint8", 2)}) for item in missing
    ]


def _is_integers(value: Value) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and not any(isinstance(item, float) for item in value)


def _value(out: "_Writer", value: Value, boxes: Mapping[int, int]) -> tuple[int, int]:
    """The kind of a value in the file, and its table."""
    match value:
        case None:
            return 1, out.table({})
        case bool():
            return 3, out.table({}, {0: ("Bool", value)})
        case int():
            return 2, out.table({}, {0: ("Int64", value)})
        case float():
            return 4, out.table({}, {0: ("Float64", value)})
        case str():
            return 6, out.table({0: out.text(value)})
        case TensorValue():
            return 5, _tensor(out, value, 0)
        case TensorListValue():
            return 10, out.table({0: out.numbers("Int32", 4, value.items)})
        case _ if _is_integers(value):
            return 7, out.table({0: out.numbers("Int64", 8, [boxes[item] for item in value])})
        case _:
            return 8, out.table({0: out.numbers("Float64", 8, value)})


def _tensor(out: "_Writer", value: TensorValue, buffer: int) -> int:
    """`buffer` is the number of its constant, 0 for none."""
    children = {2: out.numbers("Int32", 4, value.shape), 3: out.numbers("Uint8", 1, value.dim_order)}
    if value.location is not None:
        memory, offset = value.location
        parts = {0: memory, 1: offset & 0xFFFFFFFF, 2: offset >> 32}
        children[6] = out.table({}, {slot: ("Uint32", part) for slot, part in parts.items()})
    return out.table(children, {0: ("Int8", _SCALARS[value.dtype]), 5: ("Uint32", buffer)})


class _Writer:
    """Tables of a flatbuffer, each given by its fields: what it refers to, and numbers of its own."""

    def __init__(self) -> None:
        self._builder = Builder(1024)

    def table(self, children: Mapping[int, int], numbers: Mapping[int, tuple[str, object]] = {}) -> int:
        """A table: by number of field what was made before, and a type with a number of it."""
        self._builder.StartObject(1 + max((*children, *numbers), default=-1))
        for slot, child in children.items():
            self._builder.PrependUOffsetTRelativeSlot(slot, child, 0)
        for slot, (type, number) in numbers.items():
            getattr(self._builder, f"Prepend{type}Slot")(slot, number, 0)
        return int(self._builder.EndObject())

    def tables(self, made: Sequence[int]) -> int:
        """A list of tables."""
        self._builder.StartVector(4, len(made), 4)
        for offset in reversed(made):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def numbers(self, type: str, size: int, numbers: Sequence[int | float]) -> int:
        """A list of numbers of `size` bytes."""
        self._builder.StartVector(size, len(numbers), size)
        for number in reversed(numbers):
            getattr(self._builder, f"Prepend{type}")(number)
        return int(self._builder.EndVector())

    def text(self, text: str) -> int:
        """A string."""
        return int(self._builder.CreateString(text))

    def payload(self, data: bytes) -> int:
        """A list of bytes at a multiple of 16."""
        self._builder.StartVector(1, len(data), ALIGNMENT)
        self._builder.head = self._builder.head - len(data)
        self._builder.Bytes[self._builder.head : self._builder.head + len(data)] = data
        return int(self._builder.EndVector())

    def finish(self, root: int) -> bytes:
        """The buffer."""
        self._builder.Finish(root, file_identifier=_IDENTIFIER)
        return bytes(self._builder.Output())
