"""Layers with weights of 4 bits (python/mcu_build/arithmetic/int4.py)."""

from math import prod

import numpy as np

from mcu_build.arithmetic.int4 import GROUP, LEAST_SHIFT, MOST_INPUTS, row_bytes
from mcu_build.ir.calls.int4 import LinearW4, LinearW4Params
from mcu_build.ir.calls.int16 import BoundsS16
from mcu_build.ir.tensor import DType
from mcu_build.plan.operators.layout import contiguous, contiguous_output, image, image_output
from mcu_build.plan.select import Call, Selector


def linear(call: Call) -> None:
    """(input, weight, factors, bias, multipliers, shifts, inputs, dimension, zero_point, low, high, out)."""
    inputs, is_image = call.integer(6), call.integer(7) == 1
    constants = [contiguous(call, call.tensor(index)) for index in range(1, 6)]
    weights, factors, *others = constants
    outputs = weights.shape[0]
    types = [tensor.dtype for tensor in (call.tensor(0), *constants, call.output)]
    if types != [DType.I8, DType.U8, DType.U8, *[DType.I32] * 3, DType.I8]:
        raise call.refuse(f"operands of {', '.join(kind.numpy_name for kind in types)}")
    if weights.shape != (outputs, row_bytes(inputs)) or not 0 < inputs <= MOST_INPUTS:
        raise call.refuse(f"weights {weights.shape} for {inputs} inputs")
    is_grouped = len(factors.shape) == 2
    if factors.shape != ((outputs, inputs // GROUP) if is_grouped else (1,)) or (
        is_grouped and inputs % GROUP
    ):
        raise call.refuse(f"factors {factors.shape} for {inputs} inputs")
    if any(other.elements != outputs for other in others):
        raise call.refuse(f"bias, multipliers and shifts for {outputs} outputs")
    shifts = others[2].data
    if shifts is None or np.frombuffer(shifts, np.int32).min(initial=LEAST_SHIFT) < LEAST_SHIFT:
        raise call.refuse(f"shifts below {LEAST_SHIFT}")
    source = call.tensor(0)
    if is_image:
        source, sizes = image(call, source)
        rows, channels = prod(sizes[:3]), sizes[3]
    else:
        source = contiguous(call, source)
        rows, channels = prod(source.shape[:-1]), source.shape[-1]
    if channels != inputs or call.output.elements != rows * outputs:
        raise call.refuse(f"weights of {inputs} inputs do not take {source.shape}")
    params = LinearW4Params(
        rows,
        inputs,
        outputs,
        is_grouped,
        call.integer(8),
        BoundsS16(call.integer(9), call.integer(10)),
    )
    ids = (weights.id, factors.id, others[0].id, others[1].id, others[2].id)
    if is_image:
        call.append(LinearW4(params, source.id, *ids, image_output(call)[0].id))
        return
    with contiguous_output(call) as output:
        call.append(LinearW4(params, source.id, *ids, output.id))


SELECTORS: dict[str, Selector] = {"mcu_build::linear_w4.out": linear}
