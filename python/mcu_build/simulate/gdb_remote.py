"""A client of GDB's remote protocol over a Unix socket: what driving a simulated Arm core needs.

Protocol: "Debugging with GDB", appendix "GDB Remote Serial Protocol". The core is an M-profile: registers
are r0 to pc and xPSR.
"""

import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mcu_build.errors import Exit, McuError

# r0 to pc and xPSR, in the order of `registers`.
REGISTERS, XPSR = 17, 16
WATCH_ACCESS = 4
_INTERRUPT = b"\x03"
# QEMU 7.2 takes and gives packets of 4096 bytes; hexadecimal doubles memory.
_DEFAULT_PACKET = 1024
_HEADROOM = 64
_MAX_RESENDS = 3
# Few enough that neither side ever waits for the other to read.
_MAX_UNCONFIRMED = 8
# Of a Unix socket, its terminator included.
_ADDRESS_BYTES = 108


class GdbError(McuError):
    """The stub refused, or broke the protocol."""

    def __init__(self, message: str) -> None:
        super().__init__(f"GDB stub: {message}", exit_code=Exit.FIRMWARE)


class GdbClosedError(GdbError):
    """The other side has gone: the simulator has ended."""


class GdbTimeoutError(GdbError):
    """No answer in time."""


@dataclass(frozen=True)
class Stop:
    """Why the core has stopped. `watched` is the start of the watched range that was met.

    `exit_status` is there where the program, or the simulator, has ended.
    """

    signal: int = 0
    watched: int | None = None
    exit_status: int | None = None


