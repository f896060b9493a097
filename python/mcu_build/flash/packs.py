"""A part of a CMSIS-Pack → the text of a board file. Format: Arm, "Open-CMSIS-Pack", the .pdsc's <device>."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcu_build.errors import Exit, McuError
from mcu_build.hardware import CORES

# Cores whose interrupt controller has at most 32 lines.
_BASELINE = ("cortex-m0", "cortex-m0plus")
_FPU = {"0": "none", "NO_FPU": "none", "1": "single", "FPU": "single", "SP_FPU": "single", "DP_FPU": "double"}


def board_text(part: str, pack: Path | None) -> str:
    """A board file for `part`, from the pack of that file, else from those that pyocd has installed.

    McuError: status 1 the pack is none or has no such part, 3 no pack with it is installed.
    """
    device = _device(part, pack)
    # pyocd keeps the elements as the pack has them, inheritance resolved, and offers no other way to the FPU.
    processor = device._info.processors[0].attrib
    core = processor.get("Dcore", "").lower().replace("+", "plus")
    if core not in CORES:
        raise McuError(
            f"{device.part_number}: its core is {processor.get('Dcore')!r}",
            f"mcu-build knows {', '.join(CORES)}.",
        )
    memories = [_memory(element.attrib) for element in device._info.memories]
    return _text(device.part_number, core, processor, memories, Path(device.pack_path or part).name)


def _device(part: str, pack: Path | None) -> Any:
    from pyocd.core.exceptions import Error
    from pyocd.target.pack.cmsis_pack import CmsisPack

    if pack is None:
        return _installed(part)
    try:
        devices = {device.part_number: device for device in CmsisPack(str(pack)).devices}
    except (OSError, Error, KeyError, ValueError) as error:
        raise McuError(f"{pack}: not a CMSIS-Pack: {error}", "Give the vendor's .pack file.") from error
    name = _named(part, devices)
    if name is None:
        raise McuError(
            f"--from-pack {part}: {pack} has no such part", f"It has: {', '.join(sorted(devices))}."
        )
    return name


def _installed(part: str) -> Any:
    from pyocd.target.pack.pack_target import ManagedPacks

    target = _named(part, {device.part_number: device for device in ManagedPacks.get_installed_targets()})
    if target is None:
        raise McuError(
            f"--from-pack {part}: no pack with this part is installed",
            f"With a network: pyocd pack install {part}. Without one: --pack FILE, the vendor's .pack.",
            Exit.TOOL_MISSING,
        )
    return target


def _named(part: str, devices: Mapping[str, Any]) -> Any:
    """By the whole name, in any case; vendors write the package's letters as x."""
    wanted = part.lower()
    return next((device for name, device in devices.items() if name.lower() == wanted), None)


def _memory(attributes: Mapping[str, str]) -> dict[str, Any]:
    name = attributes.get("name") or attributes["id"]
    access = attributes.get("access") or ("rwx" if name.startswith("IRAM") else "rx")
    return {
        "name": re.sub(r"\W", "_", name).lower(),
        "origin": int(attributes["start"], 0),
        "size": int(attributes["size"], 0),
        "access": "rwx" if "w" in access else "rx",
        "startup": attributes.get("startup") == "1",
    }


def _text(
    part: str, core: str, processor: Mapping[str, str], memories: list[dict[str, Any]], pack: str
) -> str:
    can = CORES[core]
    flash = sorted(
        (memory for memory in memories if memory["access"] == "rx"), key=lambda memory: not memory["startup"]
    )
    ram = sorted(
        (memory for memory in memories if memory["access"] == "rwx"), key=lambda memory: -memory["size"]
    )
    if not flash or not ram:
        raise McuError(
            f"{part}: {pack} lists no {'RAM' if flash else 'flash'}",
            "Write the board's file by hand: docs/boards.md.",
        )
    fpu = _FPU.get(processor.get("Dfpu", "0"), "none")
    chip = {
        "name": f'"{part}"',
        "core": f'"{core}"',
        "fpu": f'"{fpu if fpu in can.fpus else can.fpus[-1]}"',
        "dsp": str(can.dsp == (True,) or processor.get("Ddsp") == "DSP").lower(),
        "mve": str(processor.get("Dmve", "NO_MVE") not in ("NO_MVE", "0")).lower(),
        "interrupts": f"{32 if core in _BASELINE else 240} # entries of the vector table: see the manual",
        "stack_size": '"4K"',
        "sources": f'["CMSIS-Pack {pack}: core, memories. Nothing else is known yet: clocks, power, UART"]',
    }
    head = "".join(f"{key} = {value}\n" for key, value in chip.items())
    listed = "".join(
        f'\n[[memory]]\nname = "{memory["name"]}"\n'
        f"origin = {memory['origin']:#010x}\nsize = {memory['size']}\n"
        f'access = "{memory["access"]}"\n'
        for memory in (*flash, *ram)
    )
    roles = dict.fromkeys(("vectors", "code", "constants"), flash[0])
    roles |= dict.fromkeys(("data", "arena", "stack"), ram[0])
    placement = "".join(f'{role} = "{memory["name"]}"\n' for role, memory in roles.items())
    ways = f'[flash.pyocd]\ntarget = "{part.lower()}"\npack = "{part}"\n'
    return f"{head}{listed}\n[placement]\n{placement}\n{ways}"
