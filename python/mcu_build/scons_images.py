"""Models and images as nodes of SCons: the libraries of a model, and the link of an image.

What an SConstruct calls is in scons.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SCons.Environment import Environment
from SCons.Errors import UserError

from mcu_build.board import Board
from mcu_build.codegen.cmake import LINKER_SCRIPT
from mcu_build.codegen.toolchain_config import ToolchainConfig, is_cxx_only, kernel_files, toolchain_config
from mcu_build.executorch.package import Linkage
from mcu_build.files import write_changed
from mcu_build.fronts.options import BuildOptions
from mcu_build.resources import data_dir
from mcu_build.stages.pipeline import Generated
from mcu_build.stages.request import Request

# What is not part of the name of a board's folder.
_USUAL = ("arm-clang", "host", "speed")
# What archives of ours are called, in the order in which GNU ld has to meet them.
_ARCHIVES = ("kernels_of_", "executorch_calls_", "executorch_", "kernel_")


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
    platform: "Platform" = field(repr=False)
    executorch: Linkage | None = None
    slots: str = ""
    second_image: str = ""
    budgets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Platform:
    """A board in a build folder: its toolchain's configuration, and an environment with its options alone."""

    board: Board
    config: ToolchainConfig
    env: Any
    folder: str


@dataclass(frozen=True)
class Archive:
    """A library to be: its sources, and the environment that compiles them."""

    name: str
    env: Any
    sources: Sequence[Path]


def platform_of(env: Any, request: Request, build_dir: str) -> Platform:
    """The board that a model is for, one for all models in a build folder."""
    options = request.options
    config = toolchain_config(request.linked, request.toolchain, request.cmsis_nn, options.optimize)
    words = (request.toolchain, options.optimize, "cmsis-nn" if request.cmsis_nn else "host")
    unusual = [word for word in words if word not in _USUAL]
    folder = f"{build_dir}/{'-'.join([request.board.id, *unusual])}"
    # Kept with the folder: what two models share has to be declared with one environment.
    kept = env.Dir(folder).attributes
    if not hasattr(kept, "mcu_platform"):
        kept.mcu_platform = Platform(request.linked, config, _bare_env(env, config), folder)
    platform: Platform = kept.mcu_platform
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


def application_env(env: Any, platform: Platform, models: Sequence[Model]) -> Any:
    """The user's environment with the options of the board and the headers of the models."""
    own = env.Clone()
    own.Append(CPPPATH=[model.include[0] for model in models])
    _add_options(own, platform.config)
    return own


def archives_of(
    platform: Platform,
    made: Generated,
    folder: Path,
    own_kernels: Sequence[Path],
    executorch: Linkage | None,
) -> list[Archive]:
    """The libraries of a model: its own, then those of the user's operators, of the runtime, and kernels."""
    env = platform.env.Clone()
    env.Prepend(CPPPATH=[str(folder)])
    runtime = _runtime(platform, made.runtime, env, executorch) if executorch else []
    user = platform.env.Clone()
    user.Replace(CCFLAGS=[flag for flag in user["CCFLAGS"] if flag not in platform.config.warning_options])
    return [
        Archive(f"model_{made.name}", env, made.sources),
        *([Archive(f"kernels_of_{made.name}", user, own_kernels)] if own_kernels else []),
        *runtime,
        *(
            Archive(f"kernel_{stem}", platform.env, kernel_files(stem, platform.config.kernel_folders))
            for stem in made.kernels
        ),
    ]


def _runtime(platform: Platform, sources: Sequence[str], model_env: Any, linked: Linkage) -> list[Archive]:
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
        *(Archive(f"executorch_calls_{Path(source).stem}", env, [folder / source]) for source in sources),
        Archive("executorch_arguments", env, [arguments]),
        Archive("executorch_model", base, others),
    ]


def library_of(platform: Platform, archive: Archive) -> Any:
    """The node of an archive with its objects."""
    # A kernel and its driver are called alike.
    places = {f"{archive.name}/{source.parent.name}/{source.name}.obj": source for source in archive.sources}
    objects = [_object(archive.env, f"{platform.folder}/{place}", places[place]) for place in places]
    return archive.env.StaticLibrary(f"{platform.folder}/lib{archive.name}.a", objects)


def _object(env: Any, target: str, source: Path) -> Any:
    return env.StaticObject(target, str(source))


def shared_arena(env: Any, platform: Platform, name: str, models: Sequence[Model]) -> Any:
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


def main_object(platform: Platform, model: Model, stem: str) -> Any:
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


def link(
    env: Any,
    platform: Platform,
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


def slot_options(call: str, models: Sequence[Model]) -> list[str]:
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


def one_platform(call: str, models: Sequence[Model]) -> Platform:
    """The board of an image's models. UserError where there is no model, or models for several."""
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
