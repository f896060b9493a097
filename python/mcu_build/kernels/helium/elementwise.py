"""Elementwise kernels of firmware/kernels/mve."""

from dataclasses import dataclass, replace

from mcu_build.ir.calls.boundary import Dequantize, Quantize
from mcu_build.ir.calls.int8 import Softmax
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.struct import Broadcast, Struct
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context
from mcu_build.kernels.sums import factors

_LANES = 4  # of mve_mul.h
_SOFTMAX = 64  # elements from which on it is worth more flash
_SCALES = (2.0**-100, 2.0**100)  # of mve_quantize.h


@dataclass(frozen=True)
class MveAddParams(Struct):
    """Parameters of mve_add.h."""

    count: int
    first_factor: int
    second_factor: int
    addend: int
    left: int


@dataclass(frozen=True)
class MveAddLinesParams(Struct):
    """Parameters of mve_add.h, of operands that broadcast."""

    space: Broadcast
    line: MveAddParams


def add(context: Context, step: Step, call: Add) -> Step | None:
    """Lines that are dense or one value, where factors are found that give every sum exactly."""
    space = call.params.space
    terms = factors(call) if space.both_dense or space.has_dense_lines else None
    if terms is None:
        return None
    count = space.elements if space.both_dense else space.shape[-1]
    params = MveAddParams(count, terms.first, terms.second, terms.addend, 24 - terms.point)
    if space.both_dense:
        return replace(step, kernel="mve_add_s8", source="mve_add", params=params)
    return replace(step, kernel="mve_add_lines_s8", source="mve_add", params=MveAddLinesParams(space, params))


def mul(context: Context, step: Step, call: Mul) -> Step | None:
    """Lines that are dense or one value."""
    params = call.params
    steps = {params.space.first[-1], params.space.second[-1]}
    # Products have 16 bits.
    fits = params.space.shape[-1] >= _LANES and steps <= {0, 1} and -31 <= params.shift <= 15
    if not params.epilogue.is_whole or not fits:
        return None
    return replace(step, kernel="mve_mul_s8", source="mve_mul")


def quantize(context: Context, step: Step, call: Quantize) -> Step | None:
    """To int8, of a scale for which no tiny float matters."""
    return _boundary(step, call.dtype, call.params.inverse_scale)


def dequantize(context: Context, step: Step, call: Dequantize) -> Step | None:
    """From int8, to floats none of which is tiny."""
    return _boundary(step, call.dtype, call.params.scale)


def _boundary(step: Step, dtype: DType, scale: float) -> Step | None:
    if dtype is not DType.I8 or not _SCALES[0] <= scale <= _SCALES[1]:
        return None
    return replace(step, kernel=f"mve_{step.kernel}", source="mve_quantize")


def softmax(context: Context, step: Step, call: Softmax) -> Step | None:
    """Along the innermost dimension, of more than the few classes of a net's end."""
    params = call.params
    if params.inner != 1 or params.outer * params.axis < _SOFTMAX or context.optimize == "size":
        return None
    return replace(step, kernel="mve_softmax_s8", source="mve_softmax")
