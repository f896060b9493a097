"""Loads and stores of Thumb code, held against LLVM's assembler and disassembler."""

import itertools
import random
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from mcu_build import process
from mcu_build.simulate.thumb import Access, NotAnAccessError, decode

TRIPLE = "--triple=thumbv8.1m.main-none-eabi"
FEATURES = "-mattr=+mve.fp,+dsp"
# Mnemonics of what a device register can be read or written with.
SERVED = re.compile(r"(ldr|str)(d|h|b|sh|sb)?|(lda|stl)(h|b)?")
ENCODING = re.compile(r"^\s*(.*?)\s*@ encoding: \[(.*?)\]", re.MULTILINE)


def disassembled(codes: Iterable[bytes], folder: Path) -> dict[bytes, str]:
    """LLVM's text of each code that is one well-defined instruction."""
    codes = list(codes)
    source = folder / "codes.txt"
    source.write_text("".join(f"[{' '.join(f'{byte:#04x}' for byte in code)}]\n" for code in codes))
    finished = process.run(["llvm-mc-19", "--disassemble", TRIPLE, FEATURES, "--show-encoding", source])
    found = {
        bytes(int(byte, 16) for byte in encoding.split(",")): plain(text)
        for text, encoding in ENCODING.findall(finished.stdout)
    }
    doubtful = {int(line) for line in re.findall(r":(\d+):\d+: warning: potentially", finished.stderr)}
    return {
        code: found[code] for number, code in enumerate(codes, 1) if code in found and number not in doubtful
    }


def plain(text: str) -> str:
    """One way to write what LLVM writes in several."""
    text = text.split("@")[0].strip().replace("\t", " ").replace(".w ", " ").replace("#-0", "#0")
    return re.sub(r", #0(?=\])", "", text)


def ours(code: bytes) -> str | None:
    try:
        access = decode(code)
    except NotAnAccessError as error:
        assert error.message
        return None
    assert access.length == len(code)
    return plain(str(access))


def is_served(text: str) -> bool:
    mnemonic, _, operands = text.partition(" ")
    return bool(SERVED.fullmatch(mnemonic)) and not is_unpredictable(mnemonic, operands)


def is_unpredictable(mnemonic: str, operands: str) -> bool:
    """By the manual, whatever LLVM makes of it; a load to the program counter is a branch."""
    moved, _, inside = operands.partition(", [")
    registers, base = moved.split(", "), re.split(r"[\],]", inside)[0]
    changes_base = not operands.endswith("]")
    return (
        "pc" in registers
        or (changes_base and (base in registers or base == "pc"))
        or (base == "pc" and mnemonic.startswith(("st", "lda")))
        or (mnemonic == "ldrd" and registers[0] == registers[1])
    )


def compare(codes: Iterable[bytes], folder: Path) -> tuple[int, int]:
    """How many codes are served and how many refused. AssertionError where LLVM sees another instruction."""
    texts = disassembled(codes, folder)
    wrong = {
        text: ours(code) for code, text in texts.items() if ours(code) != (text if is_served(text) else None)
    }
    assert not wrong, dict(itertools.islice(wrong.items(), 20))
    served = sum(is_served(text) for text in texts.values())
    return served, len(texts) - served


def wide(first: int, second: int) -> bytes:
    return first.to_bytes(2, "little") + second.to_bytes(2, "little")


def test_every_instruction_of_two_bytes(tmp_path: Path) -> None:
    served, refused = compare((code.to_bytes(2, "little") for code in range(0xE800)), tmp_path)
    # 8 forms with an index register, 6 + 2 with an offset, the literals
    assert served == (8 * 512) + (6 + 2 + 1) * 2048
    assert refused > 20_000


def test_every_kind_of_wide_load_and_store(tmp_path: Path) -> None:
    pick = random.Random(1)
    firsts = [*range(0xE800, 0xEA00), *range(0xF800, 0xFA00)]
    codes = [wide(first, pick.getrandbits(16)) for first in firsts for _ in range(24)]
    # Random bits seldom make these: an index register, load-acquire and store-release.
    codes += [wide(first, pick.getrandbits(16) & 0xF03F) for first in range(0xF800, 0xFA00) for _ in range(4)]
    codes += [wide(0xE8C0 | n, pick.getrandbits(16) & 0xF030 | 0xF8F) for n in range(32) for _ in range(24)]
    served, refused = compare(dict.fromkeys(codes), tmp_path)
    assert served > 5000 and refused > 2000


def test_instructions_elsewhere_are_no_accesses(tmp_path: Path) -> None:
    pick = random.Random(2)
    firsts = [*range(0xEA00, 0xF800, 7), *range(0xFA00, 0x10000, 3)]
    served, refused = compare([wide(first, pick.getrandbits(16)) for first in firsts], tmp_path)
    assert served == 0 and refused > 400


