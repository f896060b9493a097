"""The SCons tool: models and firmware as nodes of a user's build.

from mcu_build import scons
env = Environment(tools=["default", scons.tool], MCU_BOARD="corstone-300")
kws = env.McuModel("kws.py")
env.McuFirmware("demo", ["main.cpp", kws])

A model is generated while SConscript files are read: its kernels depend on it (docs/scons.md).
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from SCons.Environment import Environment
from SCons.Errors import UserError

from mcu_build.board import Board, find_board
from mcu_build.cache import Cache
from mcu_build.cli.output import report_error
from mcu_build.codegen.cmake import LINKER_SCRIPT, SLOT_SCRIPT
from mcu_build.codegen.toolchain_config import ToolchainConfig, is_cxx_only, kernel_files, toolchain_config
from mcu_build.errors import McuError
from mcu_build.executorch.package import Linkage, linkage
from mcu_build.failures import reported
from mcu_build.files import write_changed
from mcu_build.frontend.names import model_name
from mcu_build.fronts import budgets, signing
from mcu_build.fronts.option import Option
from mcu_build.fronts.options import BY_NAME, OPTIONS, BuildOptions, respelt
from mcu_build.fronts.project import settled, settled_budgets
from mcu_build.image.size import measure
from mcu_build.report.size import over_budget
from mcu_build.resources import data_dir
from mcu_build.stages.pipeline import Generated, generate
from mcu_build.stages.request import Request, request_for
from mcu_build.terminal import StageTimes

# Build options that the environment and McuModel take, and where generated files go.
_OPTIONS = tuple(option for option in OPTIONS if option.in_front("scons"))
_BUILD_DIR = "MCU_BUILD_DIR"

# What is not part of the name of a board's folder.
_USUAL = ("arm-clang", "host", "speed")
# What archives of ours are called, in the order in which GNU ld has to meet them.
_ARCHIVES = ("kernels_of_", "executorch_calls_", "executorch_", "kernel_")
# Seconds: an application runs until it ends.
_LONG = "1000000"


@dataclass(frozen=True)
class Model:
    """A model of a build: among the sources of McuFirmware, or taken apart for a build of one's own.

    `sources` are all C++ files that the model needs, kernels included, and `include` the folders of their
    headers. `libraries` are archives of the same, compiled with the options of the board. `slots` is a symbol
    that the link of a production image defines: where its program slots are. `second_image` is its first
    program where it is MCUboot's second image.
    """

    name: str
    file: Path
    board: str
    npu: str
    options: BuildOptions
    sources: tuple[str, ...]
    include: tuple[str, ...]
    libraries: tuple[Any, ...] = field(repr=False)
    platform: "_Platform" = field(repr=False)
    executorch: Linkage | None = None
    slots: str = ""
    second_image: str = ""
    budgets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Platform:
    """A board in a build folder: its toolchain's configuration, and an environment with its options alone."""

    board: Board
    config: ToolchainConfig
    env: Any
    folder: str


@dataclass(frozen=True)
class _Archive:
    """A library to be: its sources, and the environment that compiles them."""

    name: str
    env: Any
    sources: Sequence[Path]


def tool(env: Any) -> None:
    """Give `env` the methods McuModel, McuFirmware and McuTest."""
    env.SetDefault(MCU_BUILD_DIR="#build/mcu")
    env.AddMethod(_model, "McuModel")
    env.AddMethod(_firmware, "McuFirmware")
    env.AddMethod(_test, "McuTest")


