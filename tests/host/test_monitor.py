"""Semihosting under a debugger that does not answer it: the monitor does."""

from dataclasses import dataclass, field

import pytest

from mcu_build.board import find_board
from mcu_build.errors import McuError
from mcu_build.flash.monitor import _Listener
from mcu_build.flash.probe import PC, R0, R1


@dataclass
class HaltedProbe:
    """A core that has stopped at an instruction with operation and argument in its registers."""

    instruction: bytes
    operation: int
    memory: dict[int, bytes] = field(default_factory=dict)
    registers: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registers = {PC: 0x100, R0: self.operation, R1: 0x200}

    def resume(self) -> None: ...

    def wait_halt(self, timeout: float) -> None: ...

    def read_register(self, number: int) -> int:
        return self.registers[number]

    def write_register(self, number: int, value: int) -> None:
        self.registers[number] = value

    def read_memory(self, address: int, size: int) -> bytes:
        if address == 0x100:
            return self.instruction[:size]
        return b"text\0 and more".ljust(size, b"\xff")[:size] if address == 0x200 else bytes(size)


BKPT = b"\xab\xbe"


@pytest.mark.parametrize(("operation", "shown"), [(0x04, b"text"), (0x03, b"t"), (0x11, b"")])
def test_a_call_is_shown_and_the_core_goes_on_behind_it(operation: int, shown: bytes) -> None:
    probe = HaltedProbe(BKPT, operation)
    assert _Listener(probe, find_board("microbit")).read() == shown
    assert probe.registers[PC] == 0x102
    assert probe.registers[R0] == (0xFFFF_FFFF if operation == 0x11 else operation)


def test_another_stop_is_no_call() -> None:
    with pytest.raises(McuError, match="the core has stopped at pc 0x00000100"):
        _Listener(HaltedProbe(b"\x00\xbe", 4), find_board("microbit")).read()
