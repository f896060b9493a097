"""Calls of a user's functions, the kernels of custom operators, in the C++ of either runtime. Pure text."""

import math
from collections.abc import Iterable, Sequence

from mcu_build.ir.calls.outside import UserCall, UserTensor, UserValue
from mcu_build.ir.tensor import DType

_SCALAR_TYPES = {
    DType.BOOL: "Bool",
    DType.U8: "Byte",
    DType.I8: "Char",
    DType.I16: "Short",
    DType.I32: "Int",
    DType.I64: "Long",
    DType.F32: "Float",
}


def declarations(calls: Iterable[UserCall]) -> str:
    """The user's functions, each declared in its namespace."""
    lines = {}
    for call in calls:
        namespace, _, name = call.function.partition("::")
        types = ", ".join(operand.c_type for operand in call.operands)
        lines[call.function] = f"namespace {namespace} {{\nvoid {name}({types});\n}}\n"
    return "".join(lines[function] for function in sorted(lines)) + ("\n" if lines else "")


def constants(prefix: str, call: UserCall) -> str:
    """Shapes and lists of integers of a call, as arrays whose names begin with `prefix`."""
    return "".join(_array(f"{prefix}_{index}", operand) for index, operand in enumerate(call.operands))


def arguments(prefix: str, call: UserCall, pointers: Sequence[str]) -> str:
    """The arguments of a call; `pointers` are to its tensors, the arrays are those of `constants`."""
    remaining, words = iter(pointers), []
    for index, operand in enumerate(call.operands):
        array = f"{prefix}_{index}" if _items(operand) else "{}"
        if isinstance(operand, UserTensor):
            words.append(f"{{{{{next(remaining)}, {math.prod(operand.shape)}}}, {array}}}")
        else:
            words.append(array if isinstance(operand.value, tuple) else _number(operand.value))
    return ", ".join(words)


def adapter_name(call: UserCall) -> str:
    """The function that ExecuTorch's table names for an operator."""
    return call.function.replace("::", "_")


def adapter(call: UserCall) -> str:
    """A function of ExecuTorch's form that calls the user's."""
    operands, data, passed, finished = [], [], [], []
    for index, operand in enumerate(call.operands):
        if isinstance(operand, UserValue):
            operands.append(f"    const auto value_{index} = {_asked(operand, index)};\n")
            passed.append(f"value_{index}")
            continue
        name, type = f"operand_{index}", f"mcu::et::ScalarType::{_SCALAR_TYPES[operand.dtype]}"
        operands.append(f"    const mcu::et::Operand {name} = arguments.tensor({index}, {type});\n")
        getter = "contiguous_output" if operand.written else "contiguous"
        data.append(f"    auto* const data_{index} = arguments.{getter}<{operand.dtype.c_name}>({name});\n")
        passed.append(
            f"{{{{data_{index}, static_cast<std::size_t>({name}.elements)}}, "
            f"{{{name}.size, static_cast<std::size_t>({name}.rank)}}}}"
        )
        if operand.written:
            finished.append(f"        arguments.finish_output({name}, data_{index});\n")
    return (
        f"void {adapter_name(call)}(mcu::et::KernelRuntimeContext& context, mcu::et::Values values) {{\n"
        "    mcu::et::Arguments arguments(context, values);\n"
        f"{''.join(operands)}{''.join(data)}"
        f"    if (arguments.ok()) {{\n        ::{call.function}({', '.join(passed)});\n"
        f"{''.join(finished)}    }}\n}}\n\n"
    )


def _asked(operand: UserValue, index: int) -> str:
    if isinstance(operand.value, tuple):
        return f"arguments.integers({index})"
    if isinstance(operand.value, bool):
        return f"arguments.long_integer({index}) != 0"
    return f"arguments.{'real' if isinstance(operand.value, float) else 'long_integer'}({index})"


def _items(operand: UserTensor | UserValue) -> tuple[int, ...]:
    if isinstance(operand, UserTensor):
        return operand.shape
    return operand.value if isinstance(operand.value, tuple) else ()


def _array(name: str, operand: UserTensor | UserValue) -> str:
    items = _items(operand)
    if not items:
        return ""
    element = "int32_t" if isinstance(operand, UserTensor) else "int64_t"
    return f"constexpr {element} {name}[] = {{{', '.join(map(_number, items))}}};\n"


def _number(value: int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # The most negative int has no literal of its own.
        return f"({value + 1} - 1)" if value == -(1 << 63) else str(value)
    if math.isnan(value):
        return '__builtin_nan("")'
    if math.isinf(value):
        return "__builtin_inf()" if value > 0 else "-__builtin_inf()"
    return repr(value)
