"""What is connected to this computer: debug probes, drives that take UF2, serial ports."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Where Linux keeps rules that say who may open which USB device.
_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
# USB vendors of probes: Arm (DAPLink), ST, SEGGER, Raspberry Pi.
_VENDORS = ("0d28", "0483", "1366", "2e8a")


@dataclass(frozen=True)
class Connected:
    """A debug probe ("probe"), a UF2 drive ("uf2") or a serial port ("serial").

    `id` names it in an option, `option`: a serial number, a folder, a device.
    """

    kind: str
    id: str
    name: str
    option: str


def connected() -> list[Connected]:
    """All of them, probes first."""
    return [*_probes(), *_drives(), *_ports()]


def _probes() -> Iterator[Connected]:
    from mcu_build.flash.pyocd_probe import listed

    for probe in listed():
        yield Connected("probe", probe.unique_id, probe.description, f"--probe {probe.unique_id}")


def _drives() -> Iterator[Connected]:
    from mcu_build.flash.uf2 import drives

    for folder in drives():
        yield Connected("uf2", str(folder), _board_of(folder), f"--via uf2 {folder}")


def _ports() -> Iterator[Connected]:
    from serial.tools import list_ports

    for port in list_ports.comports():
        if port.vid is not None:  # what has no USB vendor is no board
            yield Connected("serial", port.device, port.description, f"--port {port.device}")


def _board_of(drive: Path) -> str:
    lines = (drive / "INFO_UF2.TXT").read_text(errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Model:")), drive.name)


def udev(folders: Sequence[Path | str] = _RULES) -> str | None:
    """The file whose rules let users open probes; None where there is none. Only Linux has such files."""
    for file in (file for folder in folders for file in sorted(Path(folder).glob("*.rules"))):
        text = file.read_text(errors="replace").lower()
        if "idvendor" in text and any(vendor in text for vendor in _VENDORS[:3]) and _opens(text):
            return str(file)
    return None


def _opens(rules: str) -> bool:
    return any(
        word in rules for word in ("uaccess", 'mode="0666"', 'mode="666"', 'mode="0660"', 'mode="660"')
    )


def needs_udev() -> bool:
    """Whether a user here can open no probe without rules: on Linux, unless they are root."""
    return sys.platform == "linux" and os.geteuid() != 0
