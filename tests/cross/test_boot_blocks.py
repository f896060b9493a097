"""Boards that have no simulator: their images link, and carry what the chips' boot ROMs want."""

import struct
from pathlib import Path

import pytest
from adafruit_uf2 import uf2conv
from intelhex import IntelHex

from mcu_build import process
from mcu_build.board import board_files, find_board
from mcu_build.errors import McuError
from mcu_build.flash.image import LoadImage, Segment, check, read_image
from mcu_build.image.size import FLASH, measure
from mcu_build.resources import data_dir
from mcu_build.stages.images import BuildInputs, build
from tests.support.firmware import model_sources, quantizer
from tests.support.image import CROSS, build_image

BOARDS = [
    name
    for name, board in ((name, find_board(name)) for name in sorted(board_files()))
    if not (board.is_host or board.run.qemu or board.run.fvp)
]
MAIN = {"main.cpp": '#include "mcu/platform.h"\nint main() { mcu::platform::write_console("hello\\n"); }\n'}
COPIES = """
#include "mcu/dma.h"
#include "mcu/platform.h"
static int words[2][16];
int main() {
    mcu_dma_start(words[0], words[1], sizeof words[0]);
    mcu_dma_wait();
    mcu::platform::write_console("hello\\n");
}
"""


@pytest.mark.parametrize("toolchain", CROSS)
@pytest.mark.parametrize("name", BOARDS)
def test_an_image_lies_where_the_board_says(tmp_path: Path, name: str, toolchain) -> None:
    # With the UART's driver where there is one, other tests link RTT, and with the DMA's.
    board = find_board(name)
    board = board.with_console("uart") if board.uart else board
    main = {"main.cpp": COPIES} if board.dma else MAIN
    image = read_image(build_image(tmp_path, board, toolchain, main, "production", with_harness=False))
    check(image, board)
    assert image.vectors == board.address(board.placement.vectors)
    for block in board.fixed:
        found = [part for one in image.segments if (part := one.overlap(block.origin, len(block.data)))]
        assert [part.data for part in found] == [block.data]


def test_the_picos_second_stage_is_its_source_with_a_checksum(tmp_path: Path) -> None:
    content = find_board("raspberry-pi-pico").fixed[0].data
    source = data_dir() / "firmware/platform/rp2040/boot2.S"
    object_file, binary = tmp_path / "boot2.o", tmp_path / "boot2.bin"
    assert process.run(["arm-none-eabi-as", source, "-o", object_file]).status == 0
    assert process.run(["arm-none-eabi-objcopy", "-O", "binary", object_file, binary]).status == 0
    assert content[:252] == binary.read_bytes().ljust(252, b"\0")
    assert int.from_bytes(content[252:], "little") == crc32(content[:252])
    assert crc32(b"123456789") == 0x0376E6E7  # the known check value of CRC-32/MPEG-2


def crc32(data: bytes) -> int:
    """CRC-32/MPEG-2, RP2040 Datasheet 2.8.1.3.1."""
    value = 0xFFFF_FFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    return value


def test_the_pico_2s_block_is_one_loop_within_the_first_4_kb() -> None:
    (block,) = find_board("pico2").fixed
    start, item, last, link, end = struct.unpack("<5I", block.data)
    assert (start, end) == (0xFFFF_DED3, 0xAB12_3579)
    assert (item & 0xFF, item >> 8 & 0xFF, item >> 16) == (0x42, 1, 0x1021)
    assert (last, link) == (0x1FF, 0)  # one item of one word; the next block is this one
    assert block.origin + len(block.data) <= 0x1000_0000 + 4096


def test_frdm_k64f_stays_open_and_no_image_may_lock_it() -> None:
    board = find_board("frdm-k64f")
    (block,) = board.fixed
    assert (block.origin, block.data[12] & 3) == (0x400, 0b10)  # FSEC.SEC: unsecure
    locking = LoadImage("x.elf", (Segment(0x400, block.data[:12] + b"\x00" + block.data[13:]),), 0, {})
    with pytest.raises(McuError, match="it changes flash_configuration at 0x00000400"):
        check(locking, board)
    check(LoadImage("x.elf", (Segment(0x400, block.data),), 0, {}), board)


@pytest.mark.parametrize(
    ("name", "address", "words"),
    [
        ("arduino-uno-r4", 0x3FFE, "it overlaps bootloader at 0x00000000"),
        ("nrf52840-dk", 0x1000_1010, "it overlaps UICR at 0x10001000"),
        ("nucleo-f446re", 0x1FFF_C008, "it overlaps option bytes at 0x1fffc000"),
        ("raspberry-pi-pico", 0x1000_0080, "it changes boot2 at 0x10000000"),
    ],
)
def test_what_is_protected_is_refused(name: str, address: int, words: str) -> None:
    with pytest.raises(McuError) as caught:
        check(LoadImage("x.elf", (Segment(address, b"12345678"),), 0, {}), find_board(name))
    assert words in caught.value.message and "Nothing was written" in caught.value.hint


def test_hex_and_uf2_hold_what_the_elf_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    for name, text in model_sources(quantizer(), "tiny").items():
        (tmp_path / "src" / name).write_text(text)
    board = find_board("raspberry-pi-pico")
    images = build(BuildInputs("tiny", board, "arm-clang", tmp_path))
    image = read_image(images["elf"])
    monkeypatch.setattr(uf2conv, "appstartaddr", 0)
    monkeypatch.setattr(uf2conv, "familyid", board.flash.uf2.family)
    content = uf2conv.convert_from_uf2(images["uf2"].read_bytes())
    hexadecimal = IntelHex(str(images["hex"]))
    assert uf2conv.appstartaddr == image.segments[0].address == 0x1000_0000
    for segment in image.segments:
        start = segment.address - 0x1000_0000
        assert content[start : start + len(segment.data)] == segment.data
        assert bytes(hexadecimal.tobinarray(start=segment.address, size=len(segment.data))) == segment.data
    assert len(hexadecimal.addresses()) == image.size
    size = measure(images["elf"], images["map"], board)
    assert sum(row.size for row in size.symbols if row.kind in FLASH) == size.flash["total"]
    binaries = [file.read_bytes() for kind, file in images.items() if kind.startswith("bin")]
    assert sum(map(len, binaries)) == size.flash["total"] and binaries[-1] == board.fixed[0].data
