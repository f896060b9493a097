"""A board behind a GDB server: OpenOCD, pyOCD, J-Link, Black Magic Probe, or QEMU's stub.

What differs between servers is asked for, not assumed: which memory is flash (qXfer:memory-map), how a reset
is called. Protocol: "Debugging with GDB", appendix "GDB Remote Serial Protocol".
"""

import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import Segment
from mcu_build.flash.probe import StillRunningError
from mcu_build.simulate.gdb_remote import (
    Connection,
    GdbClosedError,
    GdbError,
    GdbRemote,
    GdbTimeoutError,
)

# A sector of 256 KB takes seconds to erase.
_FLASH_SECONDS = 60.0
_RESET_SECONDS = 5.0
_HARDWARE_BREAKPOINT = 1
# Resets that also halt. The protocol's own, in its extended mode: with an answer, and without. The first
# comes before all others: to Black Magic Probe a `monitor reset` is a pulse that leaves it without a core.
_RESTART, _SILENT_RESTART = "vRun;", "R00"
# OpenOCD, pyOCD and J-Link; QEMU.
_RESETS = ("reset halt", "system_reset")
_REFUSED = re.compile(r"unknown|invalid|unsupported|not supported|not recogni[sz]ed", re.IGNORECASE)
# Black Magic Probe looks for cores when it is asked to, and numbers them from 1.
_SCANS, _FIRST_CORE = ("swdp_scan", "swd_scan", "jtag_scan"), "vAttach;1"
_STOPPED = ("S", "T")
# Bytes that a binary packet escapes.
_SPECIAL = frozenset(b"#$}*")


@dataclass(frozen=True)
class FlashRegion:
    """Flash by the server's memory map: erased in blocks of `block` bytes."""

    start: int
    size: int
    block: int


