"""One row of a matrix's products by firmware/kernels/dsp/dsp_linear: linear layers, and single pixels."""

from dataclasses import dataclass, replace

import numpy as np

from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.packing import Bytes, linear, padded, takes_parts
from mcu_build.kernels.dsp.requantize import DspBounds, DspRequantization


@dataclass(frozen=True)
class DspLinearParams(Struct):
    """Parameters of dsp_linear.h."""

    inputs: int
    fours: int
    bounds: DspBounds


def row_cycles(inputs: int, outputs: int) -> float:
    """Modelled cycles of a Cortex-M4, four outputs at once."""
    return -(-outputs // 4) * (96 + 5.4 * inputs)


def row_step(context: Context, step: Step, weights: Bytes, scale: DspRequantization) -> Step:
    """A step of dsp_linear in place of `step`, whose input is argument 0: weights are [outputs][inputs]."""
    flat, bounds = padded(weights, 1), scale.bounds
    form: str = scale.form
    if takes_parts(flat, bounds):
        form, bounds = f"long_{form}", np.zeros_like(bounds)
    packed, fours = linear(flat, scale.scales, bounds)
    input, output = step.reads[0], step.writes[0]
    return replace(
        step,
        kernel=f"dsp_linear_{form}",
        source="dsp_linear",
        params=DspLinearParams(weights.shape[1], fours, scale.limits),
        arguments=(
            input,
            context.constant("packed_weights", DType.I32, (len(packed) // 4,), packed),
            output,
        ),
        # The whole row is read until the end.
        inplace={input: len(weights)},
    )
