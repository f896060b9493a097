"""Plans of random layers on images, straight from calls."""

from collections.abc import Sequence

import numpy as np

from mcu_build.ir.arithmetic import TAP_BITS
from mcu_build.ir.calls.convolution import (
    Conv2d,
    Conv2dParams,
    DepthwiseConv2d,
    DepthwiseConv2dParams,
    TransposeConv2d,
    TransposeConv2dParams,
)
from mcu_build.ir.calls.images import Upsample, UpsampleParams
from mcu_build.ir.calls.int8 import Lookup, LookupParams, Resample, ResampleParams
from mcu_build.ir.calls.moves import Concat, ConcatParams, Pad, PadParams
from mcu_build.ir.calls.pairs import Add, AddOperand, AddParams
from mcu_build.ir.calls.pooling import AvgPool2d, AvgPool2dParams, MaxPool2d, MaxPool2dParams
from mcu_build.ir.calls.struct import Broadcast, ImageSize, OutputEpilogue, Pair, Window
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import DType, Tensor

_EPILOGUE = OutputEpilogue(-3, -128, 127)
_HALF = AddOperand(4, 1 << 30, 0)


class Draw:
    """A plan in the making: layers append to it, and return the id of their image."""

    def __init__(self, seed: int, height: int, width: int, channels: int) -> None:
        self.dice = np.random.default_rng(seed)
        self.tensors: dict[int, Tensor] = {}
        self.steps: list[Step] = []
        self.input = self._image(ImageSize(height, width, channels))

    def size(self, id: int) -> ImageSize:
        """Height, width and channels of an image."""
        return ImageSize(*self.tensors[id].shape[1:])

    def plan(self, name: str, outputs: Sequence[int]) -> Plan:
        """What was drawn, with these outputs."""
        return Plan(name, self.tensors, tuple(self.steps), (self.input,), tuple(outputs))

    def _add(self, dtype: DType, shape: Sequence[int], data: bytes | None = None) -> int:
        id = len(self.tensors)
        order = (0, 2, 3, 1) if data is None else tuple(range(len(shape)))
        self.tensors[id] = Tensor(id, f"t{id}", dtype, tuple(shape), order, data)
        return id

    def _image(self, size: ImageSize) -> int:
        return self._add(DType.I8, (1, size.height, size.width, size.channels))

    def _constant(self, shape: Sequence[int], low: int, high: int, dtype: DType = DType.I8) -> int:
        values = self.dice.integers(low, high, shape).astype(dtype.numpy_name)
        return self._add(dtype, shape, values.tobytes())

    def _emit(
        self, call: Conv2d | DepthwiseConv2d | TransposeConv2d | Add | Lookup | Pad | Upsample | Resample
    ) -> int:
        self.steps.append(Step.of(type(call).__name__, f"net.py:{len(self.steps)}", call))
        return call.output

    def window(self, size: ImageSize, height: int, width: int) -> tuple[Window, ImageSize]:
        """A random window of at most so many rows and columns, and the size of the image it makes.

        Of a series, an image of one row, it is turned: of so many pixels at most.
        """
        if size.height == 1 < size.width:
            window, turned = self.window(ImageSize(size.width, 1, size.channels), height, 1)
            parts = (window.size, window.stride, window.padding, window.dilation)
            window = Window(*(Pair(part.x, part.y) for part in parts))
            return window, ImageSize(1, turned.height, size.channels)
        rows, columns = (int(self.dice.integers(1, most + 1)) for most in (height, width))
        gaps = int(self.dice.integers(1, 3)) if rows > 1 else 1
        window = Window(
            Pair(rows, columns),
            Pair(*(int(n) for n in self.dice.integers(1, 3, 2))),
            Pair((rows - 1) * gaps // 2, columns // 2),
            Pair(gaps, 1),
        )
        seen = Pair((rows - 1) * gaps + 1, columns)
        return window, ImageSize(
            (size.height + 2 * window.padding.y - seen.y) // window.stride.y + 1,
            (size.width + 2 * window.padding.x - seen.x) // window.stride.x + 1,
            size.channels,
        )

    def _scaled(self, channels: int) -> tuple[int, int, int]:
        bias = self._constant((channels,), -500, 500, DType.I32)
        multipliers = self._constant((channels,), 1 << 30, (1 << 31) - 1, DType.I32)
        return bias, multipliers, self._constant((channels,), -8, -7, DType.I32)

    def convolution(self, id: int, channels: int, same: bool = False) -> int:
        """A convolution; `same`: of one pixel's windows."""
        image = self.size(id)
        window, size = self.window(image, *((1, 1) if same else (5, 3)))
        if same:
            window, size = Window(Pair(1, 1), Pair(1, 1), Pair(0, 0)), image
        size = ImageSize(size.height, size.width, channels)
        params = Conv2dParams(1, image, size, window, 1, 5, _EPILOGUE)
        weights = self._constant((channels, window.size.y, window.size.x, image.channels), -127, 128)
        bias, multipliers, shifts = self._scaled(channels)
        return self._emit(Conv2d(params, id, weights, bias, multipliers, shifts, self._image(size)))

    def depthwise(self, id: int) -> int:
        """A depthwise convolution of any stride."""
        image = self.size(id)
        window, size = self.window(image, 5, 3)
        params = DepthwiseConv2dParams(1, image, size, window, 5, _EPILOGUE)
        weights = self._constant((1, window.size.y, window.size.x, image.channels), -127, 128)
        bias, multipliers, shifts = self._scaled(image.channels)
        return self._emit(DepthwiseConv2d(params, id, weights, bias, multipliers, shifts, self._image(size)))

    def transposed(self, id: int) -> int:
        """A transposed convolution of stride 2."""
        image = self.size(id)
        window = Window(Pair(3, 2), Pair(2, 2), Pair(1, 0))
        size = ImageSize(image.height * 2 - 1, image.width * 2, image.channels)
        params = TransposeConv2dParams(1, image, size, window, 5, _EPILOGUE)
        weights = self._constant((image.channels, 3, 2, image.channels), -127, 128)
        bias, multipliers, shifts = self._scaled(image.channels)
        return self._emit(TransposeConv2d(params, id, weights, bias, multipliers, shifts, self._image(size)))

    def upsampled(self, id: int) -> int:
        """Each pixel three times below itself, and twice beside."""
        image = self.size(id)
        size = ImageSize(image.height * 3, image.width * 2, image.channels)
        params = UpsampleParams(1, image, size, Pair(3, 2), 0)
        return self._emit(Upsample(params, id, self._image(size)))

    def resampled(self, id: int) -> int:
        """Twice as many rows and columns, between the pixels."""
        image = self.size(id)
        size = ImageSize(image.height * 2, image.width * 2, image.channels)
        tables = (*self._between(image.height), *self._between(image.width))
        params = ResampleParams(1, image, size, Pair(2, 2), 3, -5, 1 << 30, -20)
        return self._emit(Resample(params, id, *tables, self._image(size)))

    def _between(self, count: int) -> tuple[int, int]:
        """Starts and weights of an axis of so many pixels, twice as many."""
        places = np.clip((np.arange(2 * count) - 0.5) / 2, 0, count - 1)
        starts = np.minimum(places.astype(np.int32), count - 2)
        second = np.round((places - starts) * (1 << TAP_BITS)).astype(np.int16)
        weights = np.stack([(1 << TAP_BITS) - second, second], axis=1).astype(np.int16)
        first = self._add(DType.I32, starts.shape, starts.tobytes())
        return first, self._add(DType.I16, weights.shape, weights.tobytes())

    def pool(self, id: int) -> int:
        """The maxima or the averages of windows without gaps."""
        image = self.size(id)
        while (found := self.window(image, 3, 3))[0].dilation.product > 1:
            pass
        window, size = found
        output = self._image(size)
        if self.dice.integers(2):
            params = MaxPool2dParams(1, image, size, window, -128, 127)
            call: MaxPool2d | AvgPool2d = MaxPool2d(params, id, output)
        else:
            call = AvgPool2d(AvgPool2dParams(1, image, size, window), id, output)
        self.steps.append(Step.of("pool", "", call))
        return output

    def table(self, id: int) -> int:
        """A function of each element."""
        table = self._constant((256,), -128, 128)
        params = LookupParams(self.tensors[id].elements)
        return self._emit(Lookup(params, id, table, self._image(self.size(id))))

    def padded(self, id: int) -> int:
        """Rows above and below, and columns on one side; of a series pixels on one side."""
        image = self.size(id)
        above, below = (2, 1) if image.height > 1 else (0, 0)
        size = ImageSize(above + image.height + below, image.width + 1, image.channels)
        inside = (1, image.height, image.width, image.channels)
        strides = (image.height * image.row, image.row, image.channels, 1)
        shape = (1, size.height, size.width, size.channels)
        return self._emit(
            Pad(PadParams(shape, inside, strides, (0, above, 1, 0), 7), id, self._image(size), 8)
        )

    def added(self, first: int, second: int) -> int:
        """The sum of two images of one size."""
        line = (0, 0, 0, 0, 0, 1)
        space = Broadcast((1, 1, 1, 1, 1, self.tensors[first].elements), line, line)
        params = AddParams(space, _HALF, _HALF, 1 << 30, -18, _EPILOGUE)
        return self._emit(Add(params, first, second, self._image(self.size(first))))

    def joined(self, first: int, second: int) -> int:
        """The channels of one image behind those of another."""
        size = self.size(first)
        channels = size.channels + self.size(second).channels
        output, offset = self._image(ImageSize(size.height, size.width, channels)), 0
        for id in (first, second):
            own = self.size(id).channels
            call = Concat(ConcatParams(size.pixels, own, channels, offset), id, output)
            self.steps.append(Step.of("cat", "", call))
            offset += own
        return output


def drawn(seed: int, is_series: bool = False) -> tuple[Plan, int]:
    """A random net of images, or of series, and the number of its input's bytes."""
    draw = Draw(seed, 1, 60, 4) if is_series else Draw(seed, 23, 12, 4)
    image = draw.convolution(draw.input, 8)
    for _ in range(4):
        kind = int(draw.dice.integers(7))
        if is_series and (kind == 0 or draw.size(image).width < 8):
            image = draw.transposed(image)
        elif not is_series and (min(draw.size(image).height, draw.size(image).width) < 4 or kind == 0):
            image = (draw.upsampled, draw.transposed, draw.resampled)[len(draw.steps) % 3](image)
        elif kind == 1:
            image = draw.added(image, draw.convolution(draw.table(image), draw.size(image).channels, True))
        elif kind == 2:
            image = draw.joined(draw.table(image), draw.convolution(image, 4, True))
        else:
            layers = (draw.depthwise, draw.pool, draw.padded, lambda id: draw.convolution(id, 8))
            image = layers[kind - 3](image)
    last = draw.table(image)
    return draw.plan(f"net{seed}", [last]), draw.tensors[draw.input].nbytes
