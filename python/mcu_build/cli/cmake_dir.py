"""`mcu-build cmake-dir`: where find_package(McuBuild) finds us."""

import rich_click as click

from mcu_build.cli.options import json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.resources import data_dir


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Print the folder for -DMcuBuild_DIR=$(mcu-build cmake-dir)."""
    folder = str(data_dir() / "cmake")
    if as_json:
        print_json({"folder": folder})
    else:
        print_text(folder)
