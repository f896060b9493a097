"""Options that several verbs share."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from mcu_build.errors import Exit, McuError
from mcu_build.kernel_sources import SUFFIXES

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")


def _boards(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """Names of boards that complete what was typed."""
    from mcu_build.board import board_files

    return [name for name in board_files(Path.cwd()) if name.startswith(begun)]


def _npus(context: click.Context, param: click.Parameter, begun: str) -> list[str]:
    """NPUs of the board on the line, or of all, that complete what was typed."""
    from mcu_build.board import board_files, load_board

    named = context.params.get("board")
    files = {id: file for id, file in board_files(Path.cwd()).items() if named in (None, id)}
    names = {"none"}
    for file in files.values():
        with contextlib.suppress(McuError):
            board = load_board(file)
            names |= {*board.npu.names} if board.npu else set()
    return sorted(name for name in names if name.startswith(begun))


board_option = click.option(
    "-b",
    "--board",
    metavar="B",
    envvar="MCU_BOARD",
    shell_complete=_boards,
    help="A board's name, or a .toml file; else that of MCU_BOARD, else that of the project file.",
)
npu_option = click.option(
    "--npu",
    metavar="NAME",
    envvar="MCU_NPU",
    shell_complete=_npus,
    help="ethos-u55-128 and so on; none: every operator on the core. Else the board's default.",
)
io_option = click.option(
    "--io",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="Element type of the model's inputs and outputs.",
)

optimize_option = click.option(
    "--optimize",
    type=click.Choice(["speed", "size", "ram"]),
    default="speed",
    show_default=True,
    help="What to give priority to: instructions, flash, or RAM.",
)

timeout_option = click.option(
    "--timeout", type=float, default=300.0, show_default=True, help="Seconds that a run may take."
)


class _Size(click.ParamType[int]):
    """Bytes, or 64K, 2M."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int:
        from mcu_build.hardware import parse_size

        parsed = parse_size(value)
        if isinstance(parsed, str) and parsed.isdigit():
            parsed = int(parsed)
        if not isinstance(parsed, int):
            self.fail(f"{value!r} is not a size such as 65536, 64K or 2M", param, context)
        return parsed


size_type = _Size()


def executorch_options(function: F) -> F:
    """Which runtime runs the program, and how ExecuTorch's own is linked: `executorch` for the function."""

    @functools.wraps(function)
    def gathered(
        *,
        runtime: str,
        executorch_prefix: Path | None,
        ops: tuple[str, ...],
        ops_from: tuple[Path, ...],
        method_pool: int | None,
        temp_pool: int | None,
        program_slot: str | None,
        **others: Any,
    ) -> Any:
        from mcu_build.executorch.deploy import Options
        from mcu_build.executorch.slot import parse_region

        region = parse_region(program_slot) if program_slot and ":" in program_slot else None
        memory = None if region else program_slot
        given = Options(executorch_prefix, ops, ops_from, method_pool, temp_pool, region, memory)
        if runtime == "executorch":
            return function(executorch=given, **others)
        if given != Options():
            name = next(field.name for field in fields(given) if getattr(given, field.name))
            option = {"prefix": "executorch-prefix", "program_memory": "program-slot"}.get(
                name, name.replace("_", "-")
            )
            raise McuError(
                f"--{option}: the static runtime has no use for it", "Add --runtime executorch.", Exit.USAGE
            )
        return function(executorch=None, **others)

    return _all(
        cast(F, gathered),
        click.option(
            "--runtime",
            type=click.Choice(["static", "executorch"]),
            default="static",
            show_default=True,
            help="static: the program compiled to C++; executorch: ExecuTorch's own runtime loads it.",
        ),
        click.option(
            "--executorch-prefix",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="An install of ExecuTorch for the board's core; for the host, the wheel's is found.",
        ),
        click.option("--ops", multiple=True, cls=_Many, metavar="OP...", help="Link these operators."),
        click.option(
            "--ops-from",
            multiple=True,
            cls=_Many,
            type=click.Path(path_type=Path),
            metavar="PTE...",
            help="Link the operators of these programs, for firmware that is to receive them later.",
        ),
        click.option("--method-pool", type=size_type, help="Bytes for its structures; else measured."),
        click.option("--temp-pool", type=size_type, help="Bytes for temporary memory; else measured."),
        click.option(
            "--program-slot",
            metavar="ADDRESS:SIZE|MEMORY",
            help="Keep the program apart from the image, in flash with room for two of them.",
        ),
    )


