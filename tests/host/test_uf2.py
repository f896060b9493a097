"""UF2 files, read back by Microsoft's own converter, and drives that take them."""

from pathlib import Path

import pytest
from adafruit_uf2 import uf2conv

from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import LoadImage, Segment
from mcu_build.flash.uf2 import copy, encode

BASE, FAMILY = 0x1000_0000, 0xE48B_FF56


def read_back(data: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bytes]:
    """Start address and content, as the converter finds them."""
    monkeypatch.setattr(uf2conv, "appstartaddr", 0)
    monkeypatch.setattr(uf2conv, "familyid", FAMILY)
    content = uf2conv.convert_from_uf2(data)
    return uf2conv.appstartaddr, content


def test_segments_come_back_with_zeros_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = bytes(range(1, 256)) * 3, b"the end"
    data = encode([Segment(BASE, first), Segment(BASE + 0x405, second)], FAMILY)
    assert len(data) % 512 == 0 and uf2conv.is_uf2(data)
    start, content = read_back(data, monkeypatch)
    assert start == BASE and content[: len(first)] == first
    assert content[0x405 : 0x405 + len(second)] == second
    rest = content[len(first) : 0x405] + content[0x405 + len(second) :]
    assert not any(rest) and len(content) == 0x500
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    assert [int.from_bytes(block[12:16], "little") for block in blocks] == [
        BASE,
        BASE + 256,
        BASE + 512,
        BASE + 1024,
    ]
    assert {int.from_bytes(block[24:28], "little") for block in blocks} == {len(blocks)}


def test_another_family_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    _, content = read_back(encode([Segment(BASE, b"1234")], FAMILY ^ 1), monkeypatch)
    assert content == b""


def test_a_drive_takes_the_file(tmp_path: Path) -> None:
    board, segment = find_board("raspberry-pi-pico"), Segment(BASE, b"1234")
    image = LoadImage("firmware.elf", (segment,), BASE, {})
    drive = tmp_path / "RPI-RP2"
    drive.mkdir()
    with pytest.raises(McuError, match="no drive with an INFO_UF2") as caught:
        copy(image, board, str(drive))
    assert caught.value.exit_code == Exit.TOOL_MISSING and "BOOTSEL" in caught.value.hint
    (drive / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\n")
    assert copy(image, board, str(drive)) == drive
    assert (drive / "firmware.uf2").read_bytes() == encode([segment], FAMILY)
    with pytest.raises(McuError, match="the board shows no drive"):
        copy(image, find_board("nrf52840-dk"), str(drive))


def test_a_drive_that_is_full_or_gone(tmp_path: Path) -> None:
    (tmp_path / "INFO_UF2.TXT").write_text("x")
    (tmp_path / "firmware.uf2").mkdir()  # cannot be opened
    image = LoadImage("firmware.elf", (Segment(BASE, b"x"),), BASE, {})
    with pytest.raises(McuError, match=r"writing firmware\.uf2 failed") as caught:
        copy(image, find_board("pico2"), str(tmp_path))
    assert caught.value.exit_code == Exit.FIRMWARE
