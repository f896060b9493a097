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
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from SCons.Errors import UserError

from mcu_build.board import find_board
from mcu_build.cache import Cache
from mcu_build.cli.output import report_error
from mcu_build.codegen.cmake import LINKER_SCRIPT, SLOT_SCRIPT
from mcu_build.errors import McuError
from mcu_build.executorch.package import linkage
from mcu_build.failures import reported
from mcu_build.frontend.names import model_name
from mcu_build.fronts import budgets, signing
from mcu_build.fronts.option import Option
from mcu_build.fronts.options import BY_NAME, OPTIONS, BuildOptions, respelt
from mcu_build.fronts.project import settled, settled_budgets
from mcu_build.image.size import measure
from mcu_build.report.size import over_budget
from mcu_build.resources import data_dir
from mcu_build.scons_images import (
    Model,
    Platform,
    application_env,
    archives_of,
    library_of,
    link,
    main_object,
    one_platform,
    platform_of,
    shared_arena,
    slot_options,
)
from mcu_build.stages.pipeline import generate
from mcu_build.stages.request import request_for
from mcu_build.terminal import StageTimes

# Build options that the environment and McuModel take, and where generated files go.
_OPTIONS = tuple(option for option in OPTIONS if option.in_front("scons"))
_BUILD_DIR = "MCU_BUILD_DIR"

# Seconds: an application runs until it ends.
_LONG = "1000000"


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
        platform = platform_of(env, request, options.get(_BUILD_DIR, env[_BUILD_DIR]))
        folder = Path(env.Dir(platform.folder).abspath) / "models" / (name or model_name(file))
        runtime = request.executorch
        executorch = linkage(runtime.prefix, platform.board) if runtime else None
        with reported():
            made = generate(request, name, folder, Cache(), StageTimes())
        limits = settled_budgets(file, env)
    except McuError as error:
        raise _user_error(call, error) from None
    archives = archives_of(platform, made, folder, request.options.kernel_sources, executorch)
    return Model(
        name=made.name,
        file=file,
        board=request.options.board,
        npu=request.npu.name if request.npu else "none",
        options=request.options,
        sources=tuple(str(source) for archive in archives for source in archive.sources),
        include=(str(folder), str(data_dir() / "firmware" / "include")),
        libraries=tuple(library_of(platform, archive) for archive in archives),
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
    platform = one_platform(call, models)
    if not own and len(models) > 1:
        raise UserError(
            f"{call}: sources: missing. Without them, an image runs one model; there are {len(models)}."
        )
    application = application_env(env, platform, models)
    objects = application.Object(own) if own else main_object(platform, models[0], "default_main")
    if share_arena:
        objects = [objects, shared_arena(application, platform, name, models)]
    script = LINKER_SCRIPT
    if signed:
        script = _slot_script(call, platform)
    started, slots = platform.config.production_sources, slot_options(call, models)
    files = link(env, platform, name, objects, models, started, slots, script)
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


def _slot_script(call: str, platform: Platform) -> str:
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
    platform = one_platform(call, [model])
    chosen = _budgets(call, env, [model], limits, "test", "profile")
    objects = main_object(platform, model, "harness")
    files = link(env, platform, name, objects, [model], platform.config.test_sources)
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
