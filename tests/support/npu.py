"""An NPU that computes next to nothing, for tests of the driver and of what serves its registers."""

from dataclasses import dataclass, field

from mcu_build.errors import Exit, McuError
from mcu_build.npu.memory import Memory, MemoryRefusedError

ID, STATUS, CMD, RESET = 0x00, 0x04, 0x08, 0x0C
QBASE, QREAD, QSIZE, PROT, CONFIG = 0x10, 0x18, 0x20, 0x24, 0x28
BASEP0, BASEP1, BASEP2 = 0x80, 0x88, 0x90
RUNNING, IRQ, BUS, IN_RESET, PARSE, END = (1 << bit for bit in range(6))
RUN, CLEAR_IRQ = 1, 2
PMCR, PMCNTENSET, PMCCNTR, PMEVCNTR = 0x180, 0x184, 0x1A0, 0x300

U55_128 = (0x10104201, 0x00001807)
U65_256 = (0x10066001, 0x10003008)
U85_256 = (0x20007001, 0x20000118)


@dataclass
class AddOne:
    """Adds 1 to each byte of region 1, as many as the first command says.

    A job ends with `ends_with` in STATUS; `hangs`: never. Without `raises`, no interrupt comes. `prot` is
    what PROT holds after a reset to the secure and privileged level, `resets_slowly` how often STATUS is read
    until that is over.
    """

    memory: Memory
    identity: tuple[int, int] = U55_128
    ends_with: int = END
    hangs: bool = False
    raises: bool = True
    resets_slowly: int = 2
    prot: int = 1
    registers: dict[int, int] = field(default_factory=dict)
    log: list[tuple[int, int]] = field(default_factory=list)
    status: int = IN_RESET
    irq: bool = False
    error: str | None = None

    @property
    def is_u85(self) -> bool:
        return self.identity[1] >> 28 == 2

    def read(self, offset: int) -> int:
        if offset == STATUS:
            if self.status & IN_RESET and RESET in self.registers:
                self.registers[RESET] += 1
                if self.registers[RESET] > self.resets_slowly:
                    self.status &= ~IN_RESET
            return self.status
        own = {ID: self.identity[0], CONFIG: self.identity[1], PROT: self.prot}
        return own.get(offset, self.registers.get(offset, 0))

    def write(self, offset: int, value: int) -> None:
        if offset % 4 or offset >= (0x2000 if self.is_u85 else 0x1000):
            raise McuError(f"register {offset:#x} does not exist", exit_code=Exit.FIRMWARE)
        self.log.append((offset, value))
        if offset == RESET:
            self.registers, self.status, self.irq = {RESET: 0}, IN_RESET, False
        elif offset == CMD:
            if value & CLEAR_IRQ:
                self.irq, self.status = False, self.status & ~IRQ
            if value & RUN:
                self._run()
        else:
            self.registers[offset] = value

    def _address(self, offset: int) -> int:
        return self.registers[offset] | self.registers.get(offset + 4, 0) << 32

    def _run(self) -> None:
        self.status = RUNNING
        if self.hangs:
            return
        try:
            size = self.registers[QSIZE]
            stream = self.memory.read(self._address(QBASE), size)
            count, scratch = int.from_bytes(stream[:4], "little"), self._address(BASEP1)
            data = self.memory.read(scratch, count)
            self.memory.write(scratch, bytes((byte + 1) & 0xFF for byte in data))
            self.status, self.registers[QREAD] = self.ends_with, size
        except MemoryRefusedError as error:
            self.status, self.error = BUS, str(error)
        pmu = 0x1000 if self.is_u85 else 0
        if self.registers.get(pmu + PMCR, 0) & 1 and self.registers.get(pmu + PMCNTENSET) == 0x8000000F:
            self.registers |= {pmu + PMCCNTR: 1234, pmu + PMCCNTR + 4: 5}
            self.registers |= {pmu + PMEVCNTR + 4 * i: 10 + i for i in range(4)}
        if self.raises:
            self.irq, self.status = True, self.status | IRQ
