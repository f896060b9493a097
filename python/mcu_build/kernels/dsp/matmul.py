"""Products of matrices by firmware/kernels/dsp/dsp_batch_matmul."""

from dataclasses import dataclass, replace

from mcu_build.ir.calls.matmul import BatchMatmul
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.requantize import DspScale, one_scale

_LARGEST_PRODUCT = 255 * 255
_BYTES = 32  # of the im2col buffer, for four products


@dataclass(frozen=True)
class DspBatchMatmulParams(Struct):
    """Parameters of dsp_batch_matmul.h."""

    batch: int
    rows: int
    columns: int
    inner: int
    left_offset: int
    right_offset: int
    scale: DspScale


def batch_matmul(context: Context, step: Step, call: BatchMatmul) -> Step | None:
    """Any sizes."""
    params = call.params
    scale = one_scale(params.multiplier, params.shift, params.epilogue, params.inner * _LARGEST_PRODUCT)
    if scale is None:
        return None
    im2col = context.scratch(_BYTES * -(-params.inner // 4))
    sizes = (params.batch, params.rows, params.columns, params.inner)
    return replace(
        step,
        kernel="dsp_batch_matmul_s8",
        source="dsp_batch_matmul",
        params=DspBatchMatmulParams(*sizes, params.left_offset, params.right_offset, scale),
        arguments=(*step.arguments, im2col),
        writes=(*step.writes, im2col),
    )
