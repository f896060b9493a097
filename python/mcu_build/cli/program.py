"""`mcu-build program`: a program for a firmware with program slots."""

from pathlib import Path

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option
from mcu_build.cli.output import StageTimes, print_json, print_text

_path = click.Path(path_type=Path)


@click.command()
@click.argument("program", type=_path)
@click.option("--into", type=_path, required=True, metavar="FILE", help="The file to flash.")
@click.option(
    "--firmware",
    type=_path,
    required=True,
    metavar="DIR",
    help="The firmware's build folder.",
)
@click.option(
    "--sequence",
    type=click.IntRange(1, 2**32 - 1),
    required=True,
    help="Of two programs, the one with the greater number is the newer; a build's own has 1.",
)
@build_option("method", help="The firmware's method, where the program has several.")
@build_option("data")
@json_option
@debug_option
def command(
    program: Path,
    into: Path,
    firmware: Path,
    sequence: int,
    method: str | None,
    data: tuple[Path, ...],
    as_json: bool,
    debug: bool,
) -> None:
    """Make the file to flash of PROGRAM for firmware that was built with --program-slot.

    PROGRAM is any model file; for firmware with --kernels upstream, a .pte.
    """
    del debug
    from mcu_build.files import write_atomically
    from mcu_build.replace import program_file

    made = program_file(program, firmware, sequence, method, data, StageTimes())
    write_atomically(into, made)
    if as_json:
        print_json({"file": str(into), "bytes": len(made), "sequence": sequence})
    else:
        print_text(f"{into}: {len(made):,} bytes, sequence {sequence}")
