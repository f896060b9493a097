"""Read an ExecuTorch program (.pte) without torch.

The layout is that of `exir/_serialize/program.fbs` in the executorch wheel (file identifier ET12, an
optional extended header "eh00", segments behind the flatbuffer). Slot numbers below are the positions of
the fields in their tables there.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TypeVar

from flatbuffers import number_types as types

from mcu_build.errors import McuError
from mcu_build.ir.flatbuffer import FlatTable, checked, file_bytes
from mcu_build.ir.plan import DType
from mcu_build.ir.weights import Weights, load_weights
from mcu_build.layer_names import module_of

T = TypeVar("T")

_IDENTIFIER = b"ET12"
_EXTENDED_MAGIC = b"eh00"
# TensorDataLocation of a tensor whose elements lie in a .ptd.
_EXTERNAL = 1

# ScalarType of scalar_type.fbs, those that a kernel exists for.
SCALAR_TYPES = {
    0: DType.U8,
    1: DType.I8,
    2: DType.I16,
    3: DType.I32,
    4: DType.I64,
    6: DType.F32,
    11: DType.BOOL,
}
# The largest tensor and memory that are read, in bytes: more than any board has, so a size that is damaged.
_MOST_BYTES = 1 << 28
# Kind of an EValue whose items need a second look.
_INT_LIST = 7
_UNSUPPORTED_SCALARS = {5: "float16", 7: "float64", 15: "bfloat16", 27: "uint16", 28: "uint32", 29: "uint64"}


@dataclass(frozen=True)
class TensorValue:
    """A tensor of the program. `shape` is the model's; `dim_order` lists its dimensions, outermost first.

    `data` is set for constants and for mutable tensors with an initial state; `location` (memory id, byte
    offset) for tensors that ExecuTorch's memory plan places.
    """

    dtype: DType
    shape: tuple[int, ...]
    dim_order: tuple[int, ...]
    data: bytes | None = field(default=None, repr=False)
    location: tuple[int, int] | None = None
    name: str = ""

    @property
    def physical_shape(self) -> tuple[int, ...]:
        """The shape in memory order."""
        return tuple(self.shape[dimension] for dimension in self.dim_order)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * self.dtype.size


@dataclass(frozen=True)
class TensorListValue:
    """A list of tensors: indices into the values (-1 where an optional one is absent)."""

    items: tuple[int, ...]


Value = None | int | float | bool | str | tuple[int, ...] | tuple[float, ...] | TensorValue | TensorListValue


@dataclass(frozen=True)
class Frame:
    """A line of the user's model that an instruction came from."""

    filename: str
    lineno: int
    name: str


class _Placed:
    """Where a call stands in the user's model, by the innermost of its frames."""

    frames: tuple[Frame, ...]

    @property
    def line(self) -> str:
        """'model.py:12' where the program records it, else empty."""
        # Lowering writes line 0 where a call belongs to no line of the model.
        known = self.frames and self.frames[-1].lineno
        return f"{self.frames[-1].filename}:{self.frames[-1].lineno}" if known else ""

    @property
    def module(self) -> str:
        """'features.0': the path of the layer, empty for the model itself and where it is not known."""
        return module_of(self.frames[-1].name) if self.frames else ""


