"""Flashing through a GDB server that has real flash: a memory map, blocks to erase, packets of raw bytes."""

import contextlib
import os
import pty
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server, via
from mcu_build.flash.gdb_server import GdbServer
from mcu_build.flash.image import LoadImage, Segment, check, merged, read_image
from mcu_build.flash.probe import program
from tests.support.cli import mcu_build

FLASH, RAM, BLOCK = 0x0800_0000, 0x2000_0000, 0x400
MAP = f"""<?xml version="1.0"?><!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" "d">
<memory-map><memory type="ram" start="{RAM:#x}" length="0x1000"/>
<memory type="flash" start="{FLASH:#x}" length="0x2000">
<property name="blocksize">{BLOCK:#x}</property></memory>
</memory-map>"""


@dataclass
class FlashStub:
    """A server whose flash can only lose bits until it is erased. `worn` is a byte that stays.

    `restart` is the packet of its extended mode, if any; without a core it waits for the command `scan`.
    """

    memory_map: str = MAP
    monitor: tuple[str, ...] = ("reset halt",)
    worn: int | None = None
    restart: bytes = b""
    attached: bool = True
    scan: str = "swdp_scan"
    flash: bytearray = field(default_factory=lambda: bytearray(b"\0" * 0x2000))
    ram: bytearray = field(default_factory=lambda: bytearray(0x1000))
    seen: list[bytes] = field(default_factory=list)

    def serve(self, connection: "socket.socket | Terminal") -> None:
        buffer = b""
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                buffer += data
                while b"#" in buffer and len(buffer.partition(b"#")[2]) >= 2:
                    packet, _, rest = buffer.partition(b"#")
                    payload, buffer = packet.partition(b"$")[2], rest[2:]
                    assert int(rest[:2], 16) == sum(payload) & 0xFF
                    self.seen.append(payload)
                    for reply in self._answers(payload):
                        connection.sendall(b"+$%b#%02x" % (reply, sum(reply) & 0xFF))

    def _answers(self, packet: bytes) -> Iterator[bytes]:
        head, _, data = packet.partition(b":")
        numbers = (
            [int(word, 16) for word in data.partition(b":")[0].split(b",")]
            if head[:6] == b"vFlash" and data
            else []
        )
        if packet.startswith(b"qSupported"):
            yield b"PacketSize=100;qXfer:features:read+" + b";qXfer:memory-map:read+" * bool(self.memory_map)
        elif packet == b"?":
            yield b"T05" if self.attached else b"W00"
        elif packet == b"!":
            yield b"OK" if self.restart else b""
        elif packet[:1] == b"R" and packet == self.restart:
            return
        elif packet == b"vAttach;1":
            self.attached = any(self.scan.encode().hex().encode() in one for one in self.seen)
            yield b"T05" if self.attached else b"E01"
        elif packet == b"vRun;":
            yield b"T05" if packet == self.restart else b""
        elif not self.attached and packet[:1] in b"qmMgp" and not packet.startswith(b"qRcmd"):
            yield b"E01"
        elif packet.startswith(b"qXfer"):
            text = self.memory_map if b"memory-map" in packet else "<target/>"
            offset, count = (int(word, 16) for word in packet.rpartition(b":")[2].split(b","))
            yield (b"l" if offset + count >= len(text) else b"m") + text[offset : offset + count].encode()
        elif packet.startswith(b"qRcmd,"):
            known = bytes.fromhex(packet[6:].decode()).decode() in self.monitor
            yield b"O" + (b"done\n" if known else b"unknown command\n").hex().encode()
            yield b"OK"
        elif head == b"vFlashErase":
            start, size = numbers
            assert start % BLOCK == size % BLOCK == 0
            self.flash[start - FLASH : start - FLASH + size] = b"\xff" * size
            yield b"OK"
        elif head == b"vFlashWrite":
            yield self._write(numbers[0] - FLASH, unescaped(data.partition(b":")[2]))
        elif packet == b"vFlashDone":
            yield b"OK"
        elif packet[:1] == b"M":
            address = int(packet[1:].partition(b",")[0], 16) - RAM
            content = bytes.fromhex(data.decode())
            inside = 0 <= address < len(self.ram)
            self.ram[address : address + len(content)] = content if inside else b""
            yield b"OK" if inside else b"E01"
        elif packet[:1] == b"m":
            address, count = (int(word, 16) for word in packet[1:].split(b","))
            memory, start = (self.flash, FLASH) if address < RAM else (self.ram, RAM)
            yield bytes(memory[address - start : address - start + count]).hex().encode()
        else:
            yield b""

    def _write(self, offset: int, data: bytes) -> bytes:
        for index, byte in enumerate(data, offset):
            if index + FLASH != self.worn:
                self.flash[index] &= byte
        return b"OK"


