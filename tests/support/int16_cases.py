"""Cases of operators on int16 activations, for the portable kernels and for those of a core."""

from collections.abc import Iterator

import numpy as np

from mcu_build.lower.int16_build import factor
from mcu_build.reference_int16 import DEFINITIONS
from tests.support.cases import CHANNELS_LAST, Case, Out, T


def definition(case: Case) -> np.ndarray:
    """What is right."""
    name = case.operator.removeprefix("mcu_build::").removesuffix(".out")
    return DEFINITIONS[name](*[a.array if isinstance(a, T) else a for a in case.arguments])


def int16_case(name: str, x: T, *arguments: object) -> Case:
    """A call whose output is ordered as its input."""
    operator = f"mcu_build::{name}.out"
    found = definition(Case(operator, [x, *arguments], []))
    order = x.dim_order if found.ndim == x.array.ndim else None
    return Case(operator, [x, *arguments], [Out(found.shape, str(found.dtype), order)])


def constant(values: object, dtype: str = "int32") -> T:
    """A constant operand."""
    return T(np.asarray(values).astype(dtype), constant=True)


def int16s(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of all sizes, both ends among them."""
    sizes = np.exp2(dice.uniform(0, 16, shape)).astype(np.int64)
    return np.clip(dice.integers(-sizes, sizes + 1), -32768, 32767).astype(np.int16)


def _constants(dice: np.random.Generator, weights: np.ndarray, scale: float) -> list[T]:
    """Bias, multipliers and shifts that bring sums to about `scale` of int16."""
    outputs = len(weights)
    bias = dice.integers(-(1 << 24), 1 << 24, outputs)
    sums = np.abs(weights.astype(np.int64)).reshape(outputs, -1).sum(axis=1) * 32768 + np.abs(bias)
    pairs = [factor(scale * 32768 / max(int(one), 1), int(sums.max())) for one in sums]
    return [constant(bias), constant([m for m, _ in pairs]), constant([s for _, s in pairs])]


def layer(dice: np.random.Generator, size: tuple[int, int, int], scale: float = 4.0) -> Case:
    """A linear layer of (rows, inputs, outputs)."""
    rows, inputs, outputs = size
    weights = dice.integers(-128, 128, (outputs, inputs)).astype(np.int8)
    given = [constant(weights, "int8"), *_constants(dice, weights, scale)]
    return int16_case("linear_s16", T(int16s(dice, (rows, inputs))), *given, -30000, 32767)


def convolution(
    dice: np.random.Generator,
    image: tuple[int, int, int, int],
    outputs: int,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    scale: float = 4.0,
    low: int = -32768,
) -> Case:
    """A convolution of an image (n, c, h, w)."""
    weights = dice.integers(-128, 128, (outputs, *kernel, image[1] // groups)).astype(np.int8)
    given = [constant(weights, "int8"), *_constants(dice, weights, scale)]
    x = T(int16s(dice, image), CHANNELS_LAST)
    window = ([stride] * 2, [padding] * 2, [dilation] * 2)
    return int16_case("conv2d_s16", x, *given, *window, groups, low, 32767)


def layers(dice: np.random.Generator) -> Iterator[Case]:
    """Linear layers and convolutions, some of which need sums of 64 bits, or have large factors."""
    for size in ((1, 1, 1), (1, 16, 4), (3, 17, 5), (2, 64, 9), (1, 3000, 3), (4, 1025, 2)):
        yield layer(dice, size)
        yield layer(dice, size, 0.7)
    yield layer(dice, (2, 9, 3), 3e5)
    for image, outputs, kernel, options in (
        ((1, 1, 1, 1), 1, (1, 1), {}),
        ((1, 3, 6, 5), 4, (3, 3), {"padding": 1}),
        ((2, 4, 5, 7), 6, (2, 3), {"stride": 2, "groups": 2}),
        ((1, 8, 9, 9), 3, (3, 3), {"dilation": 2, "padding": 2, "low": 0}),
        ((1, 16, 4, 4), 8, (1, 1), {}),
        ((1, 16, 4, 3), 17, (1, 1), {"low": 0}),
        ((1, 5, 6, 6), 5, (3, 3), {"padding": 1, "groups": 5}),
        ((1, 16, 7, 6), 16, (3, 3), {"padding": 1, "stride": 2, "groups": 16}),
        ((1, 24, 5, 9), 24, (5, 1), {"groups": 24, "low": 0}),
        ((1, 6, 5, 5), 12, (3, 3), {"groups": 6}),
        ((1, 512, 3, 3), 2, (3, 3), {}),
        ((1, 2, 4, 4), 2, (2, 2), {"padding": 3, "stride": 3}),
    ):
        yield convolution(dice, image, outputs, kernel, **options)
    for stride, padding, more in ((1, 0, 0), (2, 1, 1), (3, 0, 2)):
        weights = dice.integers(-128, 128, (5, 3, 2, 4)).astype(np.int8)
        given = [constant(weights, "int8"), *_constants(dice, weights, 4.0)]
        x = T(int16s(dice, (1, 4, 3, 5)), CHANNELS_LAST)
        window = ([stride] * 2, [padding] * 2, [more] * 2, [1, 1])
        yield int16_case("transpose_conv2d_s16", x, *given, *window, -32768, 32767)
