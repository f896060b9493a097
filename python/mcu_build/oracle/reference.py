"""Evaluate a program with executorch's own definitions of its operators: the oracle for firmware.

Nothing here knows of our plan or kernels. Memory is laid out as ExecuTorch lays it out: one block of bytes a
memory, every tensor at the place that the program gives it, so views that the planner left as shared places
need no resolving. Operators run through `torch.ops`; where the Python definition cannot run on integers, is
inexact or is slow, `arithmetic.integer` stands in. Floats are computed by the firmware's own kernels,
compiled for this computer (float_kernels.py): they are exact too.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from mcu_build.arithmetic.integer import STAND_INS
from mcu_build.custom import is_custom
from mcu_build.errors import McuError
from mcu_build.ir.plan import DType
from mcu_build.ir.program import DelegateCall, KernelCall, Program, TensorListValue, TensorValue
from mcu_build.lower.npu.tosa_reference import TosaGraph
from mcu_build.oracle.float_kernels import FloatCall, float_calls

Array = npt.NDArray[Any]

_TORCH = {
    DType.BOOL: torch.bool,
    DType.U8: torch.uint8,
    DType.I8: torch.int8,
    DType.I16: torch.int16,
    DType.I32: torch.int32,
    DType.I64: torch.int64,
    DType.F32: torch.float32,
}
_TOLD_BY_OUT = frozenset(("dtype", "layout", "device", "pin_memory"))
# ScalarType numbers of scalar_type.fbs, as a program stores an argument of that type.
_SCALAR_TYPES = {
    0: torch.uint8,
    1: torch.int8,
    2: torch.int16,
    3: torch.int32,
    4: torch.int64,
    6: torch.float32,
    11: torch.bool,
}
_MEMORY_FORMATS = {0: torch.contiguous_format, 1: torch.preserve_format, 2: torch.channels_last}
# Float32 arithmetic is part of what these compute.
_BORDER = frozenset(
    f"{namespace}::{name}.out"
    for namespace in ("cortex_m", "quantized_decomposed")
    for name in ("quantize_per_tensor", "dequantize_per_tensor")
)
_COPIES = frozenset({"dim_order_ops::_clone_dim_order.out", "dim_order_ops::_to_dim_order_copy.out"})


def evaluate(program: Program, inputs: Sequence[Array], tosa: Sequence[bytes] = ()) -> list[Array]:
    """The outputs of `program` for `inputs`, each in the model's logical shape and of the program's type.

    `tosa` are the TOSA flatbuffers of its delegates. McuError for a wrong number, shape or type of inputs,
    for a delegate without TOSA, and for operators that neither executorch nor torch defines.
    """
    return Evaluator(program, [TosaGraph(flatbuffer) for flatbuffer in tosa]).run(inputs)


# What runs, on what, and where the results go.
Step = tuple[Callable[..., Sequence[torch.Tensor]], list[Any], list[torch.Tensor]]


class Delegate(Protocol):
    """What stands in for a delegate: its inputs and outputs have their elements in memory order."""

    @property
    def input_count(self) -> int:
        """How many inputs it takes."""
        ...

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for `inputs`."""
        ...