def unescaped(data: bytes) -> bytes:
    found, rest = bytearray(), iter(data)
    for byte in rest:
        found.append(next(rest) ^ 0x20 if byte == ord("}") else byte)
    return bytes(found)


Start = Callable[[FlashStub], GdbServer]


@pytest.fixture
def session() -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(stub: FlashStub) -> GdbServer:
            ours, theirs = socket.socketpair()
            thread = threading.Thread(target=stub.serve, args=(theirs,))
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(ours.close)
            server = GdbServer(ours, timeout=5)
            server.handshake()
            return server

        yield start


def image(*parts: tuple[int, bytes]) -> LoadImage:
    return LoadImage("x.elf", tuple(Segment(address, data) for address, data in parts), FLASH, {})


EVERY_BYTE = bytes(range(256)) * 5


def test_flash_is_erased_by_blocks_written_in_raw_bytes_and_read_back(session: Start) -> None:
    stub = FlashStub()
    program(session(stub), image((FLASH, EVERY_BYTE), (FLASH + 0x700, b"#$}*"), (RAM + 16, b"in RAM")))
    assert stub.flash[: len(EVERY_BYTE)] == EVERY_BYTE
    assert stub.flash[0x700:0x704] == b"#$}*" and stub.ram[16:22] == b"in RAM"
    assert stub.flash[0x800:] == b"\0" * 0x1800  # blocks without a byte of the image
    assert [packet for packet in stub.seen if b"Erase" in packet] == [b"vFlashErase:8000000,800"]
    assert max(map(len, stub.seen)) <= 0x100
    names = [packet.partition(b":")[0] for packet in stub.seen if packet.startswith(b"vFlash")]
    assert names[0] == b"vFlashErase" and names[-1] == b"vFlashDone"


def test_a_segment_from_flash_into_ram_is_cut(session: Start) -> None:
    stub = FlashStub(MAP.replace(f"{RAM:#x}", f"{FLASH + 0x2000:#x}"))
    with pytest.raises(McuError, match="it does not set memory at 0x08002000: E01"):
        program(session(stub), image((FLASH + 0x1FFE, b"abcd")))
    assert stub.flash[0x1FFE:] == b"ab"


def test_a_byte_that_does_not_take_is_named(session: Start) -> None:
    with pytest.raises(McuError) as caught:
        program(session(FlashStub(worn=FLASH + 300)), image((FLASH, EVERY_BYTE)))
    assert "verification failed: 1 of 1,280 bytes differ, at 0x0800012c it holds 0xff instead of 0x2c" in (
        caught.value.message
    )
    assert caught.value.exit_code == Exit.FIRMWARE


@pytest.mark.parametrize("known", ["reset halt", "system_reset"])
def test_a_reset_by_the_name_that_the_server_knows(session: Start, known: str) -> None:
    session(FlashStub(monitor=(known,))).reset()


@pytest.mark.parametrize("restart", [b"vRun;", b"R00"])
def test_a_server_that_knows_the_protocols_restart_alone(session: Start, restart: bytes) -> None:
    stub = FlashStub(monitor=(), restart=restart)
    session(stub).reset()
    assert restart in stub.seen


def test_a_restart_comes_before_commands_that_may_mean_something_else(session: Start) -> None:
    stub = FlashStub(restart=b"vRun;")
    session(stub).reset()
    assert not [packet for packet in stub.seen if packet.startswith(b"qRcmd")]


@pytest.mark.parametrize("scan", ["swdp_scan", "swd_scan", "jtag_scan"])
def test_a_server_without_a_core_is_told_to_look_for_one(session: Start, scan: str) -> None:
    stub = FlashStub(restart=b"vRun;", attached=False, scan=scan)
    program(session(stub), image((FLASH, EVERY_BYTE)))
    assert stub.flash[: len(EVERY_BYTE)] == EVERY_BYTE


def test_a_server_that_finds_no_core(session: Start) -> None:
    with pytest.raises(McuError, match="it finds no core"):
        session(FlashStub(attached=False, scan="none"))


