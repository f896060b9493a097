"""Whole recordings and what belongs to them, cut into steps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mcu_build.errors import McuError
from mcu_build.frontend.stream.rewrite import Streamed
from mcu_build.frontend.stream.timeline import Timeline
from mcu_build.vectors import npz
from mcu_build.vectors.pack import UNLABELLED, cut_steps

Labels = int | tuple[int | None, ...] | None


def describe(
    streamed: Streamed, axes: Mapping[int, int], latency: int, names: Sequence[str] = ()
) -> dict[str, Any]:
    """A stream as plain data: `inputs` [index, axis], samples in a step, steps of a recording, outputs.

    `latency` are the samples that the model file permits, `first` the steps before each output's first
    result, `names` what the model calls its outputs.
    """
    ahead = streamed.ahead
    return {
        "inputs": sorted(axes.items()),
        "hop": streamed.hop,
        "steps": streamed.steps,
        "outputs": [asdict(time) if time else None for time in streamed.outputs],
        "names": list(names),
        "first": list(streamed.first),
        "ahead": {**asdict(ahead), "text": str(ahead)} if ahead else None,
        "latency": latency,
    }


def cut(
    file: Path,
    whole: Mapping[str, npz.Array],
    labels: Sequence[Labels],
    streamed: Streamed,
    axes: Mapping[int, int],
) -> dict[str, npz.Array]:
    """Vectors of recordings as vectors of steps, each recording a sequence.

    `whole` holds input_0 ... and float_0 ..., [recordings, ...]. What a program gives in a step and the
    recording has not becomes NaN. McuError where labels do not fit the steps.
    """
    steps, hop = streamed.steps, streamed.hop
    arrays: dict[str, npz.Array] = {}
    for index, array in enumerate(npz.numbered(whole, "input")):
        if index in axes:
            arrays[f"input_{index}"] = cut_steps(array, axes[index] + 1, hop, steps)
        else:
            arrays[f"input_{index}"] = np.repeat(array, steps, axis=0)
    for index, array in enumerate(npz.numbered(whole, "float")):
        arrays[f"float_{index}"] = _expected(array, streamed.outputs[index], steps)
    count = len(whole["input_0"])
    arrays["sequence"] = np.repeat(np.arange(count), steps)
    if any(label is not None for label in labels):
        rows = [_labels(file, number, label, steps) for number, label in enumerate(labels)]
        classes = arrays["float_0"][0].size
        for number, row in enumerate(rows):
            if max(row) >= classes or min(row) < UNLABELLED:
                raise McuError(
                    f"{file}: evaluation[{number}]: a label of {max(row)}, and a step has {classes} classes",
                    "A label is the index of the right class, counted from 0, or None.",
                )
        arrays["labels"] = np.array(rows).reshape(-1)
    return arrays


def _labels(file: Path, number: int, label: Labels, steps: int) -> list[int]:
    """A label for each step; one alone is that of the last."""
    if not isinstance(label, tuple):
        row: list[int | None] = [*[None] * (steps - 1), label]
    elif len(label) == steps:
        row = list(label)
    else:
        raise McuError(
            f"{file}: evaluation[{number}]: {len(label)} labels for {steps} steps",
            "Give one label for each step of the recording, or one for the last.",
        )
    return [UNLABELLED if label is None else label for label in row]


def _expected(array: npz.Array, time: Timeline | None, steps: int) -> npz.Array:
    """What the whole model gives, in the step that has it."""
    missing = np.nan
    known = array if array.dtype.kind == "f" else array.astype(np.float64)
    if time is None:
        expected = np.full((len(array), steps, *array.shape[1:]), missing, known.dtype)
        expected[:, -1] = known
        return expected.reshape(-1, *array.shape[1:])
    axis, samples = time.axis + 1, steps * time.hop
    shape = (*array.shape[:axis], samples, *array.shape[axis + 1 :])
    late = np.full(shape, missing, known.dtype)
    count = max(0, min(samples - time.delay, time.length))
    into, out_of = [slice(None)] * array.ndim, [slice(None)] * array.ndim
    into[axis], out_of[axis] = slice(time.delay, time.delay + count), slice(0, count)
    late[tuple(into)] = known[tuple(out_of)]
    return cut_steps(late, axis, time.hop, steps)
