"""A program that is to take another one's place in a firmware with program slots.

Firmware whose kernels have numbers, of --runtime table and of ExecuTorch's runtime, is given what this tool
makes of a model for them; firmware with ExecuTorch's own kernels a .pte as it is.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.codegen.delegated import delegated, is_left
from mcu_build.codegen.executorch import planned_bytes
from mcu_build.codegen.kernel_set import VERSION, Numbers
from mcu_build.codegen.program_key import ProgramKey
from mcu_build.codegen.pte import encode as encode_program
from mcu_build.codegen.slot import MODEL_SLOT, Region, check_capacity, slot_file
from mcu_build.codegen.table import encode as encode_table
from mcu_build.errors import Exit, McuError
from mcu_build.flash.sign import Order, signed_files
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.plan import ALIGNMENT, Plan
from mcu_build.ir.program import Program, TensorValue, load, parse
from mcu_build.npu.config import of_register
from mcu_build.npu.payload import BACKEND
from mcu_build.npu.payload import parse as parse_payload
from mcu_build.progress import Progress
from mcu_build.stages import manifest
from mcu_build.stages.lower import lower_model
from mcu_build.stages.lowered import Lowered
from mcu_build.stages.manifest import Manifest
from mcu_build.stages.planning import plan_program


def program_file(
    file: Path,
    firmware: Path,
    sequence: int,
    method: str | None,
    data: Sequence[Path],
    progress: Progress,
    key: ProgramKey | None = None,
) -> bytes:
    """What to flash of the model in `file` for the firmware that was built in the folder `firmware`.

    `data` are files with weights of it; `key` signs it. McuError names everything that
    keeps the firmware from running it, as far as can be determined without running, and the options that
    help.
    """
    built = manifest.require(firmware)
    memory = built.memory
    if not memory.get("program_slot"):
        raise McuError(
            f"{firmware}: this firmware has no program slots",
            "Build it with --program-slot ADDRESS:SIZE (docs/program-slot.md).",
        )
    region = Region(**memory["program_slot"])
    _check_key(firmware, region, key)
    if memory.get("kernels") is None:
        made = _as_given(file, firmware, built, method, data)
    else:
        made = _made(file, firmware, built, method, data, progress)
    check_capacity(str(file), made, region)
    return slot_file(made, memory["operators"], sequence, key)


def _check_key(firmware: Path, region: Region, key: ProgramKey | None) -> None:
    """McuError (status 2) where the firmware would not take what is signed with `key`, or is not."""
    if region.public_key and key is None:
        raise McuError(
            f"{firmware}: this firmware takes signed programs alone",
            "Add --program-key with the key that it was built with.",
            Exit.USAGE,
        )
    if key is not None and not region.public_key:
        raise McuError(
            f"--program-key: {firmware}: this firmware has no key and would not look at a signature",
            "Build it with --program-key, or leave the option out.",
            Exit.USAGE,
        )
    if key is not None and key.public != region.public_key:
        raise McuError(
            f"--program-key: this is not the key that {firmware} was built with",
            f"The public half of that is {region.public_key}.",
            Exit.USAGE,
        )


def sign_program(file: Path, firmware: Path, order: Order) -> dict[str, Path]:
    """Sign what `program_file` made for the slot of MCUboot's second image: `signed` and `update`.

    McuError as of flash.sign, or where the firmware has slots of its own.
    """
    built = manifest.require(firmware)
    if not built.memory["program_slot"].get("single"):
        raise McuError(
            f"--sign: {firmware}: its program slots are not MCUboot's",
            f"Build it with --program-slot {MODEL_SLOT}.",
        )
    return signed_files(file, Board.model_validate(built.board), replace(order, needs=order.needs or "0.0.0"))


def _as_given(file: Path, firmware: Path, built: Manifest, method: str | None, data: Sequence[Path]) -> bytes:
    """A program for ExecuTorch's own kernels."""
    if data:
        raise McuError(
            f"--data: {data[0]}: firmware with --kernels upstream holds its weights itself",
            "Leave it out.",
        )
    weights = [built.path(firmware, kind) for kind in built.artefacts if kind.startswith("data_")]
    program = load(file, method, weights)
    # Where operators are named, the firmware has no others: its own program is among them.
    _check(file, list(_problems(program, built, f"--ops-from {firmware / 'program.pte'} {file}")))
    return file.read_bytes()


