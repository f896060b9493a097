"""Arm's Fixed Virtual Platforms, models of Corstone boards with their NPU: the command for a board.

Parameters as public scripts of Arm's give them; no FVP was at hand when this was written. The firmware's exit
status is the FVP's: semihosting's SYS_EXIT_EXTENDED ends the simulation with it.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.hardware import NpuChoice

VARIABLE = "MCU_BUILD_FVP"
# Our own limit comes first and tells what happened; the FVP's ends it where we can no longer.
_GRACE_SECONDS = 10


@dataclass(frozen=True)
class _Platform:
    """What parameters are called: prefixes, and those that this platform has more than the others."""

    board: str
    subsystem: str
    control: str
    more: tuple[str, ...] = ()


_PLATFORMS: Mapping[str, _Platform] = {
    "mps3": _Platform("mps3_board.", "", "mps3_board.sse300.iotss3_systemcontrol."),
    "mps4": _Platform(
        "mps4_board.",
        "mps4_board.subsystem.",
        "mps4_board.subsystem.iotss3_systemcontrol.",
        ("vis_hdlcd.disable_visualisation=1", "mps4_board.uart0.unbuffered_output=1"),
    ),
}


def is_installed(board: Board, npu: NpuChoice | None) -> bool:
    """Whether the FVP of `board` with `npu` is here."""
    try:
        return board.run.fvp is not None and bool(
            _find(board, board.run.fvp.binary(npu.kind if npu else None))
        )
    except McuError:
        return False


def command(
    board: Board, image: Path, npu: NpuChoice | None, folder: Path, timeout: float
) -> list[str | Path]:
    """The command that runs `image` on `board` with `npu`; semihosting's files are in `folder`.

    The model ends by itself some time after `timeout` seconds. McuError where the board has no FVP, or where
    it is missing (status 3).
    """
    executable = find(board, npu)
    options = [word for text in _parameters(board, image, npu, folder) for word in ("-C", text)]
    return [executable, *options, "-a", image, "--timelimit", str(math.ceil(timeout) + _GRACE_SECONDS)]


def _parameters(board: Board, image: Path, npu: NpuChoice | None, folder: Path) -> list[str]:
    assert board.run.fvp is not None and board.placement is not None
    platform = _PLATFORMS[board.run.fvp.platform]
    core = f"{platform.subsystem}cpu0."
    # A core starts with the vectors at this address, whatever the image says.
    vectors = f"{board.address(board.placement.vectors):#010x}"
    parameters = [
        f"{platform.board}visualisation.disable-visualisation=1",
        f"{platform.board}telnetterminal0.start_telnet=0",
        f"{platform.board}uart0.out_file=-",
        f"{platform.board}uart0.shutdown_on_eot=1",
        *platform.more,
        f"{core}INITSVTOR={vectors}",
        f"{platform.control}INITSVTOR_RST={vectors}",
        f"{core}semihosting-enable=1",
        f"{core}semihosting-stack_base=0",
        f"{core}semihosting-heap_limit=0",
        f"{core}semihosting-cwd={folder}",
        f"{core}semihosting-cmd_line={image.name}",
    ]
    if npu is not None:
        macs = npu.name.rpartition("-")[2]
        # Fast: its cycles, which nobody reads here, are not those of the hardware.
        parameters += [
            f"{platform.subsystem}ethosu.num_macs={macs}",
            f"{platform.subsystem}ethosu.extra_args=--fast",
        ]
    return parameters


def find(board: Board, npu: NpuChoice | None) -> Path:
    """The FVP that models `board` with `npu`. McuError as from `command`."""
    if board.run.fvp is None:
        raise McuError(
            f"{board.id}: run.fvp: there is no FVP for this board",
            "Leave out --sim, or use a board of `mcu-build boards` that an FVP models.",
        )
    return _find(board, board.run.fvp.binary(npu.kind if npu else None))


def _find(board: Board, name: str) -> Path:
    """The program `name`, which the environment or PATH has. Another FVP would misread the parameters."""
    hint = (
        f"Install Arm's Ecosystem FVP that has {name} (developer.arm.com, under Arm's licence), "
        f"and put it on PATH or export {VARIABLE}=<folder>/{name}. Without it, `mcu-build build` checks "
        "memories and sizes, and `mcu-build verify` runs the NPU's command streams in a model, with no core"
    )
    named = os.environ.get(VARIABLE)
    if not named:
        return process.find_tool(name, hint)
    file = Path(named).absolute()
    if file.name.removesuffix(".exe") != name:
        words = f"{VARIABLE}: {file.name} is not {name}, which {board.id} needs"
        raise McuError(words, hint, Exit.TOOL_MISSING)
    if not (file.is_file() and os.access(file, os.X_OK)):
        raise McuError(f"{VARIABLE}: {named}: there is no such program", hint, Exit.TOOL_MISSING)
    return file