class GdbServer(GdbRemote):
    """A board whose core is stopped: what flashing and testing on it need."""

    reads_while_running = False

    def handshake(self) -> None:
        """Agree on features. A server that has no core yet is asked to look for one and to take it."""
        self._agree()
        if self._ask("?").startswith(("W", "X")):
            self._attach()
        self._describe()

    def flash_regions(self) -> tuple[FlashRegion, ...]:
        """The flash that the server knows to erase and write; none where it gives no memory map."""
        if "qXfer:memory-map:read+" not in self.features:
            return ()
        return _flash_regions(self._read_object("memory-map", ""))

    def load(self, segments: Sequence[Segment]) -> None:
        """Write segments: erase and program flash, store into RAM. A part in flash erases whole blocks."""
        regions = self.flash_regions()
        flashed = [part for part, region in _in_regions(segments, regions) if region is not None]
        for start, end in _blocks(segments, regions):
            self._flash(f"vFlashErase:{start:x},{end - start:x}", f"erase flash at {start:#010x}")
        for part in flashed:
            self._write_flash(part)
        if flashed:
            self._flash("vFlashDone", "finish writing flash")
        for part, region in _in_regions(segments, regions):
            if region is None:
                self.write_memory(part.address, part.data)

    def reset(self) -> None:
        """Reset the chip and leave its core halted before the first instruction."""
        extended = self._ask("!") == "OK"
        if extended and self._ask(_RESTART).startswith(_STOPPED):
            return
        if any(self._monitor(command) for command in _RESETS):
            return
        if extended:
            self._send(_SILENT_RESTART)
            if self._ask("?").startswith(_STOPPED):
                return
        raise GdbError(f"it knows no reset: vRun, monitor {', monitor '.join(_RESETS)} and R were refused")

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address`."""
        self._command(f"Z{_HARDWARE_BREAKPOINT},{address & ~1:x},2", f"a breakpoint at {address:#010x}")

    def clear_breakpoint(self, address: int) -> None:
        """Take the breakpoint away."""
        self._command(f"z{_HARDWARE_BREAKPOINT},{address & ~1:x},2", f"the breakpoint at {address:#010x}")

    def halt(self) -> None:
        """Stop a core that runs."""
        self.interrupt()

    def wait_halt(self, timeout: float) -> None:
        """Wait until the core has stopped by itself. StillRunningError after `timeout` seconds."""
        try:
            stop = self.wait(timeout)
        except GdbTimeoutError:
            raise StillRunningError from None
        if stop.exit_status is not None:
            raise GdbClosedError("the program under it has ended")

    def leave(self) -> None:
        """Let the core run, without us."""
        if self._ask("D") != "OK":
            raise GdbError("it does not let go of the core")

    def _attach(self) -> None:
        """Take the first core that a scan finds."""
        for command in _SCANS:
            self._monitor(command)
            if self._ask(_FIRST_CORE).startswith(_STOPPED):
                return
        raise GdbError("it finds no core: is the board powered and wired?")

    def _monitor(self, command: str) -> bool:
        """Give the server a command of its own. False where it does not know it."""
        self._send(f"qRcmd,{command.encode().hex()}")
        deadline = time.monotonic() + _RESET_SECONDS
        self._confirm(deadline)
        printed = ""
        while (reply := self._receive(deadline)).startswith("O") and reply != "OK":
            printed += bytes.fromhex(reply[1:]).decode(errors="replace")
        return reply == "OK" and not _REFUSED.search(printed)

    def _write_flash(self, part: Segment) -> None:
        # Escaping may double it.
        largest = (self.packet_size - 64) // 2
        for start in range(0, len(part.data), largest):
            head = f"vFlashWrite:{part.address + start:x}:".encode()
            data = _escaped(part.data[start : start + largest])
            self._flash(head + data, f"write flash at {part.address + start:#010x}")

    def _flash(self, packet: str | bytes, what: str) -> None:
        reply = self._ask(packet, _FLASH_SECONDS)
        if reply != "OK":
            raise GdbError(f"it cannot {what}: {reply or 'not supported'}")


def connect(via: str, timeout: float = 5.0) -> GdbServer:
    """Connect to the GDB server at `:port`, `host:port`, a Unix socket or a serial port; its core stops.

    McuError: status 2 where `via` is none of these, 3 where nothing answers there.
    """
    try:
        server = GdbServer(_opened(via, timeout), timeout)
    except OSError as error:
        raise _silent(via, error) from None
    try:
        server.handshake()
    except (GdbClosedError, GdbTimeoutError) as error:
        server.close()
        raise _silent(via, error.message) from None
    except GdbError:
        server.close()
        raise
    return server


def look(via: str) -> None:
    """McuError as from `connect`, as far as it can be foreseen without stopping the core."""
    if Path(via).is_char_device():
        try:
            _SerialLine(via).close()
        except OSError as error:
            raise _silent(via, error) from None
        return
    family, address = _address(via)
    if family == socket.AF_UNIX and not Path(via).is_socket():
        raise _silent(via, "no such socket")
    if isinstance(address, tuple) and address[0] == "localhost" and not listens(address[1]):
        raise _silent(via, "nothing listens")


def listens(port: int) -> bool:
    """Whether the port of this computer is taken. Connecting would already halt the core, and leave again."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("localhost", port))
        except OSError:
            return True
    return False


def _silent(via: str, words: object) -> McuError:
    return McuError(
        f"--via gdb {via}: no GDB server answers there ({words})",
        "Start one, such as `openocd -f ...`, and check its port; another client may hold it.",
        Exit.TOOL_MISSING,
    )


def _opened(via: str, timeout: float) -> Connection:
    """The line to a server. OSError where there is none."""
    if Path(via).is_char_device():
        return _SerialLine(via)
    family, address = _address(via)
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(address)
        if family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        connection.close()
        raise
    return connection


class _SerialLine:
    """A serial port, by the calls of a socket: Black Magic Probe's way over USB, which has no rate."""

    def __init__(self, port: str) -> None:
        import serial

        self._port = serial.Serial(port)

    def settimeout(self, seconds: float) -> None:
        """As of a socket."""
        self._port.timeout = seconds

    def sendall(self, data: bytes) -> None:
        """As of a socket."""
        self._port.write(data)

    def recv(self, size: int) -> bytes:
        """As of a socket: what has come, at least a byte."""
        received = bytes(self._port.read(max(1, min(size, self._port.in_waiting))))
        if not received:
            raise TimeoutError
        return received

    def close(self) -> None:
        """As of a socket."""
        self._port.close()


def _address(via: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    host, _, port = via.rpartition(":")
    if port.isdigit() and int(port) < 1 << 16:
        return socket.AF_INET, (host or "localhost", int(port))
    if "/" in via:
        return socket.AF_UNIX, via
    raise McuError(
        f"--via gdb {via}: not an address",
        "Write :3333, host:3333, /path/of/socket or /dev/ttyACM0.",
        Exit.USAGE,
    )


def _flash_regions(text: str) -> tuple[FlashRegion, ...]:
    """The flash of a memory map. "Debugging with GDB", appendix "Memory Map Format"."""
    from xml.etree import ElementTree

    try:
        regions = ElementTree.fromstring(text).findall("memory[@type='flash']")
        return tuple(
            FlashRegion(
                int(region.attrib["start"], 0),
                int(region.attrib["length"], 0),
                int(region.findtext("property[@name='blocksize']", ""), 0),
            )
            for region in regions
        )
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise GdbError(f"its memory map is damaged: {error}") from None


def _in_regions(
    segments: Sequence[Segment], regions: Sequence[FlashRegion]
) -> Iterator[tuple[Segment, FlashRegion | None]]:
    """The segments cut at the boundaries of the flash; the region is None for what is RAM."""
    for segment in segments:
        position = segment.address
        for region in sorted(regions, key=lambda region: region.start):
            part = segment.overlap(region.start, region.size)
            if part is None:
                continue
            if position < part.address:
                yield (
                    Segment(
                        position, segment.data[position - segment.address : part.address - segment.address]
                    ),
                    None,
                )
            yield part, region
            position = part.end
        if position < segment.end:
            yield Segment(position, segment.data[position - segment.address :]), None


def _blocks(segments: Sequence[Segment], regions: Sequence[FlashRegion]) -> list[tuple[int, int]]:
    """Start and end of the flash to erase: whole blocks, each once."""
    blocks: list[tuple[int, int]] = []
    for part, region in _in_regions(segments, regions):
        if region is None:
            continue
        start = part.address - (part.address - region.start) % region.block
        end = part.end + (region.start - part.end) % region.block
        if blocks and start <= blocks[-1][1]:
            start, end = blocks[-1][0], max(end, blocks[-1][1])
            blocks.pop()
        blocks.append((start, end))
    return blocks


def _escaped(data: bytes) -> bytes:
    if not _SPECIAL & set(data):
        return data
    return b"".join(bytes([0x7D, byte ^ 0x20]) if byte in _SPECIAL else bytes([byte]) for byte in data)
