"""Operators on one tensor, element by element: mathematical functions, activations, limits."""

from mcu_build.ir.calls.portable import ClampF32Params, ClampParams, EluParams, LeakyReluParams, UnaryParams
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import DType, Tensor
from mcu_build.plan.operators.layout import ordered
from mcu_build.plan.operators.portable_movement import SUFFIX, convert, converted
from mcu_build.plan.select import Call, Selector

INTEGER_LIMITS = {
    DType.U8: (0, 255),
    DType.I8: (-(1 << 7), (1 << 7) - 1),
    DType.I16: (-(1 << 15), (1 << 15) - 1),
    DType.I32: (-(1 << 31), (1 << 31) - 1),
    DType.I64: (-(1 << 63), (1 << 63) - 1),
}
_SIGNED = (DType.I8, DType.I16, DType.I32, DType.I64)

# Computed in float whatever the input is.
_FLOAT = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "exp", "exp2"),
    *("expm1", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt"),
    *("tan", "tanh", "isnan", "isinf"),
)
# Of the input's own type, which has to be float.
_FLOAT_ONLY = ("silu", "hardswish", "hardsigmoid")
_ROUNDINGS = ("ceil", "floor", "round", "trunc")
_SIGNED_OR_FLOAT = ("abs", "neg", "sign")


def flat_operand(call: Call, source: Tensor, output: Tensor) -> Tensor:
    """`source` in the output's memory layout, so that an operator runs over memory from end to end."""
    if source.model_shape != output.model_shape:
        raise call.refuse(f"{source.model_shape} to {output.model_shape}")
    return ordered(call, source, output.dim_order)


def _float_operand(call: Call) -> Tensor:
    """The input as float; the output has to be one, too."""
    _require_float(call, call.output)
    return flat_operand(call, converted(call, call.tensor(0), DType.F32), call.output)


def _require_float(call: Call, tensor: Tensor) -> None:
    if tensor.dtype is not DType.F32:
        raise call.refuse(f"no kernel for {tensor.dtype.numpy_name}")


def emit_unary(call: Call, name: str, source: Tensor, output: Tensor) -> None:
    """One step of the kernel `name` for the type of `source`."""
    family = "unary_f32" if source.dtype is DType.F32 else "unary_int"
    kernel = f"{name}_{SUFFIX[source.dtype]}"
    call.emit(kernel, family, UnaryParams(count=output.elements), [source], [output])


def _function(name: str) -> Selector:
    def in_float(call: Call) -> None:
        """(input, out): computed in float32, to which other types are converted."""
        source, output = call.tensor(0), call.output
        predicate = name in ("isnan", "isinf")
        if output.dtype is not (DType.BOOL if predicate else DType.F32):
            raise call.refuse(f"no kernel for {output.dtype.numpy_name}")
        emit_unary(call, name, flat_operand(call, converted(call, source, DType.F32), output), output)

    return in_float


def _float_only(name: str) -> Selector:
    def in_float(call: Call) -> None:
        """(input, out): float32 only."""
        # An integer here is a quantized tensor whose scale got lost: nothing right can come of it.
        _require_float(call, call.tensor(0))
        emit_unary(call, name, _float_operand(call), call.output)

    return in_float


def _rounding(name: str) -> Selector:
    def rounded(call: Call) -> None:
        """(input, out): integers are whole already."""
        source = flat_operand(call, call.tensor(0), call.output)
        if source.dtype is DType.F32:
            emit_unary(call, name, source, call.output)
        else:
            call.alias(call.output, source)

    return rounded


def _signed(name: str) -> Selector:
    def signed(call: Call) -> None:
        """(input, out): float32 or signed integers."""
        source = flat_operand(call, call.tensor(0), call.output)
        if source.dtype not in (*_SIGNED, DType.F32):
            raise call.refuse(f"no kernel for {source.dtype.numpy_name}")
        emit_unary(call, name, source, call.output)

    return signed


def bitwise_not(call: Call) -> None:
    """(input, out): bool or integers."""
    output = call.output
    source = flat_operand(call, call.tensor(0), output)
    if source.dtype is DType.U8:
        wide = converted(call, source, DType.I16)
        inverse = call.temporary(source.name, DType.I16, source.shape)
        emit_unary(call, "bitwise_not", wide, inverse)
        convert(call, inverse, output)
        return
    if source.dtype not in (*_SIGNED, DType.BOOL):
        raise call.refuse(f"no kernel for {source.dtype.numpy_name}")
    emit_unary(call, "bitwise_not", source, output)


