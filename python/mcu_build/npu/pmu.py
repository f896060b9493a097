"""The performance monitor.

The model has no clock. Its cycle counter gives a lower bound: the multiplications over those of a cycle, or
the bytes over the bus's width, whichever is more. The counts of MAC cycles and of beats on the bus are such
bounds too; events that are about stalls and latencies stay at 0.
"""

from mcu_build.npu.config import Config
from mcu_build.npu.executor import Counters

PMCR, CNTENSET, CNTENCLR, OVSSET, OVSCLR = 0x00, 0x04, 0x08, 0x0C, 0x10
INTSET, INTCLR, CCNTR, CCNTR_HIGH, CCNTR_CFG = 0x14, 0x18, 0x20, 0x24, 0x28
EVENT_COUNTERS, EVENT_TYPES = 0x180, 0x200

_ENABLE, _RESET_EVENTS, _RESET_CYCLES = 1, 2, 4
_CYCLE_BIT = 1 << 31

CYCLE, NPU_ACTIVE, MAC_ACTIVE = 0x11, 0x23, 0x30
_READ_BEATS, _WRITE_BEATS = (0x82,), (0x87,)


class Pmu:
    """Registers from 0x180 (U55, U65: four counters) or 0x1180 (U85: eight)."""

    def __init__(self, config: Config) -> None:
        u85 = config.product == "u85"
        self._config = config
        self._base = 0x1180 if u85 else 0x180
        self._counters = [0] * (8 if u85 else 4)
        self._types = [0] * len(self._counters)
        self._cycles = 0
        self._control = 0
        self._enabled = self._overflowed = self._interrupts = 0
        self._cycle_events = 0

    @property
    def irq(self) -> bool:
        """Whether a counter that may interrupt has overflowed."""
        return bool(self._overflowed & self._interrupts)

    def covers(self, offset: int) -> bool:
        """Whether the register at `offset` is one of these."""
        return self._base <= offset < self._base + EVENT_TYPES + 4 * len(self._counters)

    def read(self, offset: int) -> int:
        """The register at byte `offset` of the NPU."""
        place = offset - self._base
        if place >= EVENT_TYPES:
            return self._types[(place - EVENT_TYPES) // 4]
        index = (place - EVENT_COUNTERS) // 4
        if 0 <= index < len(self._counters):
            return self._counters[index]
        return {
            PMCR: self._control | len(self._counters) << 11,
            CNTENSET: self._enabled,
            CNTENCLR: self._enabled,
            OVSSET: self._overflowed,
            OVSCLR: self._overflowed,
            INTSET: self._interrupts,
            INTCLR: self._interrupts,
            CCNTR: self._cycles & 0xFFFF_FFFF,
            CCNTR_HIGH: self._cycles >> 32,
            CCNTR_CFG: self._cycle_events,
        }.get(place, 0)

    def write(self, offset: int, value: int) -> None:
        """Store at byte `offset` of the NPU."""
        place = offset - self._base
        index = (place - EVENT_COUNTERS) // 4
        if place >= EVENT_TYPES:
            self._types[(place - EVENT_TYPES) // 4] = value & 0x3FF
        elif 0 <= index < len(self._counters):
            self._counters[index] = value
        elif place == PMCR:
            self._set_control(value)
        elif place in (CNTENSET, CNTENCLR):
            self._enabled = _change(self._enabled, value, place == CNTENSET)
        elif place in (OVSSET, OVSCLR):
            self._overflowed = _change(self._overflowed, value, place == OVSSET)
        elif place in (INTSET, INTCLR):
            self._interrupts = _change(self._interrupts, value, place == INTSET)
        elif place == CCNTR:
            self._cycles = self._cycles & ~0xFFFF_FFFF | value
        elif place == CCNTR_HIGH:
            self._cycles = self._cycles & 0xFFFF_FFFF | (value & 0xFFFF) << 32
        elif place == CCNTR_CFG:
            self._cycle_events = value

    def _set_control(self, value: int) -> None:
        self._control = value & 0x9
        if value & _RESET_EVENTS:
            self._counters = [0] * len(self._counters)
        if value & _RESET_CYCLES:
            self._cycles = 0

    def count(self, done: Counters) -> None:
        """Add what a run has done to the counters that are enabled."""
        if not self._control & _ENABLE:
            return
        width = 8 if self._config.product == "u55" else 16
        mac_cycles = -(-done.macs // self._config.macs)
        beats = dict.fromkeys(_READ_BEATS, -(-done.read_bytes // width))
        beats |= dict.fromkeys(_WRITE_BEATS, -(-done.written_bytes // width))
        cycles = max(mac_cycles, *beats.values())
        values = {CYCLE: cycles, NPU_ACTIVE: cycles, MAC_ACTIVE: mac_cycles, **beats}
        if self._enabled & _CYCLE_BIT:
            self._cycles = self._cycles + cycles & (1 << 48) - 1
        for index, event in enumerate(self._types):
            if self._enabled >> index & 1:
                total = self._counters[index] + values.get(event, 0)
                self._counters[index] = total & 0xFFFF_FFFF
                self._overflowed |= (total >> 32 > 0) << index


def _change(mask: int, bits: int, on: bool) -> int:
    return mask | bits if on else mask & ~bits
