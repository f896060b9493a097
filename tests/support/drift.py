"""Whether build systems have drifted apart: what each compiles and links, and with which options, compared.

Command lines are brought to one form. Left out is only what is a build system's own business: where objects,
archives and dependency files lie, and the `-iquote` folders and prefix maps for its own folders. What is left
must be the same, options in the same order.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from mcu_build.codegen.toolchain_config import is_cxx_only

_SOURCES = (".cpp", ".cc", ".c", ".S")
_OBJECTS = (".o", ".obj")
# Parts of the C library that clang is given by path.
_SYSTEM = ("/libm.a", "/libc.a", "/libgcc.a")
# Options whose next word belongs to them.
_WITH_VALUE = ("-o", "-MF", "-MT", "-MQ", "-T", "-D", "-I", "-isystem", "-iquote")
_OWN_BUSINESS = ("-o", "-MF", "-MT", "-MQ", "-MD", "-MMD", "-c", "-iquote", "-T", "-Wl,-Map=")


@dataclass(frozen=True)
class Compile:
    """How a source is compiled. Warnings and defines have no order, nor have `includes`.

    A model's folder holds headers with the model's name, that of the firmware only mcu/. Whether they are a
    system's (without warnings) or not makes no other object.
    """

    compiler: str
    options: tuple[str, ...]
    warnings: frozenset[str]
    defines: frozenset[str]
    includes: frozenset[str]
    system_includes: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """How an image is linked. `objects` are those named one by one, by their stems, in order."""

    compiler: str
    options: tuple[str, ...]
    objects: tuple[str, ...]
    libraries: tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """What a build system does for one image: a compilation for each source, and the link."""

    compiles: Mapping[str, Compile]
    link: Link


def commands(lines: Iterable[Sequence[str]], image: str, roots: Mapping[str, str]) -> Commands:
    """The commands that make `image`, such as "demo.elf", among all that a build system runs.

    `roots` gives folders the names that they have in every build system: {"/usr/.../firmware": "firmware"}.
    """
    compiles, links = {}, []
    for line in lines:
        words = line[1:] if line[0].endswith("ccache") else line  # Which tests compile through.
        pairs = _pairs(words[1:])
        sources = [option for option, _ in pairs if not option.startswith("-") and option.endswith(_SOURCES)]
        if "-c" in words and len(sources) == 1:
            compiles[_named(sources[0], roots)] = _compile(words[0], pairs, roots)
        elif any(option == "-o" and value.rpartition("/")[2] == image for option, value in pairs):
            links.append(_link(words[0], pairs))
    if len(links) != 1:
        raise ValueError(f"{len(links)} commands link {image}")
    return Commands(compiles, links[0])


def words_of(line: str) -> list[str]:
    """A line of a shell as the words of its last command that names an output: CMake chains some with &&."""
    parts = [shlex.split(part) for part in line.split(" && ")]
    return next((words for words in parts if "-o" in words), parts[-1])


def differences(first: Commands, second: Commands, may_compile_more: tuple[str, ...] = ()) -> list[str]:
    """Every difference in words. Sources that begin as `may_compile_more` says may be only `second`'s."""
    found = [
        f"{source}: only the first compiles it"
        for source in sorted(first.compiles.keys() - second.compiles.keys())
    ]
    for source in sorted(second.compiles.keys() - first.compiles.keys()):
        if not source.startswith(may_compile_more or "\0"):
            found.append(f"{source}: only the second compiles it")
    for source in sorted(first.compiles.keys() & second.compiles.keys()):
        found += _different_fields(source, first.compiles[source], second.compiles[source])
    return found + _different_fields("link", first.link, second.link)


def _different_fields(what: str, first: Compile | Link, second: Compile | Link) -> list[str]:
    pairs = [(field.name, getattr(first, field.name), getattr(second, field.name)) for field in fields(first)]
    return [f"{what}: {name}: {_told(one)} | {_told(other)}" for name, one, other in pairs if one != other]


def _told(value: str | Iterable[str]) -> str:
    if isinstance(value, str):
        return value
    return " ".join(sorted(value) if isinstance(value, frozenset) else value)


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Options with their values, which may be words of their own. An option said twice counts once."""
    pairs: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            pairs.append((word, next(rest)))
            continue
        joined = next(
            (option for option in ("-D", "-iquote", "-isystem", "-I") if word.startswith(option)), None
        )
        pairs.append((joined, word.removeprefix(joined)) if joined else (word, ""))
    return list(dict.fromkeys(pairs))


def _named(path: str, roots: Mapping[str, str]) -> str:
    for root, name in roots.items():
        if path == root or path.startswith(root + "/"):
            return name + path.removeprefix(root)
    return path


def _compile(compiler: str, pairs: list[tuple[str, str]], roots: Mapping[str, str]) -> Compile:
    options = [option for option, value in pairs if option.startswith("-") and not value]
    includes = [_named(value, roots) for option, value in pairs if option in ("-I", "-isystem")]
    ours = {name for name in includes if not name.startswith("/")}
    return Compile(
        compiler=compiler,
        # Those for C++ alone may come first or in their place.
        options=tuple(sorted(_options(options, roots), key=is_cxx_only)),
        warnings=frozenset(option for option in options if option.startswith("-W")),
        defines=frozenset(value for option, value in pairs if option == "-D"),
        includes=frozenset(ours),
        system_includes=tuple(name for name in includes if name not in ours),
    )


def _options(options: Iterable[str], roots: Mapping[str, str]) -> Iterable[str]:
    for option in options:
        if option.startswith("-ffile-prefix-map="):
            source, _, name = option.partition("=")[2].rpartition("=")
            if _named(source, roots) == name == "firmware":
                yield "-ffile-prefix-map=firmware=firmware"
        elif not option.startswith(("-W", *_OWN_BUSINESS)):
            yield option


def _link(compiler: str, pairs: list[tuple[str, str]]) -> Link:
    words = [option for option, value in pairs if not value]
    objects = [word for word in words if word.endswith(_OBJECTS)]
    return Link(
        compiler=compiler,
        options=tuple(
            word for word in words if word.startswith("-") and not word.startswith(("-l", *_OWN_BUSINESS))
        ),
        objects=tuple(word.rpartition("/")[2].partition(".")[0] for word in objects),
        libraries=tuple(word for word in words if word.startswith("-l") or word.endswith(_SYSTEM)),
    )
