"""A content-addressed store of stage results.

An entry is a folder of files under the hash of everything that went into them. It is made in a temporary
folder and renamed, so it is whole or absent, whenever the process is stopped.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock

from mcu_build.errors import McuError
from mcu_build.resources import data_dir

# What to do where the cache cannot be written.
ROOM = "Set MCU_BUILD_CACHE to a folder that can be written and has room."
_COMPLETE = "entry.json"
_SOURCES = (".py", ".h", ".cpp", ".c", ".S", ".cmake", ".toml", ".in", ".html")


class Cache:
    """The store in `root`; by default $MCU_BUILD_CACHE, else mcu-build in the user's cache folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def find(self, key: str) -> Path | None:
        """The folder of entry `key`, or None."""
        entry = self._entry(key)
        return entry if (entry / _COMPLETE).is_file() else None

    def get(self, key: str, produce: Callable[[Path], None]) -> tuple[Path, bool]:
        """The folder of entry `key` and whether it was there; else `produce` fills a new one.

        Two processes that want the same entry wait for each other instead of working twice.
        """
        entry = self.find(key)
        if entry:
            return entry, True
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / f"{key}.lock"):
                entry = self.find(key)
                if entry:
                    return entry, True
                return self._fill(key, produce), False
        except OSError as error:
            raise McuError(
                f"{error.filename or self.root}: {error.strerror or error}",
                ROOM,
            ) from error

    def _fill(self, key: str, produce: Callable[[Path], None]) -> Path:
        partial = Path(tempfile.mkdtemp(prefix=f"{key[:12]}-", dir=self.root))
        try:
            produce(partial)
            (partial / _COMPLETE).write_text(json.dumps({"schema": 1, "key": key}))
            entry = self._entry(key)
            shutil.rmtree(entry, ignore_errors=True)
            partial.rename(entry)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return entry

    def _entry(self, key: str) -> Path:
        return self.root / key


def default_root() -> Path:
    """Where the cache lies when nothing else is said."""
    if chosen := os.environ.get("MCU_BUILD_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mcu-build"


def hash_text(*parts: str) -> str:
    """One key from several texts; where one ends and the next begins counts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def hash_file(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_files(files: Iterable[Path], base: Path) -> str:
    """One key from the names, relative to `base`, and the bytes of files."""
    pairs = ((os.path.relpath(file, base), hash_file(file)) for file in sorted(files))
    return hash_text(*(text for pair in pairs for text in pair))


@cache
def own_code(*parts: str) -> str:
    """A key for our own Python: the whole package, or files and folders of it."""
    package = Path(__file__).parent
    return _tree_key(package, parts or (".",))


@cache
def own_data(*folders: str) -> str:
    """A key for folders that come with the package: firmware, toolchains, cmake, boards."""
    return _tree_key(data_dir(), folders)


def _tree_key(base: Path, parts: Iterable[str]) -> str:
    roots = [base / part for part in parts]
    files = {file for root in roots for file in ([root] if root.is_file() else root.rglob("*"))}
    return hash_files((file for file in files if file.is_file() and file.suffix in _SOURCES), base)


@cache
def versions(*packages: str) -> str:
    """'name==version' of installed packages, in one line."""

    def one(package: str) -> str:
        try:
            return f"{package}=={version(package)}"
        except PackageNotFoundError:
            return f"{package} absent"

    return " ".join(one(package) for package in packages)
