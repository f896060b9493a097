"""`mcu-build sign`: an image that a build system has linked, for MCUboot's slot."""

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option, sign_options
from mcu_build.cli.output import print_json, print_text
from mcu_build.errors import Exit, McuError
from mcu_build.fronts.options import no_board

if TYPE_CHECKING:
    from mcu_build.flash.sign import Order


@click.command()
@click.argument("image", type=click.Path(path_type=Path), metavar="IMAGE.elf")
@build_option("board")
@sign_options("sign")
@click.option(
    "--program",
    type=click.Path(path_type=Path),
    metavar="PROGRAM.slot",
    help="The first program of a model that is MCUboot's second image: signed, too.",
)
@json_option
@debug_option
def command(
    image: Path,
    board: str | None,
    signing: "Order | None",
    program: Path | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Sign an image that is linked behind the header of MCUboot's slot: demo.elf becomes demo.signed.bin.

    Build systems call it for images with SIGN; `mcu-build build --sign` does all at once. A program becomes
    demo.program.signed.bin and needs the image's version.
    """
    del debug
    if signing is None:
        raise McuError("--sign: missing: which key signs it?", "Add --sign key.pem.", Exit.USAGE)
    if not board:
        raise no_board()
    from mcu_build.api import board_for
    from mcu_build.flash.sign import sign_elf

    files = sign_elf(image, board_for(image, board), signing, program)
    if as_json:
        print_json({"image": str(image), "files": {name: str(file) for name, file in files.items()}})
        return
    for file in files.values():
        print_text(f"{file}: version {signing.version}")
