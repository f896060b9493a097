"""What firmware prints, whichever way it comes: RTT and semihosting through a probe, or a UART.

A source gives what has come since the last look. One that is lost (unplugged, the server ended) is opened
again until it is back.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import rtt
from mcu_build.flash.probe import PC, R0, R1, LostError, Probe, StillRunningError
from mcu_build.simulate.gdb_remote import GdbClosedError, GdbTimeoutError

Source = Callable[[], bytes]
Open = Callable[[], AbstractContextManager[Source]]

_POLL_SECONDS = 0.1
_SEARCH_SECONDS = 1.0
_RETRY_SECONDS = 0.5
_BKPT_AB = (0xBEAB).to_bytes(2, "little")
_WRITEC, _WRITE0 = 0x03, 0x04
_PIECE = 64


def follow(
    open_source: Open,
    show: Callable[[bytes], None],
    notice: Callable[[str], None],
    stopped: Callable[[], bool],
) -> None:
    """Show what comes until it is `stopped`. McuError where the first try finds nothing to listen to."""
    connected = lost = False
    while not stopped():
        try:
            with open_source() as read:
                if lost:
                    notice("connected again")
                connected, lost = True, False
                while not stopped():
                    show(read())
        except (LostError, GdbClosedError, GdbTimeoutError) as error:
            lost = True
            notice(f"{error.message}; waiting for it to come back")
        except McuError as error:
            if not connected or error.exit_code != Exit.TOOL_MISSING:
                raise
        if lost:
            time.sleep(_RETRY_SECONDS)


@contextmanager
def probe_source(opened: AbstractContextManager[Probe], board: Board) -> Iterator[Source]:
    """RTT and semihosting of the firmware on `board`. The core runs on when this ends."""
    with opened as probe:
        listener = _Listener(probe, board)
        try:
            yield listener.read
        finally:
            listener.leave()


class _Listener:
    """Looks at a board ten times a second; some probes must stop the core for that, for a moment."""

    def __init__(self, probe: Probe, board: Board) -> None:
        self._probe, self._board = probe, board
        self._terminal: rtt.Terminal | None = None
        self._search_at = 0.0
        self._running = False

    def read(self) -> bytes:
        """Let the core run for a moment; what it has printed then."""
        if not self._running:
            self._probe.resume()
        try:
            self._probe.wait_halt(_POLL_SECONDS)
        except StillRunningError:
            self._running = self._probe.reads_while_running
            if not self._running:
                self._probe.halt()
            return self._rtt()
        self._running = False
        return self._rtt() + self._semihosting()

    def leave(self) -> None:
        """Let the core run without us; where the board is lost there is nothing to leave."""
        try:
            self._probe.leave()
        except McuError:
            return

    def _rtt(self) -> bytes:
        if self._terminal is None and time.monotonic() >= self._search_at:
            self._terminal = rtt.find(self._probe, self._board)
            self._search_at = time.monotonic() + _SEARCH_SECONDS
        if self._terminal is None:
            return b""
        text = self._terminal.read(self._probe)
        if text is None:
            self._terminal = None
        return text or b""

    def _semihosting(self) -> bytes:
        """The core has stopped by itself: at a semihosting call, which is answered, or for good."""
        pc = self._probe.read_register(PC)
        if self._probe.read_memory(pc, len(_BKPT_AB)) != _BKPT_AB:
            raise McuError(f"the core has stopped at pc {pc:#010x}", "A debugger shows more.", Exit.FIRMWARE)
        operation, argument = self._probe.read_register(R0), self._probe.read_register(R1)
        self._probe.write_register(PC, pc + len(_BKPT_AB))
        if operation == _WRITEC:
            return self._probe.read_memory(argument, 1)
        if operation == _WRITE0:
            return self._probe.read_memory(argument, _PIECE).partition(b"\0")[0]
        self._probe.write_register(R0, 0xFFFF_FFFF)
        return b""


@contextmanager
def uart_source(port: str, baud: int) -> Iterator[Source]:
    """A UART that the computer knows as `port`."""
    import serial

    try:
        device = serial.serial_for_url(port, baud, timeout=_POLL_SECONDS)
    except (serial.SerialException, ValueError) as error:
        raise McuError(
            f"--port {port}: {error}", f"{_ports()} Is the board plugged in?", Exit.TOOL_MISSING
        ) from error

    def read() -> bytes:
        try:
            return bytes(device.read(max(1, device.in_waiting)))
        except (serial.SerialException, OSError, TypeError) as error:
            raise LostError(f"reading {port}", str(error)) from error

    with device:
        yield read


def _ports() -> str:
    """The ports that there are, in a sentence."""
    from serial.tools import list_ports

    names = ", ".join(f"{port.device} ({port.description})" for port in list_ports.comports())
    return f"There are: {names}." if names else "This computer sees no serial port."
