"""Run a command stream of U55 or U65."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcu_build.npu import arithmetic, convolution, elementwise, feature_map, operands, pooling, weights
from mcu_build.npu.commands import CommandError, Instruction
from mcu_build.npu.config import Config
from mcu_build.npu.convolution import Padding, Window
from mcu_build.npu.dma import Dma
from mcu_build.npu.feature_map import FeatureMap
from mcu_build.npu.memory import Channel, Memory, MemoryRefusedError
from mcu_build.npu.operands import Regions
from mcu_build.npu.output import Scaling
from mcu_build.npu.state import State

Array = NDArray[Any]

_CHANNELS = {"IFM": Channel.IFM, "IFM2": Channel.IFM, "OFM": Channel.OFM}


class BusError(Exception):
    """An access that the memory refused, with its channel and region."""

    def __init__(self, message: str, channel: Channel, region: int) -> None:
        super().__init__(message)
        self.channel = channel
        self.region = region


@dataclass
class Counters:
    """What was done since the start, exact: multiplications, bytes that crossed the bus."""

    macs: int = 0
    operations: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Bus:
    """The memory with its accesses counted and its refusals attributed."""

    def __init__(self, memory: Memory, counters: Counters) -> None:
        self.memory = memory
        self.counters = counters
        self.channel = Channel.COMMANDS
        self.region = 0

    def of(self, channel: Channel, region: int) -> "Bus":
        """This bus, with accesses from now on attributed to `channel` and `region`."""
        self.channel, self.region = channel, region
        return self

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        self.counters.read_bytes += size
        try:
            return self.memory.read(address, size)
        except MemoryRefusedError as refusal:
            raise BusError(f"{self.channel.name}: {refusal}", self.channel, self.region) from refusal

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        self.counters.written_bytes += len(data)
        try:
            self.memory.write(address, data)
        except MemoryRefusedError as refusal:
            raise BusError(f"{self.channel.name}: {refusal}", self.channel, self.region) from refusal


class Executor:
    """Registers, internal memory and operations of one NPU.

    `step` runs one command. It raises CommandError for what the NPU cannot do or this does not model, and
    BusError for memory that does not answer.
    """

    def __init__(self, config: Config, memory: Memory, regions: Regions) -> None:
        self.config = config
        self.counters = Counters()
        self.bus = Bus(memory, self.counters)
        self.regions = regions
        self.state = State(config.product)
        self.internal = bytearray(config.internal_bytes)
        self._operations: dict[str, Callable[[Instruction], None]] = {
            "OP_CONV": lambda _: self._convolution(depthwise=False),
            "OP_DEPTHWISE": lambda _: self._convolution(depthwise=True),
            "OP_POOL": self._pool,
            "OP_ELEMENTWISE": self._elementwise,
            "OP_DMA_START": lambda _: Dma(self.state, self.regions, self.bus, self.internal).run(),
        }

    def step(self, instruction: Instruction) -> None:
        """Run one command that is not STOP or IRQ."""
        name = instruction.command.name
        if name.startswith("SET_"):
            self.state.set(instruction)
        elif name in self._operations:
            self.counters.operations += 1
            self._operations[name](instruction)
        elif name not in ("OP_DMA_WAIT", "OP_KERNEL_WAIT", "OP_PMU_MASK"):
            raise CommandError(f"{name}: not modelled")

    # Maps

    def _read(self, name: str, height: int, width: int, depth: int) -> tuple[FeatureMap, Array]:
        """A map and its values less their zero point."""
        described = operands.feature_map(self.state, self.regions, name)
        bus = self.bus.of(_CHANNELS[name], self.state.field(f"{name}_REGION", "region"))
        raw = feature_map.read(described, bus, height, width, depth)
        kind = np.int64 if described.dtype.itemsize == 4 else np.int32
        values: Array = raw.astype(kind)
        return described, values - described.zero_point

    def _finish(self, accumulators: Array, scaling: Scaling) -> None:
        described = operands.feature_map(self.state, self.regions, "OFM")
        stage = operands.output(self.state, described, bytes(self.internal), self.config.table_base)
        values = operands.with_scaling(stage, scaling).finish(accumulators)
        bus = self.bus.of(Channel.OFM, self.state.field("OFM_REGION", "region"))
        feature_map.write(described, bus, values)

    def _input(self, depth: int) -> tuple[FeatureMap, Array, Window, Padding]:
        """The input of a convolution or a pooling, upscaled, without its padding."""
        rows, columns, _ = operands.output_shape(self.state)
        window, padding = operands.window(self.state), operands.padding(self.state)
        height, width = operands.input_size(window, padding, rows, columns)
        mode = self.state.field("IFM_UPSCALE", "mode")
        stored = ((height + 1) // 2, (width + 1) // 2) if mode else (height, width)
        described, values = self._read("IFM", *stored, depth)
        return described, operands.upscaled(values, mode, height, width), window, padding

    # Operations

    def _convolution(self, *, depthwise: bool) -> None:
        rows, columns, depth = operands.output_shape(self.state)
        input_depth = self.state.number("IFM_DEPTH_M1") + 1
        feature_map.check_size("OFM", rows, columns, depth)
        if depthwise and input_depth != depth:
            raise CommandError(f"depthwise from {input_depth} channels to {depth}")
        described, values, window, padding = self._input(input_depth)
        geometry = weights.Geometry(
            output_depth=depth,
            input_depth=input_depth,
            kernel=window.size,
            dilation=window.dilation,
            block_depth=self.state.number("OFM_BLK_DEPTH_M1") + 1,
            microblock=self.config.ofm_microblock,
            depthwise=depthwise,
            part_kernel=bool(self.state.field("KERNEL_STRIDE", "weight_order")),
            wide=described.dtype.itemsize == 2,
            streams=self._streams(),
        )
        factors = weights.decode(self._stream("WEIGHT", Channel.WEIGHTS), geometry)
        operation = convolution.convolve_depthwise if depthwise else convolution.convolve
        accumulators = operation(padding.around(values), factors, window, rows, columns)
        self.counters.macs += rows * columns * factors.size
        self._finish(accumulators, self._convolution_scaling(depth))

    def _streams(self) -> int:
        parallel = self.state.field("PARALLEL_MODE", "parallel_mode")
        if parallel and self.config.streams == 1:
            raise CommandError(f"parallel mode {parallel} on {self.config.name}")
        return self.config.streams if parallel else 1

    def _stream(self, name: str, channel: Channel) -> tuple[bytes, ...]:
        """The weight or scale streams, one of each core; those of length 0 are empty."""
        region = self.state.field(f"{name}_REGION", "region")
        chunks = []
        for index in range(self._streams()):
            register = f"{name}{index or ''}"
            length = self.state.wide(f"{register}_LENGTH")
            address = self.regions.address(region, self.state.address(f"{register}_BASE"))
            chunks.append(self.bus.of(channel, region).read(address, length) if length else b"")
        return tuple(chunks)

    def _convolution_scaling(self, depth: int) -> Scaling:
        if self.state.field("OFM_PRECISION", "scale_mode"):
            return operands.global_scaling(self.state)
        return weights.decode_scales(self._stream("SCALE", Channel.SCALES), depth)

    def _pool(self, instruction: Instruction) -> None:
        rows, columns, depth = operands.output_shape(self.state)
        mode = instruction.value
        feature_map.check_size("OFM", rows, columns, depth)
        input_depth = self.state.number("IFM_DEPTH_M1") + 1
        if mode > 2:
            raise CommandError(f"pooling mode {mode}")
        if (mode == 2 and depth != 1) or (mode != 2 and input_depth != depth):
            raise CommandError(f"pooling from {input_depth} channels to {depth}")
        _, values, window, padding = self._input(input_depth)
        place = (window, padding, rows, columns)
        if mode == 0:
            accumulators = pooling.maximum(values, *place)
        elif mode == 2:
            accumulators = pooling.total(pooling.channel_sum(values), *place)
        elif padding.any:
            accumulators = pooling.mean_of_valid(values, *place)
        else:
            accumulators = pooling.total(values, *place)
        self._finish(accumulators, self._convolution_scaling(depth))

    def _elementwise(self, instruction: Instruction) -> None:
        shape = operands.output_shape(self.state)
        mode = instruction.command.fields[0].names.get(instruction.value)
        if mode is None:
            raise CommandError(f"elementwise mode {instruction.value}")
        described, first = self._read("IFM", *shape)
        values = first.astype(np.int64)
        if mode in ("lrelu", "abs", "clz"):
            self._finish_unary(mode, values)
            return
        second = self._second(shape)
        if self.state.field("IFM2_BROADCAST", "operand_order"):
            values, second = second, values
        a, b = np.broadcast_arrays(values, second)
        result = self._binary(mode, a, b, described.dtype.itemsize)
        scaled = self.state.field("OFM_PRECISION", "scale_mode")
        self._finish(result, operands.global_scaling(self.state) if scaled else None)

    def _finish_unary(self, mode: str, values: Array) -> None:
        multiplier, shift = operands.global_scaling(self.state)
        if mode == "clz":
            self._finish(elementwise.leading_zeros(values), None)
        elif mode == "abs":
            self._finish(np.abs(values), (multiplier, shift))
        else:
            rounding = operands.rounding(self.state, "OFM")
            self._finish(elementwise.leaky(values, multiplier, shift, rounding), None)

    def _binary(self, mode: str, a: Array, b: Array, element_size: int) -> Array:
        scaling = operands.operand_scaling(self.state)
        match mode:
            case "mul":
                return arithmetic.multiply(a, b)
            case "add":
                return elementwise.add(a, b, scaling, element_size)
            case "sub":
                return elementwise.subtract(a, b, scaling, element_size)
            case "min":
                return np.minimum(a, b)
            case "max":
                return np.maximum(a, b)
            case "shr":
                return elementwise.shift_right(a, b, operands.rounding(self.state, "OFM"))
            case "shl":
                return elementwise.shift_left(a, b)
        raise CommandError(f"elementwise {mode}: not modelled")

    def _second(self, shape: tuple[int, int, int]) -> Array:
        """The second operand, its broadcast dimensions of size 1."""
        register = "IFM2_BROADCAST"
        if self.state.field(register, "broadcast_constant"):
            described = operands.feature_map(self.state, self.regions, "IFM2")
            return operands.scalar(self.state, described)
        sides = ("broadcast_h", "broadcast_w", "broadcast_c")
        flags = [self.state.field(register, side) for side in sides]
        size = [1 if flag else side for flag, side in zip(flags, shape, strict=True)]
        return self._read("IFM2", *size)[1].astype(np.int64)