ASSEMBLY = {
    "ldr r1, [r0, #24]": Access("load", 4, (1,), 0, 2, 24),
    "str.w r9, [r10, #4092]": Access("store", 4, (9,), 10, 4, 4092),
    "ldr r2, [r3, r4]": Access("load", 4, (2,), 3, 2, 0, index=4),
    "str.w r2, [r3, r4, lsl #2]": Access("store", 4, (2,), 3, 4, 2, index=4),
    "ldr r1, [r2], #4": Access("load", 4, (1,), 2, 4, 4, indexed=False, writeback=True),
    "str r1, [r2, #-8]!": Access("store", 4, (1,), 2, 4, -8, writeback=True),
    "ldrd r6, r7, [r1, #8]": Access("load", 4, (6, 7), 1, 4, 8),
    "strd r6, r7, [r1], #-8": Access("store", 4, (6, 7), 1, 4, -8, indexed=False, writeback=True),
    "ldrsh r3, [r4, r5]": Access("load", 2, (3,), 4, 2, 0, index=5, signed=True),
    "lda r3, [r4]": Access("load", 4, (3,), 4, 4, ordered=True),
    "str r5, [sp, #16]": Access("store", 4, (5,), 13, 2, 16),
    "ldr r5, [pc, #16]": Access("load", 4, (5,), 15, 2, 16),
}
REFUSED = {
    "ldm r0!, {r1, r2}": "ldm",
    "stmdb r0, {r1, r2}": "stm",
    "push {r1, lr}": "push",
    "pop {r1, pc}": "pop",
    "vldr s0, [r0]": "floating-point",
    "vstrw.32 q0, [r0]": "vector",
    "ldrex r0, [r1]": "exclusive",
    "strexb r0, r2, [r1]": "exclusive",
    "ldrt r0, [r1, #4]": "unprivileged",
    "ldr pc, [r1, #4]": "branch",
    "tbb [r1, r2]": "table branch",
    "adds r0, r1, r2": "no load or store",
    "bl .": "no load or store",
}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The assembled line of each text."""
    folder = tmp_path_factory.mktemp("asm")
    lines = [*ASSEMBLY, *REFUSED]
    (folder / "lines.s").write_text(".syntax unified\n.thumb\n" + "".join(f"{line}\n" for line in lines))
    object_file, raw = folder / "lines.o", folder / "lines.bin"
    for command in (
        [
            "clang-19",
            "--target=arm-none-eabi",
            "-mcpu=cortex-m55",
            "-mfloat-abi=hard",
            "-c",
            folder / "lines.s",
            "-o",
            object_file,
        ],
        ["llvm-objcopy-19", "-O", "binary", "--only-section=.text", object_file, raw],
    ):
        finished = process.run(command)
        assert finished.status == 0, finished.stderr
    text, found = raw.read_bytes(), {}
    for line in lines:
        length = 4 if text[1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        found[line], text = text[:length], text[length:]
    assert not text
    return found


@pytest.mark.parametrize("line", ASSEMBLY)
def test_what_a_compiler_writes(codes: dict[str, bytes], line: str) -> None:
    assert decode(codes[line] + b"\xff\xff") == ASSEMBLY[line]


@pytest.mark.parametrize("line", REFUSED)
def test_what_a_device_does_not_expect_is_refused_by_name(codes: dict[str, bytes], line: str) -> None:
    with pytest.raises(NotAnAccessError, match=REFUSED[line]):
        decode(codes[line])


def test_half_an_instruction_is_refused() -> None:
    with pytest.raises(NotAnAccessError, match="cut short"):
        decode(b"\xd0\xf8")


def test_addresses() -> None:
    registers = [0x1000 + 16 * number for number in range(16)]
    registers[15] = 0x2002
    assert ASSEMBLY["ldr r1, [r0, #24]"].addresses(registers) == (0x1018, None)
    assert ASSEMBLY["str.w r2, [r3, r4, lsl #2]"].addresses(registers) == (0x1030 + 4 * 0x1040, None)
    assert ASSEMBLY["ldr r1, [r2], #4"].addresses(registers) == (0x1020, 0x1024)
    assert ASSEMBLY["str r1, [r2, #-8]!"].addresses(registers) == (0x1018, 0x1018)
    # The program counter reads as four bytes ahead, rounded down to a word.
    assert ASSEMBLY["ldr r5, [pc, #16]"].addresses(registers) == (0x2004 + 16, None)
    assert Access("load", 4, (0,), 0, 2, 8).addresses([0xFFFF_FFFC, *registers[1:]]) == (4, None)
