"""Files that are whole or as they were before, whenever the process is stopped."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mcu_build.errors import McuError

NO_ROOM = "Choose a folder that can be written and has room; --build-dir is where builds go."
# Bytes, below which a disk counts as full.
_LEAST = 65_536


def write_changed(file: Path, text: str) -> None:
    """Write only what differs, so that a build system sees what has changed."""
    if not file.is_file() or file.read_bytes() != text.encode():
        write_atomically(file, text.encode())


def write_atomically(file: Path, data: bytes) -> None:
    """Write `file`, making its folder. McuError where it cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            Path(partial).chmod(0o644)
            Path(partial).replace(file)
        finally:
            Path(partial).unlink(missing_ok=True)
    except OSError as error:
        raise McuError(f"{file}: {error.strerror or error}", NO_ROOM) from error


def lock(
    folder: Path, waits: Callable[[], None] | None = None, hint: str = NO_ROOM
) -> AbstractContextManager[Any]:
    """Keep other processes out of `folder`, which is made where it is missing, until the end of a block.

    `waits` is called first where another process is in there. McuError with `hint` where it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file_lock = FileLock(folder / ".lock")
        try:
            return file_lock.acquire(timeout=0)
        except Timeout:
            if waits:
                waits()
            return file_lock.acquire()
    except OSError as error:
        raise not_writable(folder, error, hint) from error


def not_writable(folder: Path, error: OSError, hint: str = NO_ROOM) -> McuError:
    """The error for a folder in which a file could not be made."""
    return McuError(f"{error.filename or folder}: {error.strerror or error}", hint)


def disk_full(folder: Path) -> McuError | None:
    """The error for a full disk where `folder` lies on one. For programs that fail without saying so."""
    if shutil.disk_usage(folder).free >= _LEAST:
        return None
    return McuError(f"{folder}: {os.strerror(errno.ENOSPC)}", NO_ROOM)
