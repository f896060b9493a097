"""A board behind a debug probe that pyocd drives, as a library: CMSIS-DAP, ST-LINK, J-Link."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import Segment
from mcu_build.flash.probe import LostError, StillRunningError
from mcu_build.hardware import PyocdFlash

_Result = TypeVar("_Result")
_POLL_SECONDS = 0.005


@contextmanager
def connect(board: Board, serial: str) -> Iterator["PyocdProbe"]:
    """The board, halted. McuError: status 1 pyocd does not know the chip, 2 several probes, 3 none."""
    from pyocd.core.exceptions import Error, TargetSupportError
    from pyocd.core.session import Session

    ways, probe = look(board, serial)
    # Its own words for errors that are reported here.
    logging.getLogger("pyocd").setLevel(logging.CRITICAL)
    options = {"hide_programming_progress": True, "connect_mode": "halt"}
    try:
        session = Session(probe, target_override=ways.target, options=options)
        session.open()
    except TargetSupportError as error:
        part = ways.pack or ways.target
        raise McuError(
            f"{board.id}: flash.pyocd.target: {error}", f"Get the chip's pack: pyocd pack install {part}"
        ) from error
    except Error as error:
        raise McuError(
            f"--via pyocd: {probe.description}: {error}",
            f"Is the board powered, and is it a {board.name}? Does another program hold the probe?",
            Exit.TOOL_MISSING,
        ) from error
    with session:
        opened = PyocdProbe(session)
        opened.halt()
        yield opened


def look(board: Board, serial: str) -> tuple[PyocdFlash, Any]:
    """The board's chip, and pyocd's probe: the only one, or the one of that serial number.

    McuError: status 1 the board names no chip, 2 several probes, 3 none.
    """
    if board.flash.pyocd is None:
        raise McuError(f"{board.id}: flash.pyocd: missing: which chip is it?", "Or use --via gdb :3333.")
    return board.flash.pyocd, _choose(serial)


def listed() -> list[Any]:
    """pyocd's objects of all probes that are connected, with `unique_id` and `description`."""
    from pyocd.core.helpers import ConnectHelper

    return list(ConnectHelper.get_all_connected_probes(blocking=False, print_wait_message=False))


def _choose(serial: str) -> Any:
    probes = listed()
    matching = [probe for probe in probes if serial.lower() in probe.unique_id.lower()]
    names = "\n".join(f"  {probe.unique_id}  {probe.description}" for probe in probes)
    if len(matching) == 1:
        return matching[0]
    if not probes:
        raise McuError(
            "--via pyocd: no debug probe is connected",
            "Check the cable (some carry power only) and, on Linux, the udev rules for the probe; another "
            "program may hold it.",
            Exit.TOOL_MISSING,
        )
    what = "--probe: several debug probes are connected" if matching else f"--probe {serial}: not connected"
    raise McuError(f"{what}:\n{names}", "Name one: --probe with its serial number.", Exit.USAGE)


class PyocdProbe:
    """Of `mcu_build.flash.probe.Probe`: each call is one of pyocd's target."""

    reads_while_running = True

    def __init__(self, session: Any) -> None:
        self._session = session
        self._target = session.board.target

    def load(self, segments: Sequence[Segment]) -> None:
        """Erase and program flash by the chip's own algorithm, store into RAM."""
        from pyocd.flash.loader import MemoryLoader

        loader = MemoryLoader(self._session, progress=lambda share: None)
        for segment in segments:
            _done("writing", loader.add_data, segment.address, bytearray(segment.data))
        _done("writing", loader.commit)

    def read_memory(self, address: int, size: int) -> bytes:
        """`size` bytes."""
        return bytes(_done("reading memory", self._target.read_memory_block8, address, size))

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to RAM."""
        _done("writing memory", self._target.write_memory_block8, address, list(data))

    def read_register(self, number: int) -> int:
        """One of r0 to pc."""
        return int(_done("reading registers", self._target.read_core_register, _name(number)))

    def write_register(self, number: int, value: int) -> None:
        """Set one of r0 to pc."""
        _done("writing registers", self._target.write_core_register, _name(number), value)

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address`, by a comparator of the core."""
        from pyocd.core.target import Target

        if not _done(
            "setting a breakpoint", self._target.set_breakpoint, address & ~1, Target.BreakpointType.HW
        ):
            raise McuError("the core has no breakpoint left", "Reset the board.", Exit.FIRMWARE)

    def clear_breakpoint(self, address: int) -> None:
        """Take the breakpoint away."""
        _done("clearing a breakpoint", self._target.remove_breakpoint, address & ~1)

    def reset(self) -> None:
        """Reset the chip; its core stays halted before its first instruction."""
        _done("resetting the chip", self._target.reset_and_halt)

    def resume(self) -> None:
        """Let the core run."""
        _done("resuming the core", self._target.resume)

    def halt(self) -> None:
        """Stop a core that runs."""
        _done("halting the core", self._target.halt)

    def wait_halt(self, timeout: float) -> None:
        """Wait until the core has stopped by itself. StillRunningError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not _done("asking for the core's state", self._target.is_halted):
            if time.monotonic() >= deadline:
                raise StillRunningError
            time.sleep(_POLL_SECONDS)

    def leave(self) -> None:
        """Let the core run; the session ends with its block."""
        self.resume()


def _done(what: str, call: Callable[..., _Result], *arguments: Any) -> _Result:
    from pyocd.core.exceptions import Error

    try:
        return call(*arguments)
    except Error as error:
        raise LostError(what, str(error) or type(error).__name__) from error


def _name(number: int) -> str:
    return {13: "sp", 14: "lr", 15: "pc"}.get(number, f"r{number}")
