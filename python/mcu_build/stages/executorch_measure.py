"""A program for ExecuTorch's runtime with memory of exact size: build, run, read the use, build again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcu_build.board import Board
from mcu_build.codegen.executorch import (
    Deployment,
    Pools,
    first_slot,
    generate,
    planned_bytes,
    port_bytes,
)
from mcu_build.codegen.slot import FIRST_PROGRAM
from mcu_build.codegen.target import Toolchain
from mcu_build.errors import Exit, McuError
from mcu_build.executorch.options import Options
from mcu_build.executorch.package import check_kernels, find, wheel
from mcu_build.files import write_atomically, write_changed
from mcu_build.hardware import PROGRAM_SLOTS, NpuChoice
from mcu_build.ir.plan import Plan, Step
from mcu_build.plan.memory.fit import check_fit
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
    deployed = _deployment(plan, steps, lowered, options, board)
    if deployed.upstream:
        check_kernels(package, deployed.upstream)
    slots, deployed = deployed.slots, replace(deployed, slots=None)
    with progress.stage("build"):
        images = _build(deployed, inputs)
    if board.is_host or board.run.qemu is not None:
        with progress.stage("measure"):
            deployed, measured = _measured(deployed, inputs, images["test_elf"], lowered.npu)
        pools = exact_pools(measured, deployed.program, options, board.is_host, plan.name)
    else:
        # Nothing here can run it: the pools stay at their upper bound, unless the user knows better.
        pools = _chosen(deployed.pools, options)
    deployed = replace(deployed, pools=pools, slots=slots)
    with progress.stage("build"):
        images = _build(deployed, inputs)
    if deployed.has_plans:
        images["delegated"] = folder / "delegated.pte"
        write_atomically(images["delegated"], deployed.data)
    if slots:
        images["program_slot"] = folder / FIRST_PROGRAM
        write_atomically(images["program_slot"], first_slot(deployed))
    return images, _memory(deployed)


def estimated(
    plan: Plan, steps: Sequence[Step], lowered: Lowered, options: Options, board: Board
) -> tuple[dict[str, str], Deployment]:
    """The sources of a program, for another build to compile: pools are an upper bound, or the user's."""
    deployed = _deployment(plan, steps, lowered, options, board)
    deployed = replace(deployed, pools=_chosen(deployed.pools, options))
    texts = generate(deployed)
    prefix = wheel() if board.is_host and options.prefix is None else options.prefix
    if prefix:
        texts["model.cmake"] += f"set(MCU_MODEL_EXECUTORCH [==[{prefix.resolve()}]==])\n"
    return texts, deployed


def _deployment(
    plan: Plan, steps: Sequence[Step], lowered: Lowered, options: Options, board: Board
) -> Deployment:
    """McuError also where it does not fit the board, or the NPU does not reach programs that are in slots."""
    deployed = deployment(plan, steps, lowered, options, board.is_host)
    if (
        deployed.slots
        and deployed.has_npu
        and not board.is_host
        and not board.memory_named(PROGRAM_SLOTS).npu
    ):
        raise McuError(
            f"{plan.name}: --program-slot: the NPU of {board.id} does not reach {deployed.slots.address:#x}, "
            "where its command streams and weights would lie",
            "Give the end of a memory with npu = true in the board's file.",
        )
    if not options.upstream:
        check_fit(plan, board)
    return deployed


def _chosen(pools: Pools, options: Options) -> Pools:
    return Pools(options.method_pool or pools.method, options.temp_pool or pools.temp)


def _build(deployed: Deployment, inputs: BuildInputs) -> dict[str, Path]:
    for name, text in generate(deployed).items():
        write_changed(inputs.folder / "src" / name, text)
    return build(inputs)


def _measured(
    deployed: Deployment, inputs: BuildInputs, image: Path, npu: NpuChoice | None
) -> tuple[Deployment, Pools]:
    """What one inference on zeros takes of the pools, which grow until it succeeds."""
    # Of a model with state a byte says that a sequence begins.
    begins = b"\1" if deployed.plan.initial_state else b""
    zeros = begins + bytes(sum(deployed.plan.tensors[id].nbytes for id in deployed.plan.inputs))
    for _ in range(_TRIES):
        try:
            use = run(inputs.board, image, zeros, _TIMEOUT, npu=npu).pools
            return deployed, Pools(use["method_pool"], use["temp_pool"])
        except McuError as error:
            larger = wanted_pools(deployed.pools, error.message)
            if error.exit_code != Exit.FIRMWARE or larger is None:
                raise
        deployed = replace(deployed, pools=larger)
        image = _build(deployed, inputs)["test_elf"]
    raise McuError(
        f"{deployed.name}: its pools are still too small after {_TRIES} tries: {deployed.pools}",
        "Give --method-pool and --temp-pool, and please report the model.",
    )


def _memory(deployed: Deployment) -> dict[str, Any]:
    planned, ports = planned_bytes(deployed.program), port_bytes(deployed.program)
    return {
        "arena": max(planned, deployed.ram),
        "lower_bound": planned,
        "peak": f"ExecuTorch's own plan takes {planned:,} bytes.",
        "executorch": planned,
        "constants": len(deployed.data),
        "state": len(deployed.plan.initial_state),
        "state_offsets": list(deployed.plan.state_offsets),
        "state_rings": list(deployed.plan.state_rings),
        "method_pool": deployed.pools.method,
        "temp_pool": deployed.pools.temp,
        "ports": ports,
        "runtime": "executorch",
        "operators": list(deployed.contract),
        "kernels": list(deployed.kernels.numbers.lines) if deployed.has_plans else None,
        "backends": list(deployed.backends),
        "method": deployed.program.method,
        "program_slot": deployed.slots.document if deployed.slots else None,
    }
