"""Run a test image over input vectors, in a folder of its own."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import McuError
from mcu_build.simulate import host, qemu
from mcu_build.simulate.outcome import Outcome, judge, timed_out


def run(
    board: Board, image: Path, inputs: bytes, timeout: float, options: Sequence[str | Path] = ()
) -> Outcome:
    """Run `image` on `board` over the vectors in `inputs`, at most `timeout` seconds.

    `options` are further options of QEMU.

    McuError: status 1 no image, 3 no simulator, 4 the firmware failed (which proof of success is missing),
    5 it did not end in time.
    """
    image = image.resolve()
    if not image.is_file():
        raise McuError(f"{image.name}: there is no such image", "Build it first: `mcu-build build`.")
    words = host.command(image) if board.is_host else [*qemu.command(board, image), *options]
    with tempfile.TemporaryDirectory(prefix="mcu-run-") as name:
        folder = Path(name)
        (folder / "inputs.bin").write_bytes(inputs)
        started = time.monotonic()
        finished = process.run(words, cwd=folder, timeout=timeout)
        seconds = time.monotonic() - started
        uart = folder / qemu.UART_FILE
        console = (
            finished.stdout + finished.stderr + (uart.read_text(errors="replace") if uart.is_file() else "")
        )
        if finished.timed_out:
            raise timed_out(image, timeout, console)
        return judge(image, folder, finished.status, console, seconds)
