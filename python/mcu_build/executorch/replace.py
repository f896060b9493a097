"""A program that is to take another one's place in a firmware with program slots."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcu_build import manifest
from mcu_build.codegen.executorch import planned_bytes
from mcu_build.errors import McuError
from mcu_build.executorch.slot import Region, check_capacity, slot_file
from mcu_build.ir.plan import ALIGNMENT
from mcu_build.ir.program import Program, TensorValue, load
from mcu_build.manifest import Manifest
from mcu_build.npu.config import of_register
from mcu_build.npu.payload import parse


def program_file(file: Path, firmware: Path, sequence: int, method: str | None) -> bytes:
    """What to flash of the program in `file` for the firmware that was built in the folder `firmware`.

    McuError names everything that keeps the firmware from running it, as far as can be told without running.
    """
    built = manifest.require(firmware)
    slots = built.memory.get("program_slot")
    if not slots:
        raise McuError(f"{firmware}: this firmware has no program slots", "Build it with --program-slot.")
    weights = [built.path(firmware, kind) for kind in built.artefacts if kind.startswith("data_")]
    program = load(file, method, weights)
    # Where operators are named, the firmware has no others: its own program is among them.
    more = f"--ops-from {firmware / 'program.pte'} {file}"
    problems = list(_problems(program, built, more))
    if problems:
        raise unfit(file, problems)
    data = file.read_bytes()
    check_capacity(str(file), data, Region(**slots))
    return slot_file(data, built.memory["operators"], sequence)


@dataclass(frozen=True)
class Problem:
    """Why a firmware cannot run a program, and the option to build it with, where one helps."""

    text: str
    option: str = ""


def unfit(file: Path, problems: Sequence[Problem]) -> McuError:
    """All problems of a program at once, with the options that help."""
    options = " ".join(dict.fromkeys(one.option for one in problems if one.option))
    lines = (f"{file}: {one.text}" for one in problems)
    return McuError("\n".join(lines), f"Build the firmware with {options}." if options else "")


def port_problems(kind: str, sizes: Sequence[int], ports: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Inputs or outputs that have other bytes than the firmware's."""
    wanted = [int(math.prod(port["shape"]) * np.dtype(port["dtype"]).itemsize) for port in ports]
    if list(sizes) != wanted:
        yield Problem(f"its {kind} have {list(sizes)} bytes, the firmware's {wanted}")


def _problems(program: Program, built: Manifest, more_operators: str) -> Iterator[Problem]:
    memory = built.memory
    missing = sorted({*program.operators} - {*memory["operators"]})
    if missing:
        yield Problem(f"it calls {', '.join(missing)}, which the firmware lacks", more_operators)
    yield from _delegate_problems(program, built)
    if program.method != memory["method"]:
        yield Problem(f"its method is {program.method}, the firmware's {memory['method']}")
    planned = planned_bytes(program)
    if planned > memory["arena"]:
        text = f"its memory plan takes {planned:,} bytes, the firmware has {memory['arena']:,}"
        yield Problem(text, f"--reserve-ram {planned}")
    for kind, ids, ports in (
        ("inputs", program.inputs, built.inputs),
        ("outputs", program.outputs, built.outputs),
    ):
        sizes = [value.nbytes for id in ids if isinstance(value := program.values[id], TensorValue)]
        yield from port_problems(kind, sizes, ports)


def _delegate_problems(program: Program, built: Manifest) -> Iterator[Problem]:
    missing = sorted({delegate.id for delegate in program.delegates} - {*built.memory["backends"]})
    if missing:
        yield Problem(f"it has delegates of {', '.join(missing)}, for which the firmware has no back end")
        return
    payloads = [parse(delegate.payload, delegate.named_data) for delegate in program.delegates]
    for config in sorted({payload.config for payload in payloads}):
        name = of_register(config).name
        if built.npu and name != built.npu["name"]:
            yield Problem(f"it is made for {name}, the firmware for {built.npu['name']}")
    scratch = max((payload.scratch_size for payload in payloads), default=0)
    if scratch > built.memory["temp_pool"]:
        yield Problem(
            f"its delegates need {scratch:,} bytes of temporary memory, "
            f"the firmware has {built.memory['temp_pool']:,}",
            f"--temp-pool {scratch + ALIGNMENT}",
        )
