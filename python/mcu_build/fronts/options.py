"""The one list of build options.

Each field of `BuildOptions` is an option: its name, its type, its default and, in `Option`, the rest. From
the list are made: the options of the command and their help, the keyword arguments of the Python API, the
arguments of mcu_add_model in CMake, the settings of SCons, the attributes of mcu_model in Bazel, the keys of
the project file, and the tables of docs/command.md. An option is spelt by one rule: `kernel_sources` in
Python, Bazel and the project file, `--kernel-sources` on the command line, `KERNEL_SOURCES` in CMake. Options
that a whole project may have alike are variables, too: `MCU_OPTIMIZE` in the environment, in CMake and in
SCons.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Required,
    TypedDict,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from mcu_build.choices import Artefact, Compiler, ConsoleKind, InputBy, Io, Kernels, Optimize, Runtime
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.option import FRONTS, IMAGE_VERBS, Front, Option

# Endings of C++ sources.
CXX = (".cpp", ".cc", ".cxx")

_OURS: tuple[tuple[Front, str], ...] = (("cmake", ""), ("scons", ""), ("bazel", ""))
_UNDER_EXECUTORCH = ("runtime", "executorch")
_UNDER_TABLE = ("runtime", "table")
# Where programs can be replaced later.
_REPLACED = ("runtime", "table", "executorch")


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What to build from a model: one field an option. Paths and choices are checked by `of` alone."""

    board: Annotated[
        str,
        Option(
            "A board's name, or a .toml file; else that of MCU_BOARD, else that of the project file.",
            metavar="B",
            short="-b",
        ),
    ]
    npu: Annotated[
        str | None,
        Option(
            "ethos-u55-128 and so on; none: every operator on the core. Else the board's default.",
            metavar="NAME",
        ),
    ] = None
    io: Annotated[
        Io,
        Option("Element type of the model's inputs and outputs; int8 leaves out the conversion from float."),
    ] = "float"
    latency: Annotated[
        int | None,
        Option(
            "How late a stream's outputs may come, in samples of its input; else the model file's.",
            metavar="SAMPLES",
            page="stream.md",
        ),
    ] = None
    optimize: Annotated[
        Optimize, Option("What to give priority to: instructions, flash, or RAM.", page="optimize.md")
    ] = "speed"
    ram: Annotated[
        int | None,
        Option(
            "Bytes that the arena may take: layers run row by row until it does. Else what its memory has.",
            in_bytes=True,
            page="memory.md",
        ),
    ] = None
    arena: Annotated[
        tuple[str, ...],
        Option(
            "A memory of the board for activations; given again, another for what has no room in the first.",
            metavar="MEMORY",
            page="memory.md",
        ),
    ] = ()
    constants: Annotated[
        tuple[str, ...],
        Option(
            "A memory of the board for weights, likewise.",
            metavar="MEMORY",
            page="memory.md",
        ),
    ] = ()
    place: Annotated[
        tuple[str, ...],
        Option(
            "A memory for what these layers make, or for their weights: features.0=dtcm, input=sram.",
            metavar="LAYER=MEMORY",
            project="model",
            needs=("runtime", "static"),
            page="memory.md",
        ),
    ] = ()
    input_by: Annotated[
        InputBy,
        Option(
            "rows: the application brings the input row by row, and it never lies in the arena whole.",
            needs=("runtime", "static"),
            because="ExecuTorch's Method and the runner of tables take an input as one tensor, whole",
            page="memory.md",
        ),
    ] = "image"
    op_library: Annotated[
        tuple[Path, ...],
        Option(
            "Python that defines custom operators of the model with torch.library.",
            metavar="FILE",
            endings=(".py",),
            project="model",
            page="custom-operators.md",
        ),
    ] = ()
    kernel_sources: Annotated[
        tuple[Path, ...],
        Option(
            "C++ with the kernels of custom operators.",
            metavar="FILE...",
            project="model",
            endings=CXX,
            page="custom-operators.md",
        ),
    ] = ()
    method: Annotated[
        str | None,
        Option(
            "The method of a .pte that has several; the model is then called FILE_METHOD.",
            metavar="NAME",
            project="model",
        ),
    ] = None
    data: Annotated[
        tuple[Path, ...],
        Option(
            "A file with weights of a .pte that lie apart from it.",
            metavar="PTD",
            endings=(".ptd",),
            project="model",
            page="executorch.md",
        ),
    ] = ()
    toolchain: Annotated[
        Compiler | None,
        Option(
            "Compiler for Arm cores; clang where it is installed.",
            group="Compiler, kernels, runtime",
            elsewhere=(("cmake", "the toolchain file"),),
        ),
    ] = None
    kernels: Annotated[
        Kernels,
        Option(
            "cmsis-nn: those of your own CMSIS-NN for the operators that it has, to compare. "
            "upstream: those of your ExecuTorch, under its runtime; the program is then loaded as it is.",
            group="Compiler, kernels, runtime",
            page="cmsis-nn.md",
        ),
    ] = "ours"
    cmsis_nn: Annotated[
        Path | None,
        Option(
            "Where CMSIS-NN's headers and libcmsis-nn.a are, for --kernels cmsis-nn.",
            group="Compiler, kernels, runtime",
            metavar="DIR",
            elsewhere=(("bazel", "mcu_boards(cmsis_nn = {board: folder})"),),
            needs=("kernels", "cmsis-nn"),
            page="cmsis-nn.md",
        ),
    ] = None
    runtime: Annotated[
        Runtime,
        Option(
            "static: the program compiled to C++; table: our runner calls the same kernels from data; "
            "executorch: ExecuTorch's own runtime loads it.",
            group="Compiler, kernels, runtime",
            page="executorch.md",
        ),
    ] = "static"
    executorch_prefix: Annotated[
        Path | None,
        Option(
            "An install of ExecuTorch for the board's core; for the host, the wheel's is found.",
            group="Compiler, kernels, runtime",
            metavar="DIR",
            elsewhere=(("bazel", "mcu_boards(executorch = {board: folder})"),),
            needs=_UNDER_EXECUTORCH,
            page="executorch.md",
        ),
    ] = None
    ops: Annotated[
        tuple[str, ...],
        Option(
            "Link these operators.",
            group="Compiler, kernels, runtime",
            metavar="OP...",
            needs=("kernels", "upstream"),
            page="executorch.md",
        ),
    ] = ()
    ops_from: Annotated[
        tuple[Path, ...],
        Option(
            "Link the operators of these programs, for firmware that is to receive them later.",
            group="Compiler, kernels, runtime",
            metavar="PTE...",
            needs=_REPLACED,
            endings=(".pte",),
            page="executorch.md",
        ),
    ] = ()
    method_pool: Annotated[
        int | None,
        Option(
            "Bytes for ExecuTorch's structures; else measured.",
            group="Compiler, kernels, runtime",
            in_bytes=True,
            needs=_UNDER_EXECUTORCH,
            page="executorch.md",
        ),
    ] = None
    temp_pool: Annotated[
        int | None,
        Option(
            "Bytes for ExecuTorch's temporary memory; else measured.",
            group="Compiler, kernels, runtime",
            in_bytes=True,
            needs=_UNDER_EXECUTORCH,
            page="executorch.md",
        ),
    ] = None
    reserve_ram: Annotated[
        int | None,
        Option(
            "Bytes of RAM at least for what a plan computes with: for a later one that needs more.",
            group="Compiler, kernels, runtime",
            in_bytes=True,
            needs=_REPLACED,
            page="program-slot.md",
        ),
    ] = None
    reserve_scratch: Annotated[
        int | None,
        Option(
            "Bytes of an NPU's fast scratch memory at least, likewise.",
            group="Compiler, kernels, runtime",
            in_bytes=True,
            needs=_UNDER_TABLE,
            page="program-slot.md",
        ),
    ] = None
    program_slot: Annotated[
        str | None,
        Option(
            "Keep the program apart from the image, in flash with room for two of them; mcuboot: in the slot "
            "of MCUboot's second image.",
            group="Compiler, kernels, runtime",
            metavar="ADDRESS:SIZE|MEMORY|mcuboot",
            needs=_REPLACED,
            page="program-slot.md",
        ),
    ] = None
    program_key: Annotated[
        Path | None,
        Option(
            "An Ed25519 key in PEM format: the firmware takes programs alone that are signed with it.",
            group="Compiler, kernels, runtime",
            metavar="KEY.pem",
            needs=_REPLACED,
            endings=(".pem",),
            page="program-slot.md",
        ),
    ] = None
    console: Annotated[
        ConsoleKind | None,
        Option(
            "Where firmware prints; the board's own otherwise. semihosting needs a debugger.",
            group="Image",
            verbs=("build", "flash"),
            elsewhere=tuple((front, "`console` in a board file") for front in FRONTS),
            page="flashing.md",
        ),
    ] = None
    emit: Annotated[
        tuple[Artefact, ...],
        Option(
            "Keep this too: tosa, what Vela was given for each delegate of an NPU.",
            group="Output",
            verbs=("build",),
            elsewhere=_OURS,
            project="never",
        ),
    ] = ()
    build_dir: Annotated[
        Path,
        Option(
            "Where build folders go: DIR/MODEL/BOARD[-VARIANT], never shared between boards.",
            group="Output",
            metavar="DIR",
            verbs=IMAGE_VERBS,
            elsewhere=(
                ("cmake", "the build tree"),
                ("scons", "MCU_BUILD_DIR"),
                ("bazel", ""),
            ),
        ),
    ] = Path("build")

    def arguments(self, options: "Sequence[Option]") -> list[str]:
        """The words of the command line for those of `options` that are not at their defaults."""
        return [word for option in options for word in option.arguments(getattr(self, option.name))]

    @classmethod
    def of(cls, **keywords: "Unpack[Keywords]") -> "BuildOptions":
        """The options from what a user has given. McuError (status 2) names a value that is wrong."""
        values: dict[str, Any] = dict(keywords)
        unknown = sorted(values.keys() - BY_NAME.keys())
        if unknown:
            raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}")
        if not values.get("board"):
            raise no_board()
        made = cls(**{name: BY_NAME[name].value(value) for name, value in values.items()})
        check_needs(vars(made))
        return made


