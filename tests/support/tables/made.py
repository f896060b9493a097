"""What compilers have made for tests, kept between runs under the hash of all that went into it."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from mcu_build import process
from mcu_build.files import lock
from mcu_build.resources import data_dir


def made(name: str, command: Sequence[str | Path], reads: Iterable[Path]) -> Path:
    """What `command -o FILE` writes. `reads` are the files that decide what it is; words are the rest."""
    words = [str(word) for word in command]
    digest = hashlib.sha256(repr((_version(words[0]), words)).encode())
    for read in reads:
        digest.update(_content(read))
    file = kept(name, digest.hexdigest())
    with lock(file.parent / f"{file.name}.link"):
        if not file.exists():
            partial = file.with_name(f"{file.stem}.{os.getpid()}{file.suffix}")
            finished = process.run([*words, "-o", partial], cwd=file.parent, timeout=600)
            assert finished.status == 0, f"status {finished.status}: {finished.stderr}"
            partial.rename(file)
    return file


def written(name: str, text: str) -> Path:
    """A file with `text`."""
    file = kept(name, hashlib.sha256(text.encode()).hexdigest())
    if not file.exists():
        partial = file.with_name(f"{file.stem}.{os.getpid()}{file.suffix}")
        partial.write_text(text)
        partial.rename(file)
    return file


def kept(name: str, digest: str) -> Path:
    """Where what has this digest is kept: "add.o" as add-0123456789abcdef.o."""
    folder = data_dir() / "build" / "test-kernels"
    folder.mkdir(parents=True, exist_ok=True)
    stem, dot, suffix = name.partition(".")
    return folder / f"{stem}-{digest[:16]}{dot}{suffix}"


@cache
def headers(folder: Path) -> tuple[Path, ...]:
    """All headers below a folder."""
    return tuple(sorted(folder.rglob("*.h")))


@cache
def _content(file: Path) -> bytes:
    """The hash of a file, which does not change while tests run."""
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _version(tool: str) -> str:
    return process.run([tool, "--version"]).stdout
