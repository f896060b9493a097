"""The client of GDB's remote protocol, against a stub that follows the protocol, or breaks it on purpose."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcu_build.errors import Exit, McuError
from mcu_build.simulate.gdb_remote import (
    GdbClosedError,
    GdbError,
    GdbRemote,
    GdbTimeoutError,
    Stop,
    connect,
)

TARGET = '<?xml version="1.0"?><target><architecture>arm</architecture></target>' + " " * 300
Answer = Callable[[str], str | bytes | None]


def framed(payload: str) -> bytes:
    return f"${payload}#{sum(payload.encode()) & 0xFF:02x}".encode()


class Stub:
    """A small core: seventeen registers, 64 KB of memory, packets of at most 256 bytes.

    `overrides` gives the reply to a packet by its first letters: text to frame, raw bytes, or None for
    silence.
    """

    def __init__(self, overrides: dict[str, str | bytes | None] | None = None, no_ack: bool = True) -> None:
        self.overrides = overrides or {}
        self.no_ack = no_ack
        self.memory = bytearray(range(256)) * 256
        self.registers = [0x100 + number for number in range(17)]
        self.seen: list[str] = []
        self.acknowledged = 0
        self.acknowledges = True

    def serve(self, connection: socket.socket) -> None:
        """Answer until the client goes."""
        with connection, contextlib.suppress(ConnectionError):
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        while data := connection.recv(4096):
            buffer += data
            while buffer[:1] == b"+":
                self.acknowledged += 1
                buffer = buffer[1:]
            if buffer == b"\x03":
                buffer = b""
                connection.sendall(framed("T02thread:01;"))
            while b"#" in buffer and len(buffer.partition(b"#")[2]) >= 2:
                packet, _, rest = buffer.partition(b"#")
                payload, buffer = packet.lstrip(b"+")[1:].decode(), rest[2:]
                assert int(rest[:2], 16) == sum(payload.encode()) & 0xFF
                self._reply(connection, payload)

    def _reply(self, connection: socket.socket, packet: str) -> None:
        self.seen.append(packet)
        answer: str | bytes | None = next(
            (reply for start, reply in self.overrides.items() if packet.startswith(start)),
            self._answer(packet),
        )
        if self.acknowledges:
            connection.sendall(b"+")
        if packet == "QStartNoAckMode" and answer == "OK":
            self.acknowledges = False
        if answer is not None:
            connection.sendall(framed(answer) if isinstance(answer, str) else answer)

    def _answer(self, packet: str) -> str | None:
        letter, rest = packet[0], packet[1:]
        if packet.startswith("qSupported"):
            return "PacketSize=100;qXfer:features:read+" + (";QStartNoAckMode+" if self.no_ack else "")
        if packet == "QStartNoAckMode":
            return "OK"
        if packet.startswith("qXfer:features:read:target.xml:"):
            offset, count = (int(word, 16) for word in packet.rpartition(":")[2].split(","))
            return ("l" if offset + count >= len(TARGET) else "m") + TARGET[offset : offset + count]
        if letter == "g":
            return b"".join(value.to_bytes(4, "little") for value in self.registers).hex()
        if letter == "G":
            raw = bytes.fromhex(rest)
            self.registers = [int.from_bytes(raw[i : i + 4], "little") for i in range(0, 68, 4)]
            return "OK"
        if letter == "p":
            return self.registers[int(rest, 16)].to_bytes(4, "little").hex()
        if letter == "m":
            address, count = (int(word, 16) for word in rest.split(","))
            return self.memory[address : address + count].hex()
        if letter == "M":
            where, _, data = rest.partition(":")
            address = int(where.split(",")[0], 16)
            self.memory[address : address + len(data) // 2] = bytes.fromhex(data)
            return "OK"
        if letter in "Zz":
            return "OK"
        if letter == "s":
            return "S05"
        return None if letter in "ck" else ""


@pytest.fixture
def session() -> Iterator[Callable[[Stub], GdbRemote]]:
    """Connect a client to a stub."""
    threads, ours_all = [], []

    def start(stub: Stub) -> GdbRemote:
        ours, theirs = socket.socketpair()
        thread = threading.Thread(target=stub.serve, args=(theirs,))
        thread.start()
        threads.append(thread)
        ours_all.append(ours)
        return GdbRemote(ours, timeout=0.3)

    yield start
    for one in ours_all:
        one.close()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


Start = Callable[[Stub], GdbRemote]


def test_the_register_description_is_read_before_any_register(session: Start) -> None:
    stub = Stub()
    remote = session(stub)
    remote.handshake()
    remote.registers()
    described = [index for index, packet in enumerate(stub.seen) if "target.xml" in packet]
    assert len(described) > 1 and max(described) < stub.seen.index("g")


@pytest.mark.parametrize("no_ack", [True, False])
def test_acknowledgements_are_off_where_the_stub_can(session: Start, no_ack: bool) -> None:
    stub = Stub(no_ack=no_ack)
    remote = session(stub)
    remote.handshake()
    before = stub.acknowledged
    for _ in range(3):
        remote.registers()
    remote.read_register(1)  # the stub has now seen the acknowledgements of what came before
    assert (stub.acknowledged - before >= 3) == (not no_ack)


def test_registers(session: Start) -> None:
    stub = Stub()
    remote = session(stub)
    remote.handshake()
    assert remote.registers() == [0x100 + number for number in range(17)]
    assert remote.read_register(3) == 0x103
    remote.write_registers(list(range(17)))
    assert remote.registers() == list(range(17))
    assert stub.registers == list(range(17))
    assert remote.packets == len(stub.seen)


@pytest.mark.parametrize("size", [0, 1, 96, 97, 1000])
def test_memory_in_blocks_that_fit_the_packet(session: Start, size: int) -> None:
    stub = Stub()
    remote = session(stub)
    remote.handshake()
    assert remote.read_memory(0x123, size) == bytes(stub.memory[0x123 : 0x123 + size])
    data = bytes((7 * i + 1) & 0xFF for i in range(size))
    remote.write_memory(0x2001, data)
    assert remote.read_memory(0x2001, size) == data
    assert stub.memory[0x2001 : 0x2001 + size] == data
    assert stub.memory[0x2001 + size] == (0x2001 + size) & 0xFF
    assert max(map(len, stub.seen)) <= 0x100


def test_stops(session: Start) -> None:
    remote = session(Stub({"c": "T05thread:01;awatch:58102000;", "s": "S05"}))
    remote.resume()
    assert remote.wait(1) == Stop(5, watched=0x58102000)
    assert remote.step() == Stop(5)
    assert session(Stub({"s": "W0e"})).step() == Stop(exit_status=14)
    assert session(Stub({"s": b"$O41#c4" + framed("S05")})).step() == Stop(5)


def test_a_running_core_is_interrupted(session: Start) -> None:
    remote = session(Stub())
    remote.resume()
    with pytest.raises(GdbTimeoutError, match="no answer in time"):
        remote.wait(0.05)
    assert remote.interrupt() == Stop(2)


def test_escapes_and_run_lengths_are_expanded(session: Start) -> None:
    remote = session(Stub({"m": b"$0* #7a"}))
    assert remote.read_memory(0, 2) == b"\0\0"


@pytest.mark.parametrize(
    ("overrides", "action", "words"),
    [
        ({"m": "E14"}, lambda r: r.read_memory(0, 4), "error 14"),
        ({"m": "0102"}, lambda r: r.read_memory(0, 4), "2 bytes at 0x00000000, 4 were asked for"),
        ({"m": "zz"}, lambda r: r.read_memory(0, 1), "no hexadecimal bytes: 'zz'"),
        ({"g": "00"}, lambda r: r.registers(), "1 bytes of registers, 68 are expected"),
        ({}, lambda r: r.write_registers([1]), "1 registers given"),
        ({"Z": ""}, lambda r: (r.watch(0, 4), r.registers()), "a watchpoint at 0x00000000: not supported"),
        ({"z": "E22"}, lambda r: (r.unwatch(0, 4), r.step()), "the watchpoint at 0x00000000: E22"),
        ({"G": "E22"}, lambda r: (r.write_registers([0] * 17), r.step()), "registers: E22"),
        ({"M": "E14"}, lambda r: [r.write_memory(16, b"x") for _ in range(9)], "memory at 0x00000010: E14"),
        ({"s": "hello"}, lambda r: r.step(), "no stop reply: 'hello'"),
        ({"s": "T05awatch:xyz;"}, lambda r: r.step(), "no hexadecimal number: 'xyz'"),
        ({"s": b"$S05#00$S05#00$S05#00"}, lambda r: r.step(), "checksum is wrong"),
        ({"s": b"nonsense"}, lambda r: r.step(), "where a packet should begin"),
        ({"s": b"-"}, lambda r: r.step(), "received a damaged packet"),
        ({"s": None}, lambda r: r.step(), "no answer in time"),
        ({"s": b"$S0"}, lambda r: r.step(), "no answer in time"),
        ({"qSupported": "PacketSize=100"}, lambda r: r.handshake(), "does not describe its registers"),
        ({"qSupported": "PacketSize=big"}, lambda r: r.handshake(), "no hexadecimal number: 'big'"),
        ({"qXfer": "E00"}, lambda r: r.handshake(), "does not send target.xml: 'E00'"),
        ({"qXfer": "lnothing"}, lambda r: r.handshake(), "target.xml does not describe a target"),
    ],
)
def test_a_broken_stub_is_told_in_words(
    session: Start,
    overrides: dict[str, str | bytes | None],
    action: Callable[[GdbRemote], object],
    words: str,
) -> None:
    with pytest.raises(GdbError) as caught:
        action(session(Stub(overrides)))
    assert isinstance(caught.value, McuError) and caught.value.exit_code == Exit.FIRMWARE
    assert caught.value.message.startswith("GDB stub: ") and words in caught.value.message


def test_a_damaged_packet_is_asked_for_again(session: Start) -> None:
    assert session(Stub({"s": b"$S05#00" + framed("S05")})).step() == Stop(5)


def test_a_stub_that_goes_is_told() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with GdbRemote(ours) as remote, pytest.raises(GdbClosedError, match=r"connection is closed|broke"):
        remote.registers()


def test_the_last_packet_of_a_stub_that_goes_is_heard() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(framed("W0e"))
    theirs.close()
    with GdbRemote(ours) as remote:
        assert remote.wait(1) == Stop(exit_status=14)


def test_connecting_waits_for_a_listener_and_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "gdb.sock"
    with pytest.raises(GdbTimeoutError, match=r"nothing listens on gdb\.sock"):
        connect(path, 0.05)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    timer = threading.Timer(0.1, lambda: (listener.bind(str(path)), listener.listen()))
    timer.start()
    with connect(path, 5):
        timer.join()
    listener.close()
    with pytest.raises(GdbError, match="too long"):
        connect(tmp_path / ("x" * 120), 0.05)


def test_a_socket_in_a_deep_folder_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with contextlib.chdir(folder):
            listener.bind("gdb.sock")
        listener.listen()
        with connect(folder / "gdb.sock", 5):
            pass
