"""Operators on floats as the firmware computes them: its portable kernels, compiled for this computer.

A sum of floats depends on its order, and exp on who wrote it. The portable kernels fix both (one rounding for
each operation, in the order written, functions of math_f32.h), so they give the same bits here and on every
core. How far that is from PyTorch is what the tests of each kernel say. Operators whose result is not unique,
because entries tie, run here as well.

A call becomes steps of kernels as in a plan, but each tensor has memory of its own. All steps of a program
are one shared library, kept in the cache; nothing is compiled where floats are only moved.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.cache import Cache, hash_text, own_data
from mcu_build.codegen.model import kernel_sources, parameters
from mcu_build.codegen.target import target
from mcu_build.custom import is_custom
from mcu_build.errors import McuError
from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.ir.program import KernelCall, Program, TensorListValue, TensorValue, Value
from mcu_build.plan.select import select
from mcu_build.resources import data_dir

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Function = Callable[[Any], None]

# Namespaces whose Python definitions are exact: integers, and the quantize / dequantize boundary.
_EXACT = ("cortex_m", "mcu_build", "quantized_decomposed")
# Which of equal entries comes first is the kernel's to say, whatever the type.
_TIES = ("aten::topk.", "aten::sort.")
# What the results depend on beside this package's Python.
KERNEL_SOURCES = ("firmware/include/mcu/kernels", "firmware/kernels/reference")
# One file takes a second or two.
_SECONDS = 300


class FloatCall:
    """One call of a program, ready to run."""

    def __init__(self, plan: Plan, functions: Sequence[Function]) -> None:
        self._memory: dict[int, Bytes] = {}
        self._plan = plan
        self._steps = [
            (function, (ctypes.c_void_p * len(step.arguments))(*map(self._address, step.arguments)))
            for function, step in zip(functions, plan.steps, strict=True)
        ]

    @property
    def inputs(self) -> tuple[int, ...]:
        """Ids of the program's tensors that it reads."""
        return self._plan.inputs

    @property
    def outputs(self) -> tuple[int, ...]:
        """Ids of the program's tensors that it writes."""
        return self._plan.outputs

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs for `inputs`, all flat, their elements in memory order."""
        for id, array in zip(self._plan.inputs, inputs, strict=True):
            self._bytes(id)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for function, arguments in self._steps:
            function(arguments)
        return [
            self._bytes(id).view(self._plan.tensors[id].dtype.numpy_name).copy() for id in self._plan.outputs
        ]

    def _bytes(self, id: int) -> Bytes:
        """The memory of a tensor: of its own, or a part of that whose bytes it is."""
        tensor, offset = self._plan.tensors[id], 0
        while tensor.alias_of is not None:
            offset, tensor = offset + tensor.alias_offset, self._plan.tensors[tensor.alias_of]
        if tensor.id not in self._memory:
            data = bytearray(tensor.data if tensor.data is not None else tensor.nbytes)
            self._memory[tensor.id] = np.frombuffer(data or bytearray(1), np.uint8)
        return self._memory[tensor.id][offset : offset + self._plan.tensors[id].nbytes]

    def _address(self, id: int | None) -> int | None:
        return None if id is None else self._bytes(id).ctypes.data


def float_calls(program: Program, cache: Cache | None = None) -> dict[int, FloatCall]:
    """The calls of `program` that compute floats, by their index among its instructions.

    McuError with status 3 where they need a C++ compiler for this computer and there is none. A call that no
    kernel serves is left out: no firmware can hold it.
    """
    bare = _without_initial_state(program)
    plans = {
        index: plan
        for index, call in enumerate(bare.instructions)
        if isinstance(call, KernelCall) and _is_inexact(bare, call)
        # PyTorch moves floats as well.
        if (plan := _plan_of(bare, call)) and any(step.call.computes for step in plan.steps)
    }
    if not plans:
        return {}
    # Calls of one kernel with the same parameters share a function.
    texts = list(dict.fromkeys(_body(plan, step) for plan in plans.values() for step in plan.steps))
    stems = sorted({stem for plan in plans.values() for stem in kernel_sources(plan)})
    library = _library(texts, stems, cache or Cache())
    functions = {text: getattr(library, _name(index)) for index, text in enumerate(texts)}
    return {
        index: FloatCall(plan, [functions[_body(plan, step)] for step in plan.steps])
        for index, plan in plans.items()
    }


def _without_initial_state(program: Program) -> Program:
    """The program with state as plain activations: what counts is what they hold when a call runs."""

    def bare(value: Value) -> Value:
        has_state = isinstance(value, TensorValue) and value.data is not None and value.location is not None
        return replace(value, data=None) if isinstance(value, TensorValue) and has_state else value

    return replace(program, values=tuple(map(bare, program.values)))


def _is_inexact(program: Program, call: KernelCall) -> bool:
    """Whether the call may compute floats, or choose between equal entries."""
    if call.operator.startswith(_TIES):
        return True
    if call.operator.partition("::")[0] in _EXACT or is_custom(call.operator):
        return False
    return any(value.dtype is DType.F32 for _, value in _tensors(program, call.arguments))


def _tensors(program: Program, ids: Sequence[int]) -> Iterator[tuple[int, TensorValue]]:
    """The tensors among values, those in lists too."""
    for id in ids:
        value = program.values[id]
        if isinstance(value, TensorListValue):
            yield from _tensors(program, [item for item in value.items if item >= 0])
        elif isinstance(value, TensorValue):
            yield id, value


def _plan_of(program: Program, call: KernelCall) -> Plan | None:
    """The call as a plan of its own, or None where no kernel serves it."""
    written = tuple(dict.fromkeys(id for id, _ in _tensors(program, call.arguments[-1:])))
    read = {id: value for id, value in _tensors(program, call.arguments[:-1]) if id not in written}
    inputs = tuple(id for id, value in read.items() if value.data is None)
    # A kernel need not make what nobody reads, such as the statistics of a normalization.
    for outputs in dict.fromkeys((written, written[:1])):
        alone = replace(program, instructions=(call,), inputs=inputs, outputs=outputs, delegates=())
        try:
            return select(alone, "reference")
        except McuError:
            continue
    return None


def _name(index: int) -> str:
    return f"step_{index}"


def _body(plan: Plan, step: Step) -> str:
    """The call of a step's kernel; `a` are the addresses of its arguments."""
    arguments = [
        "nullptr" if id is None else f"static_cast<{plan.tensors[id].dtype.c_name}*>(a[{position}])"
        for position, id in enumerate(step.arguments)
    ]
    if step.params is None:
        return f"{{\n    kernels::{step.kernel}({', '.join(arguments)});\n}}"
    passed = ", ".join(["params", *arguments])
    return f"{{\n{parameters('params', step.params)}    kernels::{step.kernel}({passed});\n}}"


