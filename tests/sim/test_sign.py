"""Images for MCUboot: imgtool signs and checks them, and the image behind the header runs where it lies."""

import struct
from pathlib import Path

import pytest
from intelhex import IntelHex

from mcu_build.board import find_board, load_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash import gdb_server
from mcu_build.flash.image import LoadImage, Segment, check, read_image
from mcu_build.flash.probe import PC, SP, program
from mcu_build.flash.sign import Order, sign, signed_image
from mcu_build.simulate.gdb_remote import XPSR
from tests.support.boards import empty_board, until
from tests.support.image import build_image
from tests.support.mcuboot import is_signed, new_key

MAIN = {"main.cpp": '#include "mcu/platform.h"\nint main() { mcu::platform::write_console("signed\\n"); }\n'}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_key(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadImage, Path]:
    """An image for the slot of netduinoplus2, and its raw file."""
    folder, board = tmp_path_factory.mktemp("slot"), find_board("netduinoplus2").in_slot()
    elf = build_image(folder, board, "arm-clang", MAIN, "production", with_harness=False)
    binary, image = folder / "firmware.bin", read_image(elf)
    memory = IntelHex()
    for segment in image.segments:
        memory.puts(segment.address, segment.data)
    memory.tobinfile(str(binary))
    return image, binary


def test_an_image_is_signed_for_its_slot_and_runs_there(
    built: tuple[LoadImage, Path], key: Path, tmp_path: Path
) -> None:
    image, binary = built
    board = find_board("netduinoplus2").in_slot()
    signed = sign(binary, board, Order(key, "1.2.3+4"))
    assert is_signed(signed, key)
    magic, _, header, _, size, _, major, minor, revision, number = struct.unpack(
        "<IIHHIIBBHI", signed.read_bytes()[:28]
    )
    assert (magic, header, size) == (0x96F3_B83D, 0x200, binary.stat().st_size)
    assert (major, minor, revision, number) == (1, 2, 3, 4)
    loaded = signed_image(image, board, signed)
    assert loaded.segments[0].address == 0x0802_0000 and image.vectors == 0x0802_0200
    with empty_board(board, tmp_path) as target:
        with gdb_server.connect(target.via) as probe:
            program(probe, loaded)
            # What MCUboot does once the signature is found good.
            table = probe.read_memory(image.vectors, 8)
            registers = probe.registers()
            registers[SP], registers[PC] = (int.from_bytes(table[at : at + 4], "little") for at in (0, 4))
            registers[PC] &= ~1
            registers[XPSR] = 1 << 24  # Thumb, as no vector table was there at QEMU's reset
            probe.write_registers(registers)
            probe.leave()
        until(lambda: target.uart == "signed\n")


def test_a_signed_image_that_was_changed_is_found_out(
    built: tuple[LoadImage, Path], key: Path, tmp_path: Path
) -> None:
    signed = sign(built[1], find_board("netduinoplus2").in_slot(), Order(key, "1.0.0"))
    data = bytearray(signed.read_bytes())
    data[0x300] ^= 1
    changed = tmp_path / "changed.bin"
    changed.write_bytes(data)
    assert not is_signed(changed, key)
    assert not is_signed(signed, new_key(tmp_path / "other.pem"))


def test_what_cannot_be_signed(built: tuple[LoadImage, Path], key: Path, tmp_path: Path) -> None:
    board, nonsense = find_board("netduinoplus2").in_slot(), tmp_path / "nonsense.pem"
    nonsense.write_text("no key\n")
    for file, version, status, words in (
        (key, "one", Exit.USAGE, "--version one: not a version"),
        (key, "256.0.0", Exit.USAGE, "--version 256.0.0: not a version"),
        (tmp_path / "none.pem", "1.0.0", Exit.INPUT, "no such file"),
        (nonsense, "1.0.0", Exit.INPUT, "nonsense.pem: not a private key"),
    ):
        with pytest.raises(McuError, match=words) as caught:
            sign(built[1], board, Order(file, version))
        assert caught.value.exit_code == status
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(384 << 10))
    with pytest.raises(McuError, match="exceeds requested size"):
        sign(large, board, Order(key, "1.0.0"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["large.bin", "nonsense.pem"]
    with pytest.raises(McuError, match="pico2 describes no slot"):
        find_board("pico2").in_slot()


def test_an_image_in_its_slot_may_not_touch_the_bootloader() -> None:
    board = find_board("nrf52840-dk").in_slot()
    assert (board.memory_named("flash").origin, board.memory_named("flash").size) == (
        0xC200,
        (472 << 10) - 0x200,
    )
    with pytest.raises(McuError, match="lies in no memory"):
        check(LoadImage("x.elf", (Segment(0, b"1234"),), 0, {}), board)
    check(LoadImage("x.elf", (Segment(0xC000, bytes(0x300)),), 0xC200, {}), board)


def test_a_slot_whose_vectors_are_not_aligned_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('extends = "nrf52840-dk"\n[mcuboot]\nslot = 0xC000\nsize = "2M"\nheader = 0x20\n')
    with pytest.raises(McuError) as caught:
        load_board(file)
    assert "mcuboot.slot: 2,097,152 bytes at 0x0000c000 lie in no memory" in caught.value.message
    assert "mcuboot.header: the vector table behind it must be aligned to 256 bytes" in caught.value.message
