"""Options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")
board_option = click.option("--board", required=True, metavar="B", help="A board's name, or a .toml file.")


def build_options(function: F) -> F:
    """Everything that says which firmware to build."""
    for option in reversed(
        [
            click.argument("model", type=click.Path(path_type=Path)),
            board_option,
            click.option("--npu", default="none", show_default=True, help="none: every operator on the CPU."),
            click.option(
                "--io",
                type=click.Choice(["float", "int8"]),
                default="float",
                show_default=True,
                help="Element type of the model's inputs and outputs.",
            ),
            click.option(
                "--toolchain",
                type=click.Choice(["arm-clang", "arm-gcc"]),
                help="Compiler for Arm cores; clang where it is installed.",
            ),
            click.option(
                "--build-dir",
                type=click.Path(path_type=Path),
                default=Path("build"),
                show_default=True,
                help="Where build folders go, one for each model and board.",
            ),
            json_option,
            debug_option,
        ]
    ):
        function = option(function)
    return function