def _made(
    file: Path,
    firmware: Path,
    built: Manifest,
    method: str | None,
    data: Sequence[Path],
    progress: Progress,
) -> bytes:
    """A plan as data, alone or as delegates of a program."""
    numbers = _numbers(firmware, built.memory["kernels"])
    is_table = built.memory["runtime"] == "table"
    lowered, plan = _plan(file, built, method, data, progress, not is_table)
    missing = numbers.missing(step for step in plan.steps if is_table or not is_left(step))
    # Of a model file the program is in the cache: the hint works as it stands.
    kernels_of = f"--ops-from {file if file.suffix == '.pte' else lowered.program}"
    _check(file, [*_missing(missing, kernels_of), *_plan_problems(plan, built)])
    if is_table:
        return encode_table(plan, numbers)
    program = load(lowered.program, lowered.method, lowered.data)
    made = encode_program(delegated(plan, program, numbers))
    _check(file, list(_problems(parse(made), built, kernels_of)))
    return made


def _numbers(firmware: Path, lines: Sequence[str]) -> Numbers:
    try:
        return Numbers.of_lines(lines)
    except ValueError as version:
        raise McuError(
            f"{firmware}: its kernels are those of {version}, this is {VERSION}",
            f"Make the file with {version}: weights may be packed in another way since.",
        ) from None


def _plan(
    file: Path,
    built: Manifest,
    method: str | None,
    data: Sequence[Path],
    progress: Progress,
    is_left: bool,
) -> tuple[Lowered, Plan]:
    """The plan of a model for the firmware's board, made as its own was."""
    board = Board.model_validate(built.board).in_one_memory()
    npu = board.choose_npu(built.npu["name"] if built.npu else "none")
    io = "float" if file.suffix == ".pte" else built.io  # Of a program they are what they are.
    values: Any = {"board": board.id, "io": io, "optimize": built.optimize}
    values |= {"method": method, "data": data}
    options = BuildOptions.of(**values)
    lowered = lower_model(file, board, npu, options, Cache(), progress)
    return lowered, plan_program(lowered, lowered.name, board, None, options.optimize, is_left=is_left)


@dataclass(frozen=True)
class Problem:
    """Why a firmware cannot run a program, and the option to build it with, where one helps."""

    text: str
    option: str = ""


def _check(file: Path, problems: Sequence[Problem]) -> None:
    """McuError with all problems of a program at once, and the options that help."""
    if problems:
        options = " ".join(dict.fromkeys(problem.option for problem in problems if problem.option))
        lines = (f"{file}: {problem.text}" for problem in problems)
        raise McuError("\n".join(lines), f"Build the firmware with {options}." if options else "")


def _missing(kernels: Sequence[str], option: str) -> Iterator[Problem]:
    if kernels:
        yield Problem(f"it calls {', '.join(kernels)}, which the firmware lacks", option)


def _plan_problems(plan: Plan, built: Manifest) -> Iterator[Problem]:
    memory = built.memory
    yield from _arena_problem("it computes with", plan.arena.size, memory)
    if plan.fast_size > memory.get("fast", 0):
        yield Problem(
            f"it takes {plan.fast_size:,} bytes of fast scratch memory, the firmware has {memory['fast']:,}",
            f"--reserve-scratch {plan.fast_size}",
        )
    if len(plan.initial_state) > memory.get("state", 0):
        yield Problem(
            f"it keeps {len(plan.initial_state):,} bytes of state, the firmware has "
            f"{memory.get('state', 0):,}"
        )
    for kind, ids, ports in (("inputs", plan.inputs, built.inputs), ("outputs", plan.outputs, built.outputs)):
        yield from _port_problems(kind, [plan.tensors[id].nbytes for id in ids], ports)


def _arena_problem(verb: str, size: int, memory: Mapping[str, Any]) -> Iterator[Problem]:
    if size > memory["arena"]:
        text = f"{verb} {size:,} bytes of RAM, the firmware has {memory['arena']:,}"
        yield Problem(text, f"--reserve-ram {size}")


def _port_problems(kind: str, sizes: Sequence[int], ports: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
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
    yield from _arena_problem("its memory plan takes", planned_bytes(program), memory)
    for kind, ids, ports in (
        ("inputs", program.inputs, built.inputs),
        ("outputs", program.outputs, built.outputs),
    ):
        sizes = [value.nbytes for id in ids if isinstance(value := program.values[id], TensorValue)]
        yield from _port_problems(kind, sizes, ports)


def _delegate_problems(program: Program, built: Manifest) -> Iterator[Problem]:
    missing = sorted({delegate.id for delegate in program.delegates} - {*built.memory["backends"]})
    if missing:
        yield Problem(f"it has delegates of {', '.join(missing)}, for which the firmware has no back end")
        return
    of_npu = [delegate for delegate in program.delegates if delegate.id == BACKEND]
    payloads = [parse_payload(delegate.payload, delegate.named_data) for delegate in of_npu]
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