def logical_not(call: Call) -> None:
    """(input, out): whether the input is 0."""
    source, output = converted(call, call.tensor(0), DType.BOOL), call.output
    if output.dtype is not DType.BOOL:
        raise call.refuse(f"no kernel for a result of type {output.dtype.numpy_name}")
    emit_unary(call, "bitwise_not", flat_operand(call, source, output), output)


def gelu(call: Call) -> None:
    """(input, approximate, out): float32, with the error function or tanh."""
    _require_float(call, call.tensor(0))
    names = {"none": "gelu", "tanh": "gelu_tanh"}
    approximate = call.value(1)
    if approximate not in names:
        raise call.refuse(f"approximate={approximate!r}")
    emit_unary(call, names[str(approximate)], _float_operand(call), call.output)


def clamp(call: Call) -> None:
    """(input, min, max, out): float32 or integers; either bound may be absent."""
    _clamp(call, *(None if call.value(index) is None else call.real(index) for index in (1, 2)))


def relu(call: Call) -> None:
    """(input, out): float32 or integers."""
    _clamp(call, 0, None)


def hardtanh(call: Call) -> None:
    """(input, min, max, out): float32 or integers."""
    _clamp(call, call.real(1), call.real(2))


def _clamp(call: Call, low: float | None, high: float | None) -> None:
    """In the output's type: bounds of a float make the result of integers a float."""
    output = call.output
    source = flat_operand(call, converted(call, call.tensor(0), output.dtype), output)
    if output.dtype is DType.F32:
        params: Struct = ClampF32Params(
            count=output.elements,
            low=-float("inf") if low is None else low,
            high=float("inf") if high is None else high,
        )
    elif output.dtype in INTEGER_LIMITS:
        least, most = INTEGER_LIMITS[output.dtype]
        params = ClampParams(
            count=output.elements,
            low=least if low is None else min(max(int(low), least), most),
            high=most if high is None else min(max(int(high), least), most),
        )
    else:
        raise call.refuse(f"no kernel for {output.dtype.numpy_name}")
    call.emit(f"clamp_{SUFFIX[output.dtype]}", "clamp", params, [source], [output])


def leaky_relu(call: Call) -> None:
    """(input, negative_slope, out): float32."""
    _require_float(call, call.tensor(0))
    params = LeakyReluParams(count=call.output.elements, slope=call.real(1))
    call.emit("leaky_relu_f32", "activation_f32", params, [_float_operand(call)], [call.output])


def elu(call: Call) -> None:
    """(input, alpha, scale, input_scale, out): float32."""
    _require_float(call, call.tensor(0))
    params = EluParams(
        count=call.output.elements,
        positive=call.real(2),
        negative=call.real(1) * call.real(2),
        input_scale=call.real(3),
    )
    call.emit("elu_f32", "activation_f32", params, [_float_operand(call)], [call.output])


def dropout(call: Call) -> None:
    """(input, p, train, out, mask): the input and a mask that is set; training is refused."""
    if call.value(2) is not False:
        raise call.refuse("it draws random numbers while training: call model.eval() before export")
    output, mask = call.outputs(2)
    call.alias(output, flat_operand(call, call.tensor(0), output))
    call.alias(mask, call.constant(mask.name, mask.dtype, mask.shape, b"\1" * mask.elements))


SELECTORS: dict[str, Selector] = {
    **{f"aten::{name}.out": _function(name) for name in _FLOAT},
    **{f"aten::{name}.out": _float_only(name) for name in _FLOAT_ONLY},
    **{f"aten::{name}.out": _rounding(name) for name in _ROUNDINGS},
    **{f"aten::{name}.out": _signed(name) for name in _SIGNED_OR_FLOAT},
    "aten::bitwise_not.out": bitwise_not,
    "aten::logical_not.out": logical_not,
    "aten::gelu.out": gelu,
    "aten::clamp.out": clamp,
    "aten::relu.out": relu,
    "aten::hardtanh.out": hardtanh,
    "aten::leaky_relu.out": leaky_relu,
    "aten::elu.out": elu,
    "aten::native_dropout.out": dropout,
}
