"""The registers as a driver uses them, and what they say of runs that fail."""

import struct

import pytest

from mcu_build.npu import registers, simulate
from mcu_build.npu.config import CONFIGS, find
from mcu_build.npu.memory import HostMemory
from mcu_build.npu.registers import Npu

STOP = struct.pack("<I", 0xFFFF0000)
IRQ = struct.pack("<I", 0x00050001)


def _npu(stream: bytes = STOP, size: int = 4096, target: str = "ethos-u55-128") -> Npu:
    areas = [(simulate.SCRATCH_BASE, bytearray(size))]
    return Npu(find(target), HostMemory(areas, [(simulate.STREAM_BASE, stream)]))


def _run(stream: bytes, **options) -> Npu:
    npu = _npu(stream, **options)
    simulate.start(npu, len(stream))
    return npu


def _payload(opcode: int, value: int) -> bytes:
    return struct.pack("<II", opcode | 0x4000 | (value >> 32) << 16, value & 0xFFFFFFFF)


def _plain(opcode: int, value: int = 0) -> bytes:
    return struct.pack("<I", opcode | (value & 0xFFFF) << 16)


def _dma(source: int, target: int, length: int) -> bytes:
    return (
        _plain(0x130, 1)
        + _payload(0x30, source)
        + _plain(0x131, 1)
        + _payload(0x31, target)
        + _payload(0x32, length)
        + _plain(0x10)
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_identity(name):
    npu = _npu(target=name)
    assert npu.read(registers.ID) == find(name).id
    assert npu.read(registers.CONFIG) == find(name).config
    assert npu.read(registers.CONFIG) >> 28 == {"u55": 0, "u65": 1, "u85": 2}[name.split("-")[1]]


def test_reset_shows_once_and_loses_writes_until_it_is_seen():
    npu = _npu()
    npu.write(registers.RESET, 3)
    npu.write(registers.QSIZE, 4)
    assert npu.read(registers.QSIZE) == 0
    assert npu.read(registers.STATUS) == 0x8
    assert npu.read(registers.STATUS) == 0
    assert npu.read(registers.CMD) == 0xC
    assert npu.read(registers.PROT) == 3
    npu.write(registers.QSIZE, 4)
    assert npu.read(registers.QSIZE) == 4


def test_a_run_that_succeeds():
    npu = _run(STOP)
    assert npu.read(registers.STATUS) == 0xFFFF0022
    assert npu.irq and npu.error is None
    assert npu.read(registers.QREAD) == 4
    npu.write(registers.CMD, 0xFFFF000E)
    assert not npu.irq
    assert npu.read(registers.STATUS) == registers.END_REACHED


def test_irq_goes_on_and_stop_does_not():
    npu = _run(IRQ + STOP + STOP)
    assert npu.read(registers.QREAD) == 8
    assert npu.read(registers.STATUS) & (registers.END_REACHED | registers.IRQ_RAISED) == registers.IRQ_RAISED


def test_dma_copies_and_counts():
    scratch = bytearray(range(256)) * 16
    npu = _npu(stream := _dma(3, 1000, 200) + STOP)
    memory = HostMemory([(simulate.SCRATCH_BASE, scratch)], [(simulate.STREAM_BASE, stream)])
    npu = Npu(find("ethos-u55-128"), memory)
    simulate.start(npu, len(stream))
    assert npu.error is None
    assert scratch[1000:1200] == bytes(range(3, 203))
    assert (npu.counters.read_bytes, npu.counters.written_bytes) == (200, 200)


@pytest.mark.parametrize(
    ("stream", "channel", "words"),
    [
        (_dma(4000, 0, 200), 4, "DMA_READ: 200 bytes at 0x40000fa0 cannot be read"),
        (_dma(0, 4000, 200), 9, "DMA_WRITE: 200 bytes at 0x40000fa0 cannot be written"),
    ],
)
def test_memory_that_does_not_answer_is_a_bus_error(stream, channel, words):
    npu = _run(stream + STOP)
    status = npu.read(registers.STATUS)
    assert status & registers.BUS_ERROR and not status & registers.END_REACHED
    assert status >> 12 & 0xF == channel
    assert npu.irq
    assert str(npu.error) == f"command 5 (NPU_OP_DMA_START): {words}"


def test_the_faulting_interface_follows_the_regions_memory_type():
    stream = _dma(4000, 0, 200) + STOP
    npu = _npu(stream)
    npu.read(registers.STATUS)
    npu.write(registers.REGIONCFG, 0b1000)
    npu.write(registers.QBASE, simulate.STREAM_BASE)
    npu.write(registers.QSIZE, len(stream))
    npu.write(registers.BASEP + 8, simulate.SCRATCH_BASE)
    npu.write(registers.CMD, 1)
    assert npu.read(registers.STATUS) >> 11 & 1 == 1


def test_a_stream_out_of_reach_is_a_bus_error():
    npu = _npu()
    npu.read(registers.STATUS)
    npu.write(registers.QSIZE, 16)
    npu.write(registers.CMD, 1)
    assert npu.read(registers.STATUS) & registers.BUS_ERROR
    assert "COMMANDS: 16 bytes at 0x0" in str(npu.error)


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (struct.pack("<I", 0x3FF), "command 2 (0x000003ff): is no command"),
        (_plain(0x5, 7), "NPU_OP_POOL pooling_mode=?"),
        (_plain(0x125, 3) + _plain(0x114, 0x100) + _plain(0x5, 0), "activation function 3: not modelled"),
        (_plain(0x6, 63), "elementwise mode 63"),
        (_plain(0x123, 1) + _plain(0x2), "parallel mode 1 on ethos-u55-128"),
    ],
)
def test_what_the_npu_cannot_do_is_an_error_with_the_command(stream, words):
    scratch_for_maps = _plain(0x10F, 1) + _plain(0x11F, 1)
    npu = _run(scratch_for_maps + stream + STOP)
    status = npu.read(registers.STATUS)
    assert status & registers.PARSE_ERROR and status & registers.IRQ_RAISED
    assert words in str(npu.error)


