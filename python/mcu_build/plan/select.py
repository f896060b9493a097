"""Program → Plan: every operator call becomes calls of kernels.

Each operator has one function in `plan/operators/`; the function reads the call's arguments through `Call`
and emits steps. The tables of those modules are joined here. An operator that is in none of them fails the
build, with every such operator named at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import prod

from mcu_build.errors import McuError
from mcu_build.ir.calls import call as calls
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.program import DelegateCall, Frame, KernelCall, Program, TensorListValue, TensorValue, Value
from mcu_build.ir.tensor import DType, Quantization, Tensor
from mcu_build.plan.delegate import NpuTarget, Opened, check_boundary, left, opened, steps
from mcu_build.plan.left_out import no_kernel

Selector = Callable[["Call"], None]
_LISTED = 20  # calls that are refused


class Call:
    """One operator call of a program, as a selector sees it: typed arguments in, steps out."""

    def __init__(self, builder: "_Builder", call: KernelCall) -> None:
        self._builder = builder
        self._call = call
        self.operator = call.operator

    def value(self, index: int) -> Value:
        """Argument `index`, whatever it is."""
        return self._builder.program.values[self._call.arguments[index]]

    def integer(self, index: int) -> int:
        """Argument `index`, an integer or a boolean."""
        value = self.value(index)
        if not isinstance(value, int):
            raise self.refuse(f"argument {index} is not an integer")
        return value

    def real(self, index: int) -> float:
        """Argument `index`, a number."""
        value = self.value(index)
        if not isinstance(value, int | float):
            raise self.refuse(f"argument {index} is not a number")
        return float(value)

    def integers(self, index: int) -> tuple[int, ...]:
        """Argument `index`, a list of integers."""
        value = self.value(index)
        items = [item for item in value if isinstance(item, int)] if isinstance(value, tuple) else []
        if not isinstance(value, tuple) or len(items) < len(value):
            raise self.refuse(f"argument {index} is not a list of integers")
        return tuple(items)

    def pair(self, index: int) -> tuple[int, int]:
        """Argument `index`, a list of one or two integers (one stands for both)."""
        items = self.integers(index)
        if len(items) not in (1, 2):
            raise self.refuse(f"argument {index} has {len(items)} entries, not 2")
        return items[0], items[-1]

    def tensor(self, index: int) -> Tensor:
        """Argument `index`, a tensor."""
        tensor = self.optional_tensor(index)
        if tensor is None:
            raise self.refuse(f"argument {index} is absent")
        return tensor

    def optional_tensor(self, index: int) -> Tensor | None:
        """Argument `index`, a tensor or None."""
        value = self.value(index)
        if value is None:
            return None
        if not isinstance(value, TensorValue):
            raise self.refuse(f"argument {index} is not a tensor")
        return self._builder.tensor(self._call.arguments[index])

    def tensors(self, index: int) -> tuple[Tensor, ...]:
        """Argument `index`, a list of tensors."""
        value = self.value(index)
        if not isinstance(value, TensorListValue):
            raise self.refuse(f"argument {index} is not a list of tensors")
        return tuple(self._builder.tensor(item) for item in value.items)

    def optional_tensors(self, index: int) -> tuple[Tensor | None, ...]:
        """Argument `index`, a list of tensors of which some are absent."""
        value = self.value(index)
        if not isinstance(value, TensorListValue):
            raise self.refuse(f"argument {index} is not a list of tensors")
        return tuple(None if item < 0 else self._builder.tensor(item) for item in value.items)

    @property
    def output(self) -> Tensor:
        """The tensor that an `.out` operator writes: its last argument."""
        return self._builder.output(self._call.arguments[-1])

    def outputs(self, count: int) -> tuple[Tensor, ...]:
        """The tensors that an operator with several `.out` arguments writes."""
        # The arguments end with the outputs, followed by the return value: a list of the same tensors.
        return tuple(self._builder.output(id) for id in self._call.arguments[-1 - count : -1])

    @property
    def output_list(self) -> tuple[Tensor, ...]:
        """The tensors that an operator with one list of outputs writes."""
        value = self.value(-1)
        if not isinstance(value, TensorListValue):
            raise self.refuse("its result is not a list of tensors")
        return tuple(self._builder.output(item) for item in value.items)

    def is_used(self, output: Tensor) -> bool:
        """Whether another call, or an output of the program, reads what this call writes to `output`."""
        return self._builder.is_used(output.id, self._call)

    def nhwc(self, tensor: Tensor) -> tuple[int, int, int, int]:
        """(n, h, w, c) of a 4-D tensor whose memory is in that order.

        A dimension of size 1 may stand anywhere, so dim_order alone does not tell. McuError where memory
        is in another order.
        """
        shape = tensor.model_shape
        if len(shape) != 4:
            raise self.refuse(f"{tensor.name} has {len(shape)} dimensions, not 4")
        wide = [dimension for dimension in tensor.dim_order if shape[dimension] != 1]
        if wide != [dimension for dimension in (0, 2, 3, 1) if shape[dimension] != 1]:
            raise self.refuse(f"{tensor.name} is not channels-last: dim_order {tensor.dim_order}")
        return shape[0], shape[2], shape[3], shape[1]

    def is_contiguous(self, tensor: Tensor) -> bool:
        """Whether memory is in the order of the model's dimensions (sizes of 1 aside)."""
        return _is_contiguous(tensor)

    def same_order(self, first: Tensor, second: Tensor) -> bool:
        """Whether two tensors of one shape have their elements in the same order in memory."""
        return first.model_shape == second.model_shape and [
            d for d in first.dim_order if first.model_shape[d] != 1
        ] == [d for d in second.dim_order if second.model_shape[d] != 1]

    def constant(self, name: str, dtype: DType, shape: Sequence[int], data: bytes) -> Tensor:
        """A new constant that the program does not hold, such as a table."""
        return self._builder.add(name, dtype, shape, data)

    def temporary(self, name: str, dtype: DType, shape: Sequence[int]) -> Tensor:
        """A new activation between two steps of this call."""
        return self._builder.add(name, dtype, shape, None)

    def scratch(self, nbytes: int) -> Tensor | None:
        """Memory of this call alone, or None where nothing is needed: pass it as the last argument."""
        return self._builder.add("scratch", DType.U8, (nbytes,), None) if nbytes else None

    def alias(self, output: Tensor, source: Tensor, byte_offset: int = 0) -> None:
        """Let `output` be the bytes of `source`, from `byte_offset`: nothing is executed."""
        self._builder.alias(output, source, byte_offset)

    def quantize_note(self, tensor: Tensor, scale: float, zero_point: int) -> None:
        """Record the quantization of a tensor, for the header of the model."""
        self._builder.note(tensor, Quantization(scale, zero_point))

    def append(self, operation: calls.Call) -> None:
        """Append a step."""
        self._builder.steps.append(Step.of(self.operator, self._call.line, operation, self._call.module))

    def emit(
        self,
        kernel: str,
        source: str,
        params: Struct,
        reads: Sequence[Tensor | None],
        writes: Sequence[Tensor],
        macs: int = 0,
        moves: bool = False,
    ) -> None:
        """Append a step of a portable kernel: pointers in the order reads, writes.

        `moves` says that it computes nothing.
        """
        read = tuple(tensor.id if tensor else None for tensor in reads)
        written = tuple(tensor.id for tensor in writes)
        self.append(calls.Portable(params, kernel, source, read, written, macs, moves))

    def refuse(self, reason: str) -> McuError:
        """The error for a call that no kernel can serve."""
        places = " in ".join(part for part in (self._call.line, self._call.module) if part)
        where = f" at {places}" if places else ""
        return McuError(f"{self._builder.name}: {self.operator}{where}: {reason}")