class Terminal:
    """The other side of a serial port, by the calls of a socket that `FlashStub` makes."""

    def __init__(self, file: int) -> None:
        self.file = file

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.file)

    def recv(self, size: int) -> bytes:
        return os.read(self.file, size)

    def sendall(self, data: bytes) -> None:
        os.write(self.file, data)


def test_a_server_on_a_serial_port_as_a_black_magic_probe_is() -> None:
    stub, (ours, theirs) = FlashStub(restart=b"vRun;", attached=False), pty.openpty()
    thread = threading.Thread(target=stub.serve, args=(Terminal(ours),))
    thread.start()
    with gdb_server.connect(os.ttyname(theirs)) as server:
        program(server, image((FLASH, EVERY_BYTE)))
        server.reset()
    assert stub.flash[: len(EVERY_BYTE)] == EVERY_BYTE and stub.seen[-1] == b"vRun;"
    os.close(theirs)
    thread.join(5)
    assert not thread.is_alive()


def test_a_server_without_a_reset_is_told(session: Start) -> None:
    with pytest.raises(McuError, match="it knows no reset"):
        session(FlashStub(monitor=())).reset()


@pytest.mark.parametrize(
    "text", ["<memory-map>", '<memory-map><memory type="flash" start="1"/></memory-map>']
)
def test_a_damaged_memory_map(session: Start, text: str) -> None:
    with pytest.raises(McuError, match="its memory map is damaged"):
        session(FlashStub(text)).load([Segment(FLASH, b"1")])


def test_segments_that_touch_are_one() -> None:
    parts = [Segment(8, b"cd"), Segment(0, b"ab"), Segment(2, b"12"), Segment(10, b"e")]
    assert merged(parts) == (Segment(0, b"ab12"), Segment(8, b"cde"))


def test_an_image_that_lies_in_no_memory_is_refused() -> None:
    board = find_board("microbit")
    check(image((0, b"x"), (0x2000_0000, b"y")), board)
    with pytest.raises(McuError) as caught:
        check(image((0x3FFFF, b"xy"), (0x1000_1000, b"z")), board)
    lines = caught.value.message.splitlines()
    assert lines == [
        "x.elf: 0x0003ffff to 0x00040000: it lies in no memory of microbit",
        "x.elf: 0x10001000 to 0x10001000: it lies in no memory of microbit",
    ]


def test_what_is_no_image(tmp_path: Path) -> None:
    for name, content, words in (("a", None, "no such image"), ("b", b"nonsense", "not an ELF image")):
        if content:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(McuError, match=words):
            read_image(tmp_path / name)


@pytest.mark.parametrize("text", ["gdb", "gdb nowhere", "gdb :99999", "tcp :3333", "pyocd x"])
def test_ways_that_are_none(text: str) -> None:
    with pytest.raises(McuError) as caught, via.opened(via.parse(text), find_board("microbit")):
        pass
    assert caught.value.exit_code == Exit.USAGE


def test_the_verbs_refuse_a_way_before_they_build() -> None:
    model = "no_such_model.py"
    for verb in (
        ["flash", "--via", "tcp"],
        ["test", "--on-device", "--via", "uart"],
        ["run", "--via", "tcp"],
        ["run", "--via", "uf2"],
    ):
        result = mcu_build(*verb, "--board", "netduinoplus2", model)
        assert result.status == Exit.USAGE and "--via" in result.err
    result = mcu_build("flash", "--board", "host", "--via", "gdb", ":1", model)
    assert result.status == Exit.INPUT and "needs no flashing" in result.err


def test_a_board_that_is_not_there_is_told_before_a_build(tmp_path: Path) -> None:
    model = "no_such_model.py"
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        port = taken.getsockname()[1]
    for way in (["gdb", f":{port}"], ["gdb", tmp_path / "none"], ["gdb", "/dev/null"]):
        for verb in (["flash"], ["test", "--on-device"], ["run"], ["profile"]):
            result = mcu_build(*verb, "--board", "netduinoplus2", "--via", *way, model)
            assert result.status == Exit.TOOL_MISSING and "no GDB server answers there" in result.err
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        listener.listen()
        there = f":{listener.getsockname()[1]}"
        result = mcu_build("flash", "--board", "netduinoplus2", "--via", "gdb", there, model)
    assert result.status == Exit.INPUT and model in result.err
