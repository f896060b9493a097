"""QEMU's system emulation: the command for a board."""

from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import McuError

HINT = "apt-get install qemu-system-arm"
UART_FILE = "uart.txt"


def command(board: Board, image: Path, serial: str = f"file:{UART_FILE}") -> list[str | Path]:
    """The command that runs `image` on `board`; semihosting files are in its working directory.

    `serial` is where the UART leads, as QEMU calls it.

    `-kernel` loads the segments of an ELF at their physical addresses, in any memory of the machine. McuError
    where the board has no machine, or where QEMU is missing (status 3).
    """
    if board.run.qemu is None:
        raise McuError(
            f"{board.id}: run.qemu: QEMU has no machine for this board",
            "Add --on-device, or take a board of `mcu-build boards` that QEMU knows.",
        )
    executable = process.find_tool("qemu-system-arm", HINT)
    cpu = ["-cpu", board.run.qemu.cpu] if board.run.qemu.cpu else []
    return [
        executable,
        "-machine",
        board.run.qemu.machine,
        *cpu,
        "-kernel",
        image,
        "-nographic",
        "-monitor",
        "none",
        "-serial",
        serial,
        "-semihosting-config",
        "enable=on,target=native",
    ]
