"""manifest.json: what a build made. The only thing that run, test, flash and size read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mcu_build.cache import hash_file
from mcu_build.errors import McuError
from mcu_build.files import write_atomically

NAME = "manifest.json"
SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """One build. `artefacts` are file names in the build folder, `hashes` their SHA-256.

    `memory`, `operators`, `calls`, `removed`, `inputs` and `outputs` are those of plan/describe.py; `flash`
    and `ram` those of image/size.py, `npu` that of lowered.py, `stream` that of stages.Lowered. `key`
    stands for everything that went into the build.
    """

    name: str
    board: Mapping[str, Any]
    toolchain: str
    io: str
    key: str
    program_key: str
    artefacts: Mapping[str, str]
    hashes: Mapping[str, str]
    flash: Mapping[str, int]
    ram: Mapping[str, int]
    memory: Mapping[str, Any]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    operators: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    npu: Mapping[str, Any] | None = None
    optimize: str = "speed"
    removed: Mapping[str, Any] | None = None
    stream: Mapping[str, Any] | None = None
    calls: tuple[tuple[int, str], ...] = ()

    def path(self, folder: Path, artefact: str) -> Path:
        """The file of an artefact such as 'elf'."""
        return folder / self.artefacts[artefact]

    def is_whole(self, folder: Path) -> bool:
        """Whether every artefact is there and unchanged."""
        return all(
            (folder / name).is_file() and hash_file(folder / name) == self.hashes[artefact]
            for artefact, name in self.artefacts.items()
        )


def write(manifest: Manifest, folder: Path) -> None:
    """Write manifest.json."""
    document = {"schema": SCHEMA, **asdict(manifest)}
    write_atomically(folder / NAME, json.dumps(document, indent=2).encode())


def read(folder: Path) -> Manifest | None:
    """The manifest of a build folder; None where there is none, it is of another schema, or damaged."""
    try:
        document = json.loads((folder / NAME).read_text())
        if document.pop("schema") != SCHEMA:
            return None
        lists = ("inputs", "outputs", "operators", "warnings")
        calls = tuple((row, kernel) for row, kernel in document["calls"])
        return Manifest(**{**document, **{key: tuple(document[key]) for key in lists}, "calls": calls})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def require(folder: Path) -> Manifest:
    """The manifest of a build folder, or McuError."""
    manifest = read(folder)
    if manifest is None:
        raise McuError(
            f"{folder}: {'this build is not whole' if is_begun(folder) else 'no build here'}",
            "Build the model first: `mcu-build build --board B model.py` writes build/<model>/B.",
        )
    return manifest


def is_begun(folder: Path) -> bool:
    """Whether a folder is one of builds, finished or not."""
    return any((folder / name).exists() for name in (NAME, "plan.json", "build.log"))
