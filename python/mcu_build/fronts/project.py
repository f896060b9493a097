"""The project file: what every command of a project would say again.

`mcu-build.toml`, or `[tool.mcu-build]` in pyproject.toml, in the folder of the model or the nearest above it.
"""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, create_model

from mcu_build.board import PROJECT_FILES
from mcu_build.errors import McuError
from mcu_build.fronts import budgets
from mcu_build.fronts.budgets import BUDGETS
from mcu_build.fronts.option import Option
from mcu_build.fronts.options import BY_NAME, OPTIONS, of_environment, without_idle
from mcu_build.hardware import Strict

FILE, _PYPROJECT = PROJECT_FILES
_TABLE = "mcu-build"
# Models that a folder has, by file name, best first.
_USUAL = ("model.py", "model.pt2", "model.pte")


def _checked(option: Option) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, list) != option.many:
            raise ValueError("a list is expected" if option.many else "one value is expected")
        try:
            return option.value(value)
        except McuError as error:
            raise ValueError(error.message.removeprefix(f"{option.flag}: ")) from None

    return check


def _keys(base: type[BaseModel], name: str, *where: str) -> type[BaseModel]:
    """A table with a key for each build option and each budget that may stand there."""
    keys: dict[str, Any] = {
        option.name: (Annotated[Any, BeforeValidator(_checked(option))], None)
        for option in (*OPTIONS, *BUDGETS)
        if option.project in where
    }
    return create_model(name, __base__=base, **keys)


class _OfModel(Strict):
    file: Path


_Common = _keys(Strict, "Settings", "anywhere")
_Model = _keys(_OfModel, "ModelSettings", "anywhere", "model")
_Document = create_model(
    "Document",
    __base__=_Common,
    models=(Mapping[str, _Model], Field(default_factory=dict)),  # type: ignore[valid-type]
)
# Keys that are right for a model, and wrong elsewhere.
_MODELS_OWN = {option.name for option in OPTIONS if option.project == "model"} | {"file"}


@dataclass(frozen=True)
class Project:
    """A project file that was read.

    `common` are its settings by the names of options, and `models` those of each model, with its `file`.
    """

    file: Path
    common: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]]

    @property
    def folder(self) -> Path:
        """The folder that it lies in."""
        return self.file.parent

    def model_file(self, name: str) -> Path:
        """The file of a model of this project. McuError where there is no such file."""
        file = Path(self.folder / self.models[name]["file"])
        if not file.exists():
            raise McuError(
                f"{self.file}: models.{name}.file: {file}: no such file",
                "Paths begin at the folder of the project file.",
            )
        return file

    def settings(self, model: Path | None = None) -> dict[str, Any]:
        """What is set for a model file: its own where it has any, else the project's. Paths are whole."""
        named = (
            entry for entry in self.models.values() if model and _same(self.folder / entry["file"], model)
        )
        settings = {**self.common, **next(named, {})}
        settings.pop("file", None)
        return {name: self._whole(name, value) for name, value in settings.items()}

    def _whole(self, name: str, value: Any) -> Any:
        """A value whose paths begin at the project file, with paths that lead from anywhere."""
        option = BY_NAME.get(name)
        if name == "board" and str(value).endswith(".toml"):
            return str(self.folder / value)
        if option is None or option.kind != "path":
            return value
        return tuple(self.folder / item for item in value) if option.many else self.folder / value


def find(start: Path) -> Project | None:
    """The project that a file or folder is in. McuError names the key that is wrong."""
    folder = start.absolute() if start.is_dir() else start.absolute().parent
    for place in (folder, *folder.parents):
        for file, table in _documents(place):
            return _read(file, table)
    return None


def read(file: Path) -> Project:
    """A project file. McuError where it is none, or a key is wrong."""
    for document, table in _documents(file.absolute().parent):
        if document.name == file.name:
            return _read(document, table)
    raise McuError(f"{file}: no project file", f"Its name is {FILE}, or {_PYPROJECT} with [tool.{_TABLE}].")


