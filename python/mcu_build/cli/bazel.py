"""`mcu-build bazel`: what the rules in bazel/ call. docs/bazel.md tells how to use them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from mcu_build.cli.options import budgets, build_option, json_option
from mcu_build.cli.output import end_json, end_text, print_json, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.options import BY_NAME, OPTIONS, BuildOptions, respelt, without_idle
from mcu_build.terminal import StageTimes

_file = click.Path(path_type=Path)


def _build_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that Bazel's rules have."""
    for option in reversed(OPTIONS):
        if option.in_front("bazel"):
            function = build_option(option.name, envvar=None)(function)
    return function


def _completed(options: dict[str, Any], settings: tuple[str, ...]) -> BuildOptions:
    """What a target says, and what the project file says beside that."""
    context = get_current_context()
    attributes = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    pairs = (word.partition("=")[::2] for word in settings)
    project = {name: value.split() if BY_NAME[name].many else value for name, value in pairs}
    return BuildOptions.of(**cast(Any, without_idle({**project, **attributes}, attributes)))


@click.group()
def command() -> None:
    """For the rules in bazel/: one step of the pipeline each, from given files to given files."""


@command.command("dir")
@json_option
def print_folder(as_json: bool) -> None:
    """Print the folder for local_repository(name = "mcu_build", path = ...)."""
    from mcu_build.resources import data_dir

    if as_json:
        print_json({"folder": str(data_dir())})
    else:
        print_text(str(data_dir()))


@command.command()
@click.option("--executorch", multiple=True, help="board=an install of ExecuTorch for its core")
@click.option("--cmsis-nn", multiple=True, help="board=a CMSIS-NN for its core")
@click.option("--project", type=_file, help="The project file.")
@click.option("--package", default="", help="The Bazel package that it is in.")
@click.argument("boards", type=_file, nargs=-1)
@json_option
def describe(
    executorch: tuple[str, ...],
    cmsis_nn: tuple[str, ...],
    project: Path | None,
    package: str,
    boards: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Print every board, and those in the given files, as JSON, with --json or without."""
    del as_json
    from mcu_build.fronts.bazel import settings
    from mcu_build.fronts.bazel_boards import describe

    description = describe(boards, _by_board(executorch), _by_board(cmsis_nn))
    print_json({**description, "project": settings(project, package) if project else {}})


def _by_board(words: tuple[str, ...]) -> dict[str, Path]:
    """Folders by the board that they are for, of `board=folder`."""
    return {board: Path(folder) for board, _, folder in (word.partition("=") for word in words)}


@command.command()
@_build_options
@build_option("cmsis_nn", envvar=None)
@click.option("--name", required=True)
@click.option("--file", "files", multiple=True, help="where it is=its place in the workspace")
@click.option("--setting", "settings", multiple=True, help="name=value of the project file")
@click.option("--output", type=_file, required=True, help="Folder for the sources.")
@click.option("--program", type=_file, required=True, help="Folder for the program.")
@click.argument("model")
@json_option
def generate(
    name: str,
    files: tuple[str, ...],
    settings: tuple[str, ...],
    output: Path,
    program: Path,
    model: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Write a model's sources and its program."""
    from mcu_build import actions
    from mcu_build.board import load_board
    from mcu_build.stages.request import request_on

    places = {place: Path(file) for file, _, place in (word.rpartition("=") for word in files)}
    try:
        board = load_board(Path(options["board"]))
        request = request_on(board, model, _completed(options, settings), output)
        actions.generate(actions.Declared(name, request, places), output, program, StageTimes(quiet=True))
    except McuError as error:
        text, hint = respelt(error.message, "bazel"), respelt(error.hint, "bazel")
        raise McuError(text, hint, error.exit_code) from error
    if as_json:
        print_json({"files": [str(file) for file in sorted(output.iterdir())], "program": str(program)})


@command.command()
@click.option("--inputs", type=_file)
@click.option("--vectors", type=click.IntRange(min=2))
@click.option("--output", type=_file, required=True)
@click.argument("program", type=_file)
@json_option
def expect(inputs: Path | None, vectors: int | None, output: Path, program: Path, as_json: bool) -> None:
    """Evaluate a program's Python definitions: what firmware must equal."""
    from mcu_build import actions

    actions.expect(program, inputs, vectors, output, StageTimes(quiet=True))
    if as_json:
        print_json({"folder": str(output)})


@command.command()
@click.option("--board", type=_file, required=True)
@click.option("--inputs", type=_file)
@click.option("--vectors", type=click.IntRange(min=2))
@click.option("--expected", type=_file, required=True)
@click.option("--image", type=_file, required=True)
@click.option("--timeout", type=float, default=300.0, envvar="TEST_TIMEOUT")
@click.argument("program", type=_file)
@budgets("test", "profile", envvar=None)
@json_option
def test(
    board: Path,
    inputs: Path | None,
    vectors: int | None,
    expected: Path,
    image: Path,
    timeout: float,
    program: Path,
    as_json: bool,
    min_accuracy: float | None,
    min_sqnr: float | None,
    max_drop: float | None,
    max_instructions: int | None,
    max_cycles: int | None,
) -> Exit:
    """Run a test image, compare every output exactly, and hold to budgets."""
    from mcu_build import actions
    from mcu_build.board import load_board
    from mcu_build.cli.test import document, text, where

    chosen = load_board(board)
    progress = StageTimes(quiet=True)
    built, proof = actions.test_image(program, inputs, vectors, expected, image, chosen, timeout, progress)
    error = proof.failure(min_accuracy, min_sqnr, max_drop)
    # This computer's own instructions are not counted.
    if error is None and (max_instructions or max_cycles) and not chosen.is_host:
        error = actions.over_budget(program, inputs, image, chosen, timeout, max_instructions, max_cycles)
    if as_json:
        return end_json(document(proof), error)
    print_text(text(built, proof, where(chosen, None)))
    return end_text(error)


@command.command()
@click.option("--board", type=_file, required=True)
@click.option("--output", type=_file, required=True, help="An empty file, written where the image passes.")
@click.argument("image", type=_file)
@budgets("size", envvar=None)
@json_option
def size(
    board: Path, output: Path, image: Path, as_json: bool, max_flash: int | None, max_ram: int | None
) -> Exit:
    """Measure an image, with its .map beside it, against budgets."""
    from mcu_build.board import load_board
    from mcu_build.image.size import measure
    from mcu_build.report import size

    measured = measure(image, image.with_suffix(".map"), load_board(board))
    error = size.over_budget(image.stem, measured, max_flash, max_ram)
    if error is None:
        output.write_text("")
    return end_json(size.document(measured), error) if as_json else end_text(error)
