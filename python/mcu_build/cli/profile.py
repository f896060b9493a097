"""`mcu-build profile`: what an inference costs, by layer and by kernel."""

from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_options, timeout_option
from mcu_build.cli.output import end_json, print_json, print_text
from mcu_build.cli.via import ViaCommand, chosen_way, on_device_option, via_option
from mcu_build.errors import Exit, McuError
from mcu_build.terminal import StageTimes


@click.command(cls=ViaCommand)
@build_options("profile")
@timeout_option
@on_device_option
@via_option
@click.option("--html", type=click.Path(path_type=Path), help="Write a page with bars to this file.")
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    help="A test image that another build system has made of MODEL: nothing is built.",
)
def command(
    as_json: bool,
    debug: bool,
    timeout: float,
    on_device: bool,
    via: str | None,
    probe: str | None,
    html: Path | None,
    image: Path | None,
    max_instructions: int | None,
    max_cycles: int | None,
    **options: Any,
) -> Exit:
    """Build, then count every instruction of one inference in QEMU: the same number on every run.

    With --on-device: its cycles on a board, layer by layer.
    """
    del debug
    way = chosen_way(via, probe, on_device, options["model"], options["board"])
    if image is not None and (html or way):
        raise McuError(
            "--image: it is counted in the simulator, and has no page",
            f"Leave out {'--html' if html else '--on-device'}.",
            Exit.USAGE,
        )
    if way is not None:
        counted = [option for option in (html, max_instructions, max_cycles) if option is not None]
        return _on_device(way, as_json, timeout, bool(counted), **options)
    from mcu_build.preflight import check_command

    check_command("profile", written=[html], **options)
    from mcu_build.api import build
    from mcu_build.files import write_atomically
    from mcu_build.profile.budget import over_budget
    from mcu_build.report import layers
    from mcu_build.report.collect import of_build
    from mcu_build.report.page import page

    times = StageTimes()
    firmware = build(image=image, **options, progress=times)
    profile = firmware.profile(timeout=timeout)
    if html:
        report = of_build(firmware.built, firmware.board, firmware.size(), profile)
        write_atomically(html, page(report).encode())
    error = over_budget(
        profile.name,
        profile.total.instructions,
        profile.total.cycles,
        max_instructions,
        max_cycles,
        profile.kernels[0].name,
    )
    if as_json:
        return end_json({**layers.document(profile), "stages": times.stages}, error)
    print_text(layers.table(profile))
    if error:
        raise error
    return Exit.OK


def _on_device(way: Any, as_json: bool, timeout: float, counted: bool, **options: Any) -> Exit:
    """Cycles of each layer, by the core's own counter."""
    from mcu_build.api import build
    from mcu_build.profile.on_device import table

    if counted:
        raise McuError(
            "--on-device: cycles are measured there, no instructions, and none are modelled",
            "Leave out --html, --max-instructions and --max-cycles.",
            Exit.USAGE,
        )
    times = StageTimes()
    firmware = build(**options, progress=times)
    layers, clock = firmware.profile_device(way, timeout=timeout), firmware.board.clock
    if as_json:
        cycles = sum(layer.cycles for layer in layers)
        milliseconds = 1000 * cycles / clock if clock else None
        rows = [vars(layer) for layer in layers]
        print_json({"cycles": cycles, "milliseconds": milliseconds, "layers": rows, "stages": times.stages})
    else:
        print_text(table(layers, clock))
    return Exit.OK
