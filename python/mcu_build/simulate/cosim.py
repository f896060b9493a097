"""An NPU beside QEMU: the image runs unchanged, and each access to the NPU's registers is served by a model.

QEMU stops the core before every access to the registers (a watchpoint of its GDB stub). The instruction at
PC says what is read or written; the model answers; the core goes on behind the instruction.
docs/npu-simulation.md tells more.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.hardware import Npu
from mcu_build.npu.memory import Memory
from mcu_build.simulate import qemu
from mcu_build.simulate.gdb_remote import (
    XPSR,
    GdbClosedError,
    GdbError,
    GdbRemote,
    GdbTimeoutError,
    Stop,
    connect,
)
from mcu_build.simulate.guest_memory import GuestMemory
from mcu_build.simulate.observed import STATUS, CosimError, Device, NpuModel, Observed
from mcu_build.simulate.outcome import IN_AN_IMAGE, NpuUse, Outcome, failure, timed_out
from mcu_build.simulate.thumb import PC, Access, NotAnAccessError, decode

_SOCKET = "gdb.sock"
_START_SECONDS = 10.0
_END_SECONDS = 5.0
_RUNNING = 1
# U85's counters lie in a second page; on the others that page is another device.
_WINDOW = {"ethos-u55": 0x1000, "ethos-u65": 0x1000, "ethos-u85": 0x2000}

_NVIC_SET_PENDING = 0xE000_E200
_STORE_R1_AT_R0 = (0x6001).to_bytes(2, "little")
_WFI = (0xBF30).to_bytes(2, "little")
# Bits of xPSR that make the next instructions conditional (an IT block).
_IT_STATE = 0x0600_FC00


@dataclass(frozen=True)
class Window:
    """Registers of `device` at `base`, `size` bytes."""

    base: int
    size: int
    device: Device


@dataclass
class Core:
    """A core whose accesses to some registers are served here.

    `spare` is the address of a halfword that the core can execute.
    """

    remote: GdbRemote
    windows: Sequence[Window]
    spare: int
    reads: int = 0
    writes: int = 0
    interrupts: int = 0

    def watch(self) -> None:
        """From now on, stop before every access to the registers."""
        for window in self.windows:
            self.remote.watch(window.base, window.size)

    def serve(self) -> None:
        """Do what the stopped core is about to do with a register, and step over it."""
        registers = self.remote.registers()
        pc = registers[PC]
        code = self.remote.read_memory(pc, 4)
        try:
            access = decode(code)
            address, moved = access.addresses(registers)
            self._perform(access, address, registers)
        except NotAnAccessError as error:
            raise CosimError(f"pc {pc:#010x}: a register of the NPU is met by {error.message}") from None
        except McuError as error:
            raise CosimError(f"pc {pc:#010x}: {access}: {error.message}") from error
        if moved is not None:
            registers[access.base] = moved
        registers[PC] = pc + access.length
        registers[XPSR] = _behind_it_slot(registers[XPSR])
        self.remote.write_registers(registers)

    def pend(self, interrupt: int) -> None:
        """Make an interrupt pending: the core does it itself, as the stub's writes reach no device.

        It does so at `spare`, where nobody takes it for an instruction of the firmware.
        """
        self.interrupts += 1
        registers = self.remote.registers()
        code = self.remote.read_memory(self.spare, len(_STORE_R1_AT_R0))
        store = [_NVIC_SET_PENDING + 4 * (interrupt // 32), 1 << (interrupt % 32), *registers[2:]]
        store[PC] = self.spare
        store[XPSR] &= ~_IT_STATE
        self.remote.write_memory(self.spare, _STORE_R1_AT_R0)
        self.remote.write_registers(store)
        # QEMU holds interrupts off for the step.
        self.remote.step()
        after = self.remote.read_register(PC)
        self.remote.write_memory(self.spare, code)
        self.remote.write_registers(registers)
        if after != self.spare + len(_STORE_R1_AT_R0):
            where = f"pc {registers[PC]:#010x}"
            raise CosimError(
                f"{where}: the core cannot make interrupt {interrupt} pending; is it privileged?"
            )

    def _perform(self, access: Access, address: int, registers: list[int]) -> None:
        for number, register in enumerate(access.registers):
            device, offset = self._device(address + 4 * number, access.width)
            if access.kind == "load":
                self.reads += 1
                registers[register] = device.read(offset) & 0xFFFF_FFFF
            else:
                self.writes += 1
                device.write(offset, registers[register])

    def _device(self, address: int, width: int) -> tuple[Device, int]:
        if width != 4 or address % 4:
            raise CosimError(f"{width} bytes at {address:#010x}: registers are read and written as words")
        for window in self.windows:
            if window.base <= address < window.base + window.size:
                return window.device, address - window.base
        raise CosimError(f"{address:#010x} lies outside the registers")


def _behind_it_slot(status: int) -> int:
    """xPSR behind one more instruction: in an IT block the conditions move up by one."""
    state = (status >> 25 & 3) | (status >> 8 & 0xFC)
    state = (state & 0xE0) | (state << 1 & 0x1F) if state & 7 else 0
    return status & ~_IT_STATE | (state & 3) << 25 | (state & 0xFC) << 8


def run(
    board: Board,
    image: Path,
    inputs: bytes,
    timeout: float,
    kind: str,
    model: Callable[[Memory], NpuModel],
    options: Sequence[str | Path] = (),
) -> Outcome:
    """Run `image` on `board` over the vectors in `inputs`, at most `timeout` seconds, with an NPU.

    `kind` is "ethos-u55" and so on; `model` makes the NPU from its view of memory. `options` are further
    options of QEMU. McuError as from simulate.run, and where the firmware uses the NPU wrongly: it says how.
    """
    image, npu = _checked(board, image)
    with tempfile.TemporaryDirectory(prefix="mcu-run-") as name:
        folder = Path(name)
        (folder / "inputs.bin").write_bytes(inputs)
        # By its name alone: QEMU takes no path of 108 bytes or more.
        words = [*qemu.command(board, image), *options, *_stub(Path())]
        with process.started(words, cwd=folder) as simulator:
            return _Session(board, npu, image, folder, simulator, timeout).run(kind, model)


def show(board: Board, image: Path, timeout: float, kind: str, model: Callable[[Memory], NpuModel]) -> int:
    """Run any `image` as `run` does, its UART on our standard output. Returns its exit status."""
    image, npu = _checked(board, image)
    with tempfile.TemporaryDirectory(prefix="mcu-run-") as name:
        folder = Path(name)
        words = [*qemu.command(board, image, serial="stdio"), *_stub(folder)]
        with process.started(words, shown=True) as simulator:
            return _Session(board, npu, image, folder, simulator, timeout, shown=True).show(kind, model)


def spare(board: Board) -> int:
    """The last halfword of the memory of the board's code: QEMU's stub writes any memory."""
    assert board.placement is not None, "the host has no simulator"
    code = board.placement.code
    return board.address(code) + board.memory_named(code).size - len(_STORE_R1_AT_R0)


def _checked(board: Board, image: Path) -> tuple[Path, Npu]:
    if not image.is_file():
        raise McuError(f"{image.name}: there is no such image", "Build it first: `mcu-build build`.")
    if board.npu is None:
        raise McuError(f"{board.id}: npu: the board has none", "Use --npu none: the CPU path.")
    return image.resolve(), board.npu


def _stub(folder: Path) -> list[str]:
    """QEMU's options: wait for us at its GDB stub."""
    return ["-S", "-gdb", f"unix:{folder / _SOCKET},server=on,wait=off"]


