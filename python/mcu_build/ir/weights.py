"""Read weights that lie apart from their program (.ptd) without torch.

The layout is that of `extension/flat_tensor/serialize/flat_tensor.fbs` in the executorch wheel (file
identifier FT01, a header "FH01" at byte 8, segments behind the flatbuffer). Slot numbers below are the
positions of the fields in their tables there.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from flatbuffers import number_types as types

from mcu_build.errors import McuError
from mcu_build.ir.flatbuffer import FlatTable, checked, file_bytes

_IDENTIFIER = b"FT01"
_HEADER_MAGIC = b"FH01"
_HEADER = "<4sIQQQQ"


@dataclass(frozen=True)
class Weight:
    """A tensor of a file: `scalar_type` of scalar_type.fbs, `start` the place of its `nbytes` in the file."""

    key: str
    scalar_type: int
    shape: tuple[int, ...]
    dim_order: tuple[int, ...]
    start: int
    nbytes: int


@dataclass(frozen=True)
class WeightFile:
    """A .ptd: `data` is all of it, `blobs` what delegates keep in it, by key: place and size."""

    path: Path
    data: bytes = field(repr=False)
    weights: tuple[Weight, ...]
    blobs: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def bytes_of(self, weight: Weight) -> bytes:
        """The elements of one of its tensors."""
        return self.data[weight.start : weight.start + weight.nbytes]


@dataclass(frozen=True)
class Weights:
    """What several files hold together."""

    files: tuple[WeightFile, ...] = ()

    def by_key(self) -> Mapping[str, tuple[WeightFile, Weight]]:
        """Each tensor with its file."""
        return {weight.key: (file, weight) for file in self.files for weight in file.weights}

    def blobs(self) -> Mapping[str, bytes]:
        """What delegates keep in them, by key."""
        return {
            key: file.data[start : start + size]
            for file in self.files
            for key, (start, size) in file.blobs.items()
        }


def load_weights(paths: Sequence[Path]) -> Weights:
    """Read .ptd files. McuError names what is wrong with one, and tensors that two of them have."""
    weights = Weights(tuple(_load(path) for path in paths))
    files_of: dict[str, Path] = {}
    for file in weights.files:
        for weight in file.weights:
            if weight.key in files_of:
                raise McuError(
                    f"{file.path}: {weight.key!r} is in {files_of[weight.key]}, too", "Give one of them."
                )
            files_of[weight.key] = file.path
    return weights


def _load(path: Path) -> WeightFile:
    data = file_bytes(path)
    if data[4:8] != _IDENTIFIER:
        raise McuError(
            f"{path}: not a file of weights (no {_IDENTIFIER.decode()} identifier at byte 4)",
            "Give a .ptd file as written by ExecutorchProgramManager.write_tensor_data_to_file().",
        )
    with checked(str(path)):
        entries = list(_entries(data))
        weights = tuple(weight for entry in entries if (weight := _weight(*entry)))
    blobs = {key: (start, nbytes) for key, layout, start, nbytes in entries if layout is None}
    return WeightFile(path, data, weights, blobs)


def _entries(data: bytes) -> Iterator[tuple[str, FlatTable | None, int, int]]:
    """Key, layout (of tensors alone), place in the file and size of what a file holds."""
    magic, _, _, _, base, size = struct.unpack_from(_HEADER, data, 8)
    if magic != _HEADER_MAGIC:
        raise ValueError("it has no header")
    if base + size > len(data):
        raise ValueError(f"the header promises {base + size} bytes, there are {len(data)}")
    root = FlatTable(data, struct.unpack_from("<I", data, 0)[0])
    version = root.number(0, types.Uint32Flags)
    if version != 0:
        raise ValueError(f"it is of schema version {version}, which is newer than 0")
    segments = [
        (segment.number(0, types.Uint64Flags), segment.number(1, types.Uint64Flags))
        for segment in root.children(1)
    ]
    for named in root.children(2):
        key, (offset, length) = named.text(0), segments[named.number(1, types.Uint32Flags)]
        if offset + length > size:
            raise ValueError(f"{key!r} runs past the end of the file")
        yield key, named.child(2), base + offset, length


def _weight(key: str, layout: FlatTable | None, start: int, nbytes: int) -> Weight | None:
    if layout is None:
        return None
    shape, order = layout.numbers(1, types.Int32Flags), layout.numbers(2, types.Uint8Flags)
    if sorted(order) != list(range(len(shape))) or any(size < 0 for size in shape):
        raise ValueError(f"{key!r} has shape {shape} in order {order}")
    if prod(shape) > nbytes:
        raise ValueError(f"{key!r} has {prod(shape)} elements in {nbytes} bytes")
    return Weight(key, layout.number(0, types.Int8Flags), shape, order, start, nbytes)
