"""`mcu-build probes`: what is connected to this computer."""

import rich_click as click

from mcu_build.cli.options import debug_option, json_option
from mcu_build.cli.output import print_json, print_text


@click.command()
@json_option
@debug_option
def command(as_json: bool, debug: bool) -> None:
    """List debug probes, drives that take UF2 files, and serial ports, with the option that names each."""
    del debug
    from mcu_build.flash.connected import connected
    from mcu_build.tables import render

    devices = connected()
    if as_json:
        print_json({"probes": [vars(device) for device in devices]})
    elif devices:
        rows = [(device.kind, device.name, device.option) for device in devices]
        print_text(render(("kind", "name", "option"), rows))
    else:
        print_text(
            "No debug probe, no UF2 drive and no serial port is connected.\n"
            "Check the cable (some carry power only). A Raspberry Pi Pico shows its drive while BOOTSEL is "
            "held.\n"
            "On Linux `mcu-build doctor` says whether users may open probes (udev)."
        )