def _is_contiguous(tensor: Tensor) -> bool:
    wide = [dimension for dimension in tensor.dim_order if tensor.model_shape[dimension] != 1]
    return wide == sorted(wide)


class _Builder:
    def __init__(self, program: Program, name: str, npu: NpuTarget | None) -> None:
        self.program = program
        self.name = name
        self._npu = npu
        self._opened: dict[int, Opened] = {}
        self.tensors: dict[int, Tensor] = {}
        self.steps: list[Step] = []
        self._next_id = len(program.values)
        # Program tensors that have bytes already, by their place in ExecuTorch's memory plan, oldest first.
        self._written: dict[int, None] = {}
        # Of the call that is looked at: views belong to what reads them.
        self.frames: tuple[Frame, ...] = ()

    def tensor(self, id: int) -> Tensor:
        """The tensor of a program value, resolving views that ExecuTorch's planner left as shared places."""
        if id in self.tensors:
            return self.tensors[id]
        value = self.program.values[id]
        assert isinstance(value, TensorValue)
        tensor = Tensor(
            id=id,
            name=value.name or f"t{id}",
            dtype=value.dtype,
            shape=value.physical_shape,
            dim_order=value.dim_order,
            data=value.data,
        )
        if value.data is not None and _is_contiguous(tensor):
            # Sizes of 1 may stand anywhere. Passes read a constant's sizes as its operator defines them.
            tensor = replace(tensor, shape=value.shape, dim_order=tuple(range(len(value.shape))))
        if value.data is not None and value.location is not None:
            raise McuError(
                f"{self.name}: {tensor.name}: state that outlives a call (a mutable buffer) has no place yet",
                "Pass the state in as an input and out as an output.",
            )
        self.tensors[id] = tensor
        if value.data is None and id not in self.program.inputs:
            self._view(tensor, value)
        return self.tensors[id]

    def output(self, id: int) -> Tensor:
        """The tensor of a program value that a call is about to write."""
        if id not in self.tensors:
            value = self.program.values[id]
            assert isinstance(value, TensorValue)
            self.tensors[id] = Tensor(id, f"t{id}", value.dtype, value.physical_shape, value.dim_order)
        self._written.pop(id, None)
        self._written[id] = None
        return self.tensors[id]

    def write_results(self, call: KernelCall) -> None:
        """Take the results of a call for written: those that read them are looked at all the same."""
        for id in self._results(call):
            self.output(id)

    def _view(self, tensor: Tensor, value: TensorValue) -> None:
        """A tensor that is read but never written is a view: it shares its place with one that was."""
        if value.location is None:
            raise McuError(f"{self.name}: {tensor.name} is read but nothing writes it")
        memory, start = value.location
        for id in (*reversed(self._written), *self.program.inputs):
            source = self.program.values[id]
            assert isinstance(source, TensorValue)
            if source.location is None or source.location[0] != memory or source.dtype is not value.dtype:
                continue
            offset = start - source.location[1]
            if offset == 0 and value.nbytes == source.nbytes:
                self._reshape(tensor, self.tensors[id])
                return
            if offset >= 0 and offset + value.nbytes <= source.nbytes:
                self.alias(tensor, self.tensors[id], offset)
                return
        raise McuError(f"{self.name}: {tensor.name} is read but nothing writes it")

    def _reshape(self, tensor: Tensor, source: Tensor) -> None:
        """A view of a whole tensor: PyTorch counts elements in the order of the model's dimensions.

        to_executorch() makes every view_copy a shared place in the contiguous order, whatever the order of
        its source is (executorch 1.5.1, exir/passes/replace_view_copy_with_view_pass.py): bytes have to move.
        """
        from mcu_build.plan.operators.layout import reshape

        reshape(Call(self, KernelCall("aten::view_copy.out", (), self.frames)), source, tensor)

    def is_used(self, id: int, producer: KernelCall) -> bool:
        """Whether value `id`, or a view of it, is read after `producer` has written it."""
        calls = self.program.instructions
        own, places = self._own
        for place in range(places[producer.arguments] + 1, len(calls)):
            call = calls[place]
            written = self._results(call)
            read = {leaf for argument in call.arguments for leaf in self._leaves(argument)} - {*written}
            # What no call returns is a view, of the element type of what it views, or scratch memory (bytes).
            if id in read or any(self._meets(id, o) and self._same_type(id, o) for o in read - own):
                return True
            if any(self._meets(id, other) for other in written):
                return False  # The place has gone to another tensor.
        outputs = self.program.outputs
        return id in outputs or any(self._meets(id, other) for other in outputs if other not in own)

    @cached_property
    def _own(self) -> tuple[frozenset[int], Mapping[tuple[int, ...], int]]:
        """The values that calls write, and the place of each call by its arguments: it alone writes there."""
        calls = self.program.instructions
        places = {call.arguments: place for place, call in reversed([*enumerate(calls)])}
        return frozenset(leaf for call in calls for leaf in self._results(call)), places

    def _results(self, call: KernelCall | DelegateCall) -> tuple[int, ...]:
        """The tensors that a call writes: a kernel's last argument, a delegate's outputs."""
        if isinstance(call, KernelCall):
            return self._leaves(call.arguments[-1])
        return call.arguments[len(self.delegate(call).payload.inputs) :]

    def delegate(self, call: DelegateCall) -> Opened:
        """What a delegate call runs."""
        if call.delegate not in self._opened:
            delegate = opened(self.program.delegates[call.delegate], call.delegate, self._npu, self.name)
            ports = len(delegate.payload.inputs) + len(delegate.payload.outputs)
            if len(call.arguments) != ports:
                raise McuError(
                    f"{self.name}: delegate {call.delegate} has {ports} inputs and outputs, "
                    f"its call {len(call.arguments)}",
                    "Export the program again.",
                )
            self._opened[call.delegate] = delegate
        return self._opened[call.delegate]

    def run_delegate(self, call: DelegateCall) -> None:
        """Append the steps of a delegate call."""
        delegate = self.delegate(call)
        payload = delegate.payload
        tensors = [self.tensor(id) for id in call.arguments[: len(payload.inputs)]]
        tensors += [self.output(id) for id in call.arguments[len(payload.inputs) :]]
        count = len(payload.inputs)
        if self._npu and self._npu.is_left:
            for tensor, binding in zip(tensors, (*payload.inputs, *payload.outputs), strict=True):
                check_boundary(tensor, binding, self.name)
            step = left(delegate, self._npu, tensors[:count], tensors[count:])
            self.steps.append(replace(step, layer=call.line, name=call.module))
            return
        commands = self._bytes("commands", payload.stream)
        scratch = self.add("scratch", DType.U8, (payload.scratch_size,), None)
        fast = self._fast_scratch(delegate.fast_scratch)
        pairs = []
        for tensor, binding in zip(tensors, (*payload.inputs, *payload.outputs), strict=True):
            check_boundary(tensor, binding, self.name)
            slot = self.add(f"{tensor.name}_npu", tensor.dtype, tensor.shape, None)
            self.alias(slot, scratch, binding.offset)
            pairs.append((tensor, self.tensors[slot.id]))
        weights = self._bytes("weights", payload.weights) if payload.weights else None
        made = steps(delegate, (commands, weights), (scratch, fast), (pairs[:count], pairs[count:]))
        self.steps += (replace(step, layer=call.line, name=call.module) for step in made)

    def _fast_scratch(self, size: int) -> Tensor | None:
        if not size:
            return None
        tensor = self.add("fast_scratch", DType.U8, (size,), None)
        assert self._npu is not None
        self.tensors[tensor.id] = replace(tensor, fast=self._npu.fast_apart)
        return self.tensors[tensor.id]

    @property
    def largest_scratch(self) -> int:
        """The most scratch memory that a delegate needs."""
        return max((delegate.payload.scratch_size for delegate in self._opened.values()), default=0)

    def _bytes(self, name: str, data: bytes) -> Tensor:
        return self.add(name, DType.U8, (len(data),), data)

    def _leaves(self, id: int) -> tuple[int, ...]:
        value = self.program.values[id]
        items = value.items if isinstance(value, TensorListValue) else (id,)
        return tuple(item for item in items if item >= 0)

    def _same_type(self, id: int, other: int) -> bool:
        first, second = self.program.values[id], self.program.values[other]
        return (
            isinstance(first, TensorValue) and isinstance(second, TensorValue) and first.dtype == second.dtype
        )

    def _meets(self, id: int, other: int) -> bool:
        """Whether two values share bytes in ExecuTorch's memory plan."""
        first, second = self.program.values[id], self.program.values[other]
        if not isinstance(first, TensorValue) or not isinstance(second, TensorValue):
            return False
        if first.location is None or second.location is None or first.location[0] != second.location[0]:
            return False
        (_, start), (_, other_start) = first.location, second.location
        return start < other_start + second.nbytes and other_start < start + first.nbytes

    def add(self, name: str, dtype: DType, shape: Sequence[int], data: bytes | None) -> Tensor:
        if data is not None:
            assert len(data) == prod(shape) * dtype.size, f"{name}: {len(data)} bytes for {shape}"
        tensor = Tensor(self._next_id, name, dtype, tuple(shape), tuple(range(len(shape))), data)
        self._next_id += 1
        self.tensors[tensor.id] = tensor
        return tensor

    def alias(self, output: Tensor, source: Tensor, byte_offset: int) -> None:
        self.tensors[output.id] = replace(output, alias_of=source.id, alias_offset=byte_offset)

    def note(self, tensor: Tensor, quantization: Quantization) -> None:
        self.tensors[tensor.id] = replace(self.tensors[tensor.id], quantization=quantization)


