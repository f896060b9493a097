"""UF2: a file that a board takes from its drive. Format: Microsoft, "USB Flashing Format (UF2)".

Blocks of 512 bytes, each with 256 bytes of an aligned page: the boot ROM of an RP2040 takes no others.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import LoadImage, Segment
from mcu_build.hardware import Uf2Flash

_MAGIC = (0x0A32_4655, 0x9E5D_5157)
_END = 0x0AB1_6F30
_HAS_FAMILY = 0x2000
_PAGE = 256
_DATA = 476
# Where systems mount drives, by their names.
_MOUNTS = ("/media/*", "/run/media/*", "/media", "/Volumes", "/mnt")


def encode(segments: Sequence[Segment], family: int) -> bytes:
    """The UF2 file of segments. What a page holds besides them is zero."""
    pages: dict[int, bytearray] = {}
    for segment in segments:
        for offset, byte in enumerate(segment.data, segment.address):
            pages.setdefault(offset // _PAGE, bytearray(_PAGE))[offset % _PAGE] = byte
    return b"".join(
        struct.pack("<8I", *_MAGIC, _HAS_FAMILY, page * _PAGE, _PAGE, number, len(pages), family)
        + bytes(content).ljust(_DATA, b"\0")
        + struct.pack("<I", _END)
        for number, (page, content) in enumerate(sorted(pages.items()))
    )


def copy(image: LoadImage, board: Board, drive: str) -> Path:
    """Copy an image as a UF2 file to `drive`, or to the one of the board's name. Returns the drive.

    The board checks each block and restarts after the last; it offers no way to read back. McuError: status 1
    the board has no such drive, 3 it is not there, 4 it went away before the last byte.
    """
    ways, folder = find_drive(board, drive)
    file = Path(image.name).with_suffix(".uf2")
    data = encode(image.segments, ways.family)
    try:
        with (folder / file.name).open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise McuError(
            f"{folder}: writing {file.name} failed: {error.strerror}",
            "Hold BOOTSEL while plugging the board in, and repeat the command.",
            Exit.FIRMWARE,
        ) from error
    return folder


def drives(volume: str = "*") -> list[Path]:
    """Mounted drives of that name that take UF2 files."""
    paths = (path for mount in _MOUNTS for path in Path("/").glob(f"{mount[1:]}/{volume}"))
    return [path for path in paths if _takes_uf2(path)]


def _takes_uf2(folder: Path) -> bool:
    return (folder / "INFO_UF2.TXT").is_file()


def find_drive(board: Board, drive: str) -> tuple[Uf2Flash, Path]:
    """What the board's drive needs, and where it is.

    McuError: status 1 the board has none, 2 there are several, 3 it is not there.
    """
    ways = board.flash.uf2
    if ways is None:
        raise McuError(
            f"{board.id}: flash.uf2: the board shows no drive",
            "Leave out --via, or use another: pyocd, openocd, gdb ADDRESS.",
        )
    paths = [path for path in [Path(drive)] if _takes_uf2(path)] if drive else drives(ways.volume)
    if len(paths) == 1:
        return ways, paths[0]
    if paths:
        raise McuError(
            f"--via uf2: there are {len(paths)} drives: {', '.join(map(str, paths))}",
            "Name one: --via uf2 /path/of/drive.",
            Exit.USAGE,
        )
    raise McuError(
        f"--via uf2: {drive or ways.volume}: no drive with an INFO_UF2.TXT",
        "Hold BOOTSEL while plugging the board in; the drive must be mounted. Or name it: --via uf2 /path.",
        Exit.TOOL_MISSING,
    )