class Connection(Protocol):
    """What is used of a socket: a line to a stub."""

    def settimeout(self, seconds: float, /) -> None:
        """How long `sendall` and `recv` may take until they raise TimeoutError."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""
        ...

    def recv(self, size: int, /) -> bytes:
        """What has come, at most `size` bytes; none where the other side has closed."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class GdbRemote:
    """A connection to a stub whose core is stopped. `packets` counts those that were sent.

    `features` is what the stub supports, `packet_size` the largest packet that it takes.

    Packets are worked on in order. What sets something returns before the stub has confirmed it; where the
    stub does not, a later call raises GdbError.
    """

    def __init__(self, connection: Connection, timeout: float = 5.0) -> None:
        self._socket = connection
        self._buffer = b""
        self._acknowledge = True
        self._owed = b""
        self._unconfirmed: list[str] = []
        self._timeout = timeout
        self.packet_size = _DEFAULT_PACKET
        self.features: list[str] = []
        self.packets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def handshake(self) -> None:
        """Agree on features, and on registers."""
        self._agree()
        self._describe()

    def _agree(self) -> None:
        reply = self._ask("qSupported:swbreak+;hwbreak+;xmlRegisters=arm")
        if re.match(r"[ST][0-9a-fA-F]{2}", reply):
            # Connecting has stopped a core that ran, which QEMU tells first.
            reply = self._receive(time.monotonic() + self._timeout)
        self.features = features = reply.split(";")
        for feature in features:
            name, _, value = feature.partition("=")
            if name == "PacketSize":
                self.packet_size = _hexadecimal(value)
        if "QStartNoAckMode+" in features and self._ask("QStartNoAckMode") == "OK":
            self._acknowledge = False

    def _describe(self) -> None:
        """QEMU numbers registers in an old way until target.xml has been read."""
        if "qXfer:features:read+" not in self.features:
            raise GdbError("it does not describe its registers (qXfer:features:read)")
        if "<target" not in self._read_object("features", "target.xml"):
            raise GdbError("target.xml does not describe a target")

    def registers(self) -> list[int]:
        """r0 to pc, then xPSR."""
        raw = self._hex_bytes(self._ask("g"))
        if len(raw) != 4 * REGISTERS:
            raise GdbError(f"{len(raw)} bytes of registers, {4 * REGISTERS} are expected")
        return [int.from_bytes(raw[4 * i : 4 * i + 4], "little") for i in range(REGISTERS)]

    def read_register(self, number: int) -> int:
        """One register by GDB's number."""
        return int.from_bytes(self._hex_bytes(self._ask(f"p{number:x}")), "little")

    def write_register(self, number: int, value: int) -> None:
        """Set one register by GDB's number."""
        self._command(f"P{number:x}={value.to_bytes(4, 'little').hex()}", f"register {number}")

    def write_registers(self, values: Sequence[int]) -> None:
        """Set r0 to pc and xPSR at once."""
        if len(values) != REGISTERS:
            raise GdbError(f"{len(values)} registers given, there are {REGISTERS}")
        self._command("G" + b"".join(value.to_bytes(4, "little") for value in values).hex(), "registers")

    def read_memory(self, address: int, size: int) -> bytes:
        """`size` bytes, in as many packets as it takes."""
        parts = []
        for start, count in self._blocks(address, size):
            part = self._hex_bytes(self._ask(f"m{start:x},{count:x}"), f"memory at {start:#010x}")
            if len(part) != count:
                raise GdbError(f"{len(part)} bytes at {start:#010x}, {count} were asked for")
            parts.append(part)
        return b"".join(parts)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes. No device is reached: QEMU writes RAM and ROM alone."""
        for start, count in self._blocks(address, len(data)):
            part = data[start - address : start - address + count]
            self._command(f"M{start:x},{count:x}:{part.hex()}", f"memory at {start:#010x}")

    def watch(self, address: int, size: int) -> None:
        """Stop before every read and write of these bytes."""
        self._command(f"Z{WATCH_ACCESS},{address:x},{size:x}", f"a watchpoint at {address:#010x}")

    def unwatch(self, address: int, size: int) -> None:
        """Take the watchpoint away."""
        self._command(f"z{WATCH_ACCESS},{address:x},{size:x}", f"the watchpoint at {address:#010x}")

    def step(self) -> Stop:
        """Let the core execute one instruction."""
        self._send("s")
        return self.wait(self._timeout)

    def resume(self) -> None:
        """Let the core run. `wait` tells when it has stopped."""
        self._send("c")

    def wait(self, timeout: float) -> Stop:
        """The next stop. GdbTimeoutError where the core still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        self._confirm(deadline)
        while True:
            reply = self._receive(deadline)
            if not reply.startswith("O"):  # console text of the program
                return _stop(reply)

    def interrupt(self) -> Stop:
        """Stop a core that runs."""
        self._transmit(_INTERRUPT)
        return self.wait(self._timeout)

    def _read_object(self, kind: str, name: str) -> str:
        parts: list[str] = []
        while True:
            offset, count = sum(map(len, parts)), self.packet_size // 2
            reply = self._ask(f"qXfer:{kind}:read:{name}:{offset:x},{count:x}")
            if reply[:1] not in ("l", "m"):
                raise GdbError(f"it does not send {name}: {reply!r}")
            parts.append(reply[1:])
            if reply[0] == "l":
                return "".join(parts)

    def _blocks(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        largest = (self.packet_size - _HEADROOM) // 2
        for start in range(address, address + size, largest):
            yield start, min(largest, address + size - start)

    def _hex_bytes(self, reply: str, what: str = "registers") -> bytes:
        if re.fullmatch(r"E[0-9a-fA-F]{2}", reply):
            raise GdbError(f"error {reply[1:]}: it cannot read {what}")
        try:
            return bytes.fromhex(reply)
        except ValueError:
            raise GdbError(f"no hexadecimal bytes: {reply[:40]!r}") from None

    def _command(self, packet: str, what: str) -> None:
        """Send a packet whose answer, OK, is looked at with that to a later one."""
        if len(self._unconfirmed) == _MAX_UNCONFIRMED:
            self._confirm(time.monotonic() + self._timeout)
        self._send(packet)
        self._unconfirmed.append(what)

    def _confirm(self, deadline: float) -> None:
        while self._unconfirmed:
            what = self._unconfirmed.pop(0)
            reply = self._receive(deadline)
            if reply != "OK":
                raise GdbError(f"it does not set {what}: {reply or 'not supported'}")

    def _ask(self, packet: str | bytes, timeout: float | None = None) -> str:
        self._send(packet)
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        self._confirm(deadline)
        return self._receive(deadline)

    def _send(self, packet: str | bytes) -> None:
        self.packets += 1
        payload = packet.encode() if isinstance(packet, str) else packet
        # An acknowledgement of its own would wake the other side for one byte.
        self._transmit(self._owed + b"$%b#%02x" % (payload, sum(payload) & 0xFF))
        self._owed = b""

    def _transmit(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except TimeoutError:
            raise GdbTimeoutError("it takes no more packets") from None
        except OSError as error:
            raise GdbClosedError(f"the connection is closed ({error.strerror})") from error

    def _receive(self, deadline: float) -> str:
        """The payload of the next packet, with acknowledgement where it is on."""
        for _ in range(_MAX_RESENDS):
            self._skip_to_packet(deadline)
            payload = self._until(b"#", deadline)
            checksum = self._take(2, deadline)
            if self._is_right(payload, checksum):
                self._owed = b"+" if self._acknowledge else b""
                return _expanded(payload).decode("latin-1")
            if not self._acknowledge:
                break
            self._transmit(b"-")
        raise GdbError("a packet's checksum is wrong")

    def _skip_to_packet(self, deadline: float) -> None:
        while (byte := self._take(1, deadline)) != b"$":
            if byte == b"-":
                raise GdbError("it received a damaged packet")
            if byte != b"+":
                raise GdbError(f"byte {byte!r} where a packet should begin")

    @staticmethod
    def _is_right(payload: bytes, checksum: bytes) -> bool:
        try:
            return int(checksum, 16) == sum(payload) & 0xFF
        except ValueError:
            return False

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._buffer) < count:
            self._fill(deadline)
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _until(self, mark: bytes, deadline: float) -> bytes:
        while mark not in self._buffer:
            self._fill(deadline)
        before, _, self._buffer = self._buffer.partition(mark)
        return before

    def _fill(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        try:
            # A timeout of 0 would make the socket non-blocking.
            self._socket.settimeout(max(left, 1e-4))
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            raise GdbTimeoutError("no answer in time") from None
        except OSError as error:
            raise GdbClosedError(f"the connection broke ({error.strerror})") from error
        if not data:
            raise GdbClosedError("the connection is closed")
        self._buffer += data


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect to a Unix socket, whose address holds 107 bytes: a longer one goes by way of its folder."""
    if len(os.fsencode(path)) < _ADDRESS_BYTES:
        connection.connect(str(path))
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def connect(path: Path, timeout: float) -> GdbRemote:
    """Connect to the stub that listens, or will soon, on the Unix socket at `path`."""
    deadline = time.monotonic() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _connect(connection, path)
            return GdbRemote(connection)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            if time.monotonic() > deadline:
                raise GdbTimeoutError(f"nothing listens on {path.name} ({error.strerror})") from None
            time.sleep(0.01)
        except OSError as error:
            connection.close()
            raise GdbError(f"{path.name}: {error}") from error


def _stop(reply: str) -> Stop:
    """A stop reply: S05, T05key:value;... or W00."""
    kind, number, rest = reply[:1], reply[1:3], reply[3:]
    if kind in ("W", "X"):
        return Stop(exit_status=_hexadecimal(number))
    if kind not in ("S", "T"):
        raise GdbError(f"no stop reply: {reply[:40]!r}")
    watched = None
    for pair in rest.split(";"):
        key, _, value = pair.partition(":")
        if key in ("watch", "rwatch", "awatch"):
            watched = _hexadecimal(value)
    return Stop(_hexadecimal(number), watched)


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise GdbError(f"no hexadecimal number: {text[:40]!r}") from None


def _expanded(payload: bytes) -> bytes:
    """Without escapes (`}` and the byte with bit 5 changed) and run lengths (`*` and the count plus 29)."""
    if b"}" not in payload and b"*" not in payload:
        return payload
    expanded = bytearray()
    rest = iter(payload)
    for byte in rest:
        if byte == ord("}"):
            expanded.append(next(rest, 0) ^ 0x20)
        elif byte == ord("*") and expanded:
            expanded += expanded[-1:] * (next(rest, 29) - 29)
        else:
            expanded.append(byte)
    return bytes(expanded)
