"""Vectors between archives and firmware: checked, quantized for int8 boundaries, packed as memory has them.

A port is one input or output as plan/describe.py tells it: dtype, shape, dim_order, scale, zero_point.
"""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from mcu_build.errors import McuError
from mcu_build.ir.plan import Quantization
from mcu_build.layer_names import output_name
from mcu_build.vectors import npz
from mcu_build.vectors.npz import Array

Port = Mapping[str, Any]
# The label of a call of a sequence that has none.
UNLABELLED = -1


# A stream as frontend/stream/recordings.py describes it.
Stream = Mapping[str, Any]


def load_inputs(file: Path, ports: Sequence[Port], stream: Stream | None = None) -> list[Array]:
    """The arrays input_0 ... of an archive, [vectors, ...] each. McuError where they do not fit the ports.

    Those of a stream may also be recordings.
    """
    arrays = npz.numbered(npz.load(file), "input")
    check_inputs(str(file), stepped(str(file), arrays, ports, stream)[0] if stream else arrays, ports, stream)
    return arrays


def stepped(
    source: str, arrays: Sequence[Array], ports: Sequence[Port], stream: Stream
) -> tuple[list[Array], int | None]:
    """Recordings [recordings, ...] as vectors of steps, and how many steps each has.

    Arrays that are steps already, or nothing that fits, come back as they are, with None. McuError, beginning
    with `source`, for recordings that are no whole steps, or over before there is a result.
    """
    axes = {int(index): int(axis) + 1 for index, axis in stream["inputs"]}
    hop = int(stream["hop"])
    if [array.ndim for array in arrays] != [len(port["shape"]) + 1 for port in ports]:
        return list(arrays), None
    samples = {arrays[index].shape[axis] for index, axis in axes.items()}
    count = samples.pop() if len(samples) == 1 else 0
    if count == hop or not count:
        return list(arrays), None
    steps = count // hop
    late = [(index, first) for index, first in enumerate(stream["first"]) if first > steps]
    if late:
        index, first = late[0]
        raise McuError(
            f"{source}: recordings of {count} samples are shorter than the window: "
            f"{output_name(index, stream.get('names', ()))} has its first result after {first * hop}",
            "Give longer recordings, or steps of one: the outputs of the first steps then mean nothing.",
        )
    if count % hop:
        raise McuError(
            f"{source}: recordings of {count} samples, and a step takes {hop}",
            f"Give a multiple of {hop} samples.",
        )
    cut = [
        cut_steps(array, axes[index], hop, steps) if index in axes else np.repeat(array, steps, axis=0)
        for index, array in enumerate(arrays)
    ]
    return cut, steps


def cut_steps(array: Array, axis: int, hop: int, steps: int) -> Array:
    """[recordings, ...] as [recordings * steps, ...] with `hop` samples along the axis."""
    used = array.take(range(steps * hop), axis=axis)
    shape = (*used.shape[:axis], steps, hop, *used.shape[axis + 1 :])
    cut = np.moveaxis(used.reshape(shape), axis, 1)
    return np.ascontiguousarray(cut.reshape(-1, *cut.shape[2:]))


def joined(rows: Array, time: Mapping[str, Any] | None, steps: int) -> Array:
    """Outputs of steps [recordings * steps, ...] as those of recordings.

    Without time that is the last step's; with time what comes before the first sample is left out.
    """
    cut = rows.reshape(-1, steps, *rows.shape[1:])
    if time is None:
        return cut[:, -1]
    axis, late = int(time["axis"]) + 1, int(time["delay"])
    moved = np.moveaxis(cut, 1, axis)
    whole = moved.reshape(*moved.shape[:axis], steps * int(time["hop"]), *moved.shape[axis + 2 :])
    return whole.take(range(min(late, whole.shape[axis]), whole.shape[axis]), axis=axis)


def sequence_starts(archive: Mapping[str, Array]) -> Array:
    """Which vectors of an archive find a model's state at its initial value: the first of each sequence.

    Without `sequence` in the archive all vectors are one sequence.
    """
    numbers = archive.get("sequence", np.zeros(len(archive["input_0"]), np.int64))
    return np.concatenate([[True], numbers[1:] != numbers[:-1]])


def one_sequence(arrays: Sequence[Array], memory: Mapping[str, Any]) -> Array | None:
    """The starts of a single sequence; None for a model that keeps no state (`memory` is the manifest's)."""
    return np.arange(len(arrays[0])) == 0 if memory.get("state") else None


