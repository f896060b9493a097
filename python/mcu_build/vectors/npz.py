"""Archives of vectors: arrays input_0, input_1 ... whose first dimension is the vector."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mcu_build.errors import McuError
from mcu_build.files import write_atomically

Array = np.ndarray[Any, Any]


def load(file: Path) -> dict[str, Array]:
    """Every array of an archive. McuError names the file and what is wrong."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an .npz archive"
        raise McuError(f"{file}: {reason}", "Write it with numpy.savez(file, input_0=...).") from error


def save(file: Path, arrays: Mapping[str, Array]) -> None:
    """Write an archive; it is whole or absent."""
    stream = io.BytesIO()
    np.savez(stream, **dict(arrays))
    write_atomically(file, stream.getvalue())


def numbered(arrays: Mapping[str, Array], prefix: str) -> list[Array]:
    """The arrays <prefix>_0, <prefix>_1 ... in order."""
    in_order: list[Array] = []
    while f"{prefix}_{len(in_order)}" in arrays:
        in_order.append(arrays[f"{prefix}_{len(in_order)}"])
    return in_order
