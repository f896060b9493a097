"""The SCons tool: models and firmware as nodes of a user's build.

from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="corstone-300")
kws = env.McuModel("kws.py")
env.McuFirmware("demo", ["main.cpp", kws])

A model is generated while SConscript files are read: its kernels depend on it (docs/scons.md).
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SCons.Environment import Environment
from SCons.Errors import UserError

from mcu_build.api import board_for, generate
from mcu_build.board import Board
from mcu_build.cli.output import StageTimes
from mcu_build.codegen.cmake import LINKER_SCRIPT
from mcu_build.codegen.facts import BuildFacts, build_facts, is_cxx_only
from mcu_build.codegen.target import Toolchain, default_toolchain
from mcu_build.errors import McuError
from mcu_build.files import write_changed
from mcu_build.frontend.names import model_name
from mcu_build.resources import data_dir

_OPTIONS = ("MCU_BOARD", "MCU_NPU", "MCU_IO", "MCU_TOOLCHAIN", "MCU_OPTIMIZE", "MCU_RUNTIME", "MCU_BUILD_DIR")

# What is not told in the name of a board's folder.
_USUAL = ("arm-clang", "host", "speed")
# Seconds: an application runs until it ends.
_LONG = "1000000"


@dataclass(frozen=True)
class Model:
    """A model of a build: among the sources of McuFirmware, or taken apart for a build of one's own.

    `sources` are all C++ files that the model needs, kernels included, and `include` the folders of their
    headers. `libraries` are archives of the same, compiled with the options of the board.
    """

    name: str
    file: Path
    board: str
    npu: str
    io: str
    sources: tuple[str, ...]
    include: tuple[str, ...]
    libraries: tuple[Any, ...] = field(repr=False)
    platform: "_Platform" = field(repr=False)


@dataclass(frozen=True)
class _Platform:
    """A board in a build folder: its facts, and an environment with its options alone."""

    board: Board
    facts: BuildFacts
    env: Any
    folder: str


def tool(env: Any) -> None:
    """Give `env` the methods McuModel, McuFirmware and McuTest."""
    env.SetDefault(MCU_NPU=None, MCU_IO="float", MCU_TOOLCHAIN=None, MCU_OPTIMIZE="speed")
    env.SetDefault(MCU_RUNTIME="static")
    env.SetDefault(MCU_BUILD_DIR="#build/mcu")
    env.AddMethod(_model, "McuModel")
    env.AddMethod(_firmware, "McuFirmware")
    env.AddMethod(_test, "McuTest")


def _model(env: Any, model: str, name: str | None = None, **options: Any) -> Model:
    """McuModel('kws.py', MCU_BOARD=...): generate a model's C++, and declare its libraries.

    `options` override those of the environment: MCU_BOARD and its like.
    """
    call = f"McuModel({model})"
    settings = _settings(call, env, options)
    file = Path(env.File(model).srcnode().abspath)
    platform = _platform(call, env, settings, file)
    io = settings["MCU_IO"]
    folder = Path(env.Dir(platform.folder).abspath) / "models" / (name or model_name(file))
    try:
        chosen = platform.board.choose_npu(settings["MCU_NPU"])
        npu = chosen.name if chosen else "none"
        made = generate(
            file,
            board=settings["MCU_BOARD"],
            output=folder,
            name=name,
            npu=npu,
            io=io,
            toolchain=platform.facts.toolchain,
            optimize=settings["MCU_OPTIMIZE"],
            progress=StageTimes(),
        )
    except McuError as error:
        raise _user_error(call, error) from None
    include = (str(folder), str(data_dir() / "firmware" / "include"))
    own = platform.env.Clone()
    own.Prepend(CPPPATH=[str(folder)])
    kernels = [_kernel(platform, stem) for stem in made.kernels]
    return Model(
        name=made.name,
        file=file,
        board=settings["MCU_BOARD"],
        npu=npu,
        io=io,
        sources=(*map(str, made.sources), *(source for kernel in kernels for source in kernel[0])),
        include=include,
        libraries=(
            _library(own, platform, f"model_{made.name}", made.sources),
            *(library for _, library in kernels),
        ),
        platform=platform,
    )


def _firmware(env: Any, name: str, sources: Sequence[Any], share_arena: bool = False) -> list[Any]:
    """McuFirmware('demo', ['main.cpp', kws]): an image with .map and, but for the host, .hex and .bin.

    `sources` are files, objects and models; with `share_arena` the models use one arena, of the largest's
    size. Returns the nodes; demo.run, .size and .flash are aliases.
    """
    call = f"McuFirmware({name})"
    models = [source for source in sources if isinstance(source, Model)]
    others = [source for source in sources if not isinstance(source, Model)]
    platform = _one_platform(call, models)
    if not others and len(models) > 1:
        raise UserError(
            f"{call}: sources: missing. Without them, an image runs one model; there are {len(models)}."
        )
    application = _application_env(env, platform, models)
    objects = application.Object(others) if others else _main(platform, models[0], "default_main")
    if share_arena:
        objects = [objects, _shared_arena(application, platform, name, models)]
    files = _link(env, platform, name, objects, models, platform.facts.production_sources)
    verbs = {verb: [*_command(), verb, "--board", models[0].board] for verb in ("size", "flash")}
    npus = {model.npu for model in models if model.npu != "none"}
    verbs["run"] = list(platform.facts.run_command)
    if npus:
        # QEMU has no NPU: our command runs the image with one beside it.
        verbs["run"] = [*_command(), "run", "--board", models[0].board, "--npu", *npus, "--timeout", _LONG]
    for verb, words in verbs.items():
        _verb(env, f"{name}.{verb}", [*words, "$SOURCE"], files[0])
    return files


def _test(env: Any, name: str, model: Model, vectors: int | None = None) -> list[Any]:
    """McuTest('kws_test', kws): the test image, and an alias that runs it over the model's vectors."""
    platform = _one_platform(f"McuTest({name})", [model])
    objects = _main(platform, model, "harness")
    files = _link(env, platform, name, objects, [model], platform.facts.test_sources)
    words = [*_command(), "test", "--board", model.board, "--image", "$SOURCE", "--npu", model.npu]
    words += ["--io", model.io, "--build-dir", f"{env.Dir(platform.folder)}/tests"]
    words += ["--vectors", str(vectors)] if vectors else []
    _verb(env, name, [*words, str(model.file)], files[0])
    return files


