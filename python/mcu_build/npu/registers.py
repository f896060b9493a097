"""The NPU as the processor sees it: a window of registers and an interrupt line.

A run happens within the write that starts it, so that STATUS never shows it under way. After a reset STATUS
shows bit 3 once, and until it has been read, writes are lost, as they are while the hardware still resets.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mcu_build.npu.commands import CommandError, DecodeError, Instruction, decode
from mcu_build.npu.config import Config
from mcu_build.npu.executor import BusError, Counters, Executor
from mcu_build.npu.executor_u85 import ExecutorU85
from mcu_build.npu.memory import Channel, Memory, MemoryRefusedError
from mcu_build.npu.operands import Regions
from mcu_build.npu.pmu import Pmu

ID, STATUS, CMD, RESET = 0x00, 0x04, 0x08, 0x0C
QBASE, QBASE_HIGH, QREAD, QCONFIG, QSIZE = 0x10, 0x14, 0x18, 0x1C, 0x20
PROT, CONFIG, REGIONCFG = 0x24, 0x28, 0x3C
AXI_LIMITS = 0x40
BASEP, BASEP_END = 0x80, 0xC0
_U85_AXI = (0x50, 0x54)
_POWER_CTRL = 0x38

RUNNING, IRQ_RAISED, BUS_ERROR, RESETTING = 1 << 0, 1 << 1, 1 << 2, 1 << 3
PARSE_ERROR, END_REACHED = 1 << 4, 1 << 5
BRANCH_FAULT = 1 << 9
_INTERFACE_BIT, _CHANNEL_BIT, _HISTORY_BIT = 11, 12, 16

_CMD_RUN, _CMD_CLEAR_IRQ = 1, 2
_CMD_RESET_VALUE = 0xC

# Peripheral and component identification, from 0xFD0: PID4 to PID7, PID0 to PID3, CID0 to CID3.
_IDENTIFICATION = (0x04, 0x00, 0x00, 0x00, 0x80, 0xB5, 0x0B, 0x00, 0x0D, 0xF0, 0x05, 0xB1)
_IDENTIFICATION_BASE = 0xFD0


@dataclass(frozen=True)
class Failure:
    """Why a run ended early: index and text of the command, what was wrong with it."""

    index: int
    command: str
    message: str

    def __str__(self) -> str:
        return f"command {self.index} ({self.command}): {self.message}"


class Npu:
    """One NPU. `memory` is what its bus reaches; `error` tells of the last run's failure, or is None.

    Accesses are of 32 bits; reads of registers that do not exist give 0 and writes to them go nowhere.
    """

    def __init__(self, config: Config, memory: Memory) -> None:
        self.config = config
        self.memory = memory
        self.error: Failure | None = None
        self.counters = Counters()
        self._reset(0)

    def _reset(self, privileges: int) -> None:
        self._resetting = True
        self._prot = privileges & 3
        self._status = 0
        self._cmd = _CMD_RESET_VALUE
        self._plain: dict[int, int] = {}
        self._qread = 0
        self._pmu = Pmu(self.config)

    @property
    def irq(self) -> bool:
        """The interrupt line."""
        return bool(self._status & IRQ_RAISED) or self._pmu.irq

    def read(self, offset: int) -> int:
        """The register at byte `offset`."""
        if self._pmu.covers(offset):
            return self._pmu.read(offset)
        fixed: dict[int, Callable[[], int]] = {
            ID: lambda: self.config.id,
            STATUS: self._read_status,
            CMD: lambda: self._cmd,
            QREAD: lambda: self._qread,
            PROT: lambda: self._prot,
            CONFIG: lambda: self.config.config,
        }
        if offset in fixed:
            return fixed[offset]()
        index = (offset - _IDENTIFICATION_BASE) // 4
        if 0 <= index < len(_IDENTIFICATION):
            return _IDENTIFICATION[index]
        return self._plain.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Store 32 bits at byte `offset`."""
        value &= 0xFFFF_FFFF
        if offset == RESET:
            self._reset(value)
        elif self._resetting:
            return
        elif self._pmu.covers(offset):
            self._pmu.write(offset, value)
        elif offset == CMD:
            self._command(value)
        elif self._is_plain(offset):
            self._plain[offset] = value

    def _is_plain(self, offset: int) -> bool:
        single = (QBASE, QBASE_HIGH, QCONFIG, QSIZE, REGIONCFG, *range(AXI_LIMITS, AXI_LIMITS + 16, 4))
        u85 = (_POWER_CTRL, *_U85_AXI) if self.config.product == "u85" else ()
        return offset in single or offset in u85 or offset in range(BASEP, BASEP_END, 4)

    def _read_status(self) -> int:
        if self._resetting:
            self._resetting = False
            return RESETTING
        return self._status

    def _command(self, value: int) -> None:
        if value & _CMD_CLEAR_IRQ:
            self._status &= ~IRQ_RAISED
        # Bits 31:16 clear bits of the history of interrupts.
        self._status &= ~(value & 0xFFFF_0000)
        self._cmd = value & 0xC
        if value & _CMD_RUN:
            self._run()

    def _run(self) -> None:
        self.error = None
        self._status &= 0xFFFF_0000
        kind = ExecutorU85 if self.config.product == "u85" else Executor
        executor = kind(self.config, self.memory, self._regions())
        self.counters = executor.counters
        current: Instruction | None = None
        self._qread = 0
        try:
            for current in decode(self._fetch(executor), self.config.product):
                self._qread = current.offset + (8 if current.command.has_payload else 4)
                if self._stops(current, executor):
                    break
        except DecodeError as error:
            self._status |= PARSE_ERROR | IRQ_RAISED
            self.error = Failure(error.index, error.words, error.message)
        except CommandError as error:
            self._status |= PARSE_ERROR | IRQ_RAISED
            self._fail(current, str(error))
        except BusError as error:
            self._flag_bus_error(error)
            self._fail(current, str(error))
        if self.error is None and self._qread == self._plain.get(QSIZE, 0):
            self._status |= END_REACHED | IRQ_RAISED
        self._pmu.count(executor.counters)

    def _stops(self, instruction: Instruction, executor: Executor) -> bool:
        """Run one command; True where the stream ends with it."""
        name = instruction.command.name
        if name not in ("OP_STOP", "OP_IRQ"):
            executor.step(instruction)
            return False
        self._status |= IRQ_RAISED | instruction.value << _HISTORY_BIT
        return name == "OP_STOP"

    def _fetch(self, executor: Executor) -> bytes:
        base = self._plain.get(QBASE, 0) | self._plain.get(QBASE_HIGH, 0) << 32
        size = self._plain.get(QSIZE, 0)
        try:
            return self.memory.read(base, size) if size else b""
        except MemoryRefusedError as refusal:
            raise BusError(f"COMMANDS: {refusal}", Channel.COMMANDS, -1) from refusal

    def _regions(self) -> Regions:
        words = [self._plain.get(offset, 0) for offset in range(BASEP, BASEP_END, 4)]
        return Regions(tuple(low | high << 32 for low, high in zip(words[::2], words[1::2], strict=True)))

    def _flag_bus_error(self, error: BusError) -> None:
        # Memory types 0 and 1 go through the first interface, 2 and 3 through the second.
        source = self._plain.get(QCONFIG if error.region < 0 else REGIONCFG, 0)
        kind = source >> 2 * max(error.region, 0) & 3
        self._status |= BUS_ERROR | IRQ_RAISED
        self._status |= (kind >> 1) << _INTERFACE_BIT | error.channel.value << _CHANNEL_BIT

    def _fail(self, instruction: Instruction | None, message: str) -> None:
        if instruction is None:
            self.error = Failure(0, "no command yet", message)
        else:
            self.error = Failure(instruction.index, instruction.text, message)
