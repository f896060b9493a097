"""A plan as data that is to take another one's place in a firmware with program slots."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mcu_build import manifest
from mcu_build.board import Board
from mcu_build.cache import Cache
from mcu_build.codegen.kernel_set import VERSION, Numbers
from mcu_build.codegen.table import encode
from mcu_build.errors import McuError
from mcu_build.executorch.replace import Problem, port_problems, unfit
from mcu_build.executorch.slot import Region, check_capacity, slot_file
from mcu_build.fronts.options import BuildOptions
from mcu_build.ir.plan import Plan
from mcu_build.manifest import Manifest
from mcu_build.pipeline import plan_program
from mcu_build.stages import Progress, lower_model


def is_table(firmware: Path) -> bool:
    """Whether the firmware in a build folder runs plans that are data."""
    return manifest.require(firmware).memory.get("runtime") == "table"


def plan_file(file: Path, firmware: Path, sequence: int, method: str | None, progress: Progress) -> bytes:
    """What to flash of the model in `file` for the firmware that was built in the folder `firmware`.

    McuError names everything that keeps the firmware from running it, and the option that helps.
    """
    built = manifest.require(firmware)
    memory = built.memory
    if not memory["program_slot"]:
        raise McuError(f"{firmware}: this firmware has no program slots", "Build it with --program-slot.")
    numbers = _numbers(firmware, memory["operators"])
    plan = _plan(file, built, method, progress)
    problems = list(_problems(plan, file, built, numbers))
    if problems:
        raise unfit(file, problems)
    table = encode(plan, numbers)
    check_capacity(str(file), table, Region(**memory["program_slot"]))
    return slot_file(table, numbers.lines, sequence)


def _numbers(firmware: Path, lines: Sequence[str]) -> Numbers:
    try:
        return Numbers.of_lines(lines)
    except ValueError as version:
        raise McuError(
            f"{firmware}: its kernels are those of {version}, this is {VERSION}",
            f"Make the file with {version}: weights may be packed in another way since.",
        ) from None


def _plan(file: Path, built: Manifest, method: str | None, progress: Progress) -> Plan:
    """The plan of a model for the firmware's board, made as its own was."""
    board = Board.model_validate(built.board)
    npu = board.choose_npu(built.npu["name"] if built.npu else "none")
    io = "float" if file.suffix == ".pte" else built.io  # Of a program they are what they are.
    values: Any = {"board": board.id, "io": io, "optimize": built.optimize, "method": method}
    options = BuildOptions.of(**values)
    lowered = lower_model(file, board, npu, options, Cache(), progress)
    return plan_program(lowered, lowered.name, board, None, options.optimize)


def _problems(plan: Plan, file: Path, built: Manifest, numbers: Numbers) -> Iterator[Problem]:
    memory = built.memory
    missing = numbers.missing(plan)
    if missing:
        program = file if file.suffix == ".pte" else "<program>.pte"
        yield Problem(f"it calls {', '.join(missing)}, which the firmware lacks", f"--ops-from {program}")
    arena = plan.arena.size
    if arena > memory["arena"]:
        yield Problem(
            f"it computes with {arena:,} bytes of RAM, the firmware has {memory['arena']:,}",
            f"--reserve-ram {arena}",
        )
    if plan.fast_size > memory["fast"]:
        yield Problem(
            f"it takes {plan.fast_size:,} bytes of fast scratch memory, the firmware has {memory['fast']:,}",
            f"--reserve-scratch {plan.fast_size}",
        )
    if len(plan.initial_state) > memory["state"]:
        yield Problem(
            f"it keeps {len(plan.initial_state):,} bytes of state, the firmware has {memory['state']:,}"
        )
    for kind, ids, ports in (("inputs", plan.inputs, built.inputs), ("outputs", plan.outputs, built.outputs)):
        yield from port_problems(kind, [plan.tensors[id].nbytes for id in ids], ports)
