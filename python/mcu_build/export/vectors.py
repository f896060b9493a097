"""The test vectors of an export: few, small, and such that outputs differ where a model tells them apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcu_build.vectors import pack as vectors
from mcu_build.vectors.npz import Array

# They go into flash of the self-test.
_MOST = 8
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Vectors:
    """Bytes as memory has them, an array [vectors, bytes] for each input and output.

    `starts` tells which vectors find a model's state at its initial value, `tolerances` what a float output
    may differ by: nothing, but for a user's own operators. `vary` is whether outputs differ between vectors.
    """

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    starts: tuple[bool, ...]
    tolerances: tuple[float, ...]
    vary: bool

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.starts)


def chosen(
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    input_ports: Sequence[vectors.Port],
    output_ports: Sequence[vectors.Port],
    starts: Array | None,
    tolerances: Sequence[float],
) -> Vectors:
    """Some of the vectors (arrays [vectors, ...]) with the outputs that are expected of them.

    Those with new outputs come first; of a model with state (`starts`) the first ones, which are a sequence.
    """
    packed_in = [_packed(array, port) for array, port in zip(inputs, input_ports, strict=True)]
    packed_out = [_packed(array, port) for array, port in zip(outputs, output_ports, strict=True)]
    row = sum(array.shape[1] for array in (*packed_in, *packed_out))
    most = min(_MOST, max(2, _MOST_BYTES // row), len(inputs[0]))
    if starts is None:
        order = _differing_first(np.concatenate(packed_out, axis=1))[:most]
        begins = [False] * len(order)
    else:
        order = list(range(most))
        begins = [bool(starts[index]) or index == 0 for index in order]
    kept_out = [array[order] for array in packed_out]
    return Vectors(
        tuple(array[order] for array in packed_in),
        tuple(kept_out),
        tuple(begins),
        tuple(tolerances),
        any(bool((array != array[:1]).any()) for array in kept_out),
    )


def _packed(array: Array, port: vectors.Port) -> Array:
    return np.frombuffer(vectors.pack([array], [port]), np.uint8).reshape(len(array), -1)


def _differing_first(rows: Array) -> list[int]:
    """Indices of rows, those that repeat an earlier one last."""
    seen: dict[bytes, int] = {}
    for index, row in enumerate(rows):
        seen.setdefault(row.tobytes(), index)
    first = sorted(seen.values())
    return first + sorted(set(range(len(rows))) - set(first))
