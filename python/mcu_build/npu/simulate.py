"""Run a delegate in the model without a processor: place it in memory, write the registers like a driver."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from mcu_build.errors import Exit, McuError
from mcu_build.npu import registers
from mcu_build.npu.config import Config
from mcu_build.npu.memory import HostMemory
from mcu_build.npu.payload import Payload
from mcu_build.npu.registers import Npu

STREAM_BASE, WEIGHTS_BASE, SCRATCH_BASE, FAST_BASE = 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x6000_0000

# Regions: weights, scratch, fast scratch.
BASES = (WEIGHTS_BASE, SCRATCH_BASE, FAST_BASE)


def run(payload: Payload, config: Config, inputs: Sequence[NDArray[Any]], fast_bytes: int = 0) -> list[bytes]:
    """The outputs' bytes for `inputs`, in the payload's order.

    McuError (status 4) where the NPU reports an error. Scratch is filled with a pattern beforehand, so that
    bytes that nothing wrote do not pass for zeros.
    """
    scratch = bytearray(b"\xa5" * payload.scratch_size)
    for binding, values in zip(payload.inputs, inputs, strict=True):
        data = values.tobytes()
        if len(data) != binding.nbytes:
            raise McuError(f"an input of {len(data)} bytes where {binding.nbytes} belong")
        scratch[binding.offset : binding.offset + len(data)] = data
    areas = [(SCRATCH_BASE, scratch), (FAST_BASE, bytearray(b"\xa5" * fast_bytes))]
    memory = HostMemory(areas, [(STREAM_BASE, payload.stream), (WEIGHTS_BASE, payload.weights)])
    npu = Npu(config, memory)
    start(npu, len(payload.stream))
    if npu.error is not None:
        raise McuError(f"Ethos-U: {npu.error}", "`mcu-build npu dump` prints the commands.", Exit.FIRMWARE)
    return [bytes(scratch[b.offset : b.offset + b.nbytes]) for b in payload.outputs]


def start(npu: Npu, stream_bytes: int, bases: Sequence[int] = BASES) -> None:
    """Reset the NPU and run the stream at STREAM_BASE, its first regions at `bases`."""
    npu.write(registers.RESET, 0)
    while npu.read(registers.STATUS) & registers.RESETTING:
        pass
    npu.write(registers.QBASE, STREAM_BASE)
    npu.write(registers.QSIZE, stream_bytes)
    for index, base in enumerate(bases):
        npu.write(registers.BASEP + 8 * index, base)
    npu.write(registers.CMD, 1)