class Evaluator:
    """A program in memory, to be run on any number of inputs."""

    def __init__(self, program: Program, delegates: Sequence[Delegate] = ()) -> None:
        self._program = program
        self._delegates = delegates
        self._memories = self._allocate()
        self._tensors: dict[int, torch.Tensor] = {}
        floats = float_calls(program)
        self._steps = [
            self._float_step(floats[index]) if index in floats else self._step(call)
            for index, call in enumerate(program.instructions)
        ]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """As `evaluate`."""
        self._feed(inputs)
        # failures.py finds the call that an exception is about.
        for call, (operator, positional, outputs) in zip(
            self._program.instructions, self._steps, strict=True
        ):
            for output, result in zip(outputs, operator(*positional), strict=True):
                if output.shape != result.shape:
                    name = call.operator if isinstance(call, KernelCall) else "a delegate"
                    raise McuError(f"{name} gave {tuple(result.shape)} for {tuple(output.shape)}")
                output.copy_(result)
        return [self._tensor(id).contiguous().numpy().copy() for id in self._program.outputs]

    def _allocate(self) -> dict[int, torch.Tensor]:
        sizes: dict[int, int] = {}
        for value in self._program.values:
            if isinstance(value, TensorValue) and value.location is not None:
                memory, offset = value.location
                sizes[memory] = max(sizes.get(memory, 0), offset + value.nbytes)
        return {memory: torch.zeros(size, dtype=torch.uint8) for memory, size in sizes.items()}

    def _tensor(self, id: int) -> torch.Tensor:
        if id not in self._tensors:
            value = self._program.values[id]
            assert isinstance(value, TensorValue)
            self._tensors[id] = self._place(value)
        return self._tensors[id]

    def _results(self, id: int) -> list[torch.Tensor]:
        """The tensors of an `.out` argument: split and unbind write a list of them."""
        value = self._program.values[id]
        return [self._tensor(item) for item in (value.items if isinstance(value, TensorListValue) else [id])]

    def _place(self, value: TensorValue) -> torch.Tensor:
        if value.data is not None:
            flat = torch.frombuffer(bytearray(value.data or b"\0"), dtype=torch.uint8)[: value.nbytes]
        elif value.location is not None:
            memory, offset = value.location
            flat = self._memories[memory][offset : offset + value.nbytes]
        else:
            flat = torch.zeros(value.nbytes, dtype=torch.uint8)
        strides = [0] * len(value.shape)
        step = 1
        for dimension in reversed(value.dim_order):
            strides[dimension] = step
            step *= value.shape[dimension]
        return flat.view(_TORCH[value.dtype]).as_strided(
            value.shape, strides, flat.storage_offset() // value.dtype.size
        )

    def _feed(self, inputs: Sequence[Array]) -> None:
        if len(inputs) != len(self._program.inputs):
            raise McuError(f"the program has {len(self._program.inputs)} inputs, {len(inputs)} were given")
        for index, (id, array) in enumerate(zip(self._program.inputs, inputs, strict=True)):
            tensor = self._tensor(id)
            value = torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
            if value.shape != tensor.shape or value.dtype != tensor.dtype:
                raise McuError(
                    f"input {index} is {array.dtype}{list(array.shape)}, the program needs "
                    f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
                )
            tensor.copy_(value)

    def _step(self, call: KernelCall | DelegateCall) -> Step:
        if isinstance(call, DelegateCall):
            return self._delegate_step(call)
        if call.operator in _COPIES:
            output = self._tensor(call.arguments[-1])
            return (lambda source: [source]), [self._tensor(call.arguments[0])], [output]
        schema = _overload(call.operator)._schema
        names = list(schema.arguments)
        positional = [
            self._argument(id, argument)
            for id, argument in zip(call.arguments, names, strict=False)
            if not argument.is_out
        ]
        outputs = [
            tensor
            for id, argument in zip(call.arguments, names, strict=False)
            if argument.is_out
            for tensor in self._results(id)
        ]
        return _runner(call.operator), positional, outputs

    def _float_step(self, call: FloatCall) -> Step:
        inputs = [self._tensor(id) for id in call.inputs]
        outputs = [self._tensor(id) for id in call.outputs]

        def run(*arguments: torch.Tensor) -> Sequence[torch.Tensor]:
            results = call.run([_in_memory(tensor).numpy() for tensor in arguments])
            return [_from_memory(result, like) for result, like in zip(results, outputs, strict=True)]

        return run, inputs, outputs

    def _delegate_step(self, call: DelegateCall) -> Step:
        if call.delegate >= len(self._delegates):
            raise McuError(
                f"delegate {call.delegate}: its TOSA is not known",
                "Build from a model.py or a .pt2: a .pte holds only what the NPU runs.",
            )
        graph = self._delegates[call.delegate]
        tensors = [self._tensor(id) for id in call.arguments]
        inputs, outputs = tensors[: graph.input_count], tensors[graph.input_count :]

        def run(*arguments: torch.Tensor) -> Sequence[torch.Tensor]:
            results = graph.run([_in_memory(tensor).numpy() for tensor in arguments])
            return [_from_memory(result, like) for result, like in zip(results, outputs, strict=True)]

        return run, inputs, outputs

    def _argument(self, id: int, argument: Any) -> Any:
        value = self._program.values[id]
        if isinstance(value, TensorValue):
            return self._tensor(id)
        if isinstance(value, TensorListValue):
            return [None if item < 0 else self._tensor(item) for item in value.items]
        if isinstance(value, tuple):
            return list(value)
        if isinstance(value, int) and not isinstance(value, bool):
            kind = str(argument.real_type)
            if "ScalarType" in kind:
                return _SCALAR_TYPES[value]
            if "MemoryFormat" in kind:
                return _MEMORY_FORMATS[value]
        return value


