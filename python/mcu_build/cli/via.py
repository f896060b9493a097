"""Options of the verbs that talk to a board."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from mcu_build.cli.output import print_warning
from mcu_build.errors import McuError

F = TypeVar("F", bound=Callable[..., Any])

_HELP = (
    "The way to the board: pyocd, the default (`flash` takes the drive of a board that shows one); openocd; "
    "gdb :3333, any GDB server (J-Link, Black Magic Probe, QEMU); uf2 [DRIVE], the drive that a board shows."
)
_via = click.option("--via", metavar="WAY", help=_HELP)
_flash_via = click.option("--via", metavar="WAY", envvar="MCU_VIA", show_envvar=True, help=_HELP)
_probe = click.option("--probe", metavar="SERIAL", help="Which debug probe, where several are connected.")


def via_option(function: F) -> F:
    """--via and --probe."""
    return _via(_probe(function))


def flash_via_option(function: F) -> F:
    """The same; --via may come from the environment, where a build system calls: targets take no options."""
    return _flash_via(_probe(function))


on_device_option = click.option(
    "--on-device", is_flag=True, help="On the board that --via leads to, instead of in a simulator."
)


def chosen_way(via: str | None, probe: str | None, on_device: bool, model: Path, board: str) -> Any:
    """The flash.via.Via of --via, --probe and --on-device; None for a simulator: none of them is given.

    Whether a board is there is looked at now, before a long build.
    """
    if not (on_device or via or probe):
        return None
    from mcu_build.api import board_for
    from mcu_build.flash.via import look, needs_probe, parse

    way = parse(via, probe)
    needs_probe(way)
    there = board_for(model, board)
    if there.is_host:
        raise McuError(
            "--on-device: host is this computer, without a probe", "Leave it out, and --via and --probe."
        )
    look(way, there)
    print_warning("the board will be left with the test image, halted: `mcu-build flash` writes the firmware")
    return way


class ViaCommand(click.RichCommand):
    """A verb with --via, whose value may be two words: `--via gdb :3333`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """As click does, with the two words as one."""
        return super().parse_args(context, _joined(args))


def _joined(words: Sequence[str]) -> list[str]:
    parts: list[str] = []
    for word in words:
        is_address = parts[-2:] == ["--via", "gdb"] and not word.startswith("-")
        if is_address or (parts[-2:] == ["--via", "uf2"] and Path(word).is_dir()):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return parts
