"""A proof that a program called step by step gives what the program over the whole recording gives.

Both are evaluated by their operators' Python definitions, with which firmware is compared later: the integers
have to be equal, element by element.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mcu_build.errors import McuError
from mcu_build.layer_names import output_name
from mcu_build.vectors import npz
from mcu_build.vectors.npz import Array

# Recordings that are compared, and their steps together: one recording at least.
MOST, MOST_STEPS = 8, 1000

Run = Callable[[Sequence[Array]], list[Array]]


def recordings(vectors: Mapping[str, Array], stream: Mapping[str, Any]) -> Iterator[list[list[Array]]]:
    """The inputs of each recording, step by step."""
    inputs, steps = npz.numbered(vectors, "input"), int(stream["steps"])
    count = max(1, min(MOST, MOST_STEPS // steps))
    for first in range(0, min(len(inputs[0]), count * steps), steps):
        yield [[array[first + step] for array in inputs] for step in range(steps)]


def whole_inputs(
    steps: Sequence[Sequence[Array]], stream: Mapping[str, Any], sizes: Sequence[Any]
) -> list[Array]:
    """The inputs of a recording from those of its steps; samples that no step reads are zero.

    `sizes` are the shapes of the program's inputs.
    """
    axes = {int(index): int(axis) for index, axis in stream["inputs"]}
    made = []
    for index, size in enumerate(sizes):
        if index not in axes:
            made.append(steps[0][index])
            continue
        axis = axes[index]
        joined = np.concatenate([step[index] for step in steps], axis)
        missing = size[axis] - joined.shape[axis]
        pad = [(0, missing if dimension == axis else 0) for dimension in range(joined.ndim)]
        made.append(np.pad(joined, pad))
    return made


def prove(
    name: str,
    whole: Run,
    step: Callable[[Sequence[Sequence[Array]]], list[list[Array]]],
    vectors: Any,
    stream: Any,
    sizes: Sequence[Any],
) -> int:
    """How many elements were compared. McuError where one differs, or nothing could be compared.

    `whole` gives the outputs of a recording, `step` those of its steps.
    """
    compared = 0
    for number, recording in enumerate(recordings(vectors, stream)):
        expected = whole(whole_inputs(recording, stream, sizes))
        rows = step(recording)
        for index, time in enumerate(stream["outputs"]):
            actual = _placed([row[index] for row in rows], time)
            wanted = _delivered(expected[index], time, actual)
            if not np.array_equal(actual, wanted, equal_nan=actual.dtype.kind == "f"):
                different = np.argwhere(actual != wanted)[0].tolist()
                output = output_name(index, stream.get("names", ()))
                raise McuError(
                    f"{name}: stream: recording {number}: {output}{different} is not what one call gives: "
                    f"{actual[tuple(different)]} instead of {wanted[tuple(different)]}",
                    "Build the model without `stream`, and please report it.",
                )
            compared += actual.size
    if not compared:
        raise McuError(
            f"{name}: stream: no step of a recording gives a result",
            "Give longer recordings in example_inputs: longer than what the model looks back.",
        )
    return compared


def _placed(rows: list[Array], time: Mapping[str, Any] | None) -> Array:
    if time is None:
        return rows[-1]
    joined = np.concatenate(rows, int(time["axis"]))
    first = min(int(time["delay"]), joined.shape[int(time["axis"])])
    count = min(joined.shape[int(time["axis"])] - first, int(time["length"]))
    return joined.take(range(first, first + count), axis=int(time["axis"]))


def _delivered(array: Array, time: Mapping[str, Any] | None, actual: Array) -> Array:
    if time is None:
        return array
    axis = int(time["axis"])
    return array.take(range(actual.shape[axis]), axis=axis)
