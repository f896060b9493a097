"""Run single operator calls the way the product does: program → plan → native kernels with sanitizers.

A case is one operator call. Its plan is data, which one program with every portable kernel runs (Address- and
UndefinedBehaviourSanitizer on, a finding fails the run): compiling is paid once for all tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcu_build.ir.plan import DType, Plan
from mcu_build.ir.program import KernelCall, Program, TensorListValue, TensorValue, Value
from mcu_build.plan.compile import compile_program
from tests.support.tables.host import run_tables

_DTYPES = {np.dtype(dtype.numpy_name): dtype for dtype in DType}


@dataclass(frozen=True, eq=False)
class T:
    """A tensor argument: its values in the model's dimensions, kept in memory in `dim_order`."""

    array: np.ndarray
    dim_order: tuple[int, ...] | None = None
    constant: bool = False


@dataclass(frozen=True)
class Out:
    """An output of the call: shape in the model's dimensions. `used` is whether anything reads it."""

    shape: tuple[int, ...]
    dtype: str
    dim_order: tuple[int, ...] | None = None
    used: bool = True


@dataclass(frozen=True)
class Case:
    """One call. Arguments in the schema's order: T, a list of T, a number, a list of numbers, or None."""

    operator: str
    arguments: Sequence[object]
    outputs: Sequence[Out]


CHANNELS_LAST = (0, 2, 3, 1)


def program_of(case: Case) -> tuple[Program, list[np.ndarray]]:
    """The case as a program of one instruction, with its inputs as they lie in memory."""
    values: list[Value] = []
    inputs: list[int] = []
    arrays: list[np.ndarray] = []

    def add(value: Value) -> int:
        values.append(value)
        return len(values) - 1

    def add_tensor(tensor: T) -> int:
        order = tensor.dim_order or tuple(range(tensor.array.ndim))
        memory = np.ascontiguousarray(tensor.array.transpose(order))
        data = memory.tobytes() if tensor.constant else None
        id = add(TensorValue(_DTYPES[tensor.array.dtype], tensor.array.shape, order, data))
        if not tensor.constant:
            inputs.append(id)
            arrays.append(memory)
        return id

    def add_argument(argument: object) -> int:
        if isinstance(argument, T):
            return add_tensor(argument)
        if isinstance(argument, list | tuple) and any(isinstance(item, T) for item in argument):
            return add(TensorListValue(tuple(add_tensor(item) if item else -1 for item in argument)))
        if isinstance(argument, list):
            return add(tuple(argument))
        return add(argument)  # type: ignore[arg-type]

    arguments = [add_argument(argument) for argument in case.arguments]
    outputs = [
        add(
            TensorValue(
                _DTYPES[np.dtype(out.dtype)], out.shape, out.dim_order or tuple(range(len(out.shape)))
            )
        )
        for out in case.outputs
    ]
    # As ExecuTorch writes it: the outputs, then the value that the call returns.
    returned = outputs[0] if len(outputs) == 1 else add(TensorListValue(tuple(outputs)))
    call = KernelCall(case.operator, (*arguments, *outputs, returned))
    used = tuple(id for id, out in zip(outputs, case.outputs, strict=True) if out.used)
    return Program("forward", tuple(values), (call,), tuple(inputs), used, (), ()), arrays


def run_cases(cases: Sequence[Case], folder: Path) -> list[list[np.ndarray]]:
    """The used outputs of every case, in the model's dimensions. `folder` is for the build (tmp_path)."""
    programs = [program_of(case) for case in cases]
    plans = [compile_program(program, f"case_{index}") for index, (program, _) in enumerate(programs)]
    outputs = run_plans(plans, [array for _, arrays in programs for array in arrays], folder)
    return split_outputs(outputs, cases)


def inputs_of(cases: Sequence[Case]) -> list[bytes]:
    """The bytes of all inputs, as they lie in memory."""
    return [array.tobytes() for case in cases for array in program_of(case)[1]]


def run_plans(plans: Sequence[Plan], inputs: Sequence[np.ndarray], folder: Path) -> bytes:
    """All outputs of plans, one after the other as they lie in memory; `inputs` likewise."""
    return run_vectors(plans, [inputs], folder)


def run_vectors(plans: Sequence[Plan], vectors: Sequence[Sequence[np.ndarray]], folder: Path) -> bytes:
    """As `run_plans`, for the inputs of one vector after the other."""
    packed = [[array.tobytes() for array in inputs] for inputs in vectors]
    return run_tables(plans, packed, folder)


def split_outputs(data: bytes, cases: Sequence[Case]) -> list[list[np.ndarray]]:
    """The arrays in the bytes of all used outputs, one after the other."""
    results: list[list[np.ndarray]] = []
    position = 0
    for case in cases:
        arrays = []
        for out in (out for out in case.outputs if out.used):
            order = out.dim_order or tuple(range(len(out.shape)))
            shape = [out.shape[dimension] for dimension in order]
            count = int(np.prod(shape, dtype=int))
            flat = np.frombuffer(data, dtype=out.dtype, count=count, offset=position)
            position += flat.nbytes
            arrays.append(flat.reshape(shape).transpose(np.argsort(order)))
        results.append(arrays)
    assert position == len(data)
    return results


def included(plan: Plan) -> list[str]:
    """Lines that make the model of a plan a part of a source file, beside other models."""
    # Names that every model has for itself in its own source file.
    own = ["constants", *(f"step_{index}" for index in range(len(plan.steps)))]
    return [
        *(f"#define {name} {plan.name}_{name}" for name in own),
        *(f'#include "{plan.name}{suffix}.cpp"' for suffix in ("_constants", "_arena", "")),
        *(f"#undef {name}" for name in own),
    ]
