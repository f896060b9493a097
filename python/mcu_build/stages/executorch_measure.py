"""A program for ExecuTorch's runtime with memory of exact size: build, run, read the use, build again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcu_build.board import Board, NpuChoice
from mcu_build.codegen.executorch import (
    Deployment,
    Pools,
    first_slot,
    generate,
    planned_bytes,
    port_bytes,
)
from mcu_build.codegen.target import Toolchain
from mcu_build.errors import Exit, McuError
from mcu_build.executorch.options import Options
from mcu_build.executorch.package import check_kernels, find, wheel
from mcu_build.files import write_atomically, write_changed
from mcu_build.hardware import PROGRAM_SLOTS
from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.fit import check_fit
from mcu_build.progress import Progress
from mcu_build.simulate.run import run
from mcu_build.stages.executorch_deploy import deployment, exact_pools, wanted_pools
from mcu_build.stages.images import BuildInputs, build
from mcu_build.stages.kernel_sources import prototypes
from mcu_build.stages.lowered import Lowered

# Every operator that needs more temporary memory than the pool has costs a try.
_TRIES = 16
_TIMEOUT = 600.0


def build_measured(
    plan: Plan,
    steps: Sequence[Step],
    lowered: Lowered,
    options: Options,
    board: Board,
    toolchain: Toolchain,
    folder: Path,
    progress: Progress,
    kernel_sources: tuple[Path, ...] = (),
) -> tuple[dict[str, Path], dict[str, Any]]:
    """The images of a program in `folder`, by kind, and the memory that they use as the manifest tells it.

    `steps` are those of all plans that the firmware is to run, now and later.
    """
    package = find(options.prefix, board)
    if options.upstream:
        check_kernels(package)
    inputs = BuildInputs(
        plan.name,
        board,
        toolchain,
        folder,
        executorch=package,
        kernel_sources=kernel_sources,
        prototypes=prototypes(plan),
    )
    given = _deployment(plan, steps, lowered, options, board)
    if given.upstream:
        check_kernels(package, given.upstream)
    slots, given = given.slots, replace(given, slots=None)
    with progress.stage("build"):
        images = _build(given, inputs)
    if board.is_host or board.run.qemu is not None:
        with progress.stage("measure"):
            given, measured = _measured(given, inputs, images["test_elf"], lowered.npu)
        pools = exact_pools(measured, given.program, options, board.is_host, plan.name)
    else:
        # Nothing here can run it: the pools stay at their upper bound, unless the user knows better.
        pools = _chosen(given.pools, options)
    given = replace(given, pools=pools, slots=slots)
    with progress.stage("build"):
        images = _build(given, inputs)
    if given.has_plans:
        images["delegated"] = folder / "delegated.pte"
        write_atomically(images["delegated"], given.data)
    if slots:
        images["program_slot"] = folder / "program.slot"
        write_atomically(images["program_slot"], first_slot(given))
    return images, _memory(given)


def estimated(
    plan: Plan, steps: Sequence[Step], lowered: Lowered, options: Options, board: Board
) -> tuple[dict[str, str], Deployment]:
    """The sources of a program, for another build to compile: pools are an upper bound, or the user's."""
    given = _deployment(plan, steps, lowered, options, board)
    given = replace(given, pools=_chosen(given.pools, options))
    texts = generate(given)
    prefix = wheel() if board.is_host and options.prefix is None else options.prefix
    if prefix:
        texts["model.cmake"] += f"set(MCU_MODEL_EXECUTORCH [==[{prefix.resolve()}]==])\n"
    return texts, given


def _deployment(
    plan: Plan, steps: Sequence[Step], lowered: Lowered, options: Options, board: Board
) -> Deployment:
    """McuError also where it does not fit the board, or the NPU does not reach programs that are in slots."""
    given = deployment(plan, steps, lowered, options, board.is_host)
    if given.slots and given.has_npu and not board.is_host and not board.memory_named(PROGRAM_SLOTS).npu:
        raise McuError(
            f"{plan.name}: --program-slot: the NPU of {board.id} does not reach {given.slots.address:#x}, "
            "where its command streams and weights would lie",
            "Give the end of a memory with npu = true in the board's file.",
        )
    if not options.upstream:
        check_fit(plan, board)
    return given


def _chosen(pools: Pools, options: Options) -> Pools:
    return Pools(options.method_pool or pools.method, options.temp_pool or pools.temp)


def _build(given: Deployment, inputs: BuildInputs) -> dict[str, Path]:
    for name, text in generate(given).items():
        write_changed(inputs.folder / "src" / name, text)
    return build(inputs)


def _measured(
    given: Deployment, inputs: BuildInputs, image: Path, npu: NpuChoice | None
) -> tuple[Deployment, Pools]:
    """What one inference on zeros takes of the pools, which grow until it succeeds."""
    # Of a model with state a byte says that a sequence begins.
    begins = b"\1" if given.plan.initial_state else b""
    zeros = begins + bytes(sum(given.plan.tensors[id].nbytes for id in given.plan.inputs))
    for _ in range(_TRIES):
        try:
            use = run(inputs.board, image, zeros, _TIMEOUT, npu=npu).pools
            return given, Pools(use["method_pool"], use["temp_pool"])
        except McuError as error:
            larger = wanted_pools(given.pools, error.message)
            if error.exit_code != Exit.FIRMWARE or larger is None:
                raise
        given = replace(given, pools=larger)
        image = _build(given, inputs)["test_elf"]
    raise McuError(f"{given.name}: its pools are still too small after {_TRIES} tries: {given.pools}")


def _memory(given: Deployment) -> dict[str, Any]:
    planned, ports = planned_bytes(given.program), port_bytes(given.program)
    return {
        "arena": max(planned, given.ram),
        "lower_bound": planned,
        "peak": f"ExecuTorch's own plan takes {planned:,} bytes.",
        "executorch": planned,
        "constants": len(given.data),
        "state": len(given.plan.initial_state),
        "state_offsets": list(given.plan.state_offsets),
        "method_pool": given.pools.method,
        "temp_pool": given.pools.temp,
        "ports": ports,
        "runtime": "executorch",
        "operators": list(given.contract),
        "kernels": list(given.kernels.numbers.lines) if given.has_plans else None,
        "backends": list(given.backends),
        "method": given.program.method,
        "program_slot": given.slots.document if given.slots else None,
    }
