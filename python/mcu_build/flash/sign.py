"""Images for MCUboot: a header, the image, and a signature, made by MCUboot's own imgtool."""

import re
import shutil
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from mcu_build import process
from mcu_build.board import Board
from mcu_build.codegen.slot import FIRST_PROGRAM, model_region
from mcu_build.errors import Exit, McuError
from mcu_build.flash.image import LoadImage, Segment, read_image

# Major, minor, revision, build.
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:\+(\d+))?")
_MOST = (255, 255, 65535, (1 << 32) - 1)
# MCUboot's number of the image that a model depends on.
_APPLICATION = 0
_COUNTERS = 1 << 32
_PUBLIC_KEY = b"-----BEGIN PUBLIC KEY-----"
_PRIVATE_KEY = b"PRIVATE KEY-----"


@dataclass(frozen=True)
class Order:
    """How an image is signed.

    `security_counter` is a number, or "auto": made of the version. `encrypt` is the public key of the
    bootloader. `pad` makes an update that MCUboot tries once, `confirm` one that it keeps. `needs` is the
    version of the application that a model's image needs at least.
    """

    key: Path
    version: str
    security_counter: str | None = None
    encrypt: Path | None = None
    pad: bool = False
    confirm: bool = False
    needs: str | None = None

    @property
    def is_update(self) -> bool:
        """Whether an image for the second slot is wanted, besides that for the first."""
        return self.pad or self.confirm or self.encrypt is not None

    def check(self) -> None:
        """McuError: status 1 there is no such key, 2 an option has a wrong value. Told before a build."""
        for flag, text in (("--version", self.version), ("--needs", self.needs)):
            if text is not None and not _is_version(text):
                raise McuError(f"{flag} {text}: not a version", _VERSION_HINT, Exit.USAGE)
        counter = self.security_counter
        if counter not in (None, "auto") and not (counter.isdecimal() and int(counter) < _COUNTERS):
            raise McuError(
                f"--security-counter {counter}: not a number below {_COUNTERS:,}, nor `auto`",
                "`auto` makes it of the version.",
                Exit.USAGE,
            )
        if not self.key.is_file():
            raise McuError(
                f"--sign {self.key}: no such file", "imgtool keygen -t ecdsa-p256 -k key.pem makes one."
            )
        if _PRIVATE_KEY not in self.key.read_bytes():
            raise McuError(
                f"--sign {self.key}: not a private key (PEM)",
                "imgtool keygen -t ecdsa-p256 -k key.pem makes one; MCUboot has its public half.",
            )
        if self.encrypt is not None and not self.encrypt.is_file():
            raise McuError(f"--encrypt {self.encrypt}: no such file", _ENCRYPT_HINT)
        if self.encrypt is not None and _PUBLIC_KEY not in self.encrypt.read_bytes():
            raise McuError(f"--encrypt {self.encrypt}: not a public key (PEM)", _ENCRYPT_HINT)


def _is_version(text: str) -> bool:
    parts = _VERSION.fullmatch(text)
    return parts is not None and all(
        int(part or 0) <= most for part, most in zip(parts.groups(), _MOST, strict=True)
    )


_VERSION_HINT = "Write 1.2.3, or 1.2.3+4; MCUboot counts to 255.255.65535."
_ENCRYPT_HINT = (
    "imgtool keygen -t ecdsa-p256 -k enc.pem makes the bootloader's key, "
    "imgtool getpub -k enc.pem -e pem -o enc-public.pem what goes here."
)


def order(
    key: Path | None,
    version: str,
    security_counter: str | None,
    encrypt: Path | None,
    pad: bool = False,
    confirm: bool = False,
    needs: str | None = None,
) -> Order | None:
    """What the command's options ask for, checked; None: there is no key. McuError as of `check`."""
    if key is None:
        return None
    checked = Order(key, version, security_counter, encrypt, pad, confirm, needs)
    checked.check()
    return checked


def signed_files(binary: Path, board: Board, order: Order) -> dict[str, Path]:
    """`signed` for the first slot and, where it is ordered, `update` for the second. McuError as `sign`."""
    files = {"signed": sign(binary, board, order)}
    return files | ({"update": update(binary, board, order)} if order.is_update else {})


