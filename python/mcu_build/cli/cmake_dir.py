"""`mcu-build cmake-dir`: where find_package(McuBuild) finds us."""

import rich_click as click

from mcu_build.cli.output import print_text
from mcu_build.resources import data_dir


@click.command()
def command() -> None:
    """Print the folder for -DMcuBuild_DIR=$(mcu-build cmake-dir)."""
    print_text(str(data_dir() / "cmake"))
