"""Run a command stream of U85: what differs from U55 and U65.

Maps may be chained from one operation to the next through buffers, outputs transposed or reversed, both
operands broadcast and scaled; rounding stands beside each scale.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu import (
    convolution,
    elementwise_u85,
    feature_map,
    operands,
    pooling,
    resize_u85,
    weights_u85,
)
from mcu_build.npu.arithmetic import Rounding
from mcu_build.npu.commands import CommandError, Instruction
from mcu_build.npu.convolution import Padding, Window
from mcu_build.npu.dma import DmaU85
from mcu_build.npu.executor import Executor
from mcu_build.npu.feature_map import FeatureMap
from mcu_build.npu.memory import Channel
from mcu_build.npu.output import Activation, Output, Scaling
from mcu_build.npu.state import signed

Array = NDArray[Any]

_TILED, _STACKED, _CHAINED, _NONE = 0, 1, 2, 3
_SCALAR = 8
_KEEP, _FROM_IFM2 = 1, 2
# Height and width of the output micro-blocks.
_MICROBLOCKS = ((1, 1), (1, 2), (1, 4), (2, 2), (2, 4), (4, 4))
# OFM_PRECISION's activation_transpose: the axis of the results that becomes height, width, depth.
_TRANSPOSES = {0: (0, 1, 2), 1: (1, 0, 2), 2: (0, 2, 1), 3: (1, 2, 0), 6: (2, 0, 1), 7: (2, 1, 0)}
# ACTIVATION's functions: bytes of an entry, entries, whether values between entries are interpolated, and
# the type of the output.
_TABLES = {
    1: (1, 256, False, "uint8"),
    4: (1, 256, False, "int8"),
    5: (2, 256, False, "int16"),
    7: (4, 256, False, "int32"),
    8: (4, 512, True, "int16"),
    9: (4, 512, True, "int32"),
}
_ANY = 1 << 62


class ExecutorU85(Executor):
    """Registers, table memory and operations of U85."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._chains: dict[int, Array] = {}
        self._kept: Array | None = None
        self._operations["OP_CONV"] = self._dense
        self._operations["OP_DMA_START"] = lambda _: DmaU85(
            self.state, self.regions, self.bus, self.internal
        ).run()
        self._operations["OP_DEPTHWISE"] = lambda _: self._each_channel()
        self._operations["OP_RESIZE"] = self._resize

    # Maps

    def _storage(self, name: str) -> int:
        return self.state.field(f"{name}_PRECISION", "activation_storage")

    def _read(self, name: str, height: int, width: int, depth: int) -> tuple[FeatureMap, Array]:
        storage = self._storage(name)
        if storage in (_TILED, _STACKED):
            return super()._read(name, height, width, depth)
        described = operands.feature_map(self.state, self.regions, name)
        if storage != _CHAINED:
            raise CommandError(f"{name}: it has no storage")
        buffer = self.state.field(f"{name}_REGION", "region")
        values = self._chains.get(buffer)
        if values is None or values.shape != (height, width, depth):
            raise CommandError(f"{name}: chain buffer {buffer} holds no map of {height}x{width}x{depth}")
        return described, values - described.zero_point

    def _finish(self, accumulators: Array, scaling: Scaling) -> None:
        storage = self._storage("OFM")
        accumulators = self._accumulated(accumulators)
        if storage == _NONE:
            return
        described = operands.feature_map(self.state, self.regions, "OFM")
        rounding = _rounding(self.state.field("OFM_SCALE", "round_mode"))
        stage = Output(described.dtype, described.zero_point, scaling, rounding, self._activation(described))
        values = self._turned(stage.finish(accumulators))
        region = self.state.field("OFM_REGION", "region")
        if storage == _CHAINED:
            self._chains[region] = values
        else:
            feature_map.write(described, self.bus.of(Channel.OFM, region), values)

    def _accumulated(self, accumulators: Array) -> Array:
        """With what the accumulators held before, and kept for the next operation."""
        source = self.state.field("ACC_FORMAT", "acc_input")
        if source == _KEEP:
            if self._kept is None or self._kept.shape != accumulators.shape:
                raise CommandError("accumulators that are kept have another shape")
            accumulators = accumulators + self._kept
        elif source == _FROM_IFM2:
            accumulators = accumulators + self._read("IFM2", *accumulators.shape)[1].astype(np.int64)
        self._kept = accumulators
        return accumulators

    def _turned(self, values: Array) -> Array:
        axes = _TRANSPOSES.get(self.state.field("OFM_PRECISION", "activation_transpose"))
        reverse = self.state.field("OFM_PRECISION", "activation_reverse")
        if axes is None:
            raise CommandError("an output transposition that does not exist")
        if reverse:
            values = np.flip(values, reverse - 1)
        return values.transpose(axes)

    def _activation(self, described: FeatureMap) -> Activation:
        function = self.state.field("ACTIVATION", "activation_function")
        low, high = self.state.number("ACTIVATION_MIN"), self.state.number("ACTIVATION_MAX")
        if described.dtype.kind == "i":
            low, high = signed(low, 16), signed(high, 16)
        if self.state.field("ACTIVATION", "activation_clip_range"):
            low, high = -_ANY, _ANY
        if not function:
            return Activation(low, high, None)
        if function not in _TABLES:
            raise CommandError(f"activation function {function}: not modelled")
        size, entries, interpolated, kind = _TABLES[function]
        if described.dtype.name != kind:
            raise CommandError(f"a table of {kind} for an output of {described.dtype.name}")
        start = self.state.field("ACTIVATION", "table") * size * entries
        table = bytes(self.internal[start : start + size * entries])
        if len(table) != size * entries:
            raise CommandError("a table runs past the end of the table memory")
        limit = 32767 if interpolated else 255 if function == 1 else 127
        least = 0 if function == 1 else -limit - 1
        return Activation(max(low, least), min(high, limit), table, interpolated)

    # Operations

    def _geometry(self, described: FeatureMap, window: Window, depthwise: bool) -> weights_u85.Geometry:
        block = self.state.field("ACC_FORMAT", "microblock")
        if block >= len(_MICROBLOCKS):
            raise CommandError(f"micro-block {block}")
        tall, wide = _MICROBLOCKS[block]
        depth = self.config.macs // 8 // (tall * wide)
        if depth < 8 or depth % (4 * self.config.streams):
            raise CommandError(f"micro-block {tall}x{wide} on {self.config.name}")
        fast = bool(self.state.field("WEIGHT_FORMAT", "weight_format"))
        if depthwise and fast:
            raise CommandError("a depthwise convolution with weights of the fast format")
        return weights_u85.Geometry(
            output_depth=operands.output_shape(self.state)[2],
            input_depth=self.state.number("IFM_DEPTH_M1") + 1,
            kernel=window.size,
            stride=window.stride,
            dilation=window.dilation,
            block_depth=self.state.number("OFM_BLK_DEPTH_M1") + 1,
            microblock=depth,
            depthwise=depthwise,
            part_kernel=bool(self.state.field("KERNEL_STRIDE", "weight_order")) and not depthwise,
            wide=described.dtype.itemsize == 2,
            sparse=bool(self.state.field("WEIGHT_FORMAT", "weight_sparsity")),
            fast=fast,
            streams=self.config.streams,
            macs=self.config.macs,
        )

    def _streams(self) -> int:
        fast = self.state.field("WEIGHT_FORMAT", "weight_format")
        return 1 if fast else self.config.streams

    def _convolution_scaling(self, depth: int) -> Scaling:
        if self.state.field("OFM_PRECISION", "scale_mode"):
            return operands.global_scaling(self.state)
        region = self.state.field("SCALE_REGION", "region")
        address = self.regions.address(region, self.state.address("SCALE_BASE"))
        data = self.bus.of(Channel.SCALES, region).read(address, self.state.field("SCALE_LENGTH", "length"))
        return weights_u85.decode_scales(data, depth, bool(self.state.field("ACC_FORMAT", "acc_format")))

    def _dense(self, instruction: Instruction) -> None:
        rows, columns, depth = operands.output_shape(self.state)
        feature_map.check_size("OFM", rows, columns, depth)
        input_depth = self.state.number("IFM_DEPTH_M1") + 1
        described, values, window, padding = self._input(input_depth)
        if instruction.value:
            if window.size != (1, 1):
                raise CommandError("weights from IFM2 of a kernel of more than one element: not modelled")
            factors = self._read("IFM2", 1, depth, input_depth)[1].transpose(1, 0, 2)[:, :, None, :]
        else:
            factors = weights_u85.decode(
                self._stream("WEIGHT", Channel.WEIGHTS), self._geometry(described, window, False)
            )
        accumulators = convolution.convolve(padding.around(values), factors, window, rows, columns)
        self.counters.macs += rows * columns * factors.size
        self._finish(accumulators, self._convolution_scaling(depth))

    def _each_channel(self) -> None:
        rows, columns, depth = operands.output_shape(self.state)
        feature_map.check_size("OFM", rows, columns, depth)
        described, values, window, padding = self._input(depth)
        geometry = self._geometry(described, window, True)
        factors = weights_u85.decode(self._stream("WEIGHT", Channel.WEIGHTS), geometry)
        accumulators = convolution.convolve_depthwise(padding.around(values), factors, window, rows, columns)
        self.counters.macs += rows * columns * factors.size
        self._finish(accumulators, self._convolution_scaling(depth))

    def _pool(self, instruction: Instruction) -> None:
        rows, columns, depth = operands.output_shape(self.state)
        feature_map.check_size("OFM", rows, columns, depth)
        mode = instruction.command.fields[0].names[instruction.value & 7]
        if mode == "none":
            self._finish(np.zeros((rows, columns, depth), np.int64), self._convolution_scaling(depth))
            return
        input_depth = self.state.number("IFM_DEPTH_M1") + 1 if mode == "reduce_sum" else depth
        _, values, window, padding = self._input(input_depth)
        accumulators = self._pooled(mode, values, window, padding, rows, columns)
        self._finish(accumulators, self._convolution_scaling(depth))

    def _pooled(
        self, mode: str, values: Array, window: Window, padding: Padding, rows: int, columns: int
    ) -> Array:
        place = (window, padding, rows, columns)
        match mode:
            case "max":
                return pooling.maximum(values, *place)
            case "min":
                return -pooling.maximum(-values, *place)
            case "average":
                return pooling.mean_of_valid(values, *place)
            case "sum":
                return pooling.total(values, *place)
            case "argmax_x":
                return self._places(values, window, padding, rows, columns)
            case "reduce_sum":
                return pooling.total(pooling.channel_sum(values), *place)
        raise CommandError(f"pooling mode {mode} of U85: not modelled")

    def _places(self, values: Array, window: Window, padding: Padding, rows: int, columns: int) -> Array:
        if padding.any or window.size[0] > 1 or self.state.field("OFM_SCALE", "shift") != 16:
            raise CommandError("argmax_x of several rows, with padding or with another scale: not modelled")
        return pooling.place_of_maximum(values, window, rows, columns)

    def _resize(self, instruction: Instruction) -> None:
        rows, columns, depth = operands.output_shape(self.state)
        feature_map.check_size("OFM", rows, columns, depth)
        # These registers hold the size of the input here.
        height, width = (self.state.number(f"KERNEL_{side}_M1") + 1 for side in ("HEIGHT", "WIDTH"))
        _, values = self._read("IFM", height, width, depth)
        axes = (self._axis("Y", rows), self._axis("X", columns))
        match instruction.command.fields[0].names.get(instruction.value):
            case "nearest":
                self._finish(resize_u85.nearest(values, *axes), operands.global_scaling(self.state))
            case "bilinear":
                self._finish(resize_u85.bilinear(values, *axes), operands.global_scaling(self.state))
            case mode:
                raise CommandError(f"resizing {mode}: not modelled")

    def _axis(self, name: str, count: int) -> resize_u85.Axis:
        scale = self.state.number(f"RESIZE_{name}_SCALE_N_M1") + 1
        step = [self.state.field(f"RESIZE_{name}_STEP", f"one_step_{part}") for part in ("int", "mod")]
        offset = signed(self.state.number(f"RESIZE_{name}_OFFSET"), 12)
        return resize_u85.Axis(count, scale, step[0] * scale + step[1], offset)

    def _operand(self, name: str, shape: tuple[int, int, int]) -> Array:
        mode = self.state.field(f"{name}_BROADCAST", "broadcast_mode")
        if mode == _SCALAR:
            zero_point = operands.feature_map(self.state, self.regions, name).zero_point
            return np.array([[[signed(self.state.wide("OP_SCALAR"), 32) - zero_point]]], np.int64)
        if mode > _SCALAR:
            raise CommandError(f"{name}: broadcast {mode}")
        size = [1 if mode >> axis & 1 else side for axis, side in enumerate(shape)]
        return self._read(name, size[0], size[1], size[2])[1].astype(np.int64)

    def _elementwise(self, instruction: Instruction) -> None:
        shape = operands.output_shape(self.state)
        feature_map.check_size("OFM", *shape)
        mode = instruction.command.fields[0].names.get(instruction.value)
        if mode is None:
            raise CommandError(f"elementwise mode {instruction.value}")
        scales = (self._scale("IFM"), self._scale("IFM2"))
        rounding = _rounding(self.state.field("OFM_SCALE", "round_mode"))
        first = self._operand("IFM", shape)
        if mode in elementwise_u85.UNARY:
            result = elementwise_u85.unary(mode, first, scales)
        else:
            result = elementwise_u85.binary(mode, first, self._operand("IFM2", shape), scales, rounding)
        self._finish(np.broadcast_to(result, shape), operands.global_scaling(self.state))

    def _scale(self, name: str) -> elementwise_u85.OperandScale:
        register = f"{name}_SCALE"
        if self.state.field(register, "dbl_rnd"):
            raise CommandError(f"{name}_SCALE with a double rounding: not modelled")
        mode = self.state.field(register, "round_mode")
        rounding = Rounding.NATURAL if mode else Rounding.DOUBLE
        return elementwise_u85.OperandScale(
            self.state.field(register, "scale"), self.state.field(register, "shift"), rounding
        )


def _rounding(mode: int) -> Rounding:
    """OFM_SCALE's round_mode."""
    known = {
        0: Rounding.DOUBLE,
        1: Rounding.NATURAL,
        3: Rounding.SYMMETRIC,
        4: Rounding.TOWARDS_ZERO,
        5: Rounding.TRUNCATE,
    }
    if mode not in known:
        raise CommandError(f"rounding {mode} of U85: not modelled")
    return known[mode]
