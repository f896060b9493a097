"""`mcu-build program`: a program for a firmware with program slots."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mcu_build.cli.options import (
    build_option,
    debug_option,
    json_option,
    sign_options,
)
from mcu_build.cli.output import print_json, print_text
from mcu_build.terminal import StageTimes

_path = click.Path(path_type=Path)

if TYPE_CHECKING:
    from mcu_build.flash.sign import Order


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
@build_option("program_key", help="The key that the firmware was built with: it signs the program.")
@sign_options("program")
@click.option(
    "--needs",
    metavar="VERSION",
    help="The application's version that MCUboot must have, at least, to take the signed program.",
)
@json_option
@debug_option
def command(
    program: Path,
    into: Path,
    firmware: Path,
    sequence: int,
    method: str | None,
    data: tuple[Path, ...],
    program_key: Path | None,
    signing: "Order | None",
    as_json: bool,
    debug: bool,
) -> None:
    """Make the file to flash of PROGRAM for firmware that was built with --program-slot.

    PROGRAM is any model file; for firmware with --kernels upstream, a .pte.
    """
    del debug
    from mcu_build.codegen.program_key import read_key
    from mcu_build.files import write_atomically
    from mcu_build.stages.replace import program_file, sign_program

    key = read_key(program_key, "--program-key") if program_key else None
    made = program_file(program, firmware, sequence, method, data, StageTimes(), key)
    write_atomically(into, made)
    signed = sign_program(into, firmware, signing) if signing else {}
    if as_json:
        files = {name: str(file) for name, file in signed.items()}
        print_json({"file": str(into), "bytes": len(made), "sequence": sequence, **files})
        return
    print_text(f"{into}: {len(made):,} bytes, sequence {sequence}")
    if signing:
        needed = signing.needs or "any version"
        for file in signed.values():
            print_text(f"{file}: version {signing.version}, for an application of {needed}")
