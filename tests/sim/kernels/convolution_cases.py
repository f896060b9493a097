"""Convolution cases whose sums spread over int8, with the corners of zero points, clamps and shifts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tests.support.cases import CHANNELS_LAST, Case, Out, T

PLAIN = (-128, -128, 127)  # zero point and clamps of a layer with a ReLU
EPILOGUES = (PLAIN, (-128, -128, 127), (5, -128, 127), (127, -128, 127), (-100, -100, 50), (-20, -90, 127))


@dataclass(frozen=True)
class Shape:
    """One convolution; `copies` is the depth multiplier of a depthwise one, 0 for others."""

    image: tuple[int, int, int]
    inputs: int
    outputs: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    copies: int = 0
    # Rows and columns behind the image's end that windows may cover.
    behind: tuple[int, int] | None = None
    groups: int = 1

    @property
    def terms(self) -> int:
        """Products of a sum."""
        return self.kernel[0] * self.kernel[1] * (1 if self.copies else self.inputs // self.groups)

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.inputs * self.copies if self.copies else self.outputs

    @property
    def output(self) -> tuple[int, int, int, int]:
        """Shape of the output in the model."""
        n, *sizes = self.image
        behind = self.behind or self.padding
        height, width = (
            (sizes[i] + self.padding[i] + behind[i] - self.dilation[i] * (self.kernel[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in range(2)
        )
        return n, self.channels, height, width


def case(dice: np.random.Generator, shape: Shape, epilogue: Sequence[int], corners: bool = False) -> Case:
    """A case with random operands. `corners`: a dead channel's shift and one of no right shift among them."""
    n, height, width = shape.image
    x = dice.integers(-128, 128, (n, shape.inputs, height, width)).astype(np.int8)
    weights = (
        (1, *shape.kernel, shape.channels)
        if shape.copies
        else (shape.channels, *shape.kernel, shape.inputs // shape.groups)
    )
    w = dice.integers(-127, 128, weights).astype(np.int8)
    usual = -6 - int(np.log2(shape.terms) / 2)
    shifts = dice.integers(usual - 1, usual + 2, shape.channels).astype(np.int32)
    multipliers = dice.integers(1 << 30, 1 << 31, shape.channels).astype(np.int32)
    if corners:
        shifts[0], multipliers[-1], shifts[-1] = -45, 0, 0
    bias = dice.integers(-3000, 3000, shape.channels).astype(np.int32)
    zero_point, low, high = epilogue
    offset = int(dice.choice((128, -127, 0, -11)))
    geometry = [list(shape.stride), list(shape.padding), list(shape.dilation)]
    arguments = [
        T(x, CHANNELS_LAST),
        T(w, constant=True),
        T(bias, constant=True) if dice.integers(4) else None,
        *geometry,
        *([shape.copies] if shape.copies else []),
        offset,
        zero_point,
        T(multipliers, constant=True),
        T(shifts, constant=True),
        low,
        high,
        T(np.zeros(1, np.uint8)),
    ]
    name = "quantized_depthwise_conv2d" if shape.copies else "quantized_conv2d"
    return Case(f"cortex_m::{name}.out", arguments, [Out(shape.output, "int8", CHANNELS_LAST)])


def cases(seed: int, shapes: Sequence[Shape], extra: int = 0) -> list[Case]:
    """Each shape with every epilogue; `extra` random ones more for each, of other sizes and channels."""
    dice = np.random.default_rng(seed)
    found = [
        case(dice, shape, epilogue, index == 2)
        for shape in shapes
        for index, epilogue in enumerate(EPILOGUES)
    ]
    for shape in shapes:
        for _ in range(extra):
            n, height, width = shape.image
            image = (n, height + int(dice.integers(0, 4)), width + int(dice.integers(0, 4)))
            other = replace(shape, image=image, outputs=shape.groups * int(dice.integers(1, 21)))
            found.append(case(dice, other, EPILOGUES[int(dice.integers(len(EPILOGUES)))]))
    return found


def with_weight_changed(given: Case) -> Case:
    """The same case but for one weight: what a comparison must notice."""
    arguments = list(given.arguments)
    weights = arguments[1]
    assert isinstance(weights, T)
    changed = weights.array.copy()
    flat = changed.reshape(-1)
    flat[-1] = flat[-1] - 100 if flat[-1] > 0 else flat[-1] + 100
    arguments[1] = T(changed, weights.dim_order, constant=True)
    return Case(given.operator, arguments, given.outputs)


def differing(first: Sequence[Sequence[np.ndarray]], second: Sequence[Sequence[np.ndarray]]) -> list[int]:
    """Indices of the cases of which some output is not the same."""
    return [
        index
        for index, (a, b) in enumerate(zip(first, second, strict=True))
        if not all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    ]


def share_that_varies(outputs: Sequence[Sequence[np.ndarray]]) -> float:
    """The share of outputs that have values between the ends of int8."""
    inner = [((output > -128) & (output < 127)).any() for (output,) in outputs]
    return float(np.mean(inner))
