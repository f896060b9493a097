"""`--via`: which way leads to the board."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server, openocd, pyocd_probe, uf2
from mcu_build.flash.probe import LostError, Probe
from mcu_build.simulate.gdb_remote import GdbClosedError, GdbTimeoutError

WAYS = ("pyocd", "openocd", "gdb ADDRESS", "uf2 [DRIVE]")


@dataclass(frozen=True)
class Via:
    """A way to a board: `kind` with the address that it needs, or the serial number of a probe."""

    kind: str
    address: str = ""
    probe: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.address}".rstrip()


def usual(board: Board, probe: str | None = None) -> str:
    """The way to write a board where none is given: the drive that it shows, if it does, else pyocd."""
    return "uf2" if board.flash.uf2 is not None and probe is None else "pyocd"


def parse(text: str | None, probe: str | None = None) -> Via:
    """`gdb :3333` and so on; pyocd without a word. McuError (usage) names what there is."""
    kind, _, address = (text or "pyocd").strip().partition(" ")
    needs, takes = kind == "gdb", kind in ("gdb", "uf2")
    if kind not in ("pyocd", "openocd", "gdb", "uf2") or (needs and not address) or (address and not takes):
        raise McuError(
            f"--via {text}: no such way to a board",
            f"Possible: {', '.join(WAYS)}, such as --via gdb :3333.",
            Exit.USAGE,
        )
    if probe and takes:
        raise McuError(f"--probe: --via {kind} leads to one board already", "Leave it out.", Exit.USAGE)
    return Via(kind, address, probe or "")


@contextmanager
def opened(via: Via, board: Board) -> Iterator[Probe]:
    """The board, its core halted. McuError (usage) where the way only takes files."""
    needs_probe(via)
    if via.kind == "gdb":
        with gdb_server.connect(via.address) as server:
            yield server
    elif via.kind == "openocd":
        with openocd.connect(board, via.probe) as server:
            yield server
    else:
        with pyocd_probe.connect(board, via.probe) as probe:
            yield probe


def needs_probe(via: Via) -> None:
    """McuError (usage) where the way only takes files."""
    if via.kind == "uf2":
        raise McuError(
            "--via uf2: a drive takes firmware, and no more",
            "Use a debug probe: --via pyocd, openocd or gdb ADDRESS.",
            Exit.USAGE,
        )


def look(via: Via, board: Board) -> None:
    """McuError as from `opened`, as far as it can be foreseen without stopping the core."""
    if via.kind == "uf2":
        uf2.find_drive(board, via.address)
    elif via.kind == "gdb":
        gdb_server.look(via.address)
    elif via.kind == "openocd":
        openocd.check(board, via.probe)
    else:
        pyocd_probe.look(board, via.probe)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what was going on where the board is lost."""
    try:
        yield
    except (GdbClosedError, GdbTimeoutError) as error:
        raise LostError(what, error.message) from error
