"""Program slots: what a firmware finds in them, and updates cut off at every access to the flash."""

import binascii
import os
import random
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mcu_build import process
from mcu_build.board import find_board
from mcu_build.codegen.program_key import ProgramKey, read_key
from mcu_build.codegen.slot import Region, memory_region, operators_hash, parse_region, slot_file
from mcu_build.errors import Exit, McuError

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = ("aten::cat.out", "cortex_m::softmax.out")
HALF, PAGE = 512, 128
ERASED = b"\xff"
# What is done to the newer of two programs → its status.
FAULTS = {
    "nothing": "ok",
    "erased": "empty",
    "its magic overwritten": "no program",
    "its last bytes missing": "truncated",
    "one bit of the program flipped": "corrupted",
    "one bit of the sequence flipped": "corrupted",
    "a length beyond the slot": "too large",
    "a header of format 3": "too new",
    "a header of format 0": "too old",
    "a program of schema ET13": "too new",
    "a program of schema ET11": "too old",
    "made for firmware with one operator more": "made for other operators",
}


def program(seed: int, size: int = 150, schema: bytes = b"ET12") -> bytes:
    body = bytes((seed * 31 + at * 7) % 256 for at in range(size - 8))
    return b"\x08\x00\x00\x00" + schema + body


def faulty(fault: str) -> bytes:
    """A file for a slot, spoiled."""
    whole = slot_file(program(2), OPERATORS, 2)
    changed = bytearray(whole)
    match fault:
        case "erased":
            return ERASED * len(whole)
        case "its magic overwritten":
            changed[0] ^= 1
        case "its last bytes missing":
            return whole[:-20]
        case "one bit of the program flipped":
            changed[100] ^= 0x10
        case "one bit of the sequence flipped":
            changed[13] ^= 1
        case "a length beyond the slot":
            changed[16:20] = (HALF - 35).to_bytes(4, "little")
        case "a header of format 3" | "a header of format 0":
            changed[8] = int(fault[-1])
        case "a program of schema ET13" | "a program of schema ET11":
            return slot_file(program(2, schema=fault[-4:].encode()), OPERATORS, 2)
        case "made for firmware with one operator more":
            return slot_file(program(2), (*OPERATORS, "aten::view_copy.out"), 2)
    return bytes(changed)


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("slot") / "driver"
    compiled("slot_driver", made)
    return made


def compiled(name: str, made: Path) -> None:
    """Compile a driver of this folder with sanitizers."""
    flags = ("-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined")
    source = ROOT / "tests/host" / f"{name}.cpp"
    finished = process.run(
        ["g++", *flags, "-fno-sanitize-recover", "-I", ROOT / "firmware/include", source, "-o", made]
    )
    assert finished.status == 0, finished.stderr


def drive(driver: Path, verb: str, *words: object, status: int = 0, key: str = "") -> list[str]:
    words = (verb, f"{operators_hash(OPERATORS):x}", *map(str, words))
    finished = process.run([driver, *words], env={**os.environ, "SLOT_KEY": key} if key else None)
    assert finished.status == status, finished.stdout + finished.stderr
    return finished.stdout.splitlines()


def region(folder: Path, *slots: bytes) -> Path:
    """Both slots in a file; what is not given is erased."""
    file = folder / "region.bin"
    file.write_bytes(b"".join(one.ljust(HALF, ERASED) for one in (*slots, b"", b"")[:2]))
    return file


def written(folder: Path, *programs: bytes, operators: tuple[str, ...] = OPERATORS) -> list[Path]:
    """Files for a slot, of increasing sequence."""
    files = []
    for sequence, one in enumerate(programs, 1):
        files.append(folder / f"{sequence}.slot")
        files[-1].write_bytes(slot_file(one, operators, sequence))
    return files


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("newer", [0, 1])
def test_a_fault_is_named_and_the_other_program_stays(driver, tmp_path, fault, newer):
    slots = [slot_file(program(1), OPERATORS, 1)] * 2
    slots[newer] = faulty(fault)
    text = drive(driver, "check", region(tmp_path, *slots))
    assert text[newer] == FAULTS[fault]
    assert text[1 - newer] == "ok"
    assert text[2] == str(newer if fault == "nothing" else 1 - newer)


def test_every_bit_of_a_slot_matters(driver, tmp_path):
    whole = slot_file(program(1, 41), OPERATORS, 1)
    # The last 4 bytes are the end mark, before it 3 of padding, which nothing reads.
    for bit in range(0, 8 * len(whole), 3):
        if not len(whole) - 7 <= bit // 8 < len(whole) - 4:
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            text = drive(driver, "check", region(tmp_path, bytes(changed)))
            assert text[0] != "ok" and text[2] == "-1", bit