@dataclass
class _Session:
    """One run, from the start of QEMU to the judgement."""

    board: Board
    npu: Npu
    image: Path
    folder: Path
    simulator: process.Running
    limit: float
    shown: bool = False
    started: float = field(default_factory=time.monotonic)

    def run(self, kind: str, model: Callable[[Memory], NpuModel]) -> Outcome:
        """Run a test image, and judge it."""
        finished, npu, use = self._run(kind, model)
        seconds = time.monotonic() - self.started
        console = self._console(finished) or ""
        outcome = npu.judge(self.image, self.folder, finished.status, console, seconds)
        return dataclasses.replace(outcome, npu=use)

    def show(self, kind: str, model: Callable[[Memory], NpuModel]) -> int:
        """Run any image to its end: its exit status."""
        finished, npu, _ = self._run(kind, model)
        if npu.error is not None:
            raise McuError(
                f"{self.image.name}: the NPU met an error: {npu.error}", IN_AN_IMAGE, Exit.FIRMWARE
            )
        return finished.status

    def _run(
        self, kind: str, model: Callable[[Memory], NpuModel]
    ) -> tuple[process.Finished, Observed, NpuUse]:
        with self._connect() as remote:
            remote.handshake()
            memory = GuestMemory(remote, self.board)
            npu = Observed(model(memory), kind, memory.settle)
            core = Core(remote, self._windows(kind, npu), spare(self.board))
            problem = self._drive(core, npu)
        finished = self.simulator.finish(_END_SECONDS if problem is None else 0)
        if problem is not None:
            raise problem(self._console(finished))
        use = NpuUse(
            core.reads,
            core.writes,
            core.interrupts,
            remote.packets,
            memory.bytes_read,
            memory.bytes_written,
            npu.seconds,
        )
        return finished, npu, use

    def _connect(self) -> GdbRemote:
        try:
            return connect(self.folder / _SOCKET, _START_SECONDS)
        except GdbError as error:
            console = self._console(self.simulator.finish(0))
            raise failure(self.image, f"QEMU did not start: {error.message}", console) from None

    def _windows(self, kind: str, npu: Device) -> list[Window]:
        places = dict.fromkeys((self.npu.address(secure=False), self.board.npu_address))
        return [Window(place, _WINDOW[kind], npu) for place in places]

    def _drive(self, core: Core, npu: Observed) -> "_Problem | None":
        """Serve the core until the simulator ends, or a problem ends it."""
        try:
            core.watch()
            while True:
                core.remote.resume()
                try:
                    stop = core.remote.wait(self.started + self.limit - time.monotonic())
                except GdbTimeoutError:
                    return self._late(core, npu)
                if stop.exit_status is not None:
                    return None
                self._serve(core, npu, stop)
        except GdbClosedError:
            return None
        except McuError as error:
            words = error.message
            return lambda console: failure(self.image, words, console)

    def _serve(self, core: Core, npu: Observed, stop: Stop) -> None:
        if stop.watched is None:
            raise CosimError(f"the core stopped without reason (signal {stop.signal})")
        before = npu.irq
        core.serve()
        if npu.irq and not before:
            core.pend(self.npu.irq)

    def _late(self, core: Core, npu: Observed) -> "_Problem":
        """The error of a run that has not ended in time: where does it stand?"""
        if not core.reads + core.writes:
            doing = "it has not touched the NPU"
        elif npu.irq:
            doing = f"the NPU has raised interrupt {self.npu.irq} and nothing has cleared it"
        elif npu.read(STATUS) & _RUNNING:
            doing = "the NPU still runs and has raised no interrupt"
        else:
            doing = "the NPU does not run and has raised no interrupt"
        where = f"{doing}; {_core_in_words(core.remote)}"
        return lambda console: timed_out(self.image, self.limit, console, where)

    def _console(self, finished: process.Finished) -> str | None:
        if self.shown:
            return None
        uart = self.folder / qemu.UART_FILE
        written = uart.read_text(errors="replace") if uart.is_file() else ""
        return finished.stdout + finished.stderr + written


_Problem = Callable[[str | None], McuError]


def _core_in_words(remote: GdbRemote) -> str:
    """Where a running core is."""
    try:
        remote.interrupt()
        pc = remote.read_register(PC)
        asleep = remote.read_memory(pc - len(_WFI), len(_WFI)) == _WFI
    except GdbError as error:
        return f"the core does not answer ({error.message})"
    return f"the core {'waits for an interrupt (wfi)' if asleep else 'runs'} at pc {pc:#010x}"
