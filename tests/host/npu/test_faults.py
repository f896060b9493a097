"""Negative controls: one wrong bit anywhere is caught; mutated streams end in order."""

import random
import struct
from dataclasses import replace

import pytest

from mcu_build.errors import McuError
from mcu_build.npu import registers, simulate
from mcu_build.npu.commands import decode
from mcu_build.npu.config import find
from mcu_build.npu.memory import HostMemory
from mcu_build.npu.registers import Npu
from tests.support import npu_modules
from tests.support.npu_cases import make
from tests.support.npu_check import FAST_BYTES, mismatches

TARGET = "ethos-u55-128"


@pytest.fixture(scope="module")
def case():
    return make(npu_modules.starter, TARGET)


def _caught(case, payload) -> bool:
    try:
        return any(mismatches(case, 0, payload))
    except McuError:
        return True


def _changed(stream: bytes, offset: int, bit: int) -> bytes:
    data = bytearray(stream)
    data[offset + bit // 8] ^= 1 << bit % 8
    return bytes(data)


# Commands whose every value matters; the others are of blocks and buffers, which do not change results.
_DECIDING = {
    "SET_IFM_BASE0": 32,
    "SET_OFM_BASE0": 32,
    "SET_IFM_ZERO_POINT": 16,
    "SET_OFM_ZERO_POINT": 16,
    "SET_OFM_SCALE": 16,
    "SET_WEIGHT_BASE": 32,
    "SET_SCALE_BASE": 32,
    "SET_KERNEL_STRIDE": 16,
    "SET_OFM_WIDTH_M1": 16,
    "SET_IFM_STRIDE_Y": 32,
}


@pytest.mark.parametrize("name", _DECIDING)
def test_a_flipped_bit_of_the_stream_is_caught(case, name):
    bit = _DECIDING[name]
    if name in ("SET_IFM_BASE0", "SET_OFM_BASE0", "SET_WEIGHT_BASE", "SET_SCALE_BASE", "SET_IFM_STRIDE_Y"):
        bit += 4
    found = [i for i in decode(case.payload.stream, "u55") if i.command.name == name]
    # The last: earlier ones may be of results that a later value of the register does not depend on.
    stream = _changed(case.payload.stream, found[-1].offset, bit)
    assert _caught(case, replace(case.payload, stream=stream))


def test_flipped_bits_of_weights_and_scales_are_caught(case):
    weights = case.payload.weights
    caught = [
        _caught(case, replace(case.payload, weights=_changed(weights, offset, 2)))
        for offset in range(0, len(weights) - 64, 41)
    ]
    # Padding between records and streams is of no effect, and so are weights of padded channels.
    assert sum(caught) > 0.6 * len(caught)
    assert _caught(case, replace(case.payload, weights=_changed(weights, 8, 6)))


def test_a_wrong_base_address_is_caught(case):
    payload = case.payload
    scratch = bytearray(payload.scratch_size + 64)
    binding = payload.inputs[0]
    data = case.inputs[0][0].tobytes()
    scratch[binding.offset : binding.offset + len(data)] = data
    areas = [(simulate.SCRATCH_BASE, scratch)]
    memory = HostMemory(
        areas, [(simulate.STREAM_BASE, payload.stream), (simulate.WEIGHTS_BASE, payload.weights)]
    )
    npu = Npu(find(TARGET), memory)
    npu.read(registers.STATUS)
    npu.write(registers.QBASE, simulate.STREAM_BASE)
    npu.write(registers.QSIZE, len(payload.stream))
    npu.write(registers.BASEP, simulate.WEIGHTS_BASE)
    npu.write(registers.BASEP + 8, simulate.SCRATCH_BASE ^ 0x10)
    npu.write(registers.CMD, 1)
    found = [bytes(scratch[b.offset : b.offset + b.nbytes]) for b in payload.outputs]
    assert found != [output.tobytes() for output in case.outputs[0]]


def _fuzz(case, seeds):
    outcomes = {"done": 0, "refused": 0}
    for seed in seeds:
        draw = random.Random(seed)
        words = list(struct.unpack(f"<{len(case.payload.stream) // 4}I", case.payload.stream))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(words))
            kind = draw.randrange(4)
            if kind == 0:
                words[place] ^= 1 << draw.randrange(32)
            elif kind == 1:
                words[place] = draw.getrandbits(32)
            elif kind == 2:
                del words[place]
            else:
                words.insert(place, draw.choice(words))
        stream = struct.pack(f"<{len(words)}I", *words)
        try:
            simulate.run(replace(case.payload, stream=stream), find(case.target), case.inputs[0], FAST_BYTES)
            outcomes["done"] += 1
        except McuError as error:
            assert error.message.startswith("Ethos-U: command ")
            outcomes["refused"] += 1
    return outcomes


@pytest.mark.parametrize("target", [TARGET, "ethos-u65-512", "ethos-u85-256"])
def test_mutated_streams_end_in_order(target):
    outcomes = _fuzz(make(npu_modules.starter, target), range(150))
    assert min(outcomes.values()) > 10, outcomes


@pytest.mark.slow
@pytest.mark.parametrize("target", [TARGET, "ethos-u85-256"])
@pytest.mark.parametrize("name", ["arithmetic", "activations", "pools", "linear"])
def test_many_mutated_streams_end_in_order(name, target):
    outcomes = _fuzz(make(getattr(npu_modules, name), target), range(1000, 1400))
    assert min(outcomes.values()) > 10, outcomes
