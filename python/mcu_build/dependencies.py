"""What a model file depends on: what was observed while it ran (recorder.py), as a value that is kept.

Paths are kept as they were opened, not resolved: a symbolic link may be pointed elsewhere.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcu_build.cache import hash_file, hash_text

# Folders that builds fill: listing a project does not make it depend on its own build.
BUILT = re.compile(r"build|bazel-.*|__pycache__|\..*")
# What of our own code a quantized model depends on.
FRONT_END_CODE = ("arithmetic", "frontend", "layer_names.py", "lower", "quality")


@dataclass(frozen=True)
class Dependencies:
    """What a run of a model file observed of the world around it.

    `files` were read, `absent` were looked for and not there, entries of `folders` were listed. `variables`
    of the environment had these values when they were first read, None: not set. Where not `settled`, a file
    was changed since it was read: what was made of it is of no known state.
    """

    files: tuple[Path, ...]
    absent: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    variables: tuple[tuple[str, str | None], ...] = ()
    settled: bool = True

    def with_files(self, files: Iterable[Path]) -> "Dependencies":
        """These and more files."""
        return replace(self, files=tuple(sorted({*self.files, *files})))

    def key(self, base: Path) -> str:
        """A key of all that was observed, as it is now; paths count relative to the folder `base`."""
        parts = [str(len(self.files)), str(len(self.folders))]
        for file in self.files:
            parts += [relative(file, base), relative(Path(os.path.realpath(file)), base), hash_file(file)]
        for folder in self.folders:
            names = _entries(folder)
            parts += [relative(folder, base), str(len(names)), *names]
        for name, value in self.variables:
            parts += [name, "unset" if value is None else f"={value}"]
        return hash_text(*parts)

    @property
    def are_there(self) -> bool:
        """Whether files and folders are still there, and nothing that was looked for in vain has appeared."""
        there = all(map(Path.is_file, self.files)) and all(map(Path.is_dir, self.folders))
        return there and not any(map(Path.exists, self.absent))

    def now(self) -> "Dependencies":
        """The same with today's values of the variables."""
        return replace(self, variables=tuple((name, os.environ.get(name)) for name, _ in self.variables))

    @property
    def watched(self) -> tuple[str, ...]:
        """What a build system that compares times has to watch.

        Files and, where a symbolic link leads to one, the folder that holds the link; then, as patterns, what
        has not been there and whose entries count. These are the lines of depends.txt (docs/cmake.md).
        """
        links = {folder for file in self.files for folder in _link_folders(file)}
        patterns = [_escaped(path) for path in self.absent] + [f"{_escaped(path)}/*" for path in self.folders]
        return (*map(str, self.files), *map(str, sorted(links)), *patterns)

    def document(self, base: Path) -> dict[str, Any]:
        """As JSON: relative to `base`, and no value of a variable."""
        paths = {"files": self.files, "absent": self.absent, "folders": self.folders}
        document: dict[str, Any] = {
            key: [relative(path, base) for path in value] for key, value in paths.items()
        }
        return {**document, "variables": [name for name, _ in self.variables]}

    @staticmethod
    def read(document: Mapping[str, Any], base: Path) -> "Dependencies":
        """What `document` wrote, for the folder `base`, with today's values of the variables."""
        files, absent, folders = (
            tuple(Path(os.path.normpath(base / name)) for name in document[key])
            for key in ("files", "absent", "folders")
        )
        return Dependencies(
            files, absent, folders, tuple((name, None) for name in document["variables"])
        ).now()


def _entries(folder: Path) -> list[str]:
    """Names in a folder, without what is hidden or built. A folder that is gone has none."""
    try:
        return sorted(path.name for path in folder.iterdir() if not BUILT.fullmatch(path.name))
    except OSError:
        return []


def _link_folders(file: Path) -> Iterator[Path]:
    """The folders that hold the symbolic links on the way to a file."""
    return (path.parent for path in (file, *file.parents) if path.is_symlink())


def relative(path: Path, base: Path) -> str:
    """A path as it is seen from the folder `base`."""
    return Path(os.path.relpath(path, base)).as_posix()


def _escaped(path: Path) -> str:
    """A path as a pattern of CMake's."""
    return re.sub(r"[\[*?]", "?", str(path))