def sign_elf(elf: Path, board: Board, order: Order, program: Path | None = None) -> dict[str, Path]:
    """`signed_files` of an image that is linked behind the header of the slot of `board`, beside it.

    And `program` of what its model's slot holds, MCUboot's second image.
    McuError: status 1 it is linked for another place, or as `sign`; 2 the board describes no slot.
    """
    image, boot, behind = read_image(elf), board.mcuboot, board.in_slot()
    assert boot is not None, "the board was put into its slot"
    start, end = image.segments[0].address, image.segments[-1].end
    first = boot.slot + boot.header
    if start != first or end > boot.slot + boot.size:
        raise McuError(
            f"{elf}: linked for {start:#010x} to {end - 1:#010x}; behind the header of MCUboot's slot is "
            f"{first:#010x} to {boot.slot + boot.size - 1:#010x}",
            "Link it for the slot: mcu_add_firmware(... SIGN key.pem), and likewise in SCons and Bazel. "
            "`mcu-build build --sign key.pem` does all of it.",
        )
    if program is not None:
        model_region(board)
        if not program.is_file():
            raise McuError(
                f"--program {program}: no such file", f"`mcu-build generate` writes {FIRST_PROGRAM}."
            )
    raw = bytearray(end - start)
    for segment in image.segments:
        raw[segment.address - start : segment.end - start] = segment.data
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / elf.with_suffix(".bin").name
        copy.write_bytes(raw)
        made = signed_files(copy, behind, order)
        if program is not None:
            model = copy.with_suffix(".program.slot")
            model.write_bytes(program.read_bytes())
            made["program"] = sign(model, behind, replace(order, needs=order.version))
        return {name: Path(shutil.copy(file, elf.with_name(file.name))) for name, file in made.items()}


def sign(binary: Path, board: Board, order: Order) -> Path:
    """Sign the raw image `binary`, linked behind the header of the board's slot, for MCUboot's first slot.

    Where the order names what it `needs` it is a model, for the slot of the second image. It lies there in
    the clear, also where updates are encrypted. Returns the new file.
    McuError: status 1 the key is none or the image does not fit, 2 an option has a wrong value.
    """
    encrypted = [f"--encrypt={order.encrypt}", "--clear"] if order.encrypt else []
    return _imgtool(binary, binary.with_suffix(".signed.bin"), board, order, encrypted)


def update(binary: Path, board: Board, order: Order) -> Path:
    """As `sign`, for the second slot: encrypted, padded to the slot's size and marked, as ordered."""
    encrypted = [f"--encrypt={order.encrypt}"] if order.encrypt else []
    marks = ["--pad", "--confirm"] if order.confirm else ["--pad"] if order.pad else []
    return _imgtool(binary, binary.with_suffix(".update.bin"), board, order, encrypted + marks)


def _imgtool(binary: Path, signed: Path, board: Board, order: Order, more: list[str]) -> Path:
    boot = board.mcuboot
    assert boot is not None, "the board was put into its slot"
    order.check()
    partial = signed.with_name(f".{signed.name}.new.bin")
    size = boot.size if order.needs is None else boot.model_size
    options = {"key": order.key, "version": order.version, "header-size": boot.header, "slot-size": size}
    if order.needs is not None:
        options["dependencies"] = f"({_APPLICATION}, {order.needs})"
    if order.security_counter is not None:
        options["security-counter"] = order.security_counter
    words = [f"--{name}={value}" for name, value in {**options, "align": boot.align}.items()]
    finished = process.run(
        [sys.executable, "-m", "imgtool.main", "sign", *words, *more, "--pad-header", binary, partial]
    )
    if finished.status != 0:
        partial.unlink(missing_ok=True)
        lines = (finished.stderr or finished.stdout).strip().splitlines()
        keys = f"--sign {order.key}" + (f", --encrypt {order.encrypt}" if order.encrypt else "")
        raise McuError(
            f"{keys}: imgtool: {lines[-1].removeprefix('Error: ') if lines else 'failed'}",
            "Is it a private key without a password, and does the image leave room for MCUboot's trailer?",
        )
    partial.replace(signed)
    return signed


def signed_image(image: LoadImage, board: Board, signed: Path) -> LoadImage:
    """What to write to the board's slot in place of `image`."""
    assert board.mcuboot is not None, "the board was put into its slot"
    segment = Segment(board.mcuboot.slot, signed.read_bytes())
    return replace(image, name=signed.name, segments=(segment,))