def _model(env: Any, model: str, name: str | None = None, **options: Any) -> Model:
    """McuModel('kws.py', optimize='size'): generate a model's C++, and declare its libraries.

    `options` are build options, which override those of the environment: MCU_OPTIMIZE and its like.
    """
    call = f"McuModel({model})"
    (file,) = _paths(env, [model])
    try:
        request = request_for(file, _settings(call, env, file, options))
        platform = _platform(env, request, options.get(_BUILD_DIR, env[_BUILD_DIR]))
        folder = Path(env.Dir(platform.folder).abspath) / "models" / (name or model_name(file))
        runtime = request.executorch
        executorch = linkage(runtime.prefix, platform.board) if runtime else None
        with reported():
            made = generate(request, name, folder, Cache(), StageTimes())
        limits = settled_budgets(file, env)
    except McuError as error:
        raise _user_error(call, error) from None
    archives = _archives(platform, made, folder, request.options.kernel_sources, executorch)
    return Model(
        name=made.name,
        file=file,
        board=request.options.board,
        npu=request.npu.name if request.npu else "none",
        options=request.options,
        sources=tuple(str(source) for archive in archives for source in archive.sources),
        include=(str(folder), str(data_dir() / "firmware" / "include")),
        libraries=tuple(_library(platform, archive) for archive in archives),
        platform=platform,
        executorch=executorch,
        slots=made.slots,
        second_image=str(made.second_image or ""),
        budgets=limits,
    )


def _firmware(
    env: Any, name: str, sources: Sequence[Any], share_arena: bool = False, **others: Any
) -> list[Any]:
    """McuFirmware('demo', ['main.cpp', kws]): an image with .map and, but for the host, .hex and .bin.

    `sources` are files, objects and models; with `share_arena` the models use one arena, of the largest's
    size. `others` are the budgets max_flash and max_ram, beyond which the build fails; else those of the
    environment, MCU_MAX_FLASH, else, with one model, of the project file. And how the image is signed for
    MCUboot: sign='key.pem', version='1.2.3' and so on. Returns the nodes; demo.run, .size and .flash are
    aliases.
    """
    call = f"McuFirmware({name})"
    limits = {key: value for key, value in others.items() if key not in signing.BY_NAME}
    signed = _signed(call, env, {key: value for key, value in others.items() if key in signing.BY_NAME})
    models = [source for source in sources if isinstance(source, Model)]
    own = [source for source in sources if not isinstance(source, Model)]
    platform = _one_platform(call, models)
    if not own and len(models) > 1:
        raise UserError(
            f"{call}: sources: missing. Without them, an image runs one model; there are {len(models)}."
        )
    application = _application_env(env, platform, models)
    objects = application.Object(own) if own else _main(platform, models[0], "default_main")
    if share_arena:
        objects = [objects, _shared_arena(application, platform, name, models)]
    script = LINKER_SCRIPT
    if signed:
        script = _slot_script(call, platform)
    started, slots = platform.config.production_sources, _slots(call, models)
    files = _link(env, platform, name, objects, models, started, slots, script)
    chosen = _budgets(call, env, models, limits, "size")
    if chosen:
        # A post-action has no part in what SCons compares.
        env.Depends(files[0], env.Value(str(sorted(chosen.items()))))
        env.AddPostAction(files[0], env.Action(_judged(models[0].board, str(models[0].file), chosen), None))
    verbs = {verb: [*_command(), verb, "--board", models[0].board] for verb in ("size", "flash")}
    if signed:
        verbs["flash"] += signing.words(signed, "flash")
        files += _sign(env, name, files[0], models, signed)
    npus = {model.npu for model in models if model.npu != "none"}
    verbs["run"] = list(platform.config.run_command)
    if npus:
        # QEMU has no NPU: our command runs the image with one beside it.
        verbs["run"] = [*_command(), "run", "--board", models[0].board, "--npu", *npus, "--timeout", _LONG]
    for verb, words in verbs.items():
        _verb(env, f"{name}.{verb}", files[0], [*words, "$SOURCE"])
    return files


