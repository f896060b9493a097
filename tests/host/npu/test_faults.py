"""Negative controls: one wrong bit anywhere is caught; mutated streams end in order."""

import random
import re
import struct
from dataclasses import replace
from functools import partial

import pytest

from mcu_build.errors import McuError
from mcu_build.npu import simulate
from mcu_build.npu.commands import decode
from mcu_build.npu.config import find
from mcu_build.npu.memory import HostMemory
from mcu_build.npu.registers import Npu
from tests.support import npu_modules
from tests.support.npu_cases import make
from tests.support.npu_check import FAST_BYTES, mismatches
from tests.support.npu_operators import build

TARGETS = ("ethos-u55-128", "ethos-u85-256")


@pytest.fixture(params=TARGETS)
def case(request):
    return make(npu_modules.starter, request.param)


def _caught(case, payload) -> bool:
    try:
        return any(mismatches(case, 0, payload))
    except McuError:
        return True


def _changed(data: bytes, offset: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[offset + bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# A bit of commands whose values matter; the others are of blocks and buffers, which do not change results.
# Payloads begin at bit 32, parameters at bit 16.
DECIDING = {
    "SET_IFM_BASE0": 36,
    "SET_IFM_STRIDE_Y": 36,
    "SET_IFM_ZERO_POINT": 16,
    "SET_OFM_BASE0": 36,
    "SET_OFM_ZERO_POINT": 16,
    "SET_OFM_SCALE": 16,
    "SET_OFM_WIDTH_M1": 16,
    "SET_KERNEL_STRIDE": 16,
    "SET_WEIGHT_BASE": 36,
    "SET_SCALE_BASE": 36,
}


@pytest.mark.parametrize("name", DECIDING)
def test_a_flipped_bit_of_the_stream_is_caught(case, name):
    stream = case.payload.stream
    found = [one for one in decode(stream, case.product) if one.command.name == name]
    # Results may not depend on one before it is set again.
    changed = [_changed(stream, one.offset, DECIDING[name]) for one in found]
    assert any(_caught(case, replace(case.payload, stream=one)) for one in changed)


def test_flipped_bits_of_weights_and_scales_are_caught(case):
    weights = case.payload.weights
    caught = [
        _caught(case, replace(case.payload, weights=_changed(weights, offset, 2)))
        for offset in range(0, len(weights) - 64, 41)
    ]
    # Padding between records and streams is of no effect, and so are weights of padded channels.
    assert sum(caught) > 0.6 * len(caught)


def _outputs(case, bases) -> list[bytes] | None:
    """What the model gives with the regions at `bases`; None where it reports an error."""
    payload = case.payload
    scratch = bytearray(payload.scratch_size + 64)
    (binding,), data = payload.inputs, case.inputs[0][0].tobytes()
    scratch[binding.offset : binding.offset + len(data)] = data
    read_only = [(simulate.STREAM_BASE, payload.stream), (simulate.WEIGHTS_BASE, payload.weights + bytes(64))]
    npu = Npu(find(case.target), HostMemory([(simulate.SCRATCH_BASE, scratch)], read_only))
    simulate.start(npu, len(payload.stream), bases)
    if npu.error is not None:
        return None
    return [bytes(scratch[b.offset : b.offset + b.nbytes]) for b in payload.outputs]


def test_a_wrong_base_address_is_caught(case):
    right = [output.tobytes() for output in case.outputs[0]]
    assert _outputs(case, simulate.BASES) == right
    for region in range(2):
        for bit in (0, 4, 5, 12, 31):
            bases = [base ^ (1 << bit if index == region else 0) for index, base in enumerate(simulate.BASES)]
            assert _outputs(case, bases) != right, f"region {region}, bit {bit}"


ERROR = re.compile(r"Ethos-U: command \d+ \((NPU_\w+.*|0x[0-9a-f]{8}|no command yet)\): \S.*")


def _mutated(stream: bytes, seed: int) -> bytes:
    draw = random.Random(seed)
    words = list(struct.unpack(f"<{len(stream) // 4}I", stream))
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(words))
        match draw.randrange(4):
            case 0:
                words[place] ^= 1 << draw.randrange(32)
            case 1:
                words[place] = draw.getrandbits(32)
            case 2:
                del words[place]
            case 3:
                words.insert(place, draw.choice(words))
    return struct.pack(f"<{len(words)}I", *words)


def _fuzz(case, seeds) -> None:
    """Every mutated stream ends: with results, or with an error that names the command."""
    outcomes = {"done": 0, "refused": 0}
    for seed in seeds:
        payload = replace(case.payload, stream=_mutated(case.payload.stream, seed))
        try:
            simulate.run(payload, find(case.target), case.inputs[0], FAST_BYTES)
            outcomes["done"] += 1
        except McuError as error:
            assert ERROR.fullmatch(error.message), error.message
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10, outcomes


@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256"])
def test_mutated_streams_end_in_order(target):
    _fuzz(make(npu_modules.starter, target), range(100))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-256", "ethos-u85-2048"])
@pytest.mark.parametrize("names", ["add softmax sigmoid", "max_pool2d mean upsample_nearest2d", "linear cat"])
def test_many_mutated_streams_end_in_order(names, target):
    _fuzz(make(partial(build, names, 0), target), range(1000, 1500))


@pytest.mark.slow
def test_mutated_gathers_and_choices_end_in_order():
    _fuzz(make(partial(build, "where index_put flip", 0), "ethos-u85-256"), range(2000, 2500))
