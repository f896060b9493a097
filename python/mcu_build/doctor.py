"""Is everything here? A list of small checks, each with the way to fix what it finds."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from mcu_build import process
from mcu_build.board import board_files, find_board
from mcu_build.cache import default_root
from mcu_build.codegen.target import CLANG_HINT, GCC_HINT, HOST_HINT, Toolchain, target
from mcu_build.errors import Exit, McuError
from mcu_build.resources import data_dir
from mcu_build.simulate.qemu import HINT as QEMU_HINT

_APT = "apt-get install "
# Debian's OpenOCD brings rules for most probes (60-openocd.rules).
_UDEV_FIX = "apt-get install openocd, then plug the probe in again"
# What to do where there is no apt-get: the same packages as others call them. None of it was tried.
_ELSEWHERE: Mapping[str, str] = {
    "brew": "brew install llvm lld qemu open-ocd && brew install --cask gcc-arm-embedded",
    "dnf": "sudo dnf install clang lld llvm qemu-system-arm gcc-c++ arm-none-eabi-gcc-cs-c++ "
    "arm-none-eabi-newlib openocd",
    "pacman": "sudo pacman -S clang lld llvm qemu-system-arm gcc arm-none-eabi-gcc arm-none-eabi-newlib "
    "openocd",
    "zypper": "sudo zypper install clang lld llvm qemu-arm gcc-c++ cross-arm-none-eabi-gcc12 "
    "cross-arm-none-eabi-newlib openocd",
}
_MINIMUM_PYTHON = (3, 11)
# The oldest compilers that have what the sources use (C++20 with std::span; Helium's intrinsics).
_LEAST: Mapping[Toolchain, tuple[int, ...]] = {"arm-clang": (16,), "arm-gcc": (10, 3), "host": (10,)}
# A cold build of a large model leaves some hundred megabytes in the cache.
_MINIMUM_DISK = 1 << 30


@dataclass(frozen=True)
class Finding:
    """What a check found; `fix` is the command that fixes it."""

    name: str
    ok: bool
    found: str
    fix: str


@dataclass(frozen=True)
class Check:
    """`look` says what is there, or raises McuError or OSError where that is not enough."""

    name: str
    fix: str
    look: Callable[[], str]


def examine() -> list[Finding]:
    """The findings of every check, in a fixed order. Imports no torch."""
    return [_examine(check) for check in checks()]


def install_missing(findings: Sequence[Finding]) -> bool:
    """Run apt-get for what is missing and comes with it; whether there was any. McuError where it fails."""
    wanted = [
        word
        for finding in findings
        if not finding.ok and finding.fix.startswith(_APT)
        for word in finding.fix.removeprefix(_APT).split()
    ]
    if not wanted:
        return False
    if shutil.which("apt-get") is None:
        raise McuError(f"--install: {_system()} has no apt-get", by_hand(wanted), Exit.TOOL_MISSING)
    first = [] if os.geteuid() == 0 else ["sudo"]
    quiet = ["-y", "-qq", "--no-install-recommends"]
    for words in (["update", "-qq"], ["install", *quiet, *dict.fromkeys(wanted)]):
        finished = process.run([*first, "apt-get", *words], env={"DEBIAN_FRONTEND": "noninteractive"})
        if finished.status != 0:
            raise McuError(
                f"apt-get {words[0]}: status {finished.status}: {finished.stderr.strip()}",
                f"Get them by hand: {' '.join(dict.fromkeys(wanted))}",
                Exit.TOOL_MISSING,
            )
    return True


def by_hand(packages: Sequence[str]) -> str:
    """What to do for Debian's `packages` where the system has another package manager, or none."""
    for manager, line in _ELSEWHERE.items():
        if shutil.which(manager):
            return f"With {manager}, which was not tried: {line}"
    names = " ".join(dict.fromkeys(packages))
    return f"Install by its own package manager what Debian calls {names}, then run `mcu-build doctor` again."


def _system() -> str:
    import platform

    return {"Darwin": "macOS"}.get(platform.system(), platform.system())


def checks() -> tuple[Check, ...]:
    """Every check."""
    return (
        Check("Python", "apt-get install python3.11 python3.11-venv", _python),
        *(
            Check(package.name, f"python3 -m pip install '{package}'", partial(_package, package))
            for package in _packages()
        ),
        Check("firmware sources", "python3 -m pip install <folder of mcu-build's source>", _sources),
        Check("arm-clang", CLANG_HINT, partial(_compiler, "arm-clang", "corstone-300")),
        Check("arm-gcc", GCC_HINT, partial(_compiler, "arm-gcc", "corstone-300")),
        Check("host compiler", HOST_HINT, partial(_compiler, "host", "host")),
        Check("qemu-system-arm", QEMU_HINT, partial(_version, "qemu-system-arm", QEMU_HINT, (7, 2))),
        Check("OpenOCD", "apt-get install openocd", _openocd),
        Check("pyocd's packs", "pyocd pack install <part>", _packs),
        Check("debug probes", "mcu-build probes", _probes),
        *((Check("udev rules", _UDEV_FIX, _udev),) if sys.platform == "linux" else ()),
        Check("cache folder", "export MCU_BUILD_CACHE=<a folder that can be written>", _cache),
        Check("disk space", "mcu-build clean --cache", _disk),
    )


