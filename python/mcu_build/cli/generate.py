"""`mcu-build generate`: a model's sources for a build system."""

from pathlib import Path
from typing import Any, get_args

import rich_click as click

from mcu_build.cli.options import build_options
from mcu_build.cli.output import print_json, print_text
from mcu_build.terminal import StageTimes


@click.command()
@build_options("generate")
@click.option("--name", help="The model's name in C++ instead of that of its file.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder for the files.")
def command(as_json: bool, debug: bool, name: str | None, output: Path, **options: Any) -> None:
    """Write MODEL's header and sources, what CMake needs of the board, and depends.txt: what to watch."""
    del debug
    from mcu_build.api import generate

    times = StageTimes()
    made = generate(**options, name=name, output=output, progress=times)
    if as_json:
        operators = [file.resolve() for file in options["kernel_sources"]]
        print_json({**_asked(options), **_document(made, operators), "stages": times.stages})
    else:
        print_text("\n".join(str(file) for file in made.files))


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    """What was generated for, the project file included, as words for other verbs."""
    from mcu_build.fronts import budgets, project
    from mcu_build.fronts.options import OPTIONS

    file = project.find(options["model"])
    limits = project.settled_budgets(options["model"])
    words = (option.arguments(options.get(option.name)) for option in OPTIONS)
    return {
        "board": options["board"],
        "project": str(file.file) if file else None,
        "arguments": [word for name in words for word in name],
        "budgets": {verb: budgets.words(limits, verb) for verb in get_args(budgets.Judge)},
    }


def _document(made: Any, operators: list[Path]) -> dict[str, Any]:
    """All that a build system needs: files, include folders, options."""
    from mcu_build.resources import data_dir

    config = made.config
    include = [made.files[0].parent.resolve(), data_dir() / "firmware" / "include"]
    return {
        "files": [str(file) for file in made.files],
        "sources": [str(file.resolve()) for file in made.compiled(operators)],
        "include_folders": [str(folder) for folder in include],
        "compiler": config.cxx,
        "compile_options": list(config.compile_options),
        "machine_options": list(config.machine_options),
        "defines": list(config.defines),
        "link_options": list(config.machine_link_options),
        "libraries": list(config.libraries),
    }