def check_inputs(
    source: str, arrays: Sequence[Array], ports: Sequence[Port], stream: Stream | None = None
) -> None:
    """McuError, beginning with `source`, where arrays [vectors, ...] do not fit the ports."""
    if len(arrays) != len(ports):
        raise McuError(
            f"{source}: {len(arrays)} inputs, the model has {len(ports)}",
            f"Name the arrays input_0 ... input_{len(ports) - 1}.",
        )
    for index, (array, port) in enumerate(zip(arrays, ports, strict=True)):
        if list(array.shape[1:]) != port["shape"] or array.dtype != port["dtype"]:
            raise McuError(
                f"{source}: input_{index}: {array.dtype}{list(array.shape)}, the model takes "
                f"{port['dtype']}[{', '.join(map(str, ['vectors', *port['shape']]))}]",
                "The first dimension counts the vectors; the others are the model's own."
                + (f" Recordings are [recordings, {_recording(index, port, stream)}]." if stream else ""),
            )
    counts = {len(array) for array in arrays}
    if len(counts) != 1 or 0 in counts:
        raise McuError(
            f"{source}: inputs with {sorted(counts)} vectors", "Every input needs as many, one at least."
        )


def quantized(arrays: Sequence[Array], ports: Sequence[Port]) -> list[Array]:
    """Float arrays as the ports take them: q = clamp(rint(x / scale) + zero_point) where a port is int8."""
    return [
        _quantize(array, port) if array.dtype != port["dtype"] else array
        for array, port in zip(arrays, ports, strict=True)
    ]


def quantize(array: Array, quantization: Quantization, dtype: str) -> Array:
    """The integers that stand for real numbers, as the firmware's quantize step computes them."""
    limits = np.iinfo(dtype)
    steps = np.rint(array.astype(np.float32) * np.float32(1.0 / quantization.scale))
    shifted: Array = np.clip(steps + np.float32(quantization.zero_point), limits.min, limits.max)
    return shifted.astype(dtype)


def _quantize(array: Array, port: Port) -> Array:
    return quantize(array, Quantization(port["scale"], port["zero_point"]), port["dtype"])


def dequantized(array: Array, port: Port) -> Array:
    """An output in real numbers, whatever type it leaves the firmware in."""
    if array.dtype == np.float32 or port["scale"] is None:
        return array
    return (array.astype(np.float32) - np.float32(port["zero_point"])) * np.float32(port["scale"])


def pack(arrays: Sequence[Array], ports: Sequence[Port], starts: Array | None = None) -> bytes:
    """What the harness reads: for each vector, each input's bytes in memory order.

    Before them, for a model with state, whether the vector begins a sequence (`starts`).
    """
    memory = [] if starts is None else [starts.astype(np.uint8).reshape(-1, 1)]
    memory += [
        np.ascontiguousarray(array.transpose(0, *(1 + d for d in port["dim_order"]))).reshape(len(array), -1)
        for array, port in zip(arrays, ports, strict=True)
    ]
    return np.concatenate([array.view(np.uint8) for array in memory], axis=1).tobytes()


def row_bytes(ports: Sequence[Port]) -> int:
    """Bytes of one vector."""
    return sum(prod(port["shape"]) * np.dtype(port["dtype"]).itemsize for port in ports)


def unpack_state(
    data: bytes,
    vectors: int,
    ports: Sequence[Port],
    like: Sequence[Array],
    offsets: Sequence[int],
    rings: Sequence[Sequence[int] | None],
) -> list[Array]:
    """The state after each vector, which the harness wrote behind the outputs, as arrays like those given.

    They are [vectors, elements] in memory order, one for each buffer; `offsets` are where these begin, and
    `rings` as those of a plan: what lies in a ring is brought behind its first byte.
    """
    rows = np.frombuffer(data, np.uint8).reshape(vectors, -1)[:, row_bytes(ports) :]
    arrays = []
    for array, offset, ring in zip(like, offsets, rings, strict=True):
        places = np.arange(array[0].nbytes)
        if ring is not None:
            place, size = ring
            first = np.ascontiguousarray(rows[:, place : place + 4]).view(np.int32)
            places = (first + places) % size
        taken = np.take_along_axis(rows, np.broadcast_to(offset + places, (vectors, array[0].nbytes)), axis=1)
        arrays.append(np.ascontiguousarray(taken).view(array.dtype))
    return arrays


def unpack(data: bytes, vectors: int, ports: Sequence[Port]) -> list[Array]:
    """What the harness wrote, as arrays [vectors, ...] in the model's dimensions."""
    rows = np.frombuffer(data, np.uint8).reshape(vectors, -1)
    arrays, start = [], 0
    for port in ports:
        dtype, order, shape = np.dtype(port["dtype"]), port["dim_order"], port["shape"]
        size = prod(shape) * dtype.itemsize
        memory = [shape[dimension] for dimension in order]
        flat = np.ascontiguousarray(rows[:, start : start + size]).view(dtype)
        arrays.append(flat.reshape(vectors, *memory).transpose(0, *(1 + int(i) for i in np.argsort(order))))
        start += size
    return [np.ascontiguousarray(array) for array in arrays]


def _recording(index: int, port: Port, stream: Stream) -> str:
    """The shape of a recording of an input, with a word for its samples."""
    axes = {int(input): int(axis) for input, axis in stream["inputs"]}
    return ", ".join("samples" if axes.get(index) == at else str(n) for at, n in enumerate(port["shape"]))