def _examine(check: Check) -> Finding:
    try:
        return Finding(check.name, True, check.look(), check.fix)
    except McuError as error:
        return Finding(check.name, False, error.message, error.hint or check.fix)
    except OSError as error:
        return Finding(check.name, False, f"{error.filename}: {error.strerror}", check.fix)


def _python() -> str:
    running = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < _MINIMUM_PYTHON:
        raise McuError(f"{running}, but 3.11 or newer is needed")
    return running


def _packages() -> list[Requirement]:
    """What this package requires, its optional parts aside."""
    requirements = (Requirement(line) for line in requires("mcu-build") or ())
    return [requirement for requirement in requirements if requirement.marker is None]


def _package(wanted: Requirement) -> str:
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        raise McuError(f"not installed, {wanted} is needed") from None
    # A local label such as +cpu says which build it is, not which version.
    if not wanted.specifier.contains(installed.partition("+")[0], prereleases=True):
        raise McuError(f"{installed}, but {wanted} is needed")
    return installed


def _sources() -> str:
    missing = [
        name for name in ("firmware", "boards", "cmake", "toolchains") if not (data_dir() / name).is_dir()
    ]
    if missing:
        raise McuError(f"{data_dir()}: no folder {', '.join(missing)}")
    return str(data_dir())


def _compiler(toolchain: Toolchain, board: str) -> str:
    tools = target(find_board(board), toolchain)
    return _version(str(tools.cxx), "", _LEAST[toolchain])


def _version(tool: str, hint: str, least: tuple[int, ...] = ()) -> str:
    """The first line of what a tool says of itself. McuError where it is older than `least`."""
    finished = process.run([process.find_tool(tool, hint), "--version"], timeout=30)
    if finished.status != 0:
        raise McuError(f"{tool} --version: status {finished.status}: {finished.stderr.strip()}", hint)
    text = finished.stdout.splitlines()[0].strip()
    if is_older(text, least):
        raise McuError(f"{text}: too old, {'.'.join(map(str, least))} or newer is needed", hint)
    return text


def is_older(text: str, least: tuple[int, ...]) -> bool:
    """Whether the last version that stands in a tool's first line is older; one without a version is not."""
    versions = re.findall(r"(?<![\w.])(\d+(?:\.\d+)+)", text)
    return bool(least and versions) and tuple(map(int, versions[-1].split("."))) < least


def _openocd() -> str:
    """Only one way to a board needs it, so it may be missing, or too old for some boards."""
    from mcu_build.flash import openocd

    if shutil.which("openocd") is None:
        return "not installed; --via openocd needs it: apt-get install openocd"
    finished = process.run(["openocd", "--version"], timeout=30)
    text = (finished.stdout + finished.stderr).strip().partition("\n")[0]
    for board in (find_board(name) for name in board_files()):
        if board.flash.openocd is not None and board.flash.openocd.needs:
            try:
                openocd.check(board)
            except McuError:
                text += f"; {board.id} needs {board.flash.openocd.needs}"
    return text


def _packs() -> str:
    """Only boards whose chips pyocd does not carry need one, so they may be missing."""
    from pyocd.target.pack.pack_target import ManagedPacks

    ways = [find_board(name).flash.pyocd for name in board_files()]
    wanted = {way.pack.lower(): way.pack for way in ways if way and way.pack}
    for device in ManagedPacks.get_installed_targets():
        wanted.pop(device.part_number.lower(), None)
    missing = " ".join(sorted(wanted.values()))
    return (
        f"not installed; pyocd needs them for these chips: pyocd pack install {missing}" if missing else "all"
    )


def _probes() -> str:
    """Only flashing needs one, so none may be connected."""
    from mcu_build.flash.pyocd_probe import listed

    probes = [f"{probe.description} ({probe.unique_id})" for probe in listed()]
    return ", ".join(probes) or "none is connected; flashing needs one, or a board with a UF2 drive"


def _udev() -> str:
    """Only flashing needs them, and root does not."""
    from mcu_build.flash.connected import needs_udev, udev

    rules = udev()
    if rules or not needs_udev():
        return rules or "none for debug probes; root needs none, other users do"
    return f"none for debug probes: only root can open them: {_UDEV_FIX}"


def _cache() -> str:
    root = default_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=root):
        return str(root)


def _disk() -> str:
    folder = default_root()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < _MINIMUM_DISK:
        raise McuError(f"{folder}: {free >> 20:,} MiB are free, {_MINIMUM_DISK >> 20:,} MiB are needed")
    return f"{free >> 20:,} MiB free"
