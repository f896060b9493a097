"""What a program needs from an image that runs it with ExecuTorch's runtime: operators, memory."""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mcu_build.codegen.delegated import BACKEND as OUR_BACKEND
from mcu_build.codegen.delegated import delegated, is_left
from mcu_build.codegen.executorch import Deployment, Pools
from mcu_build.codegen.executorch_operators import ADAPTERS
from mcu_build.codegen.executorch_upstream import schemas
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.pte import encode
from mcu_build.codegen.slot import check_capacity
from mcu_build.errors import McuError
from mcu_build.executorch.options import Options
from mcu_build.executorch.package import wheel
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.program import KernelCall, Program, delegates_of, load, operators_of, parse
from mcu_build.ir.tensor import ALIGNMENT, aligned
from mcu_build.ir.weights import load_weights
from mcu_build.npu.payload import BACKEND
from mcu_build.npu.payload import parse as parse_payload
from mcu_build.plan.delegate import NpuTarget
from mcu_build.plan.operators.custom import selectors, user_calls
from mcu_build.plan.select import select
from mcu_build.stages.lowered import Lowered

# Bytes on a 32-bit core and on a 64-bit host: an upper bound of what the runtime keeps for a value, for an
# argument and for an instruction, what it needs for each argument while it looks an operator up, and an upper
# bound of what it and our back end keep for a delegate.
_VALUE = (112, 208)
_ARGUMENT = (4, 8)
_INSTRUCTION = (32, 64)
_LOOKUP = (28, 40)
_DELEGATE = (192, 384)
_METHOD_BASE = 1024
# softmax makes a table of 256 entries.
_TEMP_BASE = 1024 + ALIGNMENT


def deployment(
    plan: Plan, steps: Sequence[Step], lowered: Lowered, options: Options, is_host: bool
) -> Deployment:
    """A program with what to link for it, and pools to begin with. McuError names what cannot be linked.

    `steps` are those of all plans that the image is to run: its own, and those that may come later.
    """
    program = load(lowered.program, lowered.method, lowered.data)
    if options.upstream:
        made = _as_given(plan, program, lowered, options)
    else:
        made = _of_delegates(plan, steps, program, options)
    if options.program_slot:
        check_capacity(plan.name, made.data, options.program_slot)
    return replace(
        made,
        pools=first_pools(made.program, is_host),
        slots=options.program_slot,
        is_host=is_host,
        ram=aligned(options.reserve_ram),
    )


_NO_POOLS = Pools(0, 0)


def _of_delegates(plan: Plan, steps: Sequence[Step], loaded: Program, options: Options) -> Deployment:
    """The program with our delegates in place of what our kernels serve."""
    backends = {OUR_BACKEND, *_backends(loaded, options, plan.name)}
    kernels = KernelSet.of(step for step in steps if not is_left(step))
    data = encode(delegated(plan, loaded, kernels.numbers))
    program = parse(data, plan.name)
    custom = user_calls(steps)
    operators = tuple(sorted(custom))
    return Deployment(
        plan,
        program,
        data,
        operators,
        _NO_POOLS,
        custom=custom,
        backends=tuple(sorted(backends)),
        kernels=kernels,
    )


def _as_given(plan: Plan, program: Program, lowered: Lowered, options: Options) -> Deployment:
    """The program as it is, on ExecuTorch's own kernels."""
    _check_views(plan, program, lowered)
    backends = _backends(program, options, plan.name)
    custom = user_calls(plan.steps)
    chosen = operators(program, options, plan.name, custom)
    return Deployment(
        plan,
        program,
        lowered.program.read_bytes(),
        chosen,
        _NO_POOLS,
        custom=custom,
        weights=load_weights(lowered.data).files,
        backends=backends,
        upstream={operator: row for operator, row in _theirs().items() if operator in chosen},
    )


def _backends(program: Program, options: Options, name: str) -> tuple[str, ...]:
    """The back ends to link: those of the delegates of the program and of the programs in `options`."""
    wanted = {delegate.id for delegate in program.delegates}
    wanted.update(id for file in options.ops_from for id in delegates_of(file))
    unknown = sorted(wanted - {BACKEND})
    if unknown:
        raise McuError(
            f"{name}: delegates of {', '.join(unknown)} have no back end here",
            f"There is {BACKEND}. Export the program without the others.",
        )
    return tuple(sorted(wanted))