def test_the_monitor_counts_what_is_enabled():
    stream = _dma(0, 1024, 800) + STOP
    npu = _npu(stream)
    npu.read(registers.STATUS)
    npu.write(0x180, 1)
    npu.write(0x380, 0x82)
    npu.write(0x384, 0x87)
    npu.write(0x184, 0x8000_0001)
    npu.write(registers.QBASE, simulate.STREAM_BASE)
    npu.write(registers.QSIZE, len(stream))
    npu.write(registers.BASEP + 8, simulate.SCRATCH_BASE)
    npu.write(registers.CMD, 1)
    assert npu.error is None
    assert npu.read(0x180) == 4 << 11 | 1
    assert npu.read(0x300) == 100
    assert npu.read(0x304) == 0, "not enabled"
    assert npu.read(0x1A0) == 100
    npu.write(0x180, 7)
    assert npu.read(0x300) == npu.read(0x1A0) == 0


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (_payload(0x100, 0), "(NPU_OP_BRANCH branch_cond=always branch_target=0): OP_BRANCH: not modelled"),
        (_plain(0x5, 7), "pooling mode argmax_y of U85: not modelled"),
        (_plain(0x5, 6), "argmax_x of several rows, with padding or with another scale: not modelled"),
        (_plain(0x130, 1 << 8) + _payload(0x32, 4) + _plain(0x10), "a DMA from the table memory"),
        (_plain(0x6, 11), "a division by zero: not modelled"),
        (_plain(0x105, 3 << 14) + _plain(0x2), "IFM: it has no storage"),
    ],
)
def test_operations_of_u85_that_are_not_modelled_are_refused_by_name(stream, words):
    maps = _plain(0x10F, 1) + _plain(0x18F, 1) + _plain(0x11F, 1)
    npu = _run(maps + stream + STOP, target="ethos-u85-256")
    assert npu.read(registers.STATUS) & registers.PARSE_ERROR
    assert words in str(npu.error)