def _signed(call: str, env: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """How an image is signed, its keys as files; nothing where it is not. UserError: there is no key."""
    chosen = {
        name: Path(env.File(value).srcnode().abspath) if signing.BY_NAME[name].kind == "path" else value
        for name, value in settings.items()
        if value
    }
    try:
        signing.words(chosen, "sign")
    except McuError as error:
        raise _user_error(call, error) from None
    return chosen


def _slot_script(call: str, platform: _Platform) -> str:
    """The linker script for MCUboot's slot. UserError where the board has no slot for an image."""
    try:
        platform.board.in_slot()
    except McuError as error:
        raise _user_error(call, error) from None
    return SLOT_SCRIPT


def _sign(env: Any, name: str, elf: Any, models: Sequence[Model], signed: Mapping[str, Any]) -> list[Any]:
    """The signed files of an image, and of a model that is MCUboot's second image."""
    files = [f"{name}.signed.bin"]
    if signed.keys() & {"pad", "confirm", "encrypt"}:
        files.append(f"{name}.update.bin")
    words = [*_command(), "sign", "--board", models[0].board, *signing.words(signed, "sign")]
    seconds = [model.second_image for model in models if model.second_image]
    for second in seconds:
        files.append(f"{name}.program.signed.bin")
        words += ["--program", second]
    words.append("$SOURCE")
    caller = env.Clone(ENV=dict(os.environ))
    made: list[Any] = caller.Command(files, elf, [words])
    caller.Depends(made, [*seconds, *(str(signed[key]) for key in ("sign", "encrypt") if key in signed)])
    return made


def _test(env: Any, name: str, model: Model, vectors: int | None = None, **limits: Any) -> list[Any]:
    """McuTest('kws_test', kws): the test image, and an alias that runs it over the model's vectors.

    `limits` are budgets, min_accuracy and so on, which the test holds to; with max_instructions or max_cycles
    it counts an inference, too.
    """
    call = f"McuTest({name})"
    platform = _one_platform(call, [model])
    chosen = _budgets(call, env, [model], limits, "test", "profile")
    objects = _main(platform, model, "harness")
    files = _link(env, platform, name, objects, [model], platform.config.test_sources)
    words = ["--image", "$SOURCE", "--build-dir", f"{env.Dir(platform.folder)}/tests"]
    words += replace(model.options, npu=model.npu).arguments(_OPTIONS)
    count = ["--vectors", str(vectors)] if vectors else []
    lines = [[*_command(), "test", *words, *count, *budgets.words(chosen, "test"), str(model.file)]]
    # This computer's own instructions are not counted.
    if (counted := budgets.words(chosen, "profile")) and not platform.board.is_host:
        lines.append([*_command(), "profile", *words, *counted, str(model.file)])
    _verb(env, name, files[0], *lines)
    return files


def _budgets(
    call: str, env: Any, models: Sequence[Model], settings: dict[str, Any], *verbs: budgets.Judge
) -> dict[str, Any]:
    """The budgets that `verbs` judge by: those given, else of the environment, else of the only model.

    UserError where one is unknown or has no such value.
    """
    known = {budget.name: budget for budget in budgets.of_judge(*verbs)}
    if unknown := sorted(settings.keys() - known.keys()):
        raise UserError(f"{call}: unknown argument '{unknown[0]}'.\nBudgets are: {', '.join(known)}.")
    try:
        common = models[0].budgets if len(models) == 1 else budgets.of_variables(env)
        chosen = {**common, **{name: known[name].value(value) for name, value in settings.items()}}
    except McuError as error:
        raise _user_error(call, error) from None
    return {name: value for name, value in chosen.items() if name in known and value is not None}


def _judged(board: str, model: str, limits: Mapping[str, Any]) -> Callable[..., int]:
    """What fails a build whose image takes more than it may."""

    def judge(target: Sequence[Any], source: Any, env: Any) -> int:
        del source, env
        elf = Path(target[0].abspath)
        measured = measure(elf, elf.with_suffix(".map"), find_board(board, Path(model).parent))
        error = over_budget(elf.stem, measured, limits.get("max_flash"), limits.get("max_ram"))
        return int(report_error(error, as_json=False)) if error else 0

    return judge


def _settings(call: str, env: Any, file: Path, settings: dict[str, Any]) -> BuildOptions:
    """The build options of a model: its own arguments, else of the environment, else of the project file.

    McuError where a value is wrong, UserError where an argument is unknown.
    """
    variables = {option.variable: option for option in _OPTIONS if option.variable}
    unknown = sorted(settings.keys() - {option.name for option in _OPTIONS} - variables.keys() - {_BUILD_DIR})
    if unknown:
        names = ", ".join(option.name for option in _OPTIONS)
        raise UserError(
            f"{call}: unknown argument '{unknown[0]}'.\n"
            f"Arguments are: name, {names}; for all models, {', '.join([*variables, _BUILD_DIR])}."
        )
    common = {option.name: env[name] for name, option in variables.items() if name in env}
    own = {option.name: settings[name] for name, option in variables.items() if name in settings}
    own |= {option.name: settings[option.name] for option in _OPTIONS if option.name in settings}
    own, common = (
        {name: _on_disk(env, BY_NAME[name], value) for name, value in part.items() if value is not None}
        for part in (own, common)
    )
    known = {option.name for option in _OPTIONS}
    options = settled(file, own, common)
    return BuildOptions.of(**cast(Any, {name: value for name, value in options.items() if name in known}))


def _on_disk(env: Any, option: Option, value: Any) -> Any:
    """The value of an option; its paths begin at the folder of the SConscript file."""
    if option.kind != "path":
        return value
    if option.many:
        return _paths(env, [value] if isinstance(value, str) else value)
    return Path(env.Entry(value).srcnode().abspath)


def _paths(env: Any, files: Sequence[str]) -> list[Path]:
    return [Path(env.File(file).srcnode().abspath) for file in files]


def _platform(env: Any, request: Request, build_dir: str) -> _Platform:
    """The board that a model is for, one for all models in a build folder."""
    options = request.options
    config = toolchain_config(request.linked, request.toolchain, request.cmsis_nn, options.optimize)
    words = (request.toolchain, options.optimize, "cmsis-nn" if request.cmsis_nn else "host")
    unusual = [word for word in words if word not in _USUAL]
    folder = f"{build_dir}/{'-'.join([request.board.id, *unusual])}"
    # Kept with the folder: what two models share has to be declared with one environment.
    kept = env.Dir(folder).attributes
    if not hasattr(kept, "mcu_platform"):
        kept.mcu_platform = _Platform(request.linked, config, _bare_env(env, config), folder)
    platform: _Platform = kept.mcu_platform
    return platform


def _bare_env(env: Any, config: ToolchainConfig) -> Any:
    """The compiler of the board with the board's options, none of the user's."""
    bare = Environment(
        tools=["gcc", "g++", "ar"],
        ENV=env["ENV"],
        AR=config.archiver,
        ARFLAGS="rcsD",
        RANLIBCOM="",
    )
    _add_options(bare, config)
    bare.Append(CCFLAGS=list(config.warning_options))
    return bare


def _add_options(env: Any, config: ToolchainConfig) -> None:
    env.Replace(CXX=config.cxx, CC=config.cc)
    env.Append(
        CCFLAGS=[option for option in config.compile_options if not is_cxx_only(option)],
        CXXFLAGS=[option for option in config.compile_options if is_cxx_only(option)],
        CPPDEFINES=list(config.defines),
        CPPPATH=[str(data_dir() / "firmware" / "include")],
    )


def _application_env(env: Any, platform: _Platform, models: Sequence[Model]) -> Any:
    """The user's environment with the options of the board and the headers of the models."""
    own = env.Clone()
    own.Append(CPPPATH=[model.include[0] for model in models])
    _add_options(own, platform.config)
    return own


def _archives(
    platform: _Platform,
    made: Generated,
    folder: Path,
    own_kernels: Sequence[Path],
    executorch: Linkage | None,
) -> list[_Archive]:
    """The libraries of a model: its own, then those of the user's operators, of the runtime, and kernels."""
    env = platform.env.Clone()
    env.Prepend(CPPPATH=[str(folder)])
    runtime = _runtime(platform, made.runtime, env, executorch) if executorch else []
    user = platform.env.Clone()
    user.Replace(CCFLAGS=[flag for flag in user["CCFLAGS"] if flag not in platform.config.warning_options])
    return [
        _Archive(f"model_{made.name}", env, made.sources),
        *([_Archive(f"kernels_of_{made.name}", user, own_kernels)] if own_kernels else []),
        *runtime,
        *(
            _Archive(f"kernel_{stem}", platform.env, kernel_files(stem, platform.config.kernel_folders))
            for stem in made.kernels
        ),
    ]


def _runtime(platform: _Platform, sources: Sequence[str], model_env: Any, linked: Linkage) -> list[_Archive]:
    """What stands between a program and ExecuTorch's runtime. `model_env` learns of its headers."""
    folder, env = data_dir() / "firmware" / "executorch", platform.env.Clone()
    for environment in (env, model_env):
        environment.Append(
            CCFLAGS=[f"-isystem{linked.prefix / include}" for include in linked.includes],
            CPPDEFINES=list(linked.defines),
        )
    base = env.Clone()
    base.Append(CPPDEFINES=[] if platform.board.is_host else ["MCU_NO_HEAP"])
    arguments = folder / "arguments.cpp"
    others = [file for file in sorted(folder.glob("*.cpp")) if file != arguments]
    return [
        *(_Archive(f"executorch_calls_{Path(source).stem}", env, [folder / source]) for source in sources),
        _Archive("executorch_arguments", env, [arguments]),
        _Archive("executorch_model", base, others),
    ]


def _library(platform: _Platform, archive: _Archive) -> Any:
    # A kernel and its driver are called alike.
    places = {f"{archive.name}/{source.parent.name}/{source.name}.obj": source for source in archive.sources}
    objects = [_object(archive.env, f"{platform.folder}/{place}", places[place]) for place in places]
    return archive.env.StaticLibrary(f"{platform.folder}/lib{archive.name}.a", objects)


def _object(env: Any, target: str, source: Path) -> Any:
    return env.StaticObject(target, str(source))


def _shared_arena(env: Any, platform: _Platform, name: str, models: Sequence[Model]) -> Any:
    """The object of one arena for several models."""
    template = (data_dir() / "firmware" / "app" / "shared_arena.cpp.in").read_text()
    for word, value in {
        "@image@": Path(name).name,
        "@includes@": "\n".join(f'#include "{model.name}.h"' for model in models),
        "@models@": "\n".join(f"MCU_SHARES({model.name})" for model in models),
    }.items():
        template = template.replace(word, value)
    file = Path(env.Dir(platform.folder).abspath) / f"{Path(name).name}_arena.cpp"
    write_changed(file, template)
    return _object(env, f"{file}.obj", file)


def _main(platform: _Platform, model: Model, stem: str) -> Any:
    """The object of a main of ours around one model."""
    env = platform.env.Clone()
    env.Prepend(CPPPATH=[model.include[0]])
    env.Append(
        CPPDEFINES=[
            f"MCU_MODEL={model.name}",
            f'MCU_MODEL_HEADER=\\"{model.name}.h\\"',
            *(["MCU_EXECUTORCH"] if model.executorch else []),
        ],
    )
    source = data_dir() / "firmware" / "app" / f"{stem}.cpp"
    return _object(env, f"{platform.folder}/{model.name}.{stem}.cpp.obj", source)


def _link(
    env: Any,
    platform: _Platform,
    name: str,
    objects: Any,
    models: Sequence[Model],
    sources: Sequence[str],
    slots: Sequence[str] = (),
    linker_script: str = LINKER_SCRIPT,
) -> list[Any]:
    """The image and the files beside it."""
    config = platform.config
    started = [
        _object(platform.env, f"{platform.folder}/{Path(source).name}.obj", data_dir() / "firmware" / source)
        for source in sources
    ]
    own = [model.libraries[0] for model in models]
    others = sorted(
        dict.fromkeys(str(node[0]) for model in models for node in model.libraries[1:]), key=_place
    )
    runtimes = dict.fromkeys(model.executorch for model in models if model.executorch)
    executorch = [word for runtime in runtimes for word in (str(runtime.library), *runtime.link_options)]
    # Where a model has program slots, its script leaves room for them.
    first = next((model for model in models if model.slots), models[0])
    script = Path(first.include[0]) / linker_script
    options = [
        *config.link_options,
        *slots,
        "-Wl,-Map=${TARGETS[1]}",
        *(["-T", str(script)] if script.is_file() else []),
    ]
    command = [config.cxx, *options, "-o", "${TARGETS[0]}", "$SOURCES", *executorch, *config.libraries]
    elf, table = env.Command([f"{name}.elf", f"{name}.map"], [started, objects, own, others], [command])
    env.Depends(elf, [str(runtime.library) for runtime in runtimes])
    if not config.binaries:
        return [elf, table]
    env.Depends(elf, str(script))
    files = [
        elf,
        table,
        *env.Command(f"{name}.hex", elf, [[config.objcopy, "-O", "ihex", "$SOURCE", "$TARGET"]]),
    ]
    for index, (memory, sections) in enumerate(config.binaries.items()):
        only = [f"--only-section={section}" for section in sections]
        target = f"{name}-{memory}.bin" if index else f"{name}.bin"
        files += env.Command(target, elf, [[config.objcopy, "-O", "binary", *only, "$SOURCE", "$TARGET"]])
    return files


def _slots(call: str, models: Sequence[Model]) -> list[str]:
    """In a production image program slots are an address: those of a model's archive are for test images."""
    placed = [model for model in models if model.slots]
    if placed[1:]:
        raise UserError(
            f"{call}: {placed[0].name} and {placed[1].name} both have program slots: an image has one region "
            "for them.\nLink one of them without, or make two images."
        )
    return [f"-Wl,--defsym={model.slots}" for model in placed]


def _place(archive: str) -> int:
    """Where an archive stands among others in a link."""
    name = Path(archive).name.removeprefix("lib")
    return next(place for place, start in enumerate(_ARCHIVES) if name.startswith(start))


def _one_platform(call: str, models: Sequence[Model]) -> _Platform:
    if not models:
        raise UserError(f"{call}: no model among its sources.\nPut what McuModel returns among them.")
    first = models[0].platform
    for model in models:
        if model.platform.folder != first.folder:
            made_for, others = (Path(platform.folder).name for platform in (model.platform, first))
            raise UserError(f"{call}: {model.name} was made for {made_for}, not for {others}.")
    npus = sorted({model.npu for model in models if model.npu != "none"})
    if len(npus) > 1:
        raise UserError(f"{call}: its models were made for {' and '.join(npus)}: a board has one NPU.")
    return first


def _verb(env: Any, name: str, elf: Any, *lines: Sequence[str]) -> None:
    """A target that is run whenever it is asked for, and only then."""
    caller = env.Clone(ENV=dict(os.environ))
    caller.AlwaysBuild(caller.Alias(name, elf, [[*words] for words in lines]))


def _command() -> list[str]:
    return [sys.executable, "-m", "mcu_build"]


def _user_error(call: str, error: McuError) -> UserError:
    hint = f"\n\nhint: {error.hint}" if error.hint else ""
    text = f"{call}: error: {error.message}{hint}"
    return UserError(respelt(text, "scons", (*OPTIONS, *budgets.BUDGETS, *signing.SIGNING)))


__all__ = ["Model", "tool"]