class _Many(click.Option):
    """An option that takes one value or more: `--ops-from a.pte b.pte`, up to MODEL or the next option.

    Values of --ops hold "::", those of --ops-from end in .pte, those of --kernel-sources as C++ does. A MODEL
    that is a .pte too comes before.
    """

    def add_to_parser(self, parser: Any, context: click.Context) -> None:
        super().add_to_parser(parser, context)
        known = parser._long_opt[self.opts[0]]
        process = known.process
        endings = {"ops_from": (".pte",), "kernel_sources": SUFFIXES}.get(str(self.name))

        def many(value: str, state: Any) -> None:
            process(value, state)
            while state.rargs and (state.rargs[0].endswith(endings) if endings else "::" in state.rargs[0]):
                process(state.rargs.pop(0), state)

        known.process = many


op_library_option = click.option(
    "--op-library",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Python that defines custom operators of the model with torch.library.",
)


def projected(function: F) -> F:
    """Let the project file decide what neither the command line nor the environment has."""

    @functools.wraps(function)
    def completed(**options: Any) -> Any:
        from mcu_build import project

        options["model"] = model = project.resolve(options["model"])
        found = project.find(model if model.exists() else Path.cwd())
        return function(**with_project(options, found.settings(model) if found else {}))

    return cast(F, completed)


def with_project(options: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the command that runs, defaults replaced by the project's. McuError without any board."""
    context = get_current_context()
    for name, value in settings.items():
        if name in options and context.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = value
    if options["board"] is None:
        raise McuError(
            "Missing option '-b' / '--board': which board is it for?",
            'Add --board B (`mcu-build boards` lists them), export MCU_BOARD=B, or write `board = "B"` into '
            "mcu-build.toml beside the model.",
            Exit.USAGE,
        )
    return options


def build_options(function: F) -> F:
    """Everything that says which firmware to build, and where."""
    build_dir = click.option(
        "--build-dir",
        type=click.Path(path_type=Path),
        default=Path("build"),
        show_default=True,
        help="Where build folders go, one for each model and board.",
    )
    return model_options(build_dir(function))


def model_options(function: F) -> F:
    """Everything that says which model becomes firmware, and for what; the project file has a say in it."""
    return _all(
        projected(function),
        click.argument("model", type=click.Path(path_type=Path)),
        board_option,
        npu_option,
        io_option,
        click.option("--method", metavar="NAME", help="The method of a .pte that has several."),
        click.option(
            "--data",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="PTD",
            help="A file with weights of a .pte that lie apart from it.",
        ),
        executorch_options,
        click.option(
            "--toolchain",
            type=click.Choice(["arm-clang", "arm-gcc"]),
            help="Compiler for Arm cores; clang where it is installed.",
        ),
        click.option(
            "--kernels",
            type=click.Choice(["ours", "cmsis-nn", "upstream"]),
            default="ours",
            show_default=True,
            help="cmsis-nn: those of your own CMSIS-NN for the operators that it has, to compare. "
            "upstream: those of your ExecuTorch, under its runtime.",
        ),
        click.option(
            "--cmsis-nn",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Where CMSIS-NN's headers and libcmsis-nn.a are, for --kernels cmsis-nn.",
        ),
        optimize_option,
        click.option(
            "--latency",
            type=click.IntRange(min=0),
            metavar="SAMPLES",
            help="How late a stream's outputs may come, in samples of its input; else the model file's.",
        ),
        op_library_option,
        click.option(
            "--kernel-sources",
            multiple=True,
            cls=_Many,
            type=click.Path(path_type=Path),
            metavar="FILE...",
            help="C++ with the kernels of custom operators.",
        ),
        json_option,
        debug_option,
    )


min_sqnr_option = click.option(
    "--min-sqnr",
    type=float,
    metavar="DB",
    help="Fail (status 6) where an output, or a group of its channels, is noisier than this.",
)
console_option = click.option(
    "--console",
    type=click.Choice(["rtt", "uart", "semihosting", "none"]),
    help="Where firmware prints; the board's own otherwise. semihosting needs a debugger.",
)


def sign_options(function: F) -> F:
    """An image for MCUboot."""
    return _all(
        function,
        click.option(
            "--sign",
            type=click.Path(path_type=Path),
            metavar="KEY",
            help="Make an image for MCUboot's slot, signed with this key (PEM).",
        ),
        click.option("--version", default="0.0.0", help="The signed image's version, such as 1.2.3."),
    )


def run_options(function: F) -> F:
    """How an image is run."""
    return _all(
        function,
        click.option(
            "--sim",
            type=click.Choice(["qemu", "fvp"]),
            help="QEMU, or Arm's FVP; QEMU where it knows the board.",
        ),
        timeout_option,
    )


def _all(function: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        function = option(function)
    return function
