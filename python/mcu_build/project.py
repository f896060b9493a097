"""The project file: what every command of a project would say again.

`mcu-build.toml`, or `[tool.mcu-build]` in pyproject.toml, in the folder of the model or the nearest above it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from mcu_build.errors import McuError
from mcu_build.hardware import Size, Strict

FILE = "mcu-build.toml"
_PYPROJECT = "pyproject.toml"
_TABLE = "mcu-build"
# Models that a folder has, by file name, best first.
_USUAL = ("model.py", "model.pt2", "model.pte")


class Settings(Strict):
    """Options of the command, by their names; those that are absent are the command's own defaults."""

    board: str | None = None
    npu: str | None = None
    io: Literal["float", "int8"] | None = None
    optimize: Literal["speed", "size", "ram"] | None = None
    toolchain: Literal["arm-clang", "arm-gcc"] | None = None
    build_dir: Path | None = None
    max_flash: Size | None = None
    max_ram: Size | None = None
    max_instructions: int | None = Field(None, ge=0)
    max_cycles: int | None = Field(None, ge=0)
    min_accuracy: float | None = Field(None, ge=0, le=1)
    min_sqnr: float | None = None
    max_drop: float | None = None

    def values(self) -> dict[str, Any]:
        """What is set."""
        return {
            name: getattr(self, name) for name in Settings.model_fields if getattr(self, name) is not None
        }


class ModelSettings(Settings):
    """A model of the project: its file, and what differs for it."""

    file: Path


class _Document(Settings):
    models: Mapping[str, ModelSettings] = Field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """A project file that was read. Paths of its values are absolute."""

    file: Path
    common: Settings
    models: Mapping[str, ModelSettings]

    @property
    def folder(self) -> Path:
        """The folder that it lies in."""
        return self.file.parent

    def model_file(self, name: str) -> Path | None:
        """The file of the model called `name`."""
        found = self.models.get(name)
        return self.folder / found.file if found else None

    def settings(self, model: Path | None = None) -> dict[str, Any]:
        """What is set for a model file: its own where it has any, else the project's."""
        own = next(
            (one.values() for one in self.models.values() if model and _same(self.folder / one.file, model)),
            {},
        )
        found = {**self.common.values(), **own}
        if "build_dir" in found:
            found["build_dir"] = self.folder / found["build_dir"]
        return found


def find(start: Path) -> Project | None:
    """The project that a file or folder is in. McuError names the key that is wrong."""
    folder = start.absolute() if start.is_dir() else start.absolute().parent
    for place in (folder, *folder.parents):
        for file, table in _documents(place):
            return _read(file, table)
    return None


def resolve(model: Path) -> Path:
    """The model file that a command's MODEL means: itself, a model of the project by name, or a folder's.

    What is none of these is given back as it is, and refused where it is used.
    """
    if model.is_dir():
        return _of_folder(model)
    if not model.exists() and not model.suffix:
        project = find(Path.cwd())
        return (project.model_file(str(model)) if project else None) or model
    return model


def _of_folder(folder: Path) -> Path:
    project = find(folder)
    if project and project.folder == folder.absolute() and project.models:
        if len(project.models) == 1:
            return project.folder / next(iter(project.models.values())).file
        names = ", ".join(project.models)
        raise McuError(
            f"{folder}: {project.file.name} names {len(project.models)} models", f"Give one: {names}."
        )
    found = next((folder / name for name in _USUAL if (folder / name).is_file()), None)
    if found is None:
        raise McuError(
            f"{folder}: no model in this folder: neither {', '.join(_USUAL)} nor [models.<name>] in {FILE}",
            "Give the model's file, or write a starter with `mcu-build new`.",
        )
    return found


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _documents(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if (folder / FILE).is_file():
        yield folder / FILE, _toml(folder / FILE)
    if (folder / _PYPROJECT).is_file():
        table = _toml(folder / _PYPROJECT).get("tool", {}).get(_TABLE)
        if table is not None:
            yield folder / _PYPROJECT, table


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise McuError(f"{file}: not TOML: {error}", "docs/project.md describes the file.") from error


def _read(file: Path, table: Mapping[str, Any]) -> Project:
    try:
        document = _Document.model_validate(table)
    except ValidationError as error:
        keys = ", ".join(name for name in _Document.model_fields if name != "models")
        lines = [f"{file}: {'.'.join(map(str, one['loc']))}: {_words(one)}" for one in error.errors()]
        raise McuError(
            "\n".join(lines), f"Keys are {keys}; [models.<name>] has file, too (docs/project.md)."
        ) from error
    return Project(file, document, document.models)


def _words(error: Mapping[str, Any]) -> str:
    return "no such key" if error["type"] == "extra_forbidden" else str(error["msg"])