def select(
    program: Program,
    name: str,
    npu: NpuTarget | None = None,
    custom: Mapping[str, Selector] | None = None,
) -> Plan:
    """Choose kernels for every call of `program`; `name` is the model's name, `npu` what delegates run on.

    `custom` are the user's own operators. McuError lists every operator that has no kernel, or none for the
    element types of its operands, with its line of the model where it is known.
    """
    selectors = {**operators(), **(custom or {})}
    missing: dict[str, str] = {}
    for call in program.instructions:
        if isinstance(call, KernelCall) and call.operator not in selectors:
            missing.setdefault(call.operator, call.line or call.module or name)
    if missing:
        raise McuError(*no_kernel(missing))
    builder = _Builder(program, name, npu)
    inputs = tuple(builder.tensor(id).id for id in program.inputs)
    refused: list[McuError] = []
    for call in program.instructions:
        builder.frames = call.frames
        if isinstance(call, DelegateCall):
            builder.run_delegate(call)
            continue
        try:
            _select_call(selectors[call.operator], Call(builder, call))
        except McuError as error:
            refused.append(error)
            builder.write_results(call)
    if refused:
        raise _together(refused)
    outputs = tuple(builder.tensor(id).id for id in program.outputs)
    return Plan(
        name=name,
        tensors=builder.tensors,
        steps=tuple(builder.steps),
        inputs=inputs,
        outputs=outputs,
        # ExecuTorch takes scratch memory of delegates beside its plan, one after the other.
        program_arena_bytes=program.planned_bytes + builder.largest_scratch,
    )


def _together(errors: Sequence[McuError]) -> McuError:
    """One error with what all of them say."""
    lines = list(dict.fromkeys(error.message for error in errors))
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    return McuError("\n".join((*lines[:_LISTED], *more)), " ".join(hints))


def _select_call(selector: Selector, call: Call) -> None:
    try:
        selector(call)
    except (ArithmeticError, AssertionError, IndexError, ValueError) as error:
        # A program's arguments are outside data: a damaged file, or an exporter of another mind.
        raise call.refuse(f"its arguments do not fit the operator ({error})") from error


def operators() -> Mapping[str, Selector]:
    """Every operator that has a kernel."""
    from mcu_build.plan.operators import TABLES

    return {name: selector for table in TABLES for name, selector in table.items()}
