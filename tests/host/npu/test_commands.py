"""The decoder and the disassembler, against Vela's own listing."""

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcu_build.npu.commands import CommandError, decode, disassemble
from tests.support import npu_modules
from tests.support.npu_cases import make

_LISTED = re.compile(r"(0x\w+): .{8} .... .... - (\w+)\s+\d+(?:,\s*(.*))?$")


def _vela(listing: str) -> list[tuple[int, str, list[tuple[str, str]]]]:
    rows = []
    for line in listing.splitlines():
        match = _LISTED.match(line.rstrip())
        assert match, line
        fields = [tuple(field.strip().split(" = ")) for field in (match[3] or "").split(",") if field.strip()]
        rows.append((int(match[1], 16), match[2], fields))
    return rows


def _ours(line: str) -> tuple[int, str, list[tuple[str, str]]]:
    offset, name, *fields = line.split()
    return int(offset.rstrip(":"), 16), name, [tuple(field.split("=")) for field in fields]


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
def test_the_disassembly_is_velas(target):
    case = make(npu_modules.starter, target)
    vela = _vela(case.listing)
    ours = [_ours(line) for line in disassemble(case.payload.stream, case.product)]
    assert len(vela) > 100
    assert [row[:2] for row in ours] == [row[:2] for row in vela]
    for mine, theirs in zip(ours, vela, strict=True):
        assert [field[0] for field in mine[2]] == [field[0] for field in theirs[2]]
        for (_, value), (_, expected) in zip(mine[2], theirs[2], strict=True):
            # Vela puts the enumeration's name before the value's.
            assert value == expected or expected.lower().endswith(f"_{value}")


def test_a_flipped_bit_shows_in_the_disassembly():
    case = make(npu_modules.starter, "ethos-u55-128")
    stream = bytearray(case.payload.stream)
    stream[2] ^= 1
    assert disassemble(bytes(stream), "u55")[0] != disassemble(case.payload.stream, "u55")[0]


def test_a_word_that_is_no_command_is_named():
    stream = struct.pack("<II", 0x0001010F, 0x000003FF)
    assert disassemble(stream, "u55") == [
        "0x000000: NPU_SET_IFM_REGION region=1",
        "error: command 1 at byte 0x4: 0x000003ff is no command",
    ]


def test_a_missing_payload_is_named():
    with pytest.raises(CommandError, match="SET_IFM_BASE0 has no payload"):
        list(decode(struct.pack("<I", 0x4000), "u55"))


def test_commands_of_u85_are_none_of_u55():
    resize = struct.pack("<I", 0x0007)
    assert "NPU_OP_RESIZE" in disassemble(resize, "u85")[0]
    with pytest.raises(CommandError, match="is no command"):
        list(decode(resize, "u55"))


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(stream):
    for product in ("u55", "u85"):
        lines = disassemble(stream, product)
        assert all(line.startswith(("0x", "error: ")) for line in lines)
