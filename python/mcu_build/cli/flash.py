"""`mcu-build flash`: firmware onto a board, verified and running."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from mcu_build.cli.options import build_options, sign_options
from mcu_build.cli.output import print_json, print_text
from mcu_build.cli.via import ViaCommand, flash_via_option
from mcu_build.errors import McuError
from mcu_build.terminal import StageTimes

if TYPE_CHECKING:
    from mcu_build.flash.sign import Order


@click.command(cls=ViaCommand)
@build_options("flash")
@sign_options("flash")
@flash_via_option
def command(
    as_json: bool,
    debug: bool,
    via: str | None,
    probe: str | None,
    signing: "Order | None",
    **options: Any,
) -> None:
    """Build, write the firmware to a board, read it back, reset and let it run.

    MODEL may be an .elf, as CMake makes them.
    """
    del debug
    from mcu_build.api import board_for
    from mcu_build.flash import image as images
    from mcu_build.flash import uf2
    from mcu_build.flash import via as ways
    from mcu_build.flash.probe import verify

    board = board_for(options["model"], options["board"])
    way = ways.parse(via or ways.usual(board, probe), probe)
    if board.is_host:
        raise McuError("--board: host is this computer, and needs no flashing", "Use `mcu-build run`.")
    ways.look(way, board)
    times = StageTimes()
    image, board, file = _image(board, times, signing, options)
    images.check(image, board)
    if way.kind == "uf2":
        with times.stage("flash"):
            place = str(uf2.copy(image, board, way.address))
        outcome = "written, not read back: the board restarts"
    else:
        place, outcome = str(way), "written, verified, running"
        with ways.opened(way, board) as target:
            with times.stage("flash"), ways.doing(f"writing {image.name}"):
                target.load(image.segments)
            with times.stage("verify"), ways.doing(f"reading {image.name} back"):
                verify(target, image)
            with times.stage("reset"), ways.doing("resetting the chip"):
                target.reset()
                target.leave()
    if as_json:
        segments = [{"address": segment.address, "size": len(segment.data)} for segment in image.segments]
        print_json(
            {
                "image": str(file),
                "via": place,
                "segments": segments,
                "bytes": image.size,
                "verified": way.kind != "uf2",
                "stages": times.stages,
            }
        )
        return
    print_text(f"{image.name} on {board.id} via {place}: {image.size:,} bytes {outcome}")


def _image(
    board: Any, times: StageTimes, signing: "Order | None", options: dict[str, Any]
) -> tuple[Any, Any, Path]:
    """What to write, for which board, and its file."""
    from mcu_build.api import build
    from mcu_build.flash.image import read_image
    from mcu_build.flash.sign import sign_elf, signed_image

    model: Path = options["model"]
    if model.suffix == ".elf":
        if signing is None:
            return read_image(model), board, model
        slot, file = board.in_slot(), sign_elf(model, board, signing)["signed"]
        return signed_image(read_image(model), slot, file), slot, file
    firmware = build(**options, in_slot=signing is not None, progress=times)
    image, file = read_image(firmware.path("elf")), firmware.path("elf")
    if signing:
        file = firmware.sign(signing)["signed"]
        image = signed_image(image, firmware.board, file)
    return image, firmware.board, file