def test_the_docs_tell_every_fault():
    page = (ROOT / "docs/program-slot.md").read_text()
    for fault, status in FAULTS.items():
        if fault != "nothing":
            assert f"| {fault} | {status} |" in page


@pytest.mark.parametrize("unit", [4, 8, 32])
@pytest.mark.parametrize("before", [1, 2])
def test_a_valid_program_boots_wherever_the_power_is_cut(driver, tmp_path, unit, before):
    """`before` programs are there already: the update takes the erased slot, or that of the older one."""
    files = written(tmp_path, program(1), program(2, 99), program(3, 113))[2 - before :]
    text = drive(driver, "cuts", HALF, PAGE, unit, "right", *files)
    boots, old, fresh, none = map(int, text[0].split())
    assert none == 0 and boots == old + fresh
    # Each of the four ways to tear an access; all but those of the last one leave the old program.
    assert boots > 4 * (113 // unit) ** 2 and old > fresh > 4


def test_an_update_of_the_running_slot_would_be_seen(driver, tmp_path):
    """The negative control: the slot of the program that runs is taken for the other."""
    files = written(tmp_path, program(1), program(2, 99), program(3, 113))
    boots, old, _, none = map(int, drive(driver, "cuts", HALF, PAGE, 4, "wrong", *files)[0].split())
    assert none > boots / 2 > old


def test_an_update_is_whole_before_it_counts(driver, tmp_path):
    (old, new) = written(tmp_path, program(1), program(2))
    there = region(tmp_path, old.read_bytes())
    new.write_bytes(new.read_bytes()[:-1])
    assert drive(driver, "update", there, PAGE, 4, new) == ["truncated", "ok", "empty", "0"]
    changed = bytearray(slot_file(program(2), OPERATORS, 2))
    changed[90] ^= 1
    new.write_bytes(changed)
    assert drive(driver, "update", there, PAGE, 4, new) == ["corrupted", "ok", "empty", "0"]
    new.write_bytes(slot_file(program(2), OPERATORS, 2))
    assert drive(driver, "update", there, PAGE, 4, new) == ["ok", "ok", "ok", "1"]
    assert drive(driver, "check", there) == ["ok", "ok", "1"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        *((name, told) for name, told in FAULTS.items() if told.startswith(("too", "no ", "made"))),
        ("not newer", "not newer"),
    ],
)
def test_what_the_header_gives_away_is_refused_before_anything_is_erased(driver, tmp_path, fault, told):
    (old,) = written(tmp_path, program(1))
    older = slot_file(program(5), OPERATORS, 0)
    there = region(tmp_path, old.read_bytes(), older)
    new = tmp_path / "new.slot"
    new.write_bytes(slot_file(program(2), OPERATORS, 1) if fault == "not newer" else faulty(fault))
    # Status 3: the flash was not touched.
    assert drive(driver, "update", there, PAGE, 4, new, status=3) == [told, "ok", "ok", "0"]
    assert there.read_bytes()[HALF : HALF + len(older)] == older


def made_key(seed: int) -> ProgramKey:
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return ProgramKey(private.public_key().public_bytes_raw().hex(), private)


def test_a_firmware_with_a_key_takes_what_is_signed_with_it(driver, tmp_path):
    ours, another = made_key(1), made_key(2)
    signed = [slot_file(program(number), OPERATORS, number, ours) for number in (1, 2)]
    forged = slot_file(program(2), OPERATORS, 2, another)
    bare = slot_file(program(2), OPERATORS, 2)
    for newer, status in ((signed[1], "ok"), (forged, "signed with another key"), (bare, "not signed")):
        there = region(tmp_path, signed[0], newer)
        running = "1" if status == "ok" else "0"
        assert drive(driver, "check", there, key=ours.public) == ["ok", status, running]
    # One without a key takes all of them: they are whole.
    assert drive(driver, "check", region(tmp_path, signed[0], forged)) == ["ok", "ok", "1"]


def test_an_update_with_a_key_takes_what_is_signed_with_it(driver, tmp_path):
    ours, another = made_key(1), made_key(2)
    new, first = tmp_path / "new.slot", slot_file(program(1), OPERATORS, 1, ours)
    there = region(tmp_path, first)
    new.write_bytes(slot_file(program(2), OPERATORS, 2))
    assert drive(driver, "update", there, PAGE, 4, new, status=3, key=ours.public)[0] == "not signed"
    new.write_bytes(slot_file(program(2), OPERATORS, 2, another))
    refused = drive(driver, "update", there, PAGE, 4, new, key=ours.public)
    assert refused == ["signed with another key", "ok", "empty", "0"]
    new.write_bytes(slot_file(program(2), OPERATORS, 2, ours))
    assert drive(driver, "update", there, PAGE, 4, new, key=ours.public) == ["ok", "ok", "ok", "1"]


