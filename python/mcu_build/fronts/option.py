"""A build option: what each build-system integration has of it, and how its values are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mcu_build.errors import Exit, McuError

Kind = Literal["text", "choice", "path", "number", "size", "real"]
Front = Literal["cmake", "scons", "bazel"]
Group = Literal["Model and board", "Compiler, kernels, runtime", "Image", "Output", "Budgets"]

# Verbs that make an image, and those that write sources: together all that take build options.
IMAGE_VERBS = ("build", "run", "test", "flash", "size", "profile", "report", "fit", "why")
SOURCE_VERBS = ("generate", "export")
VERBS = (*IMAGE_VERBS, *SOURCE_VERBS)
FRONTS: tuple[Front, ...] = ("cmake", "scons", "bazel")
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Option:
    """A build option.

    `verbs` have it on the command line. `elsewhere` are the build systems that do not have it as it is, and
    what does the same there ("": nothing). `project` says where a project file may set it: anywhere, for a
    model of its own, or not at all. `needs` is another option, and its values without which it has no effect,
    `because` the reason where it does not go without saying. `endings` are those of its files.
    `in_bytes`: a number of them. `page` of docs/ says more.
    `name`, `kind`, `many`, `choices` and `default` are those of the field.
    """

    help: str
    group: Group = "Model and board"
    metavar: str = ""
    short: str = ""
    verbs: tuple[str, ...] = VERBS
    elsewhere: tuple[tuple[Front, str], ...] = ()
    project: Literal["anywhere", "model", "never"] = "anywhere"
    needs: tuple[str, ...] = ()
    because: str = ""
    endings: tuple[str, ...] = ()
    in_bytes: bool = False
    page: str = ""
    name: str = ""
    kind: Kind = "text"
    many: bool = False
    choices: tuple[str, ...] = ()
    default: Any = None

    @property
    def flag(self) -> str:
        """On the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def cmake(self) -> str:
        """In CMake: an argument of mcu_add_model."""
        return self.name.upper()

    @property
    def variable(self) -> str | None:
        """In the environment, in CMake and in SCons, for all models. None for what is a model's own."""
        return f"MCU_{self.name.upper()}" if self.project == "anywhere" else None

    @property
    def is_open(self) -> bool:
        """Whether one flag may be followed by several values: `--ops-from a.pte b.pte`."""
        return self.metavar.endswith("...")

    def in_front(self, front: Front) -> bool:
        """Whether a build system has it as it is."""
        return front not in dict(self.elsewhere)

    def value(self, word: Any) -> Any:
        """What was given, as `BuildOptions` holds it. McuError (status 2) where there is no such value."""
        if word is None or word == "":
            return self.default
        if not self.many:
            return self._one(word)
        several = [word] if isinstance(word, str | Path) else word
        return tuple(self._one(item) for item in several)

    def arguments(self, value: Any) -> list[str]:
        """A value in words of the command line; none for the default."""
        if value == self.default or value is None:
            return []
        return [word for item in (value if self.many else [value]) for word in (self.flag, str(item))]

    def _one(self, word: Any) -> Any:
        if self.kind == "path" and isinstance(word, str | Path):
            return Path(word)
        if self.kind == "choice" and word in self.choices:
            return word
        if self.kind == "text" and isinstance(word, str | Path):
            return str(word)
        number = _number(word, self.kind == "size") if self.kind in ("number", "size") else None
        if number is None:
            raise McuError(f"{self.flag}: {word!r} is {self.refusal}", _hint(self), Exit.USAGE)
        return number

    @property
    def refusal(self) -> str:
        """What is said of a value that it does not have."""
        return {
            "text": "not a text",
            "path": "not a path",
            "choice": f"none of {', '.join(self.choices)}",
            "number": "not a number from 0 on",
            "size": "not a size such as 65536, 64K or 2M",
            "real": "not a number",
        }[self.kind]


def _hint(option: Option) -> str:
    return f"{option.default} is the default." if option.default else "Leave it out for the default."


def _number(word: Any, is_size: bool) -> int | None:
    if isinstance(word, str):
        text, unit = (word[:-1], word[-1]) if is_size and word[-1] in _SIZES else (word, "")
        return int(text) * _SIZES.get(unit, 1) if text.isdecimal() else None
    return word if isinstance(word, int) and not isinstance(word, bool) and word >= 0 else None
