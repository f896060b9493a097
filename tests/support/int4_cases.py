"""Cases of layers with weights of 4 bits, for the portable kernel and for those of a core."""

from collections.abc import Iterator

import numpy as np

from mcu_build.arithmetic.int4 import DEFINITIONS, GROUP, WHOLE_FACTOR, fit_in_pairs, pack
from mcu_build.lower.integer.int16 import factor
from tests.support.cases import CHANNELS_LAST, Case, Out, T


def definition(case: Case) -> np.ndarray:
    """What is right."""
    return DEFINITIONS["linear_w4"](*[a.array if isinstance(a, T) else a for a in case.arguments])


def layer(
    dice: np.random.Generator,
    shape: tuple[int, ...],
    outputs: int,
    grouped: bool = False,
    low: int = -128,
    zero_point: int = -3,
    fits: bool = True,
) -> Case:
    """A layer over the last dimension of `shape`, or over the channels of an image of four.

    Where its weights do not fit in pairs, Helium has the portable kernel for it.
    """
    dimension = 1 if len(shape) == 4 else -1
    inputs = shape[dimension]
    weights = dice.integers(-8, 8, (outputs, inputs)).astype(np.int8)
    weights = fit_in_pairs(weights) if fits else weights
    factors = dice.integers(1, 256, (outputs, inputs // GROUP)) if grouped else np.ones(1)
    bias = dice.integers(-(1 << 20), 1 << 20, outputs)
    wide = weights * np.repeat(factors, GROUP, axis=1) if grouped else weights
    if not grouped:
        wide = wide.astype(np.int64) * WHOLE_FACTOR
    largest = int(np.abs(wide.astype(np.int64)).sum(axis=1).max() * 128 + np.abs(bias).max())
    pairs = [factor(400 / largest * (1 + o), largest) for o in range(outputs)]
    constants = [
        T(pack(weights), constant=True),
        T(factors.astype(np.uint8), constant=True),
        T(bias.astype(np.int32), constant=True),
        *(T(np.array(part, np.int32), constant=True) for part in zip(*pairs, strict=True)),
    ]
    order = CHANNELS_LAST if dimension == 1 else None
    x = T(dice.integers(-128, 128, shape).astype(np.int8), order)
    arguments = [x, *constants, inputs, dimension, zero_point, low, 127]
    found = definition(Case("", arguments, []))
    return Case("mcu_build::linear_w4.out", arguments, [Out(found.shape, "int8", order)])


def cases() -> Iterator[Case]:
    """Rows of all lengths, a rest of each size, one output and odd numbers of them, images."""
    dice = np.random.default_rng(4)
    for inputs in (*range(2, 34), 47, 64, 65, 95, 250):
        yield layer(dice, (1, inputs), 1 + inputs % 6)
    for rows in (2, 3):
        yield layer(dice, (rows, 77), 5, low=-20)
    for inputs in (64, 96, 320):
        for rows in (1, 2, 5):
            yield layer(dice, (rows, inputs), rows + 2, grouped=True, zero_point=-128)
    yield layer(dice, (2, 3, 40), 4)
    yield layer(dice, (1, 24, 5, 3), 7, low=3)
    yield layer(dice, (2, 64, 2, 2), 6, grouped=True)
    yield layer(dice, (1, 4000), 2)
    for outputs in (8, 9, 16, 33):
        yield layer(dice, (2, 48), outputs, low=-30)
        yield layer(dice, (1, 128), outputs, grouped=True)
    yield layer(dice, (1, 200), 6, fits=False)
