"""Convolutions of several groups by firmware/kernels/mve: some groups as one, or all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcu_build.ir.calls.convolution import Conv2d
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.plan import Step
from mcu_build.kernels.context import Context, Way
from mcu_build.kernels.groups import between_groups
from mcu_build.kernels.helium import tile_shapes
from mcu_build.kernels.helium.convolution import CALL, Weights, convolution_ways
from mcu_build.kernels.helium.packing import Bytes, Scales, linear_weights
from mcu_build.kernels.helium.tile_params import (
    MveWindowTilesParams,
    constant_bytes,
    core_of,
    epilogue_of,
    packed_step,
    places_of,
    scales_of,
    window_params,
)

_WIDEST = 64  # bytes of a piece of groups that are joined


@dataclass(frozen=True)
class MveGroups(Struct):
    """Parameters of mve_conv_tiles.h: convolutions of a part of the channels each."""

    count: int
    depth: int
    weights: int


@dataclass(frozen=True)
class MveGroupedTilesParams(Struct):
    """Parameters of mve_conv_tiles.h, for several groups."""

    windows: MveWindowTilesParams
    groups: MveGroups


def conv2d(context: Context, step: Step, call: Conv2d) -> Sequence[Way]:
    """Some groups at a time, or all as one: weights between those are zero."""
    weights = constant_bytes(context, call.weights)
    if weights is None or call.params.groups == 1 or context.optimize == "size":
        return []
    requantization = scales_of(context, call, weights)
    if requantization is None:
        return []
    groups, (outputs, height, width, depth) = call.params.groups, weights.shape
    joins = (n for n in range(1, groups) if groups % n == 0 and (n == 1 or n * depth <= _WIDEST))
    ways = [_joined(context, step, call, weights, requantization, joined) for joined in joins]
    dense = Weights((outputs, height, width, depth * groups), lambda: between_groups(weights, groups, groups))
    return [*ways, *convolution_ways(context, step, call, dense, requantization)]


def _joined(
    context: Context, step: Step, call: Conv2d, weights: Bytes, requantization: Scales, joined: int
) -> Way:
    """So many groups as one."""
    layer = call.params
    outputs, height, width, depth = weights.shape
    count, depth, outputs = layer.groups // joined, depth * joined, outputs * joined // layer.groups
    im2col = tile_shapes.im2col_of(height * width, depth)

    def make() -> Step:
        wide = between_groups(weights, layer.groups, joined)
        rows = im2col.vectors_of(wide.reshape(len(wide), -1))
        parts = [slice(group * outputs, (group + 1) * outputs) for group in range(count)]
        packed = b"".join(linear_weights(rows[part]) for part in parts)
        scale = b"".join(requantization.part(part).quads() for part in parts)
        epilogue = epilogue_of(requantization, outputs, layer.epilogue).of_tiles
        windows = window_params(layer, places_of(im2col), epilogue)
        edge = height * width * layer.input.channels if call.leaves_image else 0
        scratch = (context.scratch(count * im2col.size + edge),)
        params = MveGroupedTilesParams(windows, MveGroups(count, depth, len(packed) // count))
        kernel = "mve_grouped_tiles_s8"
        placed = packed_step(context, step, call, kernel, params, packed, scale, scratch)
        return replace(
            placed, source="mve_conv_tiles", core=core_of(im2col.core, requantization, outputs, kernel)
        )

    tiles, quads = (
        -(-layer.batch * layer.output.pixels // tile_shapes.PIXELS),
        -(-outputs // tile_shapes.QUAD),
    )
    group = quads * im2col.core.cycles + CALL + tile_shapes.PIXELS * im2col.instructions
    return Way(tiles * count * group, make)
