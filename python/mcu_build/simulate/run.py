"""Run a test image over input vectors, in a folder of its own."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import McuError
from mcu_build.hardware import NpuChoice
from mcu_build.npu.memory import Memory
from mcu_build.simulate import cosim, fvp, host, native_npu, qemu
from mcu_build.simulate.observed import NpuModel
from mcu_build.simulate.outcome import Outcome, judge, timed_out

Sim = Literal["qemu", "fvp"]


def simulator(board: Board, wanted: Sim | None) -> Sim:
    """What runs images for `board`: as wanted, else QEMU where it knows the board, else the FVP."""
    return wanted or ("fvp" if board.run.fvp is not None and board.run.qemu is None else "qemu")


def show(board: Board, image: Path, timeout: float, npu: NpuChoice | None) -> int:
    """Run any `image` in QEMU, its UART on our standard output; its exit status. McuError as from run."""
    if npu is not None:
        if board.is_host:
            return native_npu.show(image, timeout, npu.kind, npu_model(npu))
        return cosim.show(board, image, timeout, npu.kind, npu_model(npu))
    words = host.command(image.resolve()) if board.is_host else qemu.command(board, image, serial="stdio")
    with process.started(words, shown=True) as simulator:
        finished = simulator.finish(timeout)
    if finished.timed_out:
        raise timed_out(image, timeout, None)
    return finished.status


def check_simulator(board: Board, sim: Sim | None, npu: NpuChoice | None) -> None:
    """McuError (status 3) where the simulator is missing, before anything is computed for it."""
    if simulator(board, sim) == "fvp":
        fvp.find(board, npu)


def npu_model(npu: NpuChoice) -> Callable[[Memory], NpuModel]:
    """What makes the model of an NPU from its view of memory."""
    from mcu_build.npu.config import find
    from mcu_build.npu.registers import Npu

    config = find(npu.name)
    return lambda memory: Npu(config, memory)


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

    `options` are further options of QEMU. Where there is an `npu`, an FVP has it, and a model of it stands
    beside QEMU and beside a native program.

    McuError: status 1 no image, 3 no simulator, 4 the firmware failed (which proof of success is missing),
    5 it did not end in time.
    """
    if npu is not None and board.is_host:
        return native_npu.run(image, inputs, timeout, npu.kind, npu_model(npu))
    if npu is not None and simulator(board, sim) == "qemu":
        return cosim.run(board, image, inputs, timeout, npu.kind, npu_model(npu), options)
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
