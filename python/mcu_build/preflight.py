"""What can be known to fail before anything is computed: tools, simulators, files. No torch is imported."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from mcu_build import process
from mcu_build.board import Board, board_files, find_board, load_board
from mcu_build.codegen.target import GCC_HINT, Toolchain, default_toolchain, kernel_folders, target
from mcu_build.errors import Exit, McuError
from mcu_build.files import NO_ROOM
from mcu_build.frontend.names import check_model
from mcu_build.hardware import NpuChoice
from mcu_build.simulate import qemu
from mcu_build.simulate.run import Sim, check_simulator, simulator
from mcu_build.vectors import npz

Purpose = Literal["build", "run", "profile"]


def check(
    purpose: Purpose,
    board: Board,
    toolchain: Toolchain | None = None,
    npu: NpuChoice | None = None,
    sim: Sim | None = None,
    files: Sequence[Path | None] = (),
) -> None:
    """McuError where a build, a run in a simulator or a profile cannot come to its end.

    Status 3 where a tool is missing; 1 where nothing simulates the board, or `files`, archives of inputs
    (None for what was not given), cannot be read. Every hint names a step that works.
    """
    for file in files:
        if file is not None:
            npz.load(file)
    with _doctor():
        if purpose != "build":
            check_runs(purpose, board, npu, sim)
        target(board, toolchain or default_toolchain(board))


def check_command(
    purpose: Purpose,
    *,
    model: Path,
    board: str,
    toolchain: Toolchain | None = None,
    npu: str | None = None,
    sim: Sim | None = None,
    files: Sequence[Path | None] = (),
    build_dir: Path = Path("build"),
    written: Sequence[Path | None] = (),
    **others: Any,
) -> None:
    """McuError at once where a command with these options cannot come to its end.

    `purpose` is what follows the build: nothing ("build"), a simulator ("run") or a profile. `written` are
    files that it writes beside `build_dir`.
    """
    del others
    chosen = find_board(board, model.resolve().parent)
    check_model(model)
    for file in (build_dir, *written):
        if file is not None:
            check_writable(file)
    check(purpose, chosen, toolchain, chosen.choose_npu(npu), sim, files)


def check_runs(purpose: Purpose, board: Board, npu: NpuChoice | None = None, sim: Sim | None = None) -> None:
    """McuError where no simulator here runs images for `board`, or counts what they do."""
    if purpose == "profile":
        if board.is_host or board.run.qemu is None:
            raise _not_counted(board)
        process.find_tool("arm-none-eabi-objdump", GCC_HINT)
    if board.is_host:
        return
    if simulator(board, sim) == "fvp":
        check_simulator(board, sim, npu)
        return
    if board.run.qemu is None:
        raise no_machine(board)
    process.find_tool("qemu-system-arm", qemu.HINT)


def check_writable(file: Path) -> None:
    """McuError where a file or folder could not be made, because of the folder that it would be in."""
    nearest = next(path for path in (file, *file.absolute().parents) if path.exists())
    if not os.access(nearest, os.W_OK) or not (nearest.is_dir() or nearest == file):
        raise McuError(f"{file}: cannot be written: {nearest} does not allow it", NO_ROOM)


def no_machine(board: Board) -> McuError:
    """The refusal of a board that QEMU does not know, with what does as well."""
    return McuError(
        f"{board.id}: run.qemu: QEMU has no machine for this board",
        f"Add --on-device to run it on the board itself.{_instead(board)}",
    )


def _not_counted(board: Board) -> McuError:
    if board.is_host:
        words = "this computer's own instructions are not counted"
        hint = " Profile on the board that you build for, such as --board mps2-an386 or --board corstone-300."
    else:
        words = "QEMU has no machine for this board, and instructions are counted there"
        hint = f" Add --on-device for cycles by the board's own counter.{_instead(board)}"
    return McuError(f"{board.id}: run.qemu: {words}", hint.strip())


def _instead(board: Board) -> str:
    """' In the simulator, --board mps2-an386 ...' where a board with the same core is simulated."""
    other = stand_in(board)
    return f" In the simulator, --board {other.id} stands in: {_likeness(board, other)}." if other else ""


def _likeness(board: Board, other: Board) -> str:
    if board.core == other.core:
        return f"a {board.core}, too, with the same kernels"
    return f"its {other.core} runs the same kernels"


def stand_in(board: Board) -> Board | None:
    """A board that QEMU runs with the same core, else with the same kernels; None where there is none."""
    boards = [load_board(file) for file in board_files().values()]
    alike = [other for other in boards if other.run.qemu and kernel_folders(other) == kernel_folders(board)]
    # Arm's own boards have room for every model.
    ordered = sorted(
        alike, key=lambda other: (other.core != board.core, not other.id.startswith("mps"), other.id)
    )
    return next(iter(ordered), None)


@contextmanager
def _doctor() -> Iterator[None]:
    """Name the verb that finds all that is missing, where one tool is."""
    try:
        yield
    except McuError as error:
        if error.exit_code is not Exit.TOOL_MISSING:
            raise
        hint = f"{error.hint.rstrip('.')}. `mcu-build doctor` lists all that is missing."
        raise McuError(error.message, hint, error.exit_code) from error
