"""`mcu-build monitor`: what the firmware on a board prints."""

import signal
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from mcu_build.cli.options import build_option, debug_option, json_option, with_project
from mcu_build.cli.output import print_json
from mcu_build.cli.via import ViaCommand, via_option
from mcu_build.errors import McuError


@click.command(cls=ViaCommand)
@build_option("board")
@via_option
@click.option("--port", metavar="PORT", help="A serial port such as /dev/ttyACM0 instead: the board's UART.")
@json_option
@debug_option
def command(
    board: str | None, via: str | None, probe: str | None, port: str | None, as_json: bool, debug: bool
) -> None:
    """Show what the firmware prints, until Ctrl-C: RTT and semihosting through the probe, or a UART.

    With --json all of it at the end.
    """
    del debug
    from mcu_build.board import find_board
    from mcu_build.flash import monitor
    from mcu_build.flash import via as ways
    from mcu_build.fronts import project

    file = project.find(Path.cwd())
    options = with_project({"board": board}, file.settings() if file else {})
    chosen = find_board(options["board"], Path.cwd())
    if chosen.is_host and not port:
        raise McuError("--board: host is this computer, and has no probe", "Use `mcu-build run`.")
    way = None if port else ways.parse(via, probe)

    baud = chosen.uart.baud if chosen.uart else 115_200

    def source() -> Any:
        if way is not None:
            return monitor.probe_source(ways.opened(way, chosen), chosen)
        return monitor.uart_source(port or "", baud)

    where = f"{port} at {baud} baud" if port else f"{chosen.id} via {way}: RTT and semihosting"
    _notice(f"listening to {where}; Ctrl-C ends it")
    # Ctrl-C must not come in the middle of a packet: the board would stay halted.
    interrupted: list[int] = []
    kept: list[bytes] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: interrupted.append(number))
    try:
        shown = kept.append if as_json else _show
        monitor.follow(source, shown, _notice, lambda: bool(interrupted))
    finally:
        signal.signal(signal.SIGINT, before)
    if as_json:
        text = b"".join(kept).decode(errors="replace")
        print_json({"board": chosen.id, "from": port or str(way), "text": text})
    else:
        sys.stdout.write("\n")


def _show(data: bytes) -> None:
    sys.stdout.write(data.decode(errors="replace"))
    sys.stdout.flush()


def _notice(text: str) -> None:
    sys.stderr.write(f"\n[{text}]\n")
