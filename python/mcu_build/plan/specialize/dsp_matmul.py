"""Products of matrices by firmware/kernels/dsp/dsp_batch_matmul."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from mcu_build.ir.plan import Params, Step
from mcu_build.plan.specialize.dsp_rescale import one_scale

if TYPE_CHECKING:
    from mcu_build.plan.specialize import Context

_LARGEST_PRODUCT = 255 * 255
_BYTES = 32  # of the patch, for four products


def batch_matmul(context: "Context", step: Step) -> Step | None:
    """batch_matmul_s8."""
    assert step.params is not None
    members = step.params.members
    inner = cast(int, members["inner"])
    scale = one_scale(members, inner * _LARGEST_PRODUCT)
    if scale is None:
        return None
    names = ("batch", "rows", "columns", "inner", "left_offset", "right_offset")
    patch = context.scratch(_BYTES * -(-inner // 4))
    return replace(
        step,
        kernel="dsp_batch_matmul_s8",
        source="dsp_batch_matmul",
        params=Params("DspBatchMatmulParams", {**{name: members[name] for name in names}, "scale": scale}),
        arguments=(*step.arguments, patch),
        writes=(*step.writes, patch),
    )
