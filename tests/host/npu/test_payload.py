"""The delegate's payload."""

import struct
from dataclasses import replace

import pytest

from mcu_build.errors import McuError
from mcu_build.npu.commands import disassemble
from mcu_build.npu.payload import parse
from tests.support import npu_modules
from tests.support.npu_cases import make


@pytest.fixture(scope="module")
def case():
    return make(npu_modules.starter, "ethos-u55-128")


def test_inputs_outputs_and_stream(case):
    payload = case.payload
    assert [binding.shape for binding in payload.inputs] == [(1, 1, 1, 3, 16, 16)]
    assert [binding.nbytes for binding in payload.outputs] == [16 * 8 * 8, 16 * 8 * 8, 16 * 16 * 16]
    assert {binding.region for binding in (*payload.inputs, *payload.outputs)} == {1}
    assert all(b.offset + b.nbytes <= payload.scratch_size for b in (*payload.inputs, *payload.outputs))
    assert payload.config == 0x1807
    assert disassemble(payload.stream, "u55")[-1].endswith("NPU_OP_STOP mask=65535")


def test_an_external_block_is_looked_up(case):
    # The header of weight_data, rewritten to refer to named data.
    start = case.delegate.index(b"weight_data")
    size = struct.unpack_from("<I", case.delegate, start + 16)[0]
    key = b"k" * 64
    external = case.delegate[: start + 16] + struct.pack("<IB11x", len(key), 1) + key
    moved = external + case.delegate[start + 32 + (size + 15) // 16 * 16 :]
    assert parse(moved, {key.decode(): case.payload.weights}) == case.payload
    with pytest.raises(McuError, match=f"under the key {key.decode()}"):
        parse(moved)


def test_the_second_format_of_driver_actions(case):
    payload = case.payload
    padding = b"\xff" * 4
    metadata = struct.pack("<4sIIII12x", b"VEUM", 1, 20, payload.config, payload.id) + padding
    entry = struct.pack("<I", len(metadata)) + metadata + payload.stream
    actions = struct.pack("<4sIQII", b"COP2", 1, 8 + len(entry), 1, len(entry)) + entry
    assert len(actions) % 16 == len(payload.stream) % 16
    start = case.delegate.index(b"cmd_data")
    size = struct.unpack_from("<I", case.delegate, start + 16)[0]
    block = case.delegate[:start] + struct.pack("<16sIB11x", b"cmd_data", len(actions), 0)
    block += actions + b"\0" * (-len(actions) % 16)
    assert parse(block + case.delegate[start + 32 + (size + 15) // 16 * 16 :]) == replace(payload)


def test_damage_is_named(case):
    with pytest.raises(McuError, match="damaged payload"):
        parse(case.delegate[:100])
    with pytest.raises(McuError, match="begins with block"):
        parse(b"x" + case.delegate[1:])
    with pytest.raises(McuError, match="not COP1 or COP2"):
        parse(case.delegate.replace(b"COP1", b"COP9"))
