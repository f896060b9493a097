"""The doctor finds what is missing and says how to get it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyocd.target.pack.pack_target import ManagedPacks
from serial.tools import list_ports

from mcu_build.doctor import Finding, examine, install_missing, is_older
from mcu_build.errors import Exit, McuError
from mcu_build.flash import connected, pyocd_probe, uf2
from tests.support.cli import mcu_build


def findings():
    return {finding.name: finding for finding in examine()}


def test_every_finding_says_what_is_there_and_how_to_get_it():
    found = findings()
    assert {
        "Python",
        "torch",
        "executorch",
        "cmake",
        "ninja",
        "host compiler",
        "cache folder",
    } <= found.keys()
    for finding in found.values():
        assert finding.found and "\n" not in finding.found
        assert finding.fix
    for name in ("Python", "torch", "cmake", "firmware sources", "host compiler", "cache folder"):
        assert found[name].ok, found[name]


def test_missing_tools_are_named_with_their_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings()
    for name, package in {
        "arm-clang": "apt-get install clang-19 lld-19 llvm-19",
        "arm-gcc": "apt-get install gcc-arm-none-eabi",
        "host compiler": "apt-get install g++",
        "qemu-system-arm": "apt-get install qemu-system-arm",
    }.items():
        assert not found[name].ok
        assert "not found on PATH" in found[name].found
        assert package in found[name].fix


def test_what_only_some_boards_need_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert findings()["OpenOCD"].ok and "--via openocd needs it" in findings()["OpenOCD"].found
    script = tmp_path / "openocd"
    script.write_text("#!/bin/sh\necho 'Open On-Chip Debugger 0.12' >&2\n")
    script.chmod(0o755)
    assert findings()["OpenOCD"].found == "Open On-Chip Debugger 0.12"


def test_packs_that_are_not_installed_are_named_by_their_parts(monkeypatch):
    parts = ["STM32F446RETx", "STM32F405RGTx"]
    installed = [SimpleNamespace(part_number=parts[0].lower())]
    monkeypatch.setattr(ManagedPacks, "get_installed_targets", lambda: installed)
    found = findings()["pyocd's packs"]
    assert found.ok and parts[1] in found.found and parts[0] not in found.found


def test_a_tool_that_does_not_run_is_missing(monkeypatch, tmp_path):
    broken = tmp_path / "qemu-system-arm"
    broken.write_text("#!/bin/sh\necho 'cannot open shared object' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = findings()["qemu-system-arm"]
    assert not found.ok
    assert "status 127" in found.found and "cannot open shared object" in found.found


def test_a_cache_that_cannot_be_written_is_found(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MCU_BUILD_CACHE", str(tmp_path / "file" / "cache"))
    found = findings()["cache folder"]
    assert not found.ok
    assert "file" in found.found and "MCU_BUILD_CACHE" in found.fix


def test_the_command_leaves_with_status_3_where_something_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = mcu_build("doctor", "--json")
    assert result.status == 3
    checks = {check["name"]: check for check in result.json["checks"]}
    assert checks["torch"]["ok"] and not checks["arm-gcc"]["ok"]


def test_it_imports_no_torch():
    words = "import sys; from mcu_build.doctor import examine; examine(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], cwd=Path("/")).returncode == 0


def test_versions_that_are_too_old():
    qemu = "QEMU emulator version 7.2.19 (Debian 1:7.2+dfsg-7+deb12u15)"
    assert not is_older(qemu, (7, 2))
    assert is_older("QEMU emulator version 6.2.0", (7, 2))
    assert is_older("arm-none-eabi-g++ (15:9.2-2019) 9.3.1 20200408 (release)", (10, 3))
    assert not is_older("arm-none-eabi-g++ (15:12.2.rel1-1) 12.2.1 20221205", (10, 3))
    assert not is_older("Debian clang version 19.1.7 (3~deb12u1)", (16,))
    assert not is_older("a tool that does not tell", (1,))


def test_probes_and_the_rules_for_them(monkeypatch, tmp_path):
    probe = SimpleNamespace(description="STM32 STLink V2", unique_id="0669FF")
    monkeypatch.setattr(pyocd_probe, "listed", lambda: [probe])
    assert findings()["debug probes"].found == "STM32 STLink V2 (0669FF)"
    assert connected.udev([tmp_path]) is None
    (tmp_path / "40-usb.rules").write_text('ATTRS{idVendor}=="0483", SYMLINK+="stlink"\n')
    assert connected.udev([tmp_path]) is None  # a name, and nobody's right to open it
    (tmp_path / "60-openocd.rules").write_text('ATTRS{idVendor}=="0483", MODE="660", TAG+="uaccess"\n')
    assert connected.udev([tmp_path]) == str(tmp_path / "60-openocd.rules")
    monkeypatch.setattr(connected, "udev", lambda: None)
    monkeypatch.setattr(connected, "needs_udev", lambda: True)
    found = findings()["udev rules"]
    assert found.ok and "only root" in found.found and "apt-get install openocd" in found.found


def test_other_systems_are_told_what_to_do(monkeypatch, tmp_path):
    missing = [Finding("qemu-system-arm", False, "not found", "apt-get install qemu-system-arm")]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McuError) as caught:
        install_missing(missing)
    assert caught.value.exit_code is Exit.TOOL_MISSING and "qemu-system-arm" in (caught.value.hint or "")
    (tmp_path / "brew").touch(0o755)
    with pytest.raises(McuError) as caught:
        install_missing(missing)
    assert "brew install" in (caught.value.hint or "") and "not tried" in (caught.value.hint or "")
    assert not install_missing([])


def test_the_command_prints_what_there_is_before_it_installs_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = mcu_build("doctor", "--install")
    assert result.status == 3
    assert "MISSING arm-gcc" in result.out and "has no apt-get" in result.err and "hint: " in result.err


def test_what_is_connected_is_listed_with_the_option_that_names_it(monkeypatch, tmp_path):
    probe = SimpleNamespace(description="STM32 STLink V2", unique_id="0669FF")
    port = SimpleNamespace(device="/dev/ttyACM0", description="DAPLink", vid=0x0D28)
    (tmp_path / "RPI-RP2").mkdir()
    (tmp_path / "RPI-RP2" / "INFO_UF2.TXT").write_text("UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\n")
    monkeypatch.setattr(pyocd_probe, "listed", lambda: [probe])
    monkeypatch.setattr(uf2, "_MOUNTS", (str(tmp_path),))
    monkeypatch.setattr(
        list_ports, "comports", lambda: [port, SimpleNamespace(device="/dev/ttyS0", vid=None)]
    )
    found = connected.connected()
    assert [(one.kind, one.name) for one in found] == [
        ("probe", "STM32 STLink V2"),
        ("uf2", "Raspberry Pi RP2"),
        ("serial", "DAPLink"),
    ]
    options = [one.option for one in found]
    assert options == ["--probe 0669FF", f"--via uf2 {tmp_path}/RPI-RP2", "--port /dev/ttyACM0"]


def test_nothing_is_connected_here():
    result = mcu_build("probes")
    assert result.status == 0 and ("BOOTSEL" in result.out or "option" in result.out)
    assert isinstance(mcu_build("probes", "--json").json["probes"], list)
