"""An NPU's model as a simulation uses it: its accesses checked, its time taken, its first error kept."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mcu_build.errors import Exit, McuError
from mcu_build.simulate.outcome import Outcome, failure, judge

STATUS = 0x04
# ID, STATUS, QREAD, PROT, CONFIG
_READ_ONLY = frozenset((0x00, STATUS, 0x18, 0x24, 0x28))


class Device(Protocol):
    """Registers of 32 bits by their offset."""

    def read(self, offset: int) -> int:
        """The value of a register."""
        ...

    def write(self, offset: int, value: int) -> None:
        """Write a register; what follows from it has happened when this returns."""
        ...


class NpuModel(Device, Protocol):
    """An NPU: `irq` is the level of its interrupt line, `error` tells what went wrong in its last job."""

    @property
    def irq(self) -> bool:
        """Whether the interrupt is raised."""
        ...

    @property
    def error(self) -> object:
        """What went wrong, which str() puts in words, or None."""
        ...


class CosimError(McuError):
    """The firmware used the NPU in a way that the hardware would not take."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=Exit.FIRMWARE)


class Observed:
    """A model, with the time spent in it and the first error that it met.

    `settle` is called behind each write, to bring memory up to date. Registers that no model has are refused:
    firmware that uses them is wrong, or needs more than is modelled.
    """

    def __init__(self, model: NpuModel, kind: str, settle: Callable[[], None] = lambda: None) -> None:
        self._model, self._settle = model, settle
        self._known = _known_registers(kind)
        self.seconds = 0.0
        self.error: str | None = None

    @property
    def irq(self) -> bool:
        """The interrupt line."""
        return self._model.irq

    def read(self, offset: int) -> int:
        """The value of a register."""
        self._check(offset)
        return self._model.read(offset)

    def write(self, offset: int, value: int) -> None:
        """Write a register: a job runs to its end in here."""
        self._check(offset)
        if offset in _READ_ONLY:
            raise CosimError(f"the NPU's register {offset:#x} cannot be written")
        started = time.monotonic()
        try:
            self._model.write(offset, value)
            self._settle()
        finally:
            self.seconds += time.monotonic() - started
            if self.error is None and self._model.error is not None:
                self.error = str(self._model.error)

    def judge(self, image: Path, folder: Path, status: int, console: str, seconds: float) -> Outcome:
        """The outcome of a run as `outcome.judge` tells it. McuError also where the model met an error."""
        try:
            run = judge(image, folder, status, console, seconds)
        except McuError as error:
            if self.error is None:
                raise
            raise McuError(f"{error.message}\nthe NPU: {self.error}", error.hint, error.exit_code) from None
        if self.error is not None:
            raise failure(image, f"it reports success, but the NPU met an error: {self.error}", console)
        return run

    def _check(self, offset: int) -> None:
        if offset not in self._known:
            raise CosimError(f"the NPU has no register {offset:#x}, or none that is modelled")


def _known_registers(kind: str) -> frozenset[int]:
    """Offsets of the registers that firmware may use. Arm 102420, 102023, 102685: "Register descriptions"."""
    is_u85 = kind == "ethos-u85"
    pmu, counters = (0x1000, 8) if is_u85 else (0, 4)
    own = [(0x38, 0x3C), (0x50, 0x58)] if is_u85 else []
    ranges = [
        (0x00, 0x2C),
        (0x3C, 0x50),
        *own,
        (0x80, 0xC0),
        (pmu + 0x180, pmu + 0x198),
        (pmu + 0x1A0, pmu + 0x1AC),
        (pmu + 0x300, pmu + 0x300 + 4 * counters),
        (pmu + 0x380, pmu + 0x380 + 4 * counters),
        (0xFD0, 0x1000),
    ]
    return frozenset(offset for start, end in ranges for offset in range(start, end, 4))
