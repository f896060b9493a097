"""Cases of operators on int16 activations, for the portable kernels and for those of a core."""

from collections.abc import Iterator

import numpy as np

from mcu_build.arithmetic.int16 import DEFINITIONS, exp2_table
from mcu_build.lower.integer.int16 import factor
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


def cases() -> Iterator[Case]:
    """Every operator over small shapes, both ends of its numbers, and some layouts."""
    dice = np.random.default_rng(16)
    yield from layers(dice)
    yield from _boundaries(dice)
    yield from _pairs(dice)
    yield from _pools(dice)
    yield from _resized(dice)
    yield from _rows(dice)


def _boundaries(dice: np.random.Generator) -> Iterator[Case]:
    for shape, order in (((1,), None), ((3, 5), None), ((2, 3, 4, 5), CHANNELS_LAST)):
        wide = T(int16s(dice, shape), order)
        narrow = T(dice.integers(-128, 128, shape).astype(np.int8), order)
        for zero_point in (-128, 127, 3):
            yield int16_case("rescale_s16", narrow, zero_point, 1 << 30, 23, 0, -32768, 32767, 16)
            yield int16_case("rescale_s16", wide, 0, 1 << 30, 38, zero_point, -128, 127, 8)
        for multiplier, shift, low in (
            (2147483647, 30, 0),
            (1 << 30, 30, -7),
            (3, 1, -32768),
            (99, 62, -32768),
        ):
            yield int16_case("rescale_s16", wide, 0, multiplier, shift, 0, low, 20000, 16)
        for bits in (4, 8):
            table = constant(int16s(dice, ((1 << (16 - bits)) + 1,)), "int16")
            yield int16_case("lookup_s16", wide, table, bits)


def _pairs(dice: np.random.Generator) -> Iterator[Case]:
    for first, second in (((7,), (7,)), ((2, 3, 4), (3, 1)), ((1, 4, 1), (3, 1, 5)), ((5, 6), (1,))):
        a, b = T(int16s(dice, first)), T(int16s(dice, second))
        for multipliers, shift in (((32767, 32766), 15), ((1, -30000), 13), ((5, 7), 0), ((40000, 9), 16)):
            yield int16_case("add_s16", a, b, *multipliers, shift, -30000, 32767)
        yield int16_case("add_s16", a, b, 23000, -9000, 15, -32768, 32767)
        yield int16_case("mul_s16", a, b, 2147483647, 46, -32768, 32767)
        for multiplier, shift in ((2147483647, 46), (1 << 30, 45), (12345, 29)):
            yield int16_case("mul_s16", a, b, multiplier, shift, -32768, 32000)
    for batch, rows, columns, inner in (
        (1, 1, 1, 1),
        (2, 3, 5, 7),
        (1, 4, 2, 300),
        (2, 2, 3, 8),
        (1, 3, 4, 19),
    ):
        left, right = T(int16s(dice, (batch, rows, inner))), T(int16s(dice, (batch, columns, inner)))
        yield int16_case("matmul_s16", left, right, (1 << 23) - 1, 40)


def _pools(dice: np.random.Generator) -> Iterator[Case]:
    for shape, kernel, stride, padding, dilation in (
        ((1, 3, 5, 6), [2, 3], [1, 2], [0, 1], [1, 1]),
        ((2, 1, 4, 4), [4, 4], [4, 4], [0, 0], [1, 1]),
        ((1, 17, 7, 5), [3, 3], [2, 2], [1, 1], [2, 1]),
        ((1, 1, 5, 9), [2, 2], [2, 2], [1, 1], [1, 1]),
        ((1, 24, 6, 5), [2, 3], [2, 1], [1, 1], [1, 2]),
    ):
        image = T(int16s(dice, shape), CHANNELS_LAST)
        for rounds_up in (False, True):
            yield int16_case("max_pool2d_s16", image, kernel, stride, padding, dilation, rounds_up)
            counts = np.maximum(np.arange(kernel[0] * kernel[1] + 1), 1)
            multipliers = constant(np.rint(1.7 * 2**29 / counts))
            yield int16_case("avg_pool2d_s16", image, kernel, stride, padding, rounds_up, multipliers, 29)
            exact = constant(np.rint(0.9 * 2**31 / counts))
            yield int16_case("avg_pool2d_s16", image, kernel, stride, padding, rounds_up, exact, 32)


def _resized(dice: np.random.Generator) -> Iterator[Case]:
    for (height, width, channels), (rows, columns), (taps_y, taps_x) in (
        ((1, 1, 1), (3, 2), (1, 1)),
        ((4, 5, 3), (8, 9), (2, 2)),
        ((6, 7, 17), (2, 3), (4, 3)),
    ):
        image = T(int16s(dice, (2, channels, height, width)), CHANNELS_LAST)
        runs = []
        for size, count, taps in ((height, rows, taps_y), (width, columns, taps_x)):
            runs.append(constant(dice.integers(0, size - taps + 1, count)))
            runs.append(
                constant(dice.integers(-(1 << 15) // taps, (1 << 15) // taps, (count, taps)), "int16")
            )
        for multiplier, shift, low in (((1 << 23) - 1, 45, -30000), (1, 21, 0)):
            yield int16_case("resample_s16", image, *runs, multiplier, shift, low, 32767)


def _rows(dice: np.random.Generator) -> Iterator[Case]:
    table = constant(exp2_table())
    for multiplier, shift in ((1 << 30, 25), (2047, 10), (1, 62)):
        for shape, dimension in (((1, 1), 1), ((2, 9), -1), ((3, 4, 5), 1), ((40,), 0)):
            yield int16_case("softmax_s16", T(int16s(dice, shape)), dimension, table, multiplier, shift)
        for shape in ((1, 1), (5, 9), (2, 300)):
            for step, octave, last in ((1 << 30, 12345, 30), (2**31 - 1, 2**31 - 1, 45), (3, 1, 1)):
                factors = (multiplier, shift, step, octave, last)
                yield int16_case("log_softmax_s16", T(int16s(dice, shape)), table, *factors)
        for rows in (1, 3):
            mask = T((dice.random((1, rows, 6)) < 0.5).astype(np.int8))
            yield int16_case("masked_softmax_s16", T(int16s(dice, (2, 3, 6))), mask, table, multiplier, shift)
    for shape, order, groups in (((3, 8), None, 1), ((2, 6, 4, 5), CHANNELS_LAST, 3), ((1, 4, 7), None, 4)):
        for entries, centered, epsilon in ((1, True, 0), (shape[1], True, 1 << 40), (shape[1], False, 17)):
            weight = constant(dice.integers(-(1 << 29), 1 << 29, entries))
            bias = constant(dice.integers(-(1 << 24), 1 << 24, entries))
            x = T(int16s(dice, shape), order)
            for shift in (24, 16):  # what fits 32 bits, and what does not
                yield int16_case("norm_s16", x, weight, bias, groups, centered, epsilon, shift)
