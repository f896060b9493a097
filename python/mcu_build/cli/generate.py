"""`mcu-build generate`: a model's sources for a build system."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import model_options
from mcu_build.cli.output import StageTimes, print_json, print_text


@click.command()
@model_options
@click.option("--name", help="The model's name in C++ instead of that of its file.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Folder for the files.")
def command(as_json: bool, debug: bool, name: str | None, output: Path, **options: Any) -> None:
    """Write MODEL's header and sources, what CMake needs of the board, and depends.txt: what to watch."""
    del debug
    from mcu_build.api import generate

    times = StageTimes()
    files = generate(**options, name=name, output=output, progress=times).files
    if as_json:
        print_json({"files": [str(file) for file in files], "stages": times.stages})
    else:
        print_text("\n".join(str(file) for file in files))
