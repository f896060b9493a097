"""An NPU beside a native program: its driver reaches the model over a socket.

firmware/drivers/ethos_u/bus_host.h is the other end and describes what is said.
"""

import contextlib
import dataclasses
import socket
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcu_build import process
from mcu_build.errors import Exit, McuError
from mcu_build.npu.memory import HostMemory, Memory
from mcu_build.simulate import host
from mcu_build.simulate.observed import STATUS, NpuModel, Observed
from mcu_build.simulate.outcome import IN_AN_IMAGE, NpuUse, Outcome, failure, timed_out

_FRAME = struct.Struct("=IIQ")
_READ, _WRITE, _LEND = range(3)
_WORD = struct.Struct("=I")
_RUNNING = 1


class LentMemory:
    """What the program has lent to the NPU: areas at their own addresses, all else is refused."""

    def __init__(self) -> None:
        self._writable: list[tuple[int, bytearray]] = []
        self._memory = HostMemory(())
        self.bytes_read = self.bytes_written = 0

    def lend(self, writable: list[tuple[int, bytearray]], read_only: list[tuple[int, bytes]]) -> None:
        """These areas, in place of those before."""
        self._writable, self._memory = writable, HostMemory(writable, read_only)

    def take_back(self) -> bytes:
        """The writable areas, one behind the other. The NPU reaches nothing any more."""
        taken = b"".join(data for _, data in self._writable)
        self.lend([], [])
        return taken

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address`."""
        self.bytes_read += size
        return self._memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at `address`."""
        self.bytes_written += len(data)
        self._memory.write(address, data)


def run(
    image: Path, inputs: bytes, timeout: float, kind: str, model: Callable[[Memory], NpuModel]
) -> Outcome:
    """Run a test image over the vectors in `inputs`, at most `timeout` seconds, with an NPU.

    `kind` is "ethos-u55" and so on; `model` makes the NPU from its view of memory. McuError as from
    simulate.run, and where the program uses the NPU wrongly: it says how.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcu-run-") as name:
        folder = Path(name)
        (folder / "inputs.bin").write_bytes(inputs)
        finished, link = _run(image, timeout, kind, model, folder)
        console, seconds = finished.stdout + finished.stderr, time.monotonic() - started
        outcome = link.npu.judge(image, folder, finished.status, console, seconds)
        return dataclasses.replace(outcome, npu=link.use())


def show(image: Path, timeout: float, kind: str, model: Callable[[Memory], NpuModel]) -> int:
    """Run any program as `run` does, its console on ours. Returns its exit status."""
    finished, link = _run(image, timeout, kind, model)
    if link.npu.error is not None:
        raise McuError(f"{image.name}: the NPU met an error: {link.npu.error}", IN_AN_IMAGE, Exit.FIRMWARE)
    return finished.status


def _run(
    image: Path,
    timeout: float,
    kind: str,
    model: Callable[[Memory], NpuModel],
    folder: Path | None = None,
) -> tuple[process.Finished, "_Link"]:
    """Run a program to its end, in `folder` or with its console on ours."""
    if not image.is_file():
        raise McuError(f"{image.name}: there is no such image", "Build it first: `mcu-build build`.")
    memory, (ours, theirs) = LentMemory(), socket.socketpair()
    link = _Link(ours, memory, Observed(model(memory), kind), time.monotonic() + timeout)

    def console(finished: process.Finished) -> str | None:
        return finished.stdout + finished.stderr if folder else None

    with ours, contextlib.ExitStack() as stack:
        with theirs:
            program = stack.enter_context(
                process.started(
                    host.command(image.resolve()),
                    cwd=folder,
                    shown=folder is None,
                    env={"MCU_NPU_LINK": str(theirs.fileno())},
                    inherited=(theirs.fileno(),),
                )
            )
        try:
            link.serve()
        except TimeoutError:
            raise timed_out(image, timeout, console(program.finish(0)), link.doing()) from None
        except McuError as error:
            raise failure(image, error.message, console(program.finish(0))) from None
        finished = program.finish(link.deadline - time.monotonic())
        if finished.timed_out:
            raise timed_out(image, timeout, console(finished))
        return finished, link


@dataclass
class _Link:
    """The model's end of the socket."""

    socket: socket.socket
    memory: LentMemory
    npu: Observed
    deadline: float
    reads: int = 0
    writes: int = 0
    interrupts: int = 0

    def serve(self) -> None:
        """Do what the program asks for until it closes its end. TimeoutError at the deadline."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._answer(*_FRAME.unpack(self._receive(_FRAME.size)))

    def doing(self) -> str:
        """What a program that is late waits for."""
        if not self.reads + self.writes:
            return "it has not touched the NPU"
        if self.npu.read(STATUS) & _RUNNING:
            return "the NPU still runs and has raised no interrupt"
        return "the NPU does not run and has raised no interrupt"

    def use(self) -> NpuUse:
        """What simulating the NPU took."""
        moved = (self.memory.bytes_read, self.memory.bytes_written)
        return NpuUse(self.reads, self.writes, self.interrupts, 0, *moved, self.npu.seconds)

    def _answer(self, what: int, number: int, value: int) -> None:
        if what == _READ:
            self.reads += 1
            self.socket.sendall(_WORD.pack(self.npu.read(number)))
        elif what == _WRITE:
            self.writes += 1
            before = self.npu.irq
            self.npu.write(number, value)
            self.interrupts += self.npu.irq and not before
        elif what == _LEND:
            self._lend(number)
        else:
            self.socket.sendall(self.memory.take_back())

    def _lend(self, count: int) -> None:
        writable, read_only = [], []
        for _ in range(count):
            may_write, size, address = _FRAME.unpack(self._receive(_FRAME.size))
            data = self._receive(size)
            if may_write:
                writable.append((address, data))
            else:
                read_only.append((address, bytes(data)))
        self.memory.lend(writable, read_only)

    def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self.socket.settimeout(max(self.deadline - time.monotonic(), 1e-3))
            count = self.socket.recv_into(view)
            if not count:
                raise EOFError
            view = view[count:]
        return data
