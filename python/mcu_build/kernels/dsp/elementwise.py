"""Sums, products and pools by firmware/kernels/dsp."""

from dataclasses import dataclass, replace

from mcu_build.ir.calls.int8 import Softmax
from mcu_build.ir.calls.pairs import Add, Mul
from mcu_build.ir.calls.pooling import AvgPool2d, AvgPool2dParams, MaxPool2d, MaxPool2dParams
from mcu_build.ir.calls.struct import Broadcast, Struct
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context
from mcu_build.kernels.dsp.requantize import DspScale, one_scale
from mcu_build.kernels.pools import MOST_PIXELS, columns_as_channels
from mcu_build.kernels.sums import Factors, factors

_LEAST_CHANNELS = 4
_SOFTMAX = 64  # elements from which on it is worth more flash
_LARGEST_PRODUCT = 255 * 255
_LARGEST_FACTOR = 1 << 23  # that SMLAWB multiplies exactly


@dataclass(frozen=True)
class DspAddParams(Struct):
    """Parameters of dsp_add.h."""

    count: int
    first_factor: int
    second_factor: int
    addend: int


@dataclass(frozen=True)
class DspAddLinesParams(Struct):
    """Parameters of dsp_add.h, of operands that broadcast."""

    space: Broadcast
    line: DspAddParams


@dataclass(frozen=True)
class DspMulParams(Struct):
    """Parameters of dsp_mul.h."""

    space: Broadcast
    first_zero: int
    second_zero: int
    scale: DspScale


def add(context: Context, step: Step, call: Add) -> Step | None:
    """Lines that are dense or one value, with factors of 24 bits."""
    space = call.params.space
    terms = factors(call, _LARGEST_FACTOR) if space.both_dense or space.has_dense_lines else None
    if terms is None or space.both_dense:
        return add_by("dsp", step, call, terms)
    line = DspAddParams(space.shape[-1], terms.first, terms.second, terms.addend)
    kernel = f"dsp_add_lines_{terms.point}_s8"
    return replace(step, kernel=kernel, source="dsp_add", params=DspAddLinesParams(space, line))


def add_by(core: str, step: Step, call: Add, terms: Factors | None) -> Step | None:
    """Two dense operands, by the kernel of dsp/ or thumb/, which share their form."""
    if terms is None or not call.params.space.both_dense:
        return None
    params = DspAddParams(call.params.space.elements, terms.first, terms.second, terms.addend)
    return replace(step, kernel=f"{core}_add_{terms.point}_s8", source=f"{core}_add", params=params)


def mul(context: Context, step: Step, call: Mul) -> Step | None:
    """Any operands."""
    layer = call.params
    scale = one_scale(layer.multiplier, layer.shift, layer.epilogue, _LARGEST_PRODUCT)
    if scale is None:
        return None
    params = DspMulParams(layer.space, layer.first_zero_point, layer.second_zero_point, scale)
    return replace(step, kernel="dsp_mul_s8", source="dsp_mul", params=params)


def softmax(context: Context, step: Step, call: Softmax) -> Step | None:
    """Along the innermost dimension, of more than the few classes of a net's end."""
    params = call.params
    if params.inner != 1 or params.outer * params.axis < _SOFTMAX or context.optimize == "size":
        return None
    return replace(step, kernel="dsp_softmax_s8", source="dsp_softmax")


def average(context: Context, step: Step, call: AvgPool2d) -> Step | None:
    """Windows that are not too large."""
    if call.params.window.size.product > MOST_PIXELS:
        return None
    return _pool(step, columns_as_channels(call.params))


def maximum(context: Context, step: Step, call: MaxPool2d) -> Step | None:
    """Any windows."""
    return _pool(step, columns_as_channels(call.params))


def _pool(step: Step, params: AvgPool2dParams | MaxPool2dParams) -> Step | None:
    """A pool of four channels at least by dsp_pool."""
    if params.input.channels < _LEAST_CHANNELS:
        return None
    return replace(step, kernel=f"dsp_{step.kernel}", source="dsp_pool", params=params)
