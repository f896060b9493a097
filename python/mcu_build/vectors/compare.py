"""Firmware outputs against expected outputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_build.vectors.npz import Array
from mcu_build.vectors.pack import UNLABELLED

# A user's own operator on floats is written twice, in Python and in C++, and the two round differently: the
# largest difference that is put down to that, as a share of the output's largest value.
CUSTOM_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Mismatch:
    """One element that is not what it should be."""

    vector: int
    output: int
    index: tuple[int, ...]
    expected: float
    found: float


@dataclass(frozen=True)
class Comparison:
    """Elements compared and those that differ.

    `differing` counts elements that are not equal; `mismatches` those beyond what is allowed, which is
    nothing unless a user's own operators compute floats. `outputs_vary` is whether some output differs
    between vectors: where it does not, a comparison proves nothing.
    """

    vectors: int
    elements: int
    differing: int
    mismatches: int
    max_abs_difference: float
    outputs_vary: bool
    first: Mismatch | None


def compare(expected: Sequence[Array], actual: Sequence[Array], allowed: Sequence[float]) -> Comparison:
    """Compare lists of outputs, arrays [vectors, ...] of equal shape; `allowed` difference of each output.

    NaN equals NaN. Arrays of different shape or type are the caller's error (ValueError).
    """
    differing = mismatches = 0
    largest = 0.0
    first: Mismatch | None = None
    for number, (want, have, limit) in enumerate(zip(expected, actual, allowed, strict=True)):
        if want.shape != have.shape or want.dtype != have.dtype:
            raise ValueError(f"output {number}: {have.dtype}{have.shape} against {want.dtype}{want.shape}")
        difference = _difference(want, have)
        wrong = difference > limit
        differing += int(np.count_nonzero(difference))
        mismatches += int(np.count_nonzero(wrong))
        largest = max(largest, float(difference.max(initial=0.0)))
        if first is None and wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            first = Mismatch(at[0], number, at[1:], float(want[at]), float(have[at]))
    return Comparison(
        vectors=len(expected[0]),
        elements=sum(array.size for array in expected),
        differing=differing,
        mismatches=mismatches,
        max_abs_difference=largest,
        outputs_vary=vary(actual),
        first=first,
    )


def vary(outputs: Sequence[Array]) -> bool:
    """Whether some output, arrays [vectors, ...], differs between vectors."""
    return any(bool((array != array[:1]).any()) for array in outputs)


def _difference(want: Array, have: Array) -> Array:
    """Absolute differences in float64; infinity where exactly one of the two is NaN or they are infinite."""
    wide, narrow = want.astype(np.float64), have.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(wide - narrow)
    equal = (wide == narrow) | (np.isnan(wide) & np.isnan(narrow))
    difference[equal] = 0.0
    difference[np.isnan(difference)] = np.inf
    return np.asarray(difference)


def custom_allowance(expected: Sequence[Array], steps: Sequence[float | None]) -> list[float]:
    """What a user's operators on floats may change: a step where the output is quantized, else a share."""
    return [
        step
        if step is not None
        else CUSTOM_TOLERANCE * float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
        for array, step in zip(expected, steps, strict=True)
    ]


def accuracy(outputs: Array, labels: Array) -> float:
    """Share of labelled vectors whose largest output is the label's.

    `outputs` [vectors, ...], `labels` [vectors], UNLABELLED where there is none.
    """
    guesses = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return float((guesses == labels)[labels != UNLABELLED].mean())
