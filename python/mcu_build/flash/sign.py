"""Images for MCUboot: a header, the image, and a signature, made by MCUboot's own imgtool."""

import re
import sys
from dataclasses import replace
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import LoadImage, Segment

_VERSION = re.compile(r"\d+\.\d+\.\d+(\+\d+)?")


def check_order(key: Path, version: str) -> None:
    """McuError: status 1 there is no such key, 2 the version is none. Told before a build."""
    if not _VERSION.fullmatch(version):
        raise McuError(f"--version {version}: not a version", "Write 1.2.3, or 1.2.3+4.", Exit.USAGE)
    if not key.is_file():
        raise McuError(f"--sign {key}: no such file", "imgtool keygen -t ecdsa-p256 -k key.pem makes one.")


def sign(binary: Path, board: Board, key: Path, version: str) -> Path:
    """Sign the raw image `binary`, linked behind the header of the board's slot. Returns the new file.

    McuError: status 1 the key is none or the image does not fit, 2 the version is none.
    """
    boot = board.mcuboot
    assert boot is not None, "the board was put into its slot"
    check_order(key, version)
    signed = binary.with_suffix(".signed.bin")
    partial = signed.with_name(f".{signed.name}.new.bin")
    options = {"key": key, "version": version, "header-size": boot.header, "slot-size": boot.size}
    words = [f"--{name}={value}" for name, value in {**options, "align": boot.align}.items()]
    finished = process.run(
        [sys.executable, "-m", "imgtool.main", "sign", *words, "--pad-header", binary, partial]
    )
    if finished.status != 0:
        partial.unlink(missing_ok=True)
        told = (finished.stderr or finished.stdout).strip().splitlines()
        raise McuError(
            f"--sign {key}: imgtool: {told[-1].removeprefix('Error: ') if told else 'failed'}",
            "Is it a private key without a password, and does the image leave room for MCUboot's trailer?",
        )
    partial.replace(signed)
    return signed


def signed_image(image: LoadImage, board: Board, signed: Path) -> LoadImage:
    """What to write to the board's slot in place of `image`."""
    assert board.mcuboot is not None, "the board was put into its slot"
    segment = Segment(board.mcuboot.slot, signed.read_bytes())
    return replace(image, name=signed.name, segments=(segment,))