def operators(program: Program, options: Options, name: str, custom: Collection[str] = ()) -> tuple[str, ...]:
    """The operators to link, sorted: the program's, or those that were asked for. `custom` are users' own."""
    wanted = {*options.ops, *_operators_of(options.ops_from)}
    known = {*ADAPTERS, *_theirs()}
    unknown = sorted({*wanted, *program.operators} - {*known, *custom})
    if unknown:
        near = {close for op in unknown for close in difflib.get_close_matches(op, known, n=2, cutoff=0.7)}
        offered = f"Did you mean {' or '.join(sorted(near))}? " if near else ""
        raise McuError(
            f"{name}: --kernels upstream: no kernel for {', '.join(unknown)}",
            f"{offered}Leave out --kernels: ours serve more operators.",
        )
    missing = sorted({*program.operators} - wanted) if wanted else []
    if missing:
        raise McuError(
            f"{name}: the program calls {', '.join(missing)}, which --ops and --ops-from leave out",
            f"Add them: --ops {' '.join(missing)}, or the program to --ops-from.",
        )
    return tuple(sorted(wanted or {*program.operators}))


def _operators_of(files: Sequence[Path]) -> set[str]:
    return {op for file in files for op in operators_of(file)}


def _theirs() -> Mapping[str, str]:
    """The parameters of the operators that ExecuTorch has kernels for Cortex-M for."""
    folder = wheel()
    return schemas(folder) if folder else {}


def _check_views(plan: Plan, program: Program, lowered: Lowered) -> None:
    """McuError where the program's views are not what its model meant.

    to_executorch() lets a view share the bytes of its source, whatever their order (select.py, _reshape). The
    static runtime moves them; ExecuTorch's own cannot know. What counts are the orders that the program has:
    those of the plan may be others.
    """
    if not plan.steps or "aten::view_copy.out" in program.operators:
        return
    scratch = [delegate.fast_scratch for delegate in lowered.delegates]
    npu = NpuTarget(lowered.npu.name, scratch) if lowered.npu else None
    own = select(program, plan.name, npu, selectors(lowered.custom))
    moved = [step for step in own.steps if step.operator == "aten::view_copy.out"]
    if moved:
        place = " in ".join(part for part in (moved[0].layer, moved[0].name) if part)
        where = f" at {place}" if place else ""
        raise McuError(
            f"{plan.name}: a view{where} of a channels-last tensor shares its bytes in the wrong order: "
            "ExecuTorch's runtime would compute something else than the model",
            "Make the tensor contiguous before the view, export with remove_view_copy=False, or leave out "
            "--runtime executorch.",
        )


def first_pools(program: Program, is_host: bool) -> Pools:
    """Pools to measure with: the method's is an upper bound, the other what nearly every program needs."""
    wide = int(is_host)
    calls = program.instructions
    method = _METHOD_BASE + _VALUE[wide] * len(program.values)
    method += sum(_INSTRUCTION[wide] + _ARGUMENT[wide] * len(call.arguments) for call in calls)
    method += _DELEGATE[wide] * len(program.delegates)
    npu = [delegate for delegate in program.delegates if delegate.id == BACKEND]
    scratch = [
        parse_payload(delegate.payload, delegate.named_data).scratch_size + ALIGNMENT for delegate in npu
    ]
    return Pools(aligned(method), aligned(max(_TEMP_BASE, _lookup(program, is_host), *scratch)))


def exact_pools(measured: Pools, program: Program, options: Options, is_host: bool, name: str) -> Pools:
    """What was measured, rounded up, or what the options ask for. McuError where that is too little."""
    needed = Pools(aligned(measured.method), aligned(max(measured.temp, _lookup(program, is_host))))
    lines = []
    for what, size, need in (
        ("--method-pool", options.method_pool, needed.method),
        ("--temp-pool", options.temp_pool, needed.temp),
    ):
        if size is not None and size < need:
            lines.append(
                f"{name}: {what}: {size:,} bytes, the program takes {need:,}: {need - size:,} too few"
            )
    if lines:
        raise McuError("\n".join(lines), "Leave the option out: pools are measured and made to fit.")
    return Pools(options.method_pool or needed.method, options.temp_pool or needed.temp)


_WANTED = re.compile(r"method pool (\d+) of \d+, temporary (\d+) of \d+")


def wanted_pools(pools: Pools, output: str) -> Pools | None:
    """Larger pools, from what a firmware said whose pools were too small; None where they were not."""
    match = _WANTED.search(output)
    if not match:
        return None
    wanted = Pools(aligned(int(match.group(1))), aligned(int(match.group(2))))
    larger = Pools(max(pools.method, wanted.method), max(pools.temp, wanted.temp))
    return larger if larger != pools else None


def _lookup(program: Program, is_host: bool) -> int:
    """Temporary memory with which looking operators up takes nothing from the method's pool."""
    calls: Sequence[KernelCall] = [c for c in program.instructions if isinstance(c, KernelCall)]
    return _LOOKUP[int(is_host)] * max((len(call.arguments) for call in calls), default=0)