def _settings(call: str, env: Any, given: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(given.keys() - set(_OPTIONS))
    if unknown:
        raise UserError(
            f"{call}: unknown argument '{unknown[0]}'.\nArguments are: name, {', '.join(_OPTIONS)}."
        )
    settings = {option: given.get(option, env.get(option)) for option in _OPTIONS}
    if not settings["MCU_BOARD"]:
        raise UserError(f"{call}: MCU_BOARD: missing.\n`mcu-build boards` lists the boards.")
    if settings["MCU_RUNTIME"] != "static":
        raise UserError(
            f"{call}: MCU_RUNTIME: ExecuTorch's own runtime is not linked by SCons.\nLeave it out, or use "
            "`mcu-build build --runtime executorch` or CMake's mcu_add_model."
        )
    return settings


def _platform(call: str, env: Any, settings: dict[str, Any], file: Path) -> _Platform:
    """The board that a model is for, one for all models in a build folder."""
    try:
        board = board_for(file, settings["MCU_BOARD"])
        toolchain: Toolchain = settings["MCU_TOOLCHAIN"] or default_toolchain(board)
        facts = build_facts(board, toolchain, optimize=settings["MCU_OPTIMIZE"])
    except McuError as error:
        raise _user_error(call, error) from None
    unusual = [word for word in (toolchain, settings["MCU_OPTIMIZE"]) if word not in _USUAL]
    folder = f"{settings['MCU_BUILD_DIR']}/{'-'.join([board.id, *unusual])}"
    # Kept with the folder: what two models share has to be declared with one environment.
    kept = env.Dir(folder).attributes
    if not hasattr(kept, "mcu_platform"):
        kept.mcu_platform = _Platform(board, facts, _bare_env(env, facts), folder)
    found: _Platform = kept.mcu_platform
    return found


def _bare_env(env: Any, facts: BuildFacts) -> Any:
    """The compiler of the board with the board's options, none of the user's."""
    bare = Environment(
        tools=["gcc", "g++", "ar"],
        ENV=env["ENV"],
        AR=facts.archiver,
        ARFLAGS="rcsD",
        RANLIBCOM="",
    )
    _add_options(bare, facts)
    bare.Append(CCFLAGS=list(facts.warning_options))
    return bare


def _add_options(env: Any, facts: BuildFacts) -> None:
    env.Replace(CXX=facts.cxx, CC=facts.cc)
    env.Append(
        CCFLAGS=[option for option in facts.compile_options if not is_cxx_only(option)],
        CXXFLAGS=[option for option in facts.compile_options if is_cxx_only(option)],
        CPPDEFINES=list(facts.defines),
        CPPPATH=[str(data_dir() / "firmware" / "include")],
    )


def _application_env(env: Any, platform: _Platform, models: Sequence[Model]) -> Any:
    """The user's environment with the options of the board and the headers of the models."""
    own = env.Clone()
    own.Append(CPPPATH=[model.include[0] for model in models])
    _add_options(own, platform.facts)
    return own


def _kernel(platform: _Platform, stem: str) -> tuple[list[str], Any]:
    """Sources and library of a kernel; models of a board share it."""
    firmware = data_dir() / "firmware"
    places = [firmware / "kernels" / folder / f"{stem}.cpp" for folder in platform.facts.kernel_folders]
    driver = firmware / "drivers" / stem / f"{stem}.cpp"
    sources = [next(place for place in places if place.is_file()), *([driver] if driver.is_file() else [])]
    return [str(source) for source in sources], _library(platform.env, platform, f"kernel_{stem}", sources)


def _library(env: Any, platform: _Platform, name: str, sources: Sequence[Path]) -> Any:
    objects = [_object(env, f"{platform.folder}/{name}/{source.name}.obj", source) for source in sources]
    return env.StaticLibrary(f"{platform.folder}/lib{name}.a", objects)


def _object(env: Any, target: str, source: Path) -> Any:
    return env.StaticObject(target, str(source))


def _shared_arena(env: Any, platform: _Platform, name: str, models: Sequence[Model]) -> Any:
    """The object of one arena for several models."""
    template = (data_dir() / "firmware" / "app" / "shared_arena.cpp.in").read_text()
    for word, told in {
        "@image@": Path(name).name,
        "@includes@": "\n".join(f'#include "{model.name}.h"' for model in models),
        "@models@": "\n".join(f"MCU_SHARES({model.name})" for model in models),
    }.items():
        template = template.replace(word, told)
    file = Path(env.Dir(platform.folder).abspath) / f"{Path(name).name}_arena.cpp"
    write_changed(file, template)
    return _object(env, f"{file}.obj", file)


def _main(platform: _Platform, model: Model, stem: str) -> Any:
    """The object of a main of ours around one model."""
    env = platform.env.Clone()
    env.Prepend(CPPPATH=[model.include[0]])
    env.Append(
        CPPDEFINES=[f"MCU_MODEL={model.name}", f'MCU_MODEL_HEADER=\\"{model.name}.h\\"'],
    )
    source = data_dir() / "firmware" / "app" / f"{stem}.cpp"
    return _object(env, f"{platform.folder}/{model.name}.{stem}.cpp.obj", source)


def _link(
    env: Any, platform: _Platform, name: str, objects: Any, models: Sequence[Model], sources: Sequence[str]
) -> list[Any]:
    """The image and the files beside it."""
    facts = platform.facts
    started = [
        _object(platform.env, f"{platform.folder}/{Path(source).name}.obj", data_dir() / "firmware" / source)
        for source in sources
    ]
    own = [model.libraries[0] for model in models]
    kernels = dict.fromkeys(str(node[0]) for model in models for node in model.libraries[1:])
    script = Path(models[0].include[0]) / LINKER_SCRIPT
    options = [
        *facts.link_options,
        "-Wl,-Map=${TARGETS[1]}",
        *(["-T", str(script)] if script.is_file() else []),
    ]
    command = [facts.cxx, *options, "-o", "${TARGETS[0]}", "$SOURCES", *facts.libraries]
    elf, table = env.Command(
        [f"{name}.elf", f"{name}.map"], [started, objects, own, list(kernels)], [command]
    )
    if not facts.binaries:
        return [elf, table]
    env.Depends(elf, str(script))
    files = [
        elf,
        table,
        *env.Command(f"{name}.hex", elf, [[facts.objcopy, "-O", "ihex", "$SOURCE", "$TARGET"]]),
    ]
    for index, (memory, sections) in enumerate(facts.binaries.items()):
        only = [f"--only-section={section}" for section in sections]
        target = f"{name}-{memory}.bin" if index else f"{name}.bin"
        files += env.Command(target, elf, [[facts.objcopy, "-O", "binary", *only, "$SOURCE", "$TARGET"]])
    return files


def _one_platform(call: str, models: Sequence[Model]) -> _Platform:
    if not models:
        raise UserError(f"{call}: no model among its sources.\nPut what McuModel returns among them.")
    first = models[0].platform
    for model in models:
        if model.platform.folder != first.folder:
            made_for, others = (Path(one.folder).name for one in (model.platform, first))
            raise UserError(f"{call}: {model.name} was made for {made_for}, not for {others}.")
    npus = sorted({model.npu for model in models if model.npu != "none"})
    if len(npus) > 1:
        raise UserError(f"{call}: its models were made for {' and '.join(npus)}: a board has one NPU.")
    return first


def _verb(env: Any, name: str, words: Sequence[str], elf: Any) -> None:
    """A target that is run whenever it is asked for, and only then."""
    caller = env.Clone(ENV=dict(os.environ))
    caller.AlwaysBuild(caller.Alias(name, elf, [[*words]]))


def _command() -> list[str]:
    return [sys.executable, "-m", "mcu_build"]


def _user_error(call: str, error: McuError) -> UserError:
    hint = f"\n\nhint: {error.hint}" if error.hint else ""
    return UserError(f"{call}: error: {error.message}{hint}")


__all__ = ["Model", "tool"]