def resolve(model: Path, start: Path | None = None) -> Path:
    """The model file that MODEL means: itself, a model by its name in the project of `start`, or a folder's.

    What is none of these is given back as it is, and refused where it is used. `start` is the current folder
    where it is not given.
    """
    _check_name(model)
    if model.is_dir():
        return _of_folder(model)
    if not model.exists() and not model.suffix:
        project = find(start or Path.cwd())
        if project and model.name in project.models:
            return project.model_file(model.name)
    return model


def _check_name(model: Path) -> None:
    """McuError for a name that no file can have, or that cannot be written into what is generated."""
    try:
        str(model).encode()
        model.exists()
    except UnicodeEncodeError:
        shown = str(model).encode(errors="backslashreplace").decode()
        raise McuError(f"{shown}: its name is not UTF-8", "Give the file another name.") from None
    except OSError as error:
        raise McuError(f"{str(model)[:40]}...: {error.strerror}", "Give the file a shorter name.") from None


def settled(
    model: Path, options: Mapping[str, Any], variables: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Build options for a model file: those that are `given`, else of variables, else of the project file.

    Variables are those of the environment, and `variables` of a build system before them.
    """
    file = find(model)
    settings = file.settings(model) if file else {}
    project = {name: value for name, value in settings.items() if name in BY_NAME}
    return without_idle({**project, **of_environment(os.environ), **(variables or {}), **options}, options)


def settled_budgets(model: Path, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The budgets of a model file: of variables, as for `settled`, else of the project file."""
    file = find(model)
    settings = file.settings(model) if file else {}
    project = {name: value for name, value in settings.items() if name in budgets.BY_NAME}
    return {**project, **budgets.of_variables(os.environ), **budgets.of_variables(variables or {})}


def _of_folder(folder: Path) -> Path:
    project = find(folder)
    if project and project.folder == folder.absolute() and project.models:
        if len(project.models) == 1:
            return project.model_file(next(iter(project.models)))
        names = ", ".join(project.models)
        raise McuError(
            f"{folder}: {project.file.name} names {len(project.models)} models", f"Give one: {names}."
        )
    model = next((folder / name for name in _USUAL if (folder / name).is_file()), None)
    if model is None:
        raise McuError(
            f"{folder}: no model in this folder: neither {', '.join(_USUAL)} nor [models.<name>] in {FILE}",
            "Give the model's file, or write a starter with `mcu-build new`.",
        )
    return model


def _same(file: Path, other: Path) -> bool:
    return file.resolve() == other.resolve()


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
        lines = [
            f"{file}: {'.'.join(map(str, problem['loc']))}: {_words(problem)}" for problem in error.errors()
        ]
        raise McuError("\n".join(lines), _hint(error)) from error
    values = document.model_dump(exclude_unset=True)
    models = values.pop("models", {})
    return Project(file, values, models)


def _words(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][-1])
    if error["loc"][0] == "models" and error["type"] in ("model_type", "mapping_type"):
        return "a table is expected, [models.<name>] with `file`"
    if error["type"] != "extra_forbidden":
        return str(error["msg"]).removeprefix("Value error, ")
    if len(error["loc"]) == 1 and name in _MODELS_OWN:
        return "not for all models: write it below [models.<name>]"
    if name in BY_NAME:
        return f"not in a project file: give {BY_NAME[name].flag} to the command"
    near = difflib.get_close_matches(name, [*_Model.model_fields], n=1)
    return f"no such key{f': did you mean {near[0]}?' if near else ''}"


def _hint(error: ValidationError) -> str:
    keys = [name for name in _Document.model_fields if name != "models"]
    own = [name for name in _Model.model_fields if name not in keys]
    return f"Keys are {', '.join(keys)}; below [models.<name>] {', '.join(own)}, too (docs/project.md)."
