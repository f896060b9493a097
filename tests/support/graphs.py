"""Programs of several calls with branches, built call by call; images are channels-last in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_build.ir.plan import DType
from mcu_build.ir.program import KernelCall, Program, TensorListValue, TensorValue, Value
from tests.support.cases import CHANNELS_LAST

_DTYPES = {np.dtype(dtype.numpy_name): dtype for dtype in DType}


@dataclass(frozen=True)
class Ref:
    """An argument that is a tensor."""

    id: int


class Graph:
    """A program in the making. Tensors are the ids that its methods return."""

    def __init__(self, seed: int) -> None:
        self.dice = np.random.default_rng(seed)
        self._values: list[Value] = []
        self._calls: list[KernelCall] = []
        self._inputs: list[int] = []

    def program(self, *outputs: int) -> Program:
        """The program with these outputs."""
        return Program(
            "forward", tuple(self._values), tuple(self._calls), tuple(self._inputs), outputs, (), ()
        )

    def shape(self, id: int) -> tuple[int, ...]:
        """The shape of a tensor in the model's dimensions."""
        value = self._values[id]
        assert isinstance(value, TensorValue)
        return value.shape

    def input(self, *shape: int) -> int:
        """An int8 image that the model is given."""
        self._inputs.append(self._image(shape))
        return self._inputs[-1]

    def constant(self, array: np.ndarray) -> int:
        """A constant, its memory in the order of its dimensions."""
        order = tuple(range(array.ndim))
        return self._add(TensorValue(_DTYPES[array.dtype], array.shape, order, array.tobytes()))

    def call(
        self,
        operator: str,
        arguments: Sequence[object],
        shape: Sequence[int],
        order: Sequence[int] = CHANNELS_LAST,
    ) -> int:
        """The int8 result of a call; lists of tensors are tuples, of numbers lists."""
        ids = [self._argument(argument) for argument in arguments]
        result = self._image(shape, order)
        self._calls.append(KernelCall(operator, (*ids, result, result)))
        return result

    def conv(self, x: int, weights: np.ndarray, bias: np.ndarray, padding: int = 0, offset: int = 128) -> int:
        """A convolution by OHWI weights, or depthwise by 1HWO weights, with ReLU: its zero point is -128."""
        n, channels, height, width = self.shape(x)
        depthwise, outputs = len(weights) == 1, len(bias)
        grown = [2 * padding + 1 - size for size in weights.shape[1:3]]
        shape = (n, outputs, height + grown[0], width + grown[1])
        arguments: list[object] = [Ref(x), Ref(self.constant(weights)), Ref(self.constant(bias))]
        arguments += [[1, 1], [padding, padding], [1, 1]]
        arguments += [outputs // channels] if depthwise else []
        arguments += [offset, -128, *self._scales(outputs), -128, 127, self._scratch()]
        name = "depthwise_conv2d" if depthwise else "conv2d"
        return self.call(f"cortex_m::quantized_{name}.out", arguments, shape)

    def add(self, x: int, y: int) -> int:
        """The sum of two images of zero point -128."""
        operand = [-128, 1 << 30, 0]
        arguments = [Ref(x), *operand, Ref(y), *operand, -128, 1676959986, -19, -128, 127]
        return self.call("cortex_m::quantized_add.out", arguments, self.shape(x))

    def cat(self, *images: int, dim: int = 1) -> int:
        """Images one after the other along a dimension."""
        shape = list(self.shape(images[0]))
        shape[dim] = sum(self.shape(id)[dim] for id in images)
        return self.call("aten::cat.out", [tuple(Ref(id) for id in images), dim], shape)

    def max_pool(self, x: int) -> int:
        """2x2, stride 2."""
        n, c, h, w = self.shape(x)
        arguments = [Ref(x), [2, 2], [2, 2], [0, 0], [1, 1], False, -128, -128, -128, 127]
        return self.call("cortex_m::quantized_max_pool2d.out", arguments, (n, c, h // 2, w // 2))

    def avg_pool(self, x: int) -> int:
        """2x2, stride 1."""
        n, c, h, w = self.shape(x)
        arguments = [Ref(x), [2, 2], [1, 1], [0, 0], False, -128, 1 << 30, -1, self._scratch()]
        return self.call("cortex_m::quantized_avg_pool2d.out", arguments, (n, c, h - 1, w - 1))

    def pad(self, x: int, value: int) -> int:
        """A row above, a column on the right."""
        n, c, h, w = self.shape(x)
        arguments = [Ref(x), [0, 1, 0, 0], [0, 0, 1, 0], value]
        return self.call("cortex_m::pad.out", arguments, (n, c, h + 1, w + 1))

    def lookup(self, x: int) -> int:
        """A random table."""
        table = self.dice.integers(-128, 128, 256).astype(np.int8)
        arguments = [Ref(x), Ref(self.constant(table))]
        return self.call("cortex_m::quantized_activation.out", arguments, self.shape(x))

    def _scales(self, outputs: int) -> list[object]:
        multipliers = self.dice.integers(1 << 30, (1 << 31) - 1, outputs).astype(np.int32)
        return [Ref(self.constant(multipliers)), Ref(self.constant(np.full(outputs, -7, np.int32)))]

    def _scratch(self) -> object:
        return Ref(self.constant(np.zeros(1, np.uint8)))

    def _image(self, shape: Sequence[int], order: Sequence[int] = CHANNELS_LAST) -> int:
        return self._add(TensorValue(DType.I8, tuple(shape), tuple(order)))

    def _add(self, value: Value) -> int:
        self._values.append(value)
        return len(self._values) - 1

    def _argument(self, argument: object) -> int:
        if isinstance(argument, Ref):
            return argument.id
        if isinstance(argument, tuple):
            return self._add(TensorListValue(tuple(item.id for item in argument)))
        return self._add(tuple(argument) if isinstance(argument, list) else argument)  # type: ignore[arg-type]
