"""Run a test image over input vectors, in a folder of its own."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mcu_build import process
from mcu_build.board import Board, NpuChoice
from mcu_build.errors import McuError
from mcu_build.simulate import fvp, host, qemu
from mcu_build.simulate.outcome import Outcome, judge, timed_out

Sim = Literal["qemu", "fvp"]


def simulator(board: Board, wanted: Sim | None) -> Sim:
    """What runs images for `board`: as wanted, else QEMU where it knows the board, else the FVP."""
    return wanted or ("fvp" if board.run.fvp is not None and board.run.qemu is None else "qemu")


def run(
    board: Board,
    image: Path,
    inputs: bytes,
    timeout: float,
    options: Sequence[str | Path] = (),
    sim: Sim | None = None,
    npu: NpuChoice | None = None,
) -> Outcome:
    """Run `image` on `board` over the vectors in `inputs`, at most `timeout` seconds.

    `options` are further options of QEMU. `npu` is the one that an FVP is to have; QEMU has none.

    McuError: status 1 no image, 3 no simulator, 4 the firmware failed (which proof of success is missing),
    5 it did not end in time.
    """
    image = image.resolve()
    if not image.is_file():
        raise McuError(f"{image.name}: there is no such image", "Build it first: `mcu-build build`.")
    with tempfile.TemporaryDirectory(prefix="mcu-run-") as name:
        folder = Path(name)
        (folder / "inputs.bin").write_bytes(inputs)
        if simulator(board, sim) == "fvp":
            words = fvp.command(board, image, npu, folder, timeout)
        else:
            words = host.command(image) if board.is_host else [*qemu.command(board, image), *options]
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
