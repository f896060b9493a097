"""`mcu-build schedule`: one arena for several models."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import SIZE, build_option, debug_option, json_option
from mcu_build.cli.output import print_json, print_text
from mcu_build.terminal import StageTimes

# Build options that all models of an image have alike.
_COMMON = ("board", "npu", "io", "optimize", "arena", "toolchain")


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="MODEL...")
@click.option("--schedule", required=True, metavar="PHASES", help='"wake; wake, kws": commas: together.')
@click.option("--ram", type=SIZE, metavar="BYTES", help="What all arenas may take; else what the board has.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE.cpp", help="Write the array there.")
@build_option("board")
@build_option("npu")
@build_option("io")
@build_option("optimize")
@build_option("arena")
@build_option("toolchain")
@json_option
@debug_option
def command(
    models: tuple[Path, ...],
    schedule: str,
    ram: int | None,
    output: Path | None,
    as_json: bool,
    debug: bool,
    **options: Any,
) -> None:
    """One arena for several models: those that never run together share its bytes, the others have their own.

    Models are called as in C++: kws.py is kws. For each the plan is taken with which all together cost the
    fewest cycles and fit. --output writes C++ for the image's own sources.
    """
    del debug
    from mcu_build.api import schedule as scheduled
    from mcu_build.files import write_atomically
    from mcu_build.report.scheduling import table, to_keep

    planned = scheduled(models, schedule, ram=ram, progress=StageTimes(), **options)
    if output is not None:
        write_atomically(output, planned.source.encode())
    if as_json:
        print_json(asdict(planned))
        return
    print_text(table(planned))
    print_text(to_keep(planned))