def check_needs(options: Mapping[str, Any]) -> None:
    """McuError (status 2) for an option that has no effect beside the others."""
    for option in OPTIONS:
        if options.get(option.name, option.default) != option.default and _is_idle(option, options):
            other, *values = option.needs
            needed = " or ".join(f"{BY_NAME[other].flag} {value}" for value in values)
            because = f": {option.because}" * bool(option.because)
            raise McuError(
                f"{option.flag}: it has no effect without {needed}{because}", f"Add {needed}.", Exit.USAGE
            )


def of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The options of variables, MCU_OPTIMIZE and so on, as text; lists are split as the command does."""
    settings: dict[str, Any] = {}
    for option in OPTIONS:
        text = environment.get(option.variable or "", "")
        if text and option.many:
            settings[option.name] = text.split(os.pathsep if option.kind == "path" else None)
        elif text:
            settings[option.name] = text
    return settings


def without_idle(options: Mapping[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    """Options without those of a project that have no effect for this model; what was `given` stays.

    A project may say where its ExecuTorch is, and have models that need none.
    """
    return {
        name: option.default if option and name not in chosen and _is_idle(option, options) else value
        for name, value in options.items()
        for option in [BY_NAME.get(name)]
    }


def _is_idle(option: Option, options: Mapping[str, Any]) -> bool:
    if not option.needs:
        return False
    other, *values = option.needs
    return options.get(other, BY_NAME[other].default) not in values


def respelt(text: str, front: Front, options: Sequence[Option] | None = None) -> str:
    """A text of the command with its flags as a build system spells them: --npu is NPU in CMake, else npu.

    `options` are all that it may name, the build options where it is not given.
    """
    for option in OPTIONS if options is None else options:
        if option.in_front(front):
            name = option.cmake if front == "cmake" else option.name
            text = re.sub(rf"{option.flag}(?![\w-])", name, text)
    return text


def no_board() -> McuError:
    """The refusal of a request that names no board."""
    return McuError(
        "--board: missing: which board is it for?",
        'Add --board B (`mcu-build boards` lists them), export MCU_BOARD=B, or write `board = "B"` into '
        "mcu-build.toml beside the model.",
        Exit.USAGE,
    )


class SourceKeywords(TypedDict, total=False):
    """Options of `generate` and `export` as keyword arguments, in Python's own looser types."""

    board: Required[str]
    npu: str | None
    io: Io
    latency: int | None
    optimize: Optimize
    ram: int | str | None
    arena: Sequence[str]
    constants: Sequence[str]
    place: Sequence[str]
    input_by: InputBy
    op_library: Sequence[str | Path]
    kernel_sources: Sequence[str | Path]
    method: str | None
    data: Sequence[str | Path]
    toolchain: Compiler | None
    kernels: Kernels
    cmsis_nn: str | Path | None
    runtime: Runtime
    executorch_prefix: str | Path | None
    ops: Sequence[str]
    ops_from: Sequence[str | Path]
    method_pool: int | str | None
    temp_pool: int | str | None
    reserve_ram: int | str | None
    reserve_scratch: int | str | None
    program_slot: str | None
    program_key: str | Path | None


class Keywords(SourceKeywords, total=False):
    """Options of `build` as keyword arguments."""

    console: ConsoleKind | None
    emit: Sequence[Artefact]
    build_dir: str | Path


def _options() -> tuple[Option, ...]:
    hints = get_type_hints(BuildOptions, include_extras=True)
    options = []
    for field in fields(BuildOptions):
        kind, option = get_args(hints[field.name])
        default = None if field.default is MISSING else field.default
        options.append(_read(replace(option, name=field.name, default=default), kind))
    return tuple(options)


def _read(option: Option, kind: Any) -> Option:
    """The option with what the type of its field says."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(argument for argument in get_args(kind) if argument is not NoneType)
    if get_origin(kind) is tuple:
        option, kind = replace(option, many=True), get_args(kind)[0]
    if get_origin(kind) is Literal:
        return replace(option, kind="choice", choices=get_args(kind))
    if kind is int:
        return replace(option, kind="size" if option.in_bytes else "number")
    return replace(option, kind="path" if kind is Path else "text")


OPTIONS = _options()
BY_NAME: Mapping[str, Option] = MappingProxyType({option.name: option for option in OPTIONS})