def test_an_index_past_the_largest_is_an_error():
    indices = struct.pack("<i", 7)
    stream = (
        _plain(0x130, 1 << 11 | 1)
        + _plain(0x131, 1)
        + _payload(0x32, 4)
        + _plain(0x134, 1)
        + _payload(0x38, 6)
        + _payload(0x37, 64)
        + _plain(0x10)
        + STOP
    )
    scratch = bytearray(4096)
    scratch[64:68] = indices
    memory = HostMemory([(simulate.SCRATCH_BASE, scratch)], [(simulate.STREAM_BASE, stream)])
    npu = Npu(find("ethos-u85-256"), memory)
    simulate.start(npu, len(stream))
    assert str(npu.error) == "command 6 (NPU_OP_DMA_START): a DMA with index 7, where 6 is the largest"


U85_ONLY = (0x38, 0x50, 0x54)
PLAIN = (0x10, 0x14, 0x1C, 0x20, 0x3C, 0x40, 0x44, 0x48, 0x4C, *range(0x80, 0xC0, 4))


@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-2048"])
def test_registers_keep_what_is_written_until_a_reset(name):
    """QBASE, QCONFIG, QSIZE, REGIONCFG, AXI_LIMIT or MEM_ATTR, BASEP; U85: POWER_CTRL, AXI_SRAM, AXI_EXT."""
    npu = _npu(target=name)
    npu.read(registers.STATUS)
    own = PLAIN + (U85_ONLY if "u85" in name else ())
    for offset in own:
        npu.write(offset, 0x10000 + offset)
    assert [npu.read(offset) for offset in own] == [0x10000 + offset for offset in own]
    for offset in {registers.ID, registers.CONFIG, registers.QREAD, registers.PROT, *U85_ONLY} - set(own):
        before = npu.read(offset)
        npu.write(offset, before ^ 0xFF)
        assert npu.read(offset) == before
    npu.write(registers.RESET, 0)
    npu.read(registers.STATUS)
    assert not any(npu.read(offset) for offset in own)
    # Peripheral and component identification, as PrimeCell devices have it.
    assert [npu.read(offset) & 0xFF for offset in range(0xFF0, 0x1000, 4)] == [0x0D, 0xF0, 0x05, 0xB1]


@pytest.mark.parametrize(
    ("name", "pmu", "counters", "beat_bytes"),
    [("ethos-u55-128", 0x180, 4, 8), ("ethos-u65-256", 0x180, 4, 16), ("ethos-u85-256", 0x1180, 8, 16)],
)
def test_the_monitor_of_each_product(name, pmu, counters, beat_bytes):
    stream = _dma(0, 1024, 800) + STOP
    npu = _npu(stream, target=name)
    npu.read(registers.STATUS)
    assert npu.read(pmu) >> 11 & 0x1F == counters
    npu.write(pmu, 1)
    last = counters - 1
    npu.write(pmu + 0x200 + 4 * last, 0x82)
    npu.write(pmu + 0x180 + 4 * last, 0xFFFF_FFFF)
    npu.write(pmu + 0x04, 0x8000_0000 | 1 << last)
    npu.write(pmu + 0x14, 1 << last)
    npu.write(registers.QBASE, simulate.STREAM_BASE)
    npu.write(registers.QSIZE, len(stream))
    npu.write(registers.BASEP + 8, simulate.SCRATCH_BASE)
    npu.write(registers.CMD, 1)
    assert npu.error is None
    # The counter ran over: it counts on from 0, says so, and interrupts.
    assert npu.read(pmu + 0x180 + 4 * last) == 800 // beat_bytes - 1
    assert npu.read(pmu + 0x0C) == 1 << last
    npu.write(registers.CMD, 2)
    assert npu.irq
    npu.write(pmu + 0x10, 1 << last)
    assert not npu.irq
    assert npu.read(pmu + 0x20) == 800 // beat_bytes
