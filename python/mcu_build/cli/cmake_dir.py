"""`mcu-build cmake-dir`: where find_package(McuBuild) finds us."""

from pathlib import Path

import rich_click as click

from mcu_build.cli.options import json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.resources import data_dir


@click.command()
@click.option("--presets", is_flag=True, help="Presets of all boards instead, for CMakeUserPresets.json.")
@json_option
def command(presets: bool, as_json: bool) -> None:
    """Print the folder for -DMcuBuild_DIR=$(mcu-build cmake-dir)."""
    folder = data_dir() / "cmake"
    if presets:
        from mcu_build.fronts.presets import presets as text

        print_text(text(folder, Path.cwd()).rstrip())
    elif as_json:
        print_json({"folder": str(folder)})
    else:
        print_text(str(folder))