@dataclass(frozen=True)
class KernelCall(_Placed):
    """One operator call: `operator` as 'namespace::name.overload', `arguments` index the values."""

    operator: str
    arguments: tuple[int, ...]
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class DelegateCall(_Placed):
    """A call of a delegate: index into the delegates, `arguments` index the values."""

    delegate: int
    arguments: tuple[int, ...]
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class Delegate:
    """A lowered subgraph of another back end.

    `named_data` is what the program and the files beside it hold by name: a payload may refer to it.
    """

    id: str
    payload: bytes = field(repr=False)
    named_data: Mapping[str, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Program:
    """One method of a .pte: values, instructions in order, indices of inputs and outputs.

    `planned_sizes` are the sizes of the memories of ExecuTorch's own plan, in bytes. `initial` is for
    buffers that the method itself keeps (buffers.py).
    """

    method: str
    values: tuple[Value, ...]
    instructions: tuple[KernelCall | DelegateCall, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    delegates: tuple[Delegate, ...]
    planned_sizes: tuple[int, ...]
    initial: tuple[bytes | None, ...] = ()

    @property
    def planned_bytes(self) -> int:
        """The size of ExecuTorch's own memory plan, all memories together."""
        return sum(self.planned_sizes)

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators that are called, each once, in order of first use."""
        return tuple(
            dict.fromkeys(call.operator for call in self.instructions if isinstance(call, KernelCall))
        )


def load(path: Path, method: str | None = None, weights: Sequence[Path] = ()) -> Program:
    """Read `path`; `method` says which of several, `weights` are .ptd files with tensors of it.

    Buffers that the method keeps are among its inputs and outputs (buffers.py). McuError names the file and
    what is wrong with it.
    """
    from mcu_build.ir.buffers import lift_buffers

    return lift_buffers(parse(file_bytes(path), str(path), method, load_weights(weights)))


def operators_of(path: Path) -> tuple[str, ...]:
    """The operators of every method of `path`. McuError as `load`."""
    return _opened(file_bytes(path), str(path), Weights(), lambda reader: reader.operators())


def delegates_of(path: Path) -> tuple[str, ...]:
    """The identifiers of the delegates of every method of `path`. McuError as `load`."""
    return _opened(file_bytes(path), str(path), Weights(), lambda reader: reader.delegates())


def parse(
    data: bytes, name: str = "program.pte", method: str | None = None, weights: Weights | None = None
) -> Program:
    """Read a program from bytes; `name` stands for the file in errors, `method` says which of several."""
    return _opened(data, name, weights or Weights(), lambda reader: reader.program(method))


def _opened(data: bytes, name: str, weights: Weights, read: "Callable[[_Reader], T]") -> T:
    """What `read` finds in a program. McuError where the data are none, or damaged."""
    if data[4:8] != _IDENTIFIER:
        magic = data[4:8]
        if magic[:2] == b"ET" and magic[2:].isdigit():
            raise McuError(
                f"{name}: schema {magic.decode()}: this version reads {_IDENTIFIER.decode()}",
                "Export the program with executorch 1.5.1, or update mcu-build.",
            )
        raise McuError(
            f"{name}: not an ExecuTorch program (no {_IDENTIFIER.decode()} identifier at byte 4)",
            "Give a .pte file as written by ExecutorchProgramManager.write_to_file().",
        )
    with checked(name):
        return read(_Reader(data, name, weights))


def _check_references(program: Program) -> None:
    """ValueError where something refers to a value that is absent or of another kind, or to no memory."""
    count = len(program.values)
    for call in program.instructions:
        if not call.arguments or not all(0 <= id < count for id in call.arguments):
            raise ValueError("an instruction refers to values that are not there")
        if isinstance(call, DelegateCall):
            if not 0 <= call.delegate < len(program.delegates):
                raise ValueError(f"there is no delegate {call.delegate}")
            if not all(isinstance(program.values[id], TensorValue) for id in call.arguments):
                raise ValueError(f"delegate {call.delegate} is given what is no tensor")
    for id in (*program.inputs, *program.outputs):
        if not 0 <= id < count or not isinstance(program.values[id], TensorValue):
            raise ValueError(f"value {id} is an input or output and no tensor")
    for index, value in enumerate(program.values):
        if isinstance(value, TensorValue) and value.location is not None:
            memory, start = value.location
            planned = program.planned_sizes[memory - 1] if 0 < memory <= len(program.planned_sizes) else 0
            if start + value.nbytes > min(planned, _MOST_BYTES) or start % value.dtype.size:
                raise ValueError(f"value {index} lies outside memory {memory} of {planned} bytes")
        if isinstance(value, TensorListValue) and not all(
            id == -1 or (0 <= id < count and isinstance(program.values[id], TensorValue))
            for id in value.items
        ):
            raise ValueError("a list refers to tensors that are not there")


class _Reader:
    def __init__(self, data: bytes, name: str, weights: Weights) -> None:
        self.data = data
        self.name = name
        self.weights = weights.by_key()
        self.blobs = weights.blobs()
        # Names of tensors that lie in a file that was not given.
        self.missing: list[str] = []
        self.root = FlatTable(data, struct.unpack_from("<I", data, 0)[0])
        self.segment_base = 0
        if data[8:12] == _EXTENDED_MAGIC:
            length, program_size, base = struct.unpack_from("<IQQ", data, 12)
            if program_size > len(data) or (base and base > len(data)):
                raise ValueError(
                    f"the header promises {max(program_size, base)} bytes, there are {len(data)}"
                )
            self.segment_base = base
            if length >= 32:
                (segment_size,) = struct.unpack_from("<Q", data, 32)
                if base + segment_size > len(data):
                    raise ValueError(
                        f"the header promises {base + segment_size} bytes, there are {len(data)}"
                    )
        self.segments = [
            (segment.number(0, types.Uint64Flags), segment.number(1, types.Uint64Flags))
            for segment in self.root.children(4)
        ]

    def operators(self) -> tuple[str, ...]:
        named = (self._operator_name(child) for plan in self._plans() for child in plan.children(6))
        return tuple(dict.fromkeys(named))

    def delegates(self) -> tuple[str, ...]:
        named = (delegate.text(0) for plan in self._plans() for delegate in plan.children(7))
        return tuple(dict.fromkeys(named))

    def program(self, method: str | None) -> Program:
        plans = self._plans()
        names = [plan.text(0) for plan in plans]
        if method is not None and method not in names:
            raise McuError(f"{self.name}: there is no method {method!r}", f"There are: {', '.join(names)}.")
        if method is None and len(plans) > 1:
            raise McuError(
                f"{self.name}: {len(plans)} methods ({', '.join(names)}); a model has one",
                "Say which with --method; each is a model of its own.",
            )
        program = self._method(plans[names.index(method) if method else 0])
        if self.missing:
            raise McuError(
                f"{self.name}: the weights of {', '.join(map(repr, self.missing[:3]))}"
                f"{f' and {len(self.missing) - 3} others' if len(self.missing) > 3 else ''} lie in another "
                f"file{', not in that of --data' if self.weights else ''} (.ptd)",
                "Give it with --data FILE.ptd, or export without external constants.",
            )
        return program

    def _plans(self) -> list[FlatTable]:
        version = self.root.number(0, types.Uint32Flags)
        if version != 0:
            raise McuError(
                f"{self.name}: schema version {version}: this version of mcu-build reads version 0",
                "Export the program with executorch 1.5.1, or update mcu-build.",
            )
        plans = list(self.root.children(1))
        if not plans:
            raise ValueError("it holds no method")
        return plans

    def _method(self, plan: FlatTable) -> Program:
        operators = [self._operator_name(operator) for operator in plan.children(6)]
        chains = list(plan.children(5))
        if len(chains) != 1:
            raise ValueError(f"expected one chain of instructions, found {len(chains)}")
        program = Program(
            method=plan.text(0),
            values=self._values(plan),
            instructions=tuple(self._instructions(chains[0], operators)),
            inputs=plan.numbers(3, types.Int32Flags),
            outputs=plan.numbers(4, types.Int32Flags),
            delegates=tuple(self._delegate(delegate) for delegate in plan.children(7)),
            # The first entry stands for no memory.
            planned_sizes=plan.numbers(8, types.Int64Flags)[1:],
        )
        _check_references(program)
        return program

    @staticmethod
    def _operator_name(operator: FlatTable) -> str:
        name, overload = operator.text(0), operator.text(1)
        return f"{name}.{overload}" if overload else name

    def _instructions(self, chain: FlatTable, operators: list[str]) -> Iterator[KernelCall | DelegateCall]:
        traces = [
            tuple(Frame(f.text(0), f.number(1, types.Int32Flags), f.text(2)) for f in trace.children(0))
            for trace in chain.children(3)
        ]
        for index, instruction in enumerate(chain.children(2)):
            frames = traces[index] if index < len(traces) else ()
            kind = instruction.number(0, types.Uint8Flags)
            arguments = instruction.union(1)
            if arguments is None:
                raise ValueError(f"instruction {index} is empty")
            match kind:
                case 1:
                    yield KernelCall(
                        operators[arguments.number(0, types.Int32Flags)],
                        arguments.numbers(1, types.Int32Flags),
                        frames,
                    )
                case 2:
                    yield DelegateCall(
                        arguments.number(0, types.Int32Flags), arguments.numbers(1, types.Int32Flags), frames
                    )
                case 5:
                    continue  # FreeCall: of no meaning where every tensor is placed beforehand
                case _:
                    raise McuError(
                        f"{self.name}: instruction {index}: control flow cannot be compiled",
                        "Remove data-dependent branches (torch.cond, loops) from the model.",
                    )

    def _values(self, plan: FlatTable) -> tuple[Value, ...]:
        values: list[Value] = []
        int_lists: list[int] = []
        for index, value in enumerate(plan.children(2)):
            values.append(self._value(value, index))
            if value.number(0, types.Uint8Flags) == _INT_LIST:
                int_lists.append(index)
        for index in int_lists:
            # The items of an IntList are indices of Int values; those of the other lists are the values.
            boxes = values[index]
            assert isinstance(boxes, tuple)
            values[index] = tuple(self._integer(values[int(box)], index) for box in boxes)
        return tuple(values)

    @staticmethod
    def _integer(value: Value, index: int) -> int:
        if not isinstance(value, int):
            raise ValueError(f"value {index} is a list of integers with a {type(value).__name__} in it")
        return value

    def _value(self, value: FlatTable, index: int) -> Value:
        kind, body = value.number(0, types.Uint8Flags), value.union(1)
        if kind in (0, 1) or body is None:
            return None
        readers: dict[int, Callable[[FlatTable], Value]] = {
            2: lambda b: b.number(0, types.Int64Flags),
            3: lambda b: bool(b.number(0, types.BoolFlags)),
            4: lambda b: b.real(0),
            5: lambda b: self._tensor(b, index),
            6: lambda b: b.text(0),
            _INT_LIST: lambda b: b.numbers(0, types.Int64Flags),
            8: lambda b: b.numbers(0, types.Float64Flags),
            9: lambda b: tuple(int(x) for x in b.numbers(0, types.BoolFlags)),
            10: lambda b: TensorListValue(b.numbers(0, types.Int32Flags)),
            11: lambda b: TensorListValue(b.numbers(0, types.Int32Flags)),
        }
        if kind not in readers:
            raise ValueError(f"value {index} is of unknown kind {kind}")
        return readers[kind](body)

    def _tensor(self, tensor: FlatTable, index: int) -> TensorValue:
        scalar = tensor.number(0, types.Int8Flags)
        if scalar not in SCALAR_TYPES:
            name = _UNSUPPORTED_SCALARS.get(scalar, f"scalar type {scalar}")
            raise McuError(
                f"{self.name}: value {index}: element type {name} has no kernel",
                "Use float32, int8, int16, int32, int64 or bool tensors.",
            )
        if tensor.number(8, types.Int8Flags) != 0:
            raise McuError(
                f"{self.name}: value {index}: the shape is dynamic",
                "Export the model with fixed shapes (no dynamic_shapes).",
            )
        shape = tensor.numbers(2, types.Int32Flags)
        dim_order = tuple(tensor.numbers(3, types.Uint8Flags))
        if sorted(dim_order) != list(range(len(shape))) or any(size < 0 for size in shape):
            raise ValueError(f"value {index} has shape {shape} in order {dim_order}")
        allocation, extra = tensor.child(6), tensor.child(9)
        location = None
        if allocation is not None:
            low, high = allocation.number(1, types.Uint32Flags), allocation.number(2, types.Uint32Flags)
            location = (allocation.number(0, types.Uint32Flags), low | high << 32)
        if prod(max(size, 1) for size in shape) * SCALAR_TYPES[scalar].size > _MOST_BYTES:
            raise ValueError(f"value {index} has shape {shape}, which no memory holds")
        value = TensorValue(
            SCALAR_TYPES[scalar], shape, dim_order, None, location, extra.text(1) if extra else ""
        )
        buffer = tensor.number(5, types.Uint32Flags)
        if extra is not None and extra.number(2, types.Int8Flags) == _EXTERNAL:
            data = self._external(value, scalar)
        elif not buffer:
            return value
        elif location is None:
            data = self._constant(buffer, value.nbytes)
        else:
            data = self._state(buffer, value, extra)
        return TensorValue(value.dtype, shape, dim_order, data, location, value.name)

    def _external(self, value: TensorValue, scalar: int) -> bytes:
        if value.name not in self.weights:
            self.missing.append(value.name)
            return b""
        file, weight = self.weights[value.name]
        wanted, actual = (
            (scalar, value.shape, value.dim_order),
            (weight.scalar_type, weight.shape, weight.dim_order),
        )
        if actual != wanted or weight.nbytes < value.nbytes:
            raise McuError(
                f"{file.path}: {value.name!r} has (type, shape, order) {actual}, {self.name} needs {wanted}",
                "Give the file that was exported with this program.",
            )
        return file.bytes_of(weight)[: value.nbytes]

    def _constant(self, buffer: int, nbytes: int) -> bytes:
        offsets = self.root.child(5)
        if offsets is not None and (starts := offsets.numbers(1, types.Uint64Flags)):
            return self._segment(offsets.number(0, types.Uint32Flags), starts[buffer], nbytes)
        buffers = list(self.root.children(2))
        return buffers[buffer].raw(0)[:nbytes]

    def _state(self, buffer: int, value: TensorValue, extra: FlatTable | None) -> bytes:
        states = list(self.root.children(6))
        which = states[extra.number(0, types.Uint64Flags) if extra else 0]
        start = which.numbers(1, types.Uint64Flags)[buffer]
        return self._segment(which.number(0, types.Uint32Flags), start, value.nbytes)

    def _segment(self, index: int, start: int, nbytes: int) -> bytes:
        offset, size = self.segments[index]
        if start + nbytes > size:
            raise ValueError(f"segment {index} has {size} bytes, a constant needs {nbytes} from byte {start}")
        begin = self.segment_base + offset + start
        piece = self.data[begin : begin + nbytes]
        if len(piece) != nbytes:
            raise ValueError(f"segment {index} runs past the end of the file")
        return piece

    def _delegate(self, delegate: FlatTable) -> Delegate:
        reference = delegate.child(1)
        if reference is None:
            raise ValueError(f"delegate {delegate.text(0)} has no payload")
        index = reference.number(1, types.Uint32Flags)
        if reference.number(0, types.Int8Flags) == 1:
            payload = self._whole_segment(index)
        else:
            payload = list(self.root.children(3))[index].raw(0)
        return Delegate(delegate.text(0), payload, self._named_data())

    def _named_data(self) -> Mapping[str, bytes]:
        own = {
            entry.text(0): self._whole_segment(entry.number(1, types.Uint32Flags))
            for entry in self.root.children(7)
        }
        return {**self.blobs, **own}

    def _whole_segment(self, index: int) -> bytes:
        return self._segment(index, 0, self.segments[index][1])
