"""MCUboot's images: updates, encryption, security counters, and how firmware confirms one."""

import ctypes
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from imgtool.main import imgtool

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.errors import Exit, McuError
from mcu_build.flash.sign import Order, order, sign, update
from mcu_build.resources import data_dir
from tests.support.cli import mcu_build

BOARD = find_board("netduinoplus2").in_slot()
SLOT = 384 << 10
HEADER = 0x200
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
ENCRYPTED, SECURITY_COUNTER, ENC_EC256 = 0x4, 0x50, 0x32


def run(*words: object) -> str:
    done = CliRunner().invoke(imgtool, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


@dataclass(frozen=True)
class Files:
    folder: Path
    binary: Path
    key: Path
    private: Path
    public: Path

    @property
    def order(self) -> Order:
        return Order(self.key, "1.2.3+4")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("mcuboot")
    names = ("firmware.bin", "key.pem", "enc.pem", "enc-public.pem")
    made = Files(folder, *(folder / name for name in names))
    made.binary.write_bytes(os.urandom(20_004))
    for key in (made.key, made.private):
        run("keygen", "-t", "ecdsa-p256", "-k", key)
    run("getpub", "-k", made.private, "-e", "pem", "-o", made.public)
    return made


def values(image: bytes) -> dict[int, bytes]:
    """What stands behind the image, by type. MCUboot's docs/design.md, "Image format"."""
    size, entries, at = struct.unpack("<I", image[12:16])[0], dict[int, bytes](), HEADER
    at += size
    for _ in range(2):
        magic, total = struct.unpack("<HH", image[at : at + 4])
        end, at = at + total, at + 4
        while at < end:
            kind, length = struct.unpack("<HH", image[at : at + 4])
            entries[kind] = image[at + 4 : at + 4 + length]
            at += 4 + length
        if magic == 0x6907:  # the protected values come before
            return entries
    raise AssertionError("no values behind the image")


def decrypted(image: bytes, private: Path) -> bytes:
    """The image's content. MCUboot's docs/encrypted_images.md, "ECIES-P256 encryption"."""
    value, key = values(image)[ENC_EC256], load_pem_private_key(private.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    sent = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), value[:65])
    derived = HKDF(hashes.SHA256(), 48, None, b"MCUBoot_ECIES_v1").derive(key.exchange(ec.ECDH(), sent))
    check = hmac.HMAC(derived[16:], hashes.SHA256())
    check.update(value[97:])
    check.verify(value[65:97])
    plain = [value[97:], image[HEADER : HEADER + struct.unpack("<I", image[12:16])[0]]]
    for number, secret in enumerate((derived[:16], b"")):
        reader = Cipher(algorithms.AES(secret or plain[0]), modes.CTR(bytes(16))).decryptor()
        plain[number] = reader.update(plain[number])
    return plain[1]


def test_an_update_is_as_large_as_its_slot_and_asks_to_be_tried_or_kept(files: Files) -> None:
    signed = sign(files.binary, BOARD, files.order).read_bytes()
    tried = update(files.binary, BOARD, replace(files.order, pad=True)).read_bytes()
    kept = update(files.binary, BOARD, replace(files.order, confirm=True)).read_bytes()
    assert len(signed) < SLOT and MAGIC not in signed
    assert len(tried) == len(kept) == SLOT
    assert tried[-24:] == b"\xff" * 8 + MAGIC and kept[-24:] == b"\x01" + b"\xff" * 7 + MAGIC
    content = files.binary.read_bytes()
    assert all(image[HEADER : HEADER + len(content)] == content for image in (signed, tried, kept))
    for name in ("signed", "update"):
        run("verify", "-k", files.key, files.folder / f"firmware.{name}.bin")


def test_an_encrypted_update_opens_with_the_bootloaders_key_alone(files: Files) -> None:
    asked, content = replace(files.order, encrypt=files.public, pad=True), files.binary.read_bytes()
    secret = update(files.binary, BOARD, asked).read_bytes()
    assert len(secret) == SLOT and content[:64] not in secret
    assert struct.unpack("<I", secret[16:20])[0] & ENCRYPTED
    assert decrypted(secret, files.private)[: len(content)] == content
    with pytest.raises(InvalidSignature):
        decrypted(secret, files.key)
    # What lies in the first slot is read where it is, and can be encrypted on its way back.
    first = sign(files.binary, BOARD, asked).read_bytes()
    assert first[HEADER : HEADER + len(content)] == content and ENC_EC256 in values(first)


def test_a_security_counter_is_a_number_or_made_of_the_version(files: Files) -> None:
    for asked, counter in ((None, None), ("7", 7), ("auto", (1 << 24) + (2 << 16) + 3)):
        entries = values(sign(files.binary, BOARD, replace(files.order, security_counter=asked)).read_bytes())
        value = entries.get(SECURITY_COUNTER)
        assert (None if value is None else int.from_bytes(value, "little")) == counter


