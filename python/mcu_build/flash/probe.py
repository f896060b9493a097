"""What any way to a board offers: memory, registers, breakpoints and reset of a core."""

from collections.abc import Sequence
from typing import Protocol

from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import LoadImage, Segment

# Numbers of registers, as GDB counts them.
R0, R1, SP, LR, PC = 0, 1, 13, 14, 15


class StillRunningError(McuError):
    """The core has not stopped in time."""

    def __init__(self, message: str = "the core still runs") -> None:
        super().__init__(message, exit_code=Exit.TIMEOUT)


class LostError(McuError):
    """The board, or what leads to it, does not answer any more."""

    def __init__(self, doing: str, words: str) -> None:
        super().__init__(
            f"the connection to the board was lost while {doing}: {words}",
            "Check cable and power, start the GDB server again if there is one, and repeat the command.",
            Exit.FIRMWARE,
        )


class Probe(Protocol):
    """A board whose core is halted, until `resume` or `leave`. Any call can raise LostError."""

    reads_while_running: bool
    """Whether memory can be read and written without halting the core."""

    def load(self, segments: Sequence[Segment]) -> None:
        """Write segments: erase and program flash, store into RAM."""
        ...

    def read_memory(self, address: int, size: int) -> bytes:
        """`size` bytes."""
        ...

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to RAM."""
        ...

    def read_register(self, number: int) -> int:
        """One of r0 to pc."""
        ...

    def write_register(self, number: int, value: int) -> None:
        """Set one of r0 to pc."""
        ...

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address`."""
        ...

    def clear_breakpoint(self, address: int) -> None:
        """Take the breakpoint away."""
        ...

    def reset(self) -> None:
        """Reset the chip; its core stays halted before its first instruction."""
        ...

    def resume(self) -> None:
        """Let the core run."""
        ...

    def halt(self) -> None:
        """Stop a core that runs."""
        ...

    def wait_halt(self, timeout: float) -> None:
        """Wait until the core has stopped by itself. StillRunningError after `timeout` seconds."""
        ...

    def leave(self) -> None:
        """Let the core run, without us."""
        ...


def program(probe: Probe, image: LoadImage) -> None:
    """Write an image and read it back. McuError (status 4) says where the board holds something else."""
    probe.load(image.segments)
    verify(probe, image)


def verify(probe: Probe, image: LoadImage) -> None:
    """Compare what the board holds with the image, byte by byte."""
    differing, first = 0, ""
    for segment in image.segments:
        actual = probe.read_memory(segment.address, len(segment.data))
        wrong = [
            index for index, pair in enumerate(zip(actual, segment.data, strict=True)) if pair[0] != pair[1]
        ]
        differing += len(wrong)
        if wrong and not first:
            index = wrong[0]
            first = (
                f"at {segment.address + index:#010x} it holds {actual[index]:#04x} "
                f"instead of {segment.data[index]:#04x}"
            )
    if differing:
        raise McuError(
            f"{image.name}: verification failed: {differing:,} of {image.size:,} bytes differ, {first}",
            "Flash once more. If it fails again: the flash may be locked, or the board is not the one named.",
            Exit.FIRMWARE,
        )
