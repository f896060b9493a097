"""Functions of one value, and softmax."""

import math
from math import prod

import numpy as np

from mcu_build.ir.calls.int8 import Lookup, LookupParams, Softmax, SoftmaxParams
from mcu_build.ir.tensor import DType
from mcu_build.plan.operators.layout import ordered
from mcu_build.plan.select import Call, Selector

# softmax: multiplier and shift hold the input's scale times 2^26 (of 31 bits, 5 are integer).
_SOFTMAX_FRACTION_BITS = 26


def quantized_activation(call: Call) -> None:
    """(input, table, out): output = table[input + 128]."""
    source, table, output = call.tensor(0), call.tensor(1), call.output
    source = ordered(call, source, output.dim_order)
    names = [tensor.dtype.numpy_name for tensor in (source, table, output)]
    if names != ["int8"] * 3 or table.elements != 256:
        raise call.refuse(f"{table.elements} entries; input, table and output of {', '.join(names)}")
    params = LookupParams(count=source.elements)
    call.append(Lookup(params, source.id, table.id, output.id))


def softmax(call: Call) -> None:
    """(input, dim, input_zero_point, output_zero_point, input_multiplier, input_shift, diff_min, out).

    Differences from the maximum take the input's zero point away; the definition ignores diff_min.
    """
    source, output = call.tensor(0), call.output
    source = ordered(call, source, output.dim_order)
    if source.dtype is not DType.I8 or output.dtype is not DType.I8:
        raise call.refuse(f"softmax of {source.dtype.numpy_name} to {output.dtype.numpy_name}")
    scale = math.ldexp(call.integer(4) / (1 << 31), call.integer(5)) / (1 << _SOFTMAX_FRACTION_BITS)
    if scale <= 0:
        raise call.refuse(f"the input's scale is {scale}")
    position = output.dim_order.index(call.integer(1) % len(output.shape))
    params = SoftmaxParams(
        outer=prod(output.shape[:position]),
        axis=output.shape[position],
        inner=prod(output.shape[position + 1 :]),
        zero_point=call.integer(3),
    )
    table = call.constant("exp", DType.I32, (256,), exponentials(scale))
    call.append(Softmax(params, source.id, table.id, output.id))


def exponentials(scale: float) -> bytes:
    """exp(-d * scale) for d = 0 ... 255 in units of 2^-31, as unsigned 32-bit numbers."""
    entries = [round(math.exp(-d * scale) * (1 << 31)) for d in range(256)]
    return np.array(entries, "<u4").tobytes()


SELECTORS: dict[str, Selector] = {
    "cortex_m::quantized_activation.out": quantized_activation,
    "cortex_m::softmax.out": softmax,
}
