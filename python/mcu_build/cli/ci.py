"""`mcu-build ci`: what a CI job does with models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_build.cli.options import budgets, build_option, debug_option, json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.options import no_board
from mcu_build.terminal import StageTimes

if TYPE_CHECKING:
    from mcu_build.ci import Job


@click.command(context_settings={"auto_envvar_prefix": "MCU"})
@click.argument("models", nargs=-1, envvar="MCU_MODELS")
@build_option(
    "board", "boards", multiple=True, envvar="MCU_BOARDS", help="A board; may be given several times."
)
@build_option("npu")
@click.option("--base", metavar="COMMIT", help="Measure this commit too, and report the differences.")
@budgets("ci")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("mcu-build-report"),
    show_default=True,
    help="Folder for report.md, report.json and images/.",
)
@json_option
@debug_option
def command(
    models: tuple[str, ...],
    boards: tuple[str, ...],
    npu: str | None,
    base: str | None,
    output: Path,
    as_json: bool,
    debug: bool,
    **limits: float | None,
) -> Exit:
    """Build, prove and measure MODELS on boards, in QEMU, and in the FVP where it is installed.

    Without MODELS, those of the project file; boards, options and budgets that are not given are the file's.

    Leaves with the status of the first failure, after all have been tried. Every option may come from the
    environment instead: MCU_MODELS, MCU_BOARDS, MCU_NPU, MCU_BASE, MCU_MAX_FLASH and so on.
    """
    del debug
    from mcu_build import ci
    from mcu_build.files import write_atomically

    chosen = {"npu": npu} if npu else {}
    jobs = [job for model in _models(models) for job in _jobs(model, boards, chosen, limits)]
    results = ci.check(jobs, base, output, StageTimes())
    text, document = ci.markdown(results), ci.document(results)
    write_atomically(output / "report.md", text.encode())
    write_atomically(output / "report.json", json.dumps({"schema": 1, **document}, indent=2).encode())
    if as_json:
        print_json(document)
    else:
        print_text(text)
    return ci.status(results)


def _models(models: tuple[str, ...]) -> list[Path]:
    """The files of the models that are given, else of all in the project file."""
    from mcu_build.fronts import project

    file = None if models else project.find(Path.cwd())
    named = models or (tuple(file.models) if file else ())
    if not named:
        raise McuError(
            "MODELS: missing", "Name models, or list them in mcu-build.toml (docs/project.md).", Exit.USAGE
        )
    return [_from_here(project.resolve(Path(model))) for model in named]


def _from_here(file: Path) -> Path:
    """The file as seen from the current folder, if it lies below: reports are read on other machines."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _jobs(
    model: Path, boards: tuple[str, ...], chosen: Mapping[str, Any], limits: Mapping[str, float | None]
) -> "list[Job]":
    """A model on each board that is given, else on that of the project file."""
    from mcu_build.ci import Job
    from mcu_build.fronts import project

    file = project.find(model if model.exists() else Path.cwd())
    settings = file.settings(model) if file else {}
    settled = {name: settings.get(name) if value is None else value for name, value in limits.items()}
    options = [project.settled(model, {**chosen, "board": board}) for board in boards]
    options = options or [project.settled(model, chosen)]
    if not options[0].get("board"):
        raise no_board()
    return [Job(model, option, settled) for option in options]