def test_a_signature_covers_program_sequence_and_operators(driver, tmp_path):
    """The CRC is put right after each change: the signature alone can find it."""
    ours = made_key(1)
    whole = slot_file(program(1), OPERATORS, 1, ours)
    for at in (12, 16, 24, 40, 32 + 149, len(whole) - 10, len(whole) - 68):
        changed = bytearray(whole)
        changed[at] ^= 1
        length = int.from_bytes(changed[16:20], "little")
        changed[4:8] = binascii.crc32(changed[8 : 32 + length]).to_bytes(4, "little")
        assert drive(driver, "check", region(tmp_path, bytes(changed)), key=ours.public)[0] != "ok", at


def test_signatures_are_those_of_another_implementation(tmp_path):
    """`cryptography` signs messages of every length about a block's; both find one changed bit anywhere."""
    made, draw = tmp_path / "verify", random.Random(1)
    compiled("ed25519_driver", made)
    order = 2**252 + 27742317777372353535851937790883648493
    rows, expected = [], []
    for size in (0, 1, 63, 64, 111, 112, 127, 128, 129, 300):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        message = draw.randbytes(size)
        right = (key.public_key().public_bytes_raw(), message, key.sign(message))
        high = (int.from_bytes(right[2][32:], "little") + order).to_bytes(32, "little")
        tried = [right, (right[0], message, right[2][:32] + high), (b"\xff" * 32, message, right[2])]
        for part in (0, 1, 2):
            one = list(right)
            if one[part]:
                at, changed = draw.randrange(8 * len(one[part])), bytearray(one[part])
                changed[at // 8] ^= 1 << at % 8
                one[part] = bytes(changed)
                tried.append(tuple(one))
        for public, said, signature in tried:
            rows.append(f"{public.hex()} {signature.hex()} .{said.hex()}")
            expected.append(is_signed(public, said, signature))
    (tmp_path / "rows").write_text("\n".join(rows))
    assert process.run([made, tmp_path / "rows"]).stdout.split() == [str(int(one)) for one in expected]
    assert sum(expected) == 10


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_a_key_is_read(tmp_path):
    file = tmp_path / "key.pem"
    with pytest.raises(McuError, match=r"--program-key: .*key.pem: No such file"):
        read_key(file, "--program-key")
    private = made_key(3).private
    rsa_key = rsa.generate_private_key(65537, 2048)
    encrypted = BestAvailableEncryption(b"secret")
    for key, cipher, message in (
        (rsa_key, NoEncryption(), "not an Ed25519 key"),
        (private, encrypted, "the key is encrypted"),
        (None, None, "no private key in PEM format"),
    ):
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher) if key else b"nothing"
        file.write_bytes(text)
        with pytest.raises(McuError, match=message) as error:
            read_key(file, "--program-key")
        assert error.value.exit_code == Exit.USAGE and "openssl" in error.value.hint
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert read_key(file, "--program-key").public == made_key(3).public
    assert Region(0, 1024).signed_with(made_key(3)).capacity == 512 - 36 - 64


def test_a_region_is_read():
    assert parse_region("0x10080000:256K") == Region(0x10080000, 256 << 10)
    assert parse_region("64:1024").capacity == 512 - 36
    for wrong in ("0x10080000", "here:64K", "0x10:64K", "0x0:100", "0x0:64Q", ":", "0x0:0"):
        with pytest.raises(McuError, match="--program-slot") as text:
            parse_region(wrong)
        assert text.value.exit_code == Exit.USAGE


def test_a_memory_of_the_board_is_a_region():
    board = find_board("corstone-300")
    found = memory_region("qspi", board)
    assert found == Region(0x38000000, 8 << 20)
    slots = board.with_program_slots(found.address, found.size)
    assert [one.name for one in slots.memory if one not in board.memory] == ["program_slots"]
    assert (
        "qspi" not in [one.name for one in slots.memory]
        and slots.memory_named("program_slots").size == 8 << 20
    )
    for name, text in (("itcm", "images use this memory"), ("flash", "not a memory")):
        with pytest.raises(McuError, match=rf"--program-slot: {name}: {text} of corstone-300") as error:
            memory_region(name, board)
        assert "Free are: fpga_sram, qspi" in error.value.hint and error.value.exit_code == Exit.USAGE
