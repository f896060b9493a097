"""`--via`: which way leads to the board."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server
from mcu_build.flash.probe import LostError, Probe
from mcu_build.simulate.gdb_remote import GdbClosedError, GdbTimeoutError

WAYS = ("gdb ADDRESS", "uf2 [DRIVE]")


@dataclass(frozen=True)
class Via:
    """A way to a board: `kind` with the address that it needs."""

    kind: str
    address: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.address}".rstrip()


def parse(text: str | None) -> Via:
    """`gdb :3333` and so on. McuError (usage) names what there is."""
    kind, _, address = (text or "").strip().partition(" ")
    if (kind == "gdb" and address) or kind == "uf2":
        return Via(kind, address)
    problem = f"--via {text}: no such way to a board" if text else "--via: missing"
    raise McuError(problem, f"Possible: {', '.join(WAYS)}, such as --via gdb :3333.", Exit.USAGE)


@contextmanager
def opened(via: Via) -> Iterator[Probe]:
    """The board, its core halted. McuError (usage) where the way only takes files."""
    if via.kind == "uf2":
        raise McuError("--via uf2: a drive takes firmware, and no more", "Use a debug probe.", Exit.USAGE)
    with gdb_server.connect(via.address) as probe:
        yield probe


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what was going on where the board is lost."""
    try:
        yield
    except (GdbClosedError, GdbTimeoutError) as error:
        raise LostError(what, error.message) from error