def test_what_cannot_be_signed_or_encrypted(files: Files, tmp_path: Path) -> None:
    for change, status, words in (
        ({"security_counter": "x"}, Exit.USAGE, "--security-counter x: not a number"),
        ({"security_counter": str(1 << 32)}, Exit.USAGE, "--security-counter 4294967296: not a number"),
        ({"encrypt": tmp_path / "none.pem"}, Exit.INPUT, "--encrypt .*none.pem: no such file"),
        ({"encrypt": files.private}, Exit.INPUT, "--encrypt .*enc.pem: not a public key"),
        ({"key": files.public}, Exit.INPUT, "--sign .*enc-public.pem: not a private key"),
    ):
        with pytest.raises(McuError, match=words) as caught:
            sign(files.binary, BOARD, replace(files.order, **change))
        assert caught.value.exit_code == status
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(SLOT - HEADER - 400))  # with its signature it fits, without the trailer
    with pytest.raises(McuError, match="exceeds requested size"):
        update(large, BOARD, replace(files.order, pad=True))
    assert [file.name for file in tmp_path.iterdir()] == ["large.bin"]


def test_options_of_signed_images_need_a_key() -> None:
    assert order(None, "0.0.0", None, None) is None
    for words in (
        ("--pad",),
        ("--confirm",),
        ("--version", "1.2.3"),
        ("--encrypt", "x.pem"),
        ("--security-counter", "1"),
    ):
        text = mcu_build("build", "--board", "nrf52840-dk", "none.py", *words, "--json")
        assert text.status == Exit.USAGE and text.json["error"]["hint"] == "Add --sign key.pem."
        assert text.json["error"]["message"] == f"{words[0]}: for signed images only"


CONFIRM = """
#include <string.h>
#include "mcu/mcuboot.h"
int writes, broken;
static int write_flash(uintptr_t address, const void* data, size_t size) {
    unsigned char* flash = (unsigned char*)address;
    const unsigned char* bytes = (const unsigned char*)data;
    for (size_t i = 0; i < size && !broken; ++i) flash[i] &= bytes[i];  /* flash only clears bits */
    return ++writes, broken == 1;
}
int confirm(void* slot, size_t size, size_t align) {
    const mcu_boot_slot own = {(uintptr_t)slot, size, align};
    return CALL(own, write_flash);
}
"""
DONE, BEFORE, NO_UPDATE, DAMAGED, NOT_WRITTEN, NO_ALIGN = range(6)
C99 = ["gcc", "-std=c99", "-DCALL=mcu_confirm", "-x", "c"]
CXX17 = ["g++", "-std=c++17", "-DCALL=mcu::confirm", "-x", "c++"]


@pytest.fixture(scope="module")
def confirm(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("confirm")
    (folder / "confirm.c").write_text(CONFIRM)
    options = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-fPIC", "-shared"]
    options += ["-I", str(data_dir() / "firmware" / "include"), "-o"]
    for language in (CXX17, C99):
        done = process.run([*language, "confirm.c", *options, "confirm.so"], cwd=folder)
        assert done.status == 0, done.stderr
    return ctypes.CDLL(str(folder / "confirm.so"))


def call(library: ctypes.CDLL, slot: "ctypes.Array[ctypes.c_char]", align: int, broken: int = 0) -> int:
    ctypes.c_int.in_dll(library, "broken").value = broken
    library.confirm.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    return int(library.confirm(ctypes.addressof(slot), len(slot), align))


@pytest.mark.parametrize("align", [4, 16, 32])
def test_firmware_confirms_an_update_as_imgtool_does(files: Files, confirm: ctypes.CDLL, align: int) -> None:
    assert BOARD.mcuboot is not None
    boot = BOARD.mcuboot.model_copy(update={"align": align})
    board = BOARD.model_copy(update={"mcuboot": boot})
    tried = update(files.binary, board, replace(files.order, pad=True)).read_bytes()
    kept = update(files.binary, board, replace(files.order, confirm=True)).read_bytes()
    slot = ctypes.create_string_buffer(tried, len(tried))
    assert [call(confirm, slot, align, broken) for broken in (1, 2)] == [NOT_WRITTEN] * 2
    assert slot.raw == tried
    assert call(confirm, slot, align) == DONE
    assert slot.raw[:-128] == tried[:-128] and slot.raw[-128:] == kept[-128:] != tried[-128:]
    before = ctypes.c_int.in_dll(confirm, "writes").value
    assert call(confirm, slot, align) == BEFORE
    other = {4: 16, 16: 32, 32: 8}[align]
    assert [call(confirm, slot, wrong) for wrong in (other, 0, 3, 64)] == [DAMAGED] + [NO_ALIGN] * 3
    assert ctypes.c_int.in_dll(confirm, "writes").value == before


def test_firmware_confirms_nothing_where_there_is_no_update(confirm: ctypes.CDLL) -> None:
    for end, status in ((b"\xff" * 64, NO_UPDATE), (bytes(64), DAMAGED), (b"\xff" * 48 + MAGIC, DONE)):
        assert call(confirm, ctypes.create_string_buffer(end, 64), 4) == status
    spoilt = ctypes.create_string_buffer(b"\xff" * 40 + b"\x00" + b"\xff" * 7 + MAGIC, 64)
    assert call(confirm, spoilt, 4) == DAMAGED
