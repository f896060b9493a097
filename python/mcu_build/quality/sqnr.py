"""How good a quantized program is: its outputs against the float model's.

    SQNR = 10 log10( sum(float^2) / sum((float - quantized)^2) )  dB
    cosine = sum(float * quantized) / sqrt( sum(float^2) * sum(quantized^2) )

A model may join unlike things in one output, boxes of hundreds beside scores below 1: the large ones then
hide what became of the small ones. So an output whose channels differ much in size is also judged by channel
group.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcu_build.layer_names import own_name
from mcu_build.vectors.npz import Array

# Below it a user is warned: noise of a tenth of the signal, with which classifiers change their answers.
LEAST_SQNR_DB = 20.0
# The same of integers (classes, orders): which is not near, but equal or another one.
LEAST_EQUAL = 0.9
# Points of accuracy whose loss a user is warned of.
MOST_DROP = 2.0
# What one way to round may be worse than another, over few vectors of small values.
_ROUNDING_DB = 6.0
# What an exact match is given, so that figures stay finite.
_MOST_DB = 150.0
# Neighbouring channels whose root mean squares differ by no more are one group.
_UNLIKE = 8.0
_MOST_CHANNELS = 1024
# More of them, and the channels are no parts that were joined, but vary each by itself.
_MOST_GROUPS = 8


@dataclass(frozen=True)
class Group:
    """Channels `first` to `last` of dimension `axis` of an output, which are alike in size."""

    axis: int
    first: int
    last: int
    sqnr_db: float


@dataclass(frozen=True)
class Quality:
    """One output, called `name` in the model's result. `groups` is empty where its channels are alike;
    `equal` is the share of equal elements; `integers`: those of the float model are integers, whose decibels
    mean little.
    """

    output: int
    sqnr_db: float
    cosine: float
    equal: float
    groups: tuple[Group, ...] = ()
    integers: bool = False
    name: str = ""

    @property
    def worst(self) -> float:
        """The SQNR of the worst group, of the whole where there are none."""
        return min((group.sqnr_db for group in self.groups), default=self.sqnr_db)


def judge(
    reference: Sequence[Array], actual: Sequence[Array], names: Sequence[str] = ()
) -> tuple[Quality, ...]:
    """The quality of each output: arrays [vectors, ...] of the float model and of the quantized program.
    `names` are the outputs', where they are known.

    Shapes must be equal (ValueError). Values that are not finite in the float model are left out.
    """
    pairs = enumerate(zip(reference, actual, strict=True))
    return tuple(replace(_judge(index, *pair), name=own_name(index, names)) for index, pair in pairs)


def astray(
    floats: Sequence[Array], answers: Sequence[Array], actual: Sequence[Array]
) -> tuple[int, float, float] | None:
    """The first output whose `actual` values are ruined where an int8 program's `answers` are not, with the
    decibels of the two: that program's rounding alone moves values by less.

    Arrays [vectors, ...] of one shape but for the vectors, of which all that all three have are looked at.
    """
    for index, arrays in enumerate(zip(floats, answers, actual, strict=True)):
        count = min(map(len, arrays))
        reference, answer, made = (array[:count] for array in arrays)
        (program,), (firmware,) = judge([reference], [answer]), judge([reference], [made])
        is_ruined = firmware.worst < LEAST_SQNR_DB <= program.worst
        if not program.integers and is_ruined and firmware.worst < program.worst - _ROUNDING_DB:
            return index, program.worst, firmware.worst
    return None


def sqnr_db(reference: Array, actual: Array) -> float:
    """Signal to quantization noise of arrays of one shape, between -150 and 150 dB."""
    signal, noise = _power(reference), _power(np.asarray(reference, np.float64) - actual)
    if noise == 0:
        return _MOST_DB
    if signal == 0:
        return -_MOST_DB
    return float(np.clip(10 * math.log10(signal / noise), -_MOST_DB, _MOST_DB))


def _judge(index: int, reference: Array, actual: Array) -> Quality:
    if reference.shape != actual.shape:
        raise ValueError(f"output {index}: {actual.shape} against {reference.shape}")
    wide, other = reference.astype(np.float64), actual.astype(np.float64)
    wide = np.where(np.isfinite(wide), wide, 0.0)
    other = np.where(np.isfinite(reference.astype(np.float64)) & np.isfinite(other), other, 0.0)
    product = math.sqrt(_power(wide) * _power(other))
    cosine = float((wide * other).sum() / product) if product else float(_power(wide) == _power(other))
    known = ~np.isnan(reference) if reference.dtype.kind == "f" else np.ones(reference.shape, bool)
    equal = float((reference == actual)[known].mean()) if known.any() else 1.0
    integers = reference.dtype.kind != "f"
    groups = () if integers else tuple(_groups(wide, other))
    unlike = groups if 1 < len(groups) <= _MOST_GROUPS else ()
    return Quality(index, sqnr_db(wide, other), cosine, equal, unlike, integers)


def _power(values: Array) -> float:
    return float(np.square(values, dtype=np.float64).sum())


def _groups(reference: Array, actual: Array) -> Iterator[Group]:
    """Runs of like channels along the dimension whose channels differ most; none where all are alike."""
    spreads = {axis: _spread(reference, axis) for axis in range(1, reference.ndim)}
    axis = max(spreads, key=lambda dimension: spreads[dimension], default=0)
    if not axis or spreads[axis] <= _UNLIKE or _is_distribution(reference, axis):
        return
    sizes = _sizes(reference, axis)
    start = 0
    for end in range(1, len(sizes) + 1):
        run = sizes[start:end]
        alike = end < len(sizes) and max(*run, sizes[end]) <= _UNLIKE * min(*run, sizes[end])
        if not alike:
            part = (slice(None),) * axis + (slice(start, end),)
            # A group that is zero throughout has no signal to lose.
            if sizes[start:end].any():
                yield Group(axis - 1, start, end - 1, sqnr_db(reference[part], actual[part]))
            start = end


def _is_distribution(values: Array, axis: int) -> bool:
    """Whether the channels are shares of one whole, as softmax gives them: rare classes are small, and matter
    only beside the others."""
    return bool((values >= 0).all()) and np.allclose(values.sum(axis=axis), 1.0, atol=1e-3)


def _sizes(values: Array, axis: int) -> Array:
    others = tuple(dimension for dimension in range(values.ndim) if dimension != axis)
    return np.asarray(np.sqrt(np.square(values).mean(axis=others)))


def _spread(values: Array, axis: int) -> float:
    """How many times the largest channel is larger than the smallest that is not zero."""
    if not 1 < values.shape[axis] <= _MOST_CHANNELS:
        return 1.0
    sizes = _sizes(values, axis)
    present = sizes[sizes > 0]
    return float(present.max() / present.min()) if len(present) else 1.0
