"""The border between float and integers: quantize_per_tensor and dequantize_per_tensor."""

from mcu_build.ir.plan import DType, Params
from mcu_build.plan.select import Call, Selector

_SUFFIX = {DType.I8: "s8", DType.I16: "s16", DType.F32: "f32"}

# How far from the zero point the kernel rounds.
_MOST = 1 << 22


def quantize_per_tensor(call: Call) -> None:
    """(input, scale, zero_point, quant_min, quant_max, dtype, out): q = rint(x / scale) + zero_point."""
    source, output = call.tensor(0), call.output
    scale, zero_point = call.real(1), call.integer(2)
    if source.dtype is not DType.F32 or output.dtype not in (DType.I8, DType.I16):
        raise call.refuse(f"quantizing {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    ends = call.integer(3), call.integer(4)
    if any(abs(end - zero_point) >= _MOST for end in ends):
        raise call.refuse(f"values from {ends[0]} to {ends[1]} around {zero_point}")
    call.quantize_note(output, scale, zero_point)
    params = Params(
        "QuantizeParams",
        {
            "count": source.elements,
            # The definition multiplies with the reciprocal, taken in double and rounded to float.
            "inverse_scale": 1.0 / scale,
            "zero_point": zero_point,
            "quant_min": ends[0],
            "quant_max": ends[1],
        },
    )
    call.emit(f"quantize_f32_{_SUFFIX[output.dtype]}", "quantize", params, [source], [output])


def dequantize_per_tensor(call: Call) -> None:
    """(input, scale, zero_point, quant_min, quant_max, dtype, out): x = (q - zero_point) * scale."""
    source, output = call.tensor(0), call.output
    scale, zero_point = call.real(1), call.integer(2)
    if source.dtype not in (DType.I8, DType.I16) or output.dtype is not DType.F32:
        raise call.refuse(f"dequantizing {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    call.quantize_note(source, scale, zero_point)
    params = Params("DequantizeParams", {"count": source.elements, "scale": scale, "zero_point": zero_point})
    call.emit(f"dequantize_{_SUFFIX[source.dtype]}_f32", "quantize", params, [source], [output])


SELECTORS: dict[str, Selector] = {
    "cortex_m::quantize_per_tensor.out": quantize_per_tensor,
    "cortex_m::dequantize_per_tensor.out": dequantize_per_tensor,
    "quantized_decomposed::quantize_per_tensor.out": quantize_per_tensor,
    "quantized_decomposed::dequantize_per_tensor.out": dequantize_per_tensor,
}
