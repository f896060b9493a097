"""The registers that commands SET_* write; they keep their values from one operation to the next."""

from functools import cache

from mcu_build.npu.commands import Instruction, instruction_set


@cache
def _places(product: str) -> dict[tuple[str, str], tuple[int, int]]:
    commands = instruction_set(product).commands.values()
    return {(c.name, f.name): (f.bit, (1 << f.width) - 1) for c in commands for f in c.fields}


def signed(value: int, bits: int) -> int:
    """`value`'s low bits as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class State:
    """Values by command name without SET_; zero, as after a reset, where nothing was written."""

    def __init__(self, product: str) -> None:
        self.product = product
        self._values: dict[str, int] = {}
        self._places = _places(product)

    def set(self, instruction: Instruction) -> None:
        """Take the value of a command SET_*."""
        self._values[instruction.command.name] = instruction.value

    def field(self, name: str, field: str) -> int:
        """One field of a register."""
        bit, mask = self._places[f"SET_{name}", field]
        return self._values.get(f"SET_{name}", 0) >> bit & mask

    def number(self, name: str) -> int:
        """A register of 16 bits."""
        return self._values.get(f"SET_{name}", 0) & 0xFFFF

    def wide(self, name: str) -> int:
        """A register of 32 bits, without the parameter above it."""
        return self._values.get(f"SET_{name}", 0) & 0xFFFF_FFFF

    def address(self, name: str) -> int:
        """A register of 40 bits."""
        return self.field(name, "addr")

    def stride(self, name: str) -> int:
        """A register of 40 bits that may be negative."""
        return signed(self.field(name, "addr"), 40)
