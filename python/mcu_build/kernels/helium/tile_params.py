"""What all convolutions by firmware/kernels/mve share: requantization, packed weights, parameters."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from mcu_build.ir.calls.convolution import Conv2dParams, Convolution, DepthwiseConv2dParams
from mcu_build.ir.calls.matmul import Linear
from mcu_build.ir.calls.struct import ImageSize, OutputEpilogue, Pair, Struct, Window
from mcu_build.ir.plan import Emitted, Step
from mcu_build.ir.tensor import DType
from mcu_build.kernels.context import Context
from mcu_build.kernels.helium import tile_core, tile_shapes
from mcu_build.kernels.helium.packing import Bytes, Ints, Requantization, Scales, scales

# Kernels whose tiles are four pixels of one row.
_EVEN = (
    "mve_pointwise_tiles_s8",
    "mve_image_tiles_s8",
    "mve_dense_tiles_s8",
    "mve_transposed_image_tiles_s8",
)

P = TypeVar("P", bound=Conv2dParams | DepthwiseConv2dParams)


@dataclass(frozen=True)
class MveConvEpilogue(Struct):
    """Parameters of mve_conv2d.h: what follows the sums."""

    channels: int
    whole: bool
    plain: bool
    half_away: bool
    low: int
    high: int

    @property
    def of_tiles(self) -> "MveTileEpilogue":
        """The same for tiles, whose cores know the rest."""
        return MveTileEpilogue(self.channels, self.low, self.high)


@dataclass(frozen=True)
class MveTileEpilogue(Struct):
    """Parameters of mve_conv_tiles.h: what follows the sums."""

    channels: int
    low: int
    high: int


@dataclass(frozen=True)
class MveWindowTilesParams(Struct):
    """Parameters of mve_conv_tiles.h."""

    batch: int
    input: ImageSize
    output: Pair
    window: Window
    pad_value: int
    pixel: int
    vector: int
    im2col_bytes: int
    rounds: int
    epilogue: MveTileEpilogue


def requantization_of(
    context: Context, call: Convolution, weights: Bytes, copies: int = 1
) -> Requantization | None:
    """That of a convolution: `weights` are [copies of channels][products].

    The input's offset goes into the bias.
    """
    multipliers, shifts = (constant_words(context, id) for id in (call.multipliers, call.shifts))
    bias = constant_words(context, call.bias)
    if multipliers is None or shifts is None or (bias is None and call.bias is not None):
        return None
    wide, epilogue = weights.astype(np.int64), call.params.epilogue
    folded = call.params.input_offset * wide.sum(axis=1) + (0 if bias is None else np.tile(bias, copies))
    return Requantization(
        folded,
        128 * np.abs(wide).sum(axis=1),
        np.tile(multipliers, copies),
        np.tile(shifts, copies),
        epilogue.zero_point,
        epilogue.activation_min,
        epilogue.activation_max,
    )


def epilogue_of(requantization: Scales, channels: int, epilogue: OutputEpilogue) -> MveConvEpilogue:
    """What follows the sums of so many channels."""
    whole = not requantization.clamps and channels % 4 == 0
    return MveConvEpilogue(
        channels=channels,
        whole=whole,
        plain=whole and not requantization.half_away,
        half_away=requantization.half_away,
        low=epilogue.activation_min,
        high=epilogue.activation_max,
    )


def scales_of(context: Context, call: Convolution, weights: Bytes) -> Scales | None:
    """That of a convolution whose edge can be filled with the value that adds nothing."""
    wanted = requantization_of(context, call, weights.reshape(len(weights), -1))
    fills = -128 <= -call.params.input_offset <= 127
    return scales(wanted) if wanted is not None and fills else None


Places = tuple[int, int, int, int]


def places_of(im2col: tile_shapes.Im2col) -> Places:
    """`pixel`, `vector`, `im2col_bytes` and `rounds` of MveWindowTilesParams."""
    return im2col.pixel, im2col.vector, im2col.size, im2col.core.rounds


def window_params(
    params: Conv2dParams | DepthwiseConv2dParams, places: Places, epilogue: MveTileEpilogue
) -> MveWindowTilesParams:
    """The parameters of kernels that bring windows together."""
    image = (params.batch, params.input, params.output.extent, params.window, -params.input_offset)
    return MveWindowTilesParams(*image, *places, epilogue)


def core_of(core: tile_shapes.Core, requantization: Scales, channels: int, kernel: str) -> Emitted:
    """The emitted core that makes so many channels for `kernel`."""
    epilogue = tile_core.TileEpilogue(
        requantization.half_away, requantization.clamps, tile_core.tail_of(channels)
    )
    return tile_core.emit(core, epilogue, kernel in _EVEN)


def is_column(params: Conv2dParams | DepthwiseConv2dParams) -> bool:
    """Whether the image is one column of several pixels, and so is what becomes of it."""
    return params.input.width == params.output.width == params.window.size.x == 1 != params.input.height


def lying(params: P) -> P:
    """The parameters of the same layer over an image of one row, where the image is one column."""
    if not is_column(params):
        return params
    window = params.window
    pairs = (window.size, window.stride, window.padding, window.dilation)
    return replace(
        params,
        input=replace(params.input, height=1, width=params.input.height),
        output=replace(params.output, height=1, width=params.output.height),
        window=Window(*(Pair(pair.x, pair.y) for pair in pairs)),
    )


def packed_step(
    context: Context,
    step: Step,
    call: Convolution | Linear,
    kernel: str,
    params: Struct,
    weights: bytes,
    scales: bytes = b"",
    scratch: tuple[int | None, ...] = (),
) -> Step:
    """A step of `kernel`, with constants for packed weights and, where they lie apart, scales."""
    name = context.tensor(call.weights).name
    constants = [context.constant(f"{name} (packed)", DType.I8, (len(weights),), weights)]
    if scales:
        constants.append(context.constant(f"{name} (scales)", DType.I32, (len(scales) // 4,), scales))
    return replace(
        step,
        kernel=kernel,
        source="mve_conv2d",
        params=params,
        arguments=(call.input, *constants, call.output, *scratch),
        writes=(call.output, *(id for id in scratch if id is not None)),
    )


def constant_bytes(context: Context, id: int | None) -> Bytes | None:
    """An int8 constant; None where it is absent or no constant."""
    if id is None:
        return None
    tensor = context.tensor(id)
    return None if tensor.data is None else np.frombuffer(tensor.data, np.int8).reshape(tensor.shape)


def constant_words(context: Context, id: int | None) -> Ints | None:
    """The values of an int32 constant; None where it is absent or no constant."""
    if id is None:
        return None
    tensor = context.tensor(id)
    return None if tensor.data is None else np.frombuffer(tensor.data, np.int32).astype(np.int64)
