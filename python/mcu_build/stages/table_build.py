"""Plan → the C++ of a model whose plan is data, with room for plans that come later."""

from dataclasses import replace
from typing import Any

from mcu_build.board import Board
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.slot import check_capacity
from mcu_build.codegen.table_model import Deployment, generate, table_of
from mcu_build.errors import McuError
from mcu_build.hardware import PROGRAM_SLOTS
from mcu_build.ir.plan import Plan
from mcu_build.ir.tensor import aligned
from mcu_build.stages.planning import all_steps
from mcu_build.stages.request import Request


def deployment(plan: Plan, request: Request) -> Deployment | None:
    """What firmware for a plan that is data has, with the kernels of programs that may come later."""
    options, board = request.options, request.board
    if options.runtime != "table":
        return None
    ram, scratch = options.reserve_ram or 0, options.reserve_scratch or 0
    kernels = KernelSet.of(all_steps(plan, request))
    if request.slots and plan.npu and not board.is_host and not board.memory_named(PROGRAM_SLOTS).npu:
        raise McuError(
            f"{plan.name}: --program-slot: the NPU of {board.id} does not reach "
            f"{request.slots.address:#x}, where its command streams and weights would lie",
            "Give the end of a memory with npu = true in the board's file.",
        )
    return Deployment(kernels, request.slots, aligned(ram), aligned(scratch), board.is_host)


def sources(plan: Plan, deployed: Deployment, board: Board) -> dict[str, str]:
    """The C++ of a model whose plan is data. McuError where it does not fit the board, or a slot."""
    from mcu_build.plan.memory.fit import check_fit

    size, _, _ = deployed.memory(plan)
    check_fit(plan.with_arena(replace(plan.arena, size=size)), board, spreads=False)
    if deployed.slots:
        check_capacity(plan.name, table_of(plan, deployed), deployed.slots)
    return generate(plan, deployed)


def memory(plan: Plan, deployed: Deployment) -> dict[str, Any]:
    """What a later plan has to get along with, for the manifest."""
    arena, fast, _ = deployed.memory(plan)
    return {
        "runtime": "table",
        "arena": arena,
        "fast": fast,
        "operators": list(deployed.kernels.numbers.lines),
        "kernels": list(deployed.kernels.numbers.lines),
        "program_slot": deployed.slots.document if deployed.slots else None,
    }