def _in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """The elements of a dense tensor in memory order."""
    return torch.as_strided(tensor, (tensor.numel(),), (1,))


def _from_memory(elements: Array, like: torch.Tensor) -> torch.Tensor:
    """A tensor of the sizes and order of `like` whose memory holds `elements`."""
    flat = torch.from_numpy(np.ascontiguousarray(elements).reshape(-1))
    if flat.numel() != like.numel() or flat.dtype != like.dtype:
        raise McuError(
            f"a delegate gave {flat.numel()} of {flat.dtype} for {tuple(like.shape)} of {like.dtype}"
        )
    return torch.as_strided(flat, like.shape, like.stride())


def _overload(operator: str) -> Any:
    """`torch.ops` entry of a program's operator name, such as 'aten::clamp.out'."""
    import executorch.backends.cortex_m.passes
    import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401  and quantized_decomposed's out forms

    from mcu_build.lower.integer.ops import library

    library()

    namespace, _, rest = operator.partition("::")
    name, _, overload = rest.partition(".")
    try:
        return getattr(getattr(getattr(torch.ops, namespace), name), overload or "default")
    except AttributeError:
        raise McuError(f"{operator}: no definition in Python to compare with") from None


def _functional(operator: str) -> tuple[Any, list[str]]:
    """The form of an out operator that returns its result, and the names of those inputs that are keywords.

    It is the overload whose inputs are the same, but for what out itself tells (of full, zeros, arange).
    """
    out = _overload(operator)
    wanted = [(a.name, str(a.type)) for a in out._schema.arguments if not a.is_out]
    names = {name for name, _ in wanted}
    namespace, _, rest = operator.partition("::")
    packet = getattr(getattr(torch.ops, namespace), rest.partition(".")[0])
    for overload in packet.overloads():
        candidate = getattr(packet, overload)
        inputs = [a for a in candidate._schema.arguments if a.name in names or a.name not in _TOLD_BY_OUT]
        if [(a.name, str(a.type)) for a in inputs] == wanted:
            return candidate, [a.name for a in inputs if a.kwarg_only]
    raise McuError(f"{operator}: no functional form in Python to compare with")


def _runner(operator: str) -> Callable[..., Sequence[torch.Tensor]]:
    """What computes `operator` from its positional arguments, as a list of results."""
    stand_in = STAND_INS.get(operator)
    if stand_in is not None:
        return _numpy_runner(stand_in)
    functional, keywords = _functional(operator)

    def run(*arguments: Any) -> Sequence[torch.Tensor]:
        split = len(arguments) - len(keywords)
        named = dict(zip(keywords, arguments[split:], strict=True))
        result = _call(functional, operator, arguments[:split], named)
        return list(result) if isinstance(result, tuple | list) else [result]

    return run


def _call(functional: Any, operator: str, arguments: Sequence[Any], named: dict[str, Any]) -> Any:
    if operator in _BORDER or operator.startswith(("cortex_m::", "mcu_build::")) or is_custom(operator):
        return functional(*arguments, **named)
    wide = [_widen(argument, torch.float32) for argument in arguments]
    try:
        return functional(*wide, **named)
    except NotImplementedError:
        # torch moves and compares integers in fewer operators than executorch; float64 holds them all.
        for dtype in (torch.int8, torch.int16):
            wide = [_widen(argument, dtype) for argument in wide]
        return functional(*wide, **named)


def _widen(argument: Any, dtype: torch.dtype) -> Any:
    """Tensors of `dtype` as float64; everything else as it is."""
    if isinstance(argument, torch.Tensor) and argument.dtype is dtype:
        return argument.to(torch.float64)
    if isinstance(argument, list):
        return [_widen(item, dtype) for item in argument]
    return argument


def _numpy_runner(stand_in: Callable[..., Array]) -> Callable[..., Sequence[torch.Tensor]]:
    def run(*arguments: Any) -> Sequence[torch.Tensor]:
        arrays = [a.numpy() if isinstance(a, torch.Tensor) else a for a in arguments]
        return [torch.from_numpy(np.ascontiguousarray(stand_in(*arrays)))]

    return run
