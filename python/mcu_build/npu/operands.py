"""What an operation of U55 and U65 works on, put together from the registers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu.arithmetic import Rounding
from mcu_build.npu.commands import CommandError
from mcu_build.npu.convolution import Padding, Window
from mcu_build.npu.elementwise import OperandScaling
from mcu_build.npu.feature_map import TYPES, FeatureMap
from mcu_build.npu.output import Activation, Output, Scaling, clamp_range, table_bytes
from mcu_build.npu.state import State, signed

_TABLES = range(16, 24)


@dataclass(frozen=True)
class Regions:
    """Base addresses of the eight regions."""

    bases: tuple[int, ...]

    def address(self, region: int, offset: int) -> int:
        """An absolute address; the bus has 64 bits at most."""
        return (self.bases[region & 7] + offset) & 0xFFFF_FFFF_FFFF_FFFF


def feature_map(state: State, regions: Regions, name: str) -> FeatureMap:
    """The map `name`: IFM, IFM2 or OFM."""
    precision = f"{name}_PRECISION"
    kind = (state.field(precision, "activation_type"), state.field(precision, "activation_precision"))
    layout = state.field(precision, "activation_format")
    if kind not in TYPES or layout > 1:
        raise CommandError(f"{name}: elements of type {kind}, layout {layout}: not modelled")
    dtype = TYPES[kind]
    region = state.field(f"{name}_REGION", "region")
    zero_point = state.number(f"{name}_ZERO_POINT")
    return FeatureMap(
        bases=tuple(regions.address(region, state.address(f"{name}_BASE{i}")) for i in range(4)),  # type: ignore[arg-type]
        height0=state.number(f"{name}_HEIGHT0_M1") + 1,
        height1=state.number(f"{name}_HEIGHT1_M1") + 1,
        width0=state.number(f"{name}_WIDTH0_M1") + 1,
        stride_y=state.stride(f"{name}_STRIDE_Y"),
        stride_x=state.stride(f"{name}_STRIDE_X"),
        stride_c=state.stride(f"{name}_STRIDE_C"),
        brick=bool(layout),
        stacked=state.product == "u85" and state.field(precision, "activation_storage") == 1,
        dtype=dtype,
        zero_point=signed(zero_point, 16) if dtype.kind == "i" else zero_point,
        name=name,
    )


def output_shape(state: State) -> tuple[int, int, int]:
    """Height, width, depth of the output."""
    return tuple(state.number(f"OFM_{side}_M1") + 1 for side in ("HEIGHT", "WIDTH", "DEPTH"))  # type: ignore[return-value]


def window(state: State) -> Window:
    """The kernel. Registers hold its size with dilation."""
    stride = "KERNEL_STRIDE"
    strides = tuple(
        1 + state.field(stride, f"stride_{axis}_lsb") + 2 * state.field(stride, f"stride_{axis}_msb")
        for axis in "yx"
    )
    dilation = tuple(1 + state.field(stride, f"dilation_{axis}") for axis in "yx")
    reach = (state.number("KERNEL_HEIGHT_M1") + 1, state.number("KERNEL_WIDTH_M1") + 1)
    if any((size - 1) % step for size, step in zip(reach, dilation, strict=True)):
        raise CommandError(f"a kernel of {reach} with dilation {dilation}")
    size = tuple((n - 1) // d + 1 for n, d in zip(reach, dilation, strict=True))
    return Window(size, strides, dilation)  # type: ignore[arg-type]


def padding(state: State) -> Padding:
    """The input's padding."""
    return Padding(*(state.field(f"IFM_PAD_{side}", "pad") for side in ("TOP", "LEFT", "BOTTOM", "RIGHT")))


def input_size(window: Window, padding: Padding, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns that the operation reads, after upscaling: they follow from the output's."""
    high, wide = window.reach
    height = (rows - 1) * window.stride[0] + high - padding.top - padding.bottom
    width = (columns - 1) * window.stride[1] + wide - padding.left - padding.right
    if height <= 0 or width <= 0:
        raise CommandError(f"an input of {height} rows and {width} columns")
    return height, width


def operand_scaling(state: State) -> OperandScaling:
    """How ADD and SUB scale their operands."""
    return OperandScaling(
        mode=state.field("IFM_PRECISION", "scale_mode"),
        multiplier=state.wide("OPA_SCALE"),
        shift=state.field("OPA_SCALE", "shift"),
        other=state.wide("OPB_SCALE"),
        rounding=rounding(state, "IFM"),
    )


def rounding(state: State, name: str) -> Rounding:
    """How scaling of IFM or OFM rounds."""
    mode = state.field(f"{name}_PRECISION", "round_mode")
    if mode > 2:
        raise CommandError(f"{name}: rounding {mode}")
    return Rounding(mode)


def global_scaling(state: State) -> tuple[int, int]:
    """Multiplier and shift for all channels."""
    return state.wide("OFM_SCALE"), state.field("OFM_SCALE", "shift")


def output(state: State, map_: FeatureMap, internal: bytes, table_base: int) -> Output:
    """Scaling, zero point and activation, with the scaling left for the operation to fill in."""
    function = state.field("ACTIVATION", "activation_function")
    if function and function not in _TABLES:
        raise CommandError(f"activation function {function}: not modelled")
    clip = state.field("ACTIVATION", "activation_clip_range")
    low, high = clamp_range(clip, state.number("ACTIVATION_MIN"), state.number("ACTIVATION_MAX"), map_.dtype)
    table = None
    if function:
        start = table_base + (function - _TABLES.start) * 256
        table = internal[start : start + table_bytes(map_.dtype)]
        if len(table) != table_bytes(map_.dtype):
            raise CommandError(f"table {function - _TABLES.start} runs past the end of the table memory")
    activation = Activation(low, high, table, interpolated=map_.dtype.itemsize == 2)
    return Output(map_.dtype, map_.zero_point, None, rounding(state, "OFM"), activation)


def scalar(state: State, map_: FeatureMap) -> NDArray[np.int64]:
    """The constant second operand, less its zero point."""
    value = state.number("IFM2_SCALAR")
    return np.array([[[(signed(value, 16) if map_.dtype.kind == "i" else value) - map_.zero_point]]])


def upscaled(values: NDArray[Any], mode: int, height: int, width: int) -> NDArray[Any]:
    """The input doubled in both directions: nearest (1) or with zeros between (2), cut to the size read."""
    if mode == 0:
        return values
    if mode == 1:
        return values.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    if mode == 2:
        doubled = np.zeros((2 * values.shape[0], 2 * values.shape[1], values.shape[2]), values.dtype)
        doubled[::2, ::2] = values
        return doubled[:height, :width]
    raise CommandError(f"upscaling {mode}")


def with_scaling(stage: Output, scaling: Scaling) -> Output:
    """`stage` with its scaling."""
    return replace(stage, scaling=scaling)