def _library(bodies: Sequence[str], stems: Sequence[str], cache: Cache) -> ctypes.CDLL:
    """The functions as a shared library, with the kernels of `stems`."""
    host = target(find_board("host"), "host")
    command: list[str | Path] = [
        host.cxx,
        *host.compile_options,
        "-fPIC",
        "-I",
        data_dir() / "firmware/include",
    ]
    tools = hash_text(*map(str, command), _run([host.cxx, "--version"]), own_data(*KERNEL_SOURCES))
    objects = [_kernel(stem, command, tools, cache) for stem in stems]
    text = _source(bodies, stems)

    def produce(folder: Path) -> None:
        (folder / "steps.cpp").write_text(text)
        _run([*command, "-O0", "-shared", folder / "steps.cpp", *objects, "-o", folder / "steps.so"])

    entry, _ = cache.get(hash_text("float steps", tools, text), produce)
    return ctypes.CDLL(str(entry / "steps.so"))


def _source(bodies: Sequence[str], stems: Sequence[str]) -> str:
    includes = "".join(f'#include "mcu/kernels/{stem}.h"\n' for stem in stems)
    functions = "".join(
        f'extern "C" void {_name(index)}([[maybe_unused]] void* const* a) {body}\n\n'
        for index, body in enumerate(bodies)
    )
    return f"{includes}\nnamespace kernels = mcu::kernels;\n\n{functions}"


def _kernel(stem: str, command: Sequence[str | Path], tools: str, cache: Cache) -> Path:
    """The object file of a portable kernel."""
    source = data_dir() / "firmware/kernels/reference" / f"{stem}.cpp"

    def produce(folder: Path) -> None:
        _run([*command, "-c", source, "-o", folder / "kernel.o"])

    return cache.get(hash_text("host kernel", tools, stem), produce)[0] / "kernel.o"


def _run(command: Sequence[str | Path]) -> str:
    finished = process.run(command, timeout=_SECONDS)
    if finished.status != 0:
        raise McuError(
            f"{Path(command[0]).name}: the kernels of floats do not compile here:\n{finished.stderr}",
            "`mcu-build doctor` checks the compiler; g++ from 10 on and clang++ from 13 on know C++20.",
        )
    return finished.stdout
