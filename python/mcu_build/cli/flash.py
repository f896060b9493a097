"""`mcu-build flash`: firmware onto a board, verified and running."""

from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, console_option
from mcu_build.cli.output import StageTimes, print_json, print_text
from mcu_build.cli.via import ViaCommand, via_option


@click.command(cls=ViaCommand)
@build_options
@console_option
@via_option
def command(as_json: bool, debug: bool, via: str | None, probe: str | None, **options: Any) -> None:
    """Build, write the firmware to a board, read it back, reset and let it run.

    MODEL may be an .elf, as CMake makes them.
    """
    del debug
    from mcu_build.api import board_for, build
    from mcu_build.flash import image as images
    from mcu_build.flash import uf2
    from mcu_build.flash import via as ways
    from mcu_build.flash.probe import verify

    way = ways.parse(via, probe)
    times = StageTimes()
    elf = options["model"]
    if elf.suffix == ".elf":
        board = board_for(elf, options["board"])
    else:
        firmware = build(**options, progress=times)
        elf, board = firmware.path("elf"), firmware.board
    image = images.read_image(elf)
    images.check(image, board)
    if way.kind == "uf2":
        with times.stage("flash"):
            place = str(uf2.copy(firmware.folder / "firmware.uf2", firmware.board, way.address))
        told = f"written to {place}, not read back: the board restarts"
    else:
        place, told = str(way), "written, verified, running"
        with ways.opened(way, firmware.board) as target:
            with times.stage("flash"), ways.doing(f"writing {image.name}"):
                target.load(image.segments)
            with times.stage("verify"), ways.doing(f"reading {image.name} back"):
                verify(target, image)
            with times.stage("reset"), ways.doing("resetting the chip"):
                target.reset()
                target.leave()
    if as_json:
        segments = [{"address": one.address, "size": len(one.data)} for one in image.segments]
        print_json(
            {
                "image": str(elf),
                "via": place,
                "segments": segments,
                "bytes": image.size,
                "verified": way.kind != "uf2",
                "stages": times.stages,
            }
        )
        return
    print_text(f"{image.name} on {board.id} via {place}: {image.size:,} bytes {told}")
