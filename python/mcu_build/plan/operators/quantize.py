"""From float to integers and back: quantize_per_tensor and dequantize_per_tensor."""

from mcu_build.ir.calls.boundary import Dequantize, DequantizeParams, Quantize, QuantizeParams
from mcu_build.ir.tensor import DType
from mcu_build.plan.select import Call, Selector

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
    params = QuantizeParams(
        count=source.elements,
        inverse_scale=1.0 / scale,
        zero_point=zero_point,
        quant_min=ends[0],
        quant_max=ends[1],
    )
    call.append(Quantize(params, source.id, output.id, output.dtype))


def dequantize_per_tensor(call: Call) -> None:
    """(input, scale, zero_point, quant_min, quant_max, dtype, out): x = (q - zero_point) * scale."""
    source, output = call.tensor(0), call.output
    scale, zero_point = call.real(1), call.integer(2)
    if source.dtype not in (DType.I8, DType.I16) or output.dtype is not DType.F32:
        raise call.refuse(f"dequantizing {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    call.quantize_note(source, scale, zero_point)
    params = DequantizeParams(count=source.elements, scale=scale, zero_point=zero_point)
    call.append(Dequantize(params, source.id, output.id, source.dtype))


SELECTORS: dict[str, Selector] = {
    "cortex_m::quantize_per_tensor.out": quantize_per_tensor,
    "cortex_m::dequantize_per_tensor.out": dequantize_per_tensor,
    "quantized_decomposed::quantize_per_tensor.out": quantize_per_tensor,
    "quantized_decomposed::dequantize_per_tensor.out": dequantize_per_tensor,
}
