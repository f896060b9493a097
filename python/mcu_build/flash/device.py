"""Run a device image on a board: its files are served through the probe's memory access.

The image is the test image, except that it makes its semihosting calls to `mcu_probe_call`, where the host
keeps a breakpoint (firmware/platform/semihosting/probe.cpp). So its files, statuses and proofs are those of a
simulator's run.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mcu_build.errors import McuError
from mcu_build.flash.image import LoadImage
from mcu_build.flash.probe import LR, PC, R0, R1, Probe, StillRunningError
from mcu_build.simulate.outcome import Outcome, failure, judge, timed_out

CALL = "mcu_probe_call"
# Operations: Arm IHI 0203, "Semihosting for AArch32 and AArch64".
_OPEN, _CLOSE, _WRITE0, _WRITE, _READ, _LENGTH, _EXIT = 0x01, 0x02, 0x04, 0x05, 0x06, 0x0C, 0x20
_FAILED = -1
_MODES = {1: "rb", 5: "wb"}
_FILES = ("inputs.bin", "outputs.bin", "status.txt")
_STRING = 64


@dataclass
class Files:
    """Answers the semihosting calls of an image: files in `folder`, and what it prints in `console`."""

    folder: Path
    console: str = ""
    exit_status: int | None = None
    _open: dict[int, BinaryIO] = field(default_factory=dict)

    def serve(self, probe: Probe, operation: int, block: int) -> int:
        """Do one call; its result. The exit of the image is left in `exit_status`."""
        if operation == _WRITE0:
            self.console += _text(probe, block)
            return 0
        words = _words(probe, block, 2 if operation == _EXIT else 1 if operation in (_CLOSE, _LENGTH) else 3)
        if operation == _EXIT:
            self.exit_status = words[1]
            return 0
        if operation == _OPEN:
            return self._open_file(probe.read_memory(words[0], words[2]).decode(errors="replace"), words[1])
        file = self._open.get(words[0])
        if file is None:
            return _FAILED
        if operation == _CLOSE:
            self._open.pop(words[0]).close()
            return 0
        if operation == _LENGTH:
            return Path(file.name).stat().st_size
        if operation == _READ:
            data = file.read(words[2])
            probe.write_memory(words[1], data)
            return words[2] - len(data)
        if operation == _WRITE:
            file.write(probe.read_memory(words[1], words[2]))
            return 0
        return _FAILED

    def close(self) -> None:
        """Close what the image has left open."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _open_file(self, name: str, mode: int) -> int:
        if name not in _FILES or mode not in _MODES:
            return _FAILED
        try:
            file = (self.folder / name).open(_MODES[mode])
        except OSError:
            return _FAILED
        handle = max(self._open, default=0) + 1
        self._open[handle] = file  # type: ignore[assignment]
        return handle


def run(
    probe: Probe,
    image: LoadImage,
    file: Path,
    inputs: bytes,
    timeout: float,
    visits: Mapping[int, Callable[[], None]] | None = None,
) -> Outcome:
    """Run an image that the board holds over the vectors in `inputs`, at most `timeout` seconds.

    Where the core comes to an address of `visits`, it stops for the function; then it goes on.
    McuError as from simulate.run: status 4 the firmware failed, 5 it did not end in time.
    """
    if CALL not in image.symbols:
        raise McuError(
            f"{image.name}: not a device image: it has no {CALL}", "Run the device.elf of the build."
        )
    call = image.symbols[CALL] & ~1
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcu-run-") as name:
        folder = Path(name)
        (folder / "inputs.bin").write_bytes(inputs)
        files = Files(folder)
        probe.reset()
        stops = {call: lambda: _answer(probe, files), **(visits or {})}
        for address in stops:
            probe.set_breakpoint(address)
        try:
            _serve(probe, stops, files, file, started + timeout, timeout)
        finally:
            files.close()
        probe.clear_breakpoint(call)
        assert files.exit_status is not None
        return judge(file, folder, files.exit_status, files.console, time.monotonic() - started)


def _serve(
    probe: Probe,
    stops: Mapping[int, Callable[[], None]],
    files: Files,
    image: Path,
    deadline: float,
    limit: float,
) -> None:
    """Do what each stop is for, until the image ends."""
    while files.exit_status is None:
        probe.resume()
        try:
            probe.wait_halt(max(deadline - time.monotonic(), 0))
        except StillRunningError:
            probe.halt()
            where = f"the core runs at pc {probe.read_register(PC):#010x}"
            raise timed_out(image, limit, files.console, where) from None
        pc = probe.read_register(PC)
        if pc not in stops:
            raise failure(image, f"the core stopped by itself at pc {pc:#010x}", files.console)
        stops[pc]()


def _answer(probe: Probe, files: Files) -> None:
    """Do the call that the core is about to make, and let it return."""
    result = files.serve(probe, probe.read_register(R0), probe.read_register(R1))
    probe.write_register(R0, result & 0xFFFF_FFFF)
    probe.write_register(PC, probe.read_register(LR) & ~1)


def _words(probe: Probe, address: int, count: int) -> list[int]:
    raw = probe.read_memory(address, 4 * count)
    return [int.from_bytes(raw[4 * index : 4 * index + 4], "little") for index in range(count)]


def _text(probe: Probe, address: int) -> str:
    """Characters up to a zero byte: the firmware's pieces are shorter than _STRING."""
    return probe.read_memory(address, _STRING).partition(b"\0")[0].decode(errors="replace")
