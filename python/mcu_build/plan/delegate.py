"""Delegates of Ethos-U: one step each, its inputs and outputs in the scratch memory that its stream works on.

Every input is copied to its place there and every output from it; `join_scratch` then lets the tensors
themselves lie in the scratch memory where nothing else forbids it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mcu_build.errors import McuError
from mcu_build.ir.calls.moves import Copy
from mcu_build.ir.calls.outside import Delegated, EthosU, EthosUParams
from mcu_build.ir.plan import Plan, Step, Tensor
from mcu_build.ir.program import Delegate
from mcu_build.npu.config import name_of
from mcu_build.npu.payload import BACKEND, Binding, Payload, parse
from mcu_build.plan.memory.allocate import place

_RUN, _IN, _OUT = "ethos_u", "npu input", "npu output"
_SCRATCH_REGION = 1


@dataclass(frozen=True)
class NpuTarget:
    """The NPU that a program is to run on, and the bytes of fast scratch memory of each of its delegates.

    `fast_apart` says that the board has a memory for them, so that they do not lie in the arena. `is_left`:
    its delegates are left to ExecuTorch's runtime.
    """

    name: str
    fast_scratch: Sequence[int] = ()
    fast_apart: bool = False
    is_left: bool = False

    def fast_bytes(self, delegate: int) -> int:
        """Fast scratch memory of one delegate."""
        return self.fast_scratch[delegate] if delegate < len(self.fast_scratch) else 0


@dataclass(frozen=True)
class Opened:
    """A delegate of the program that is known to fit the NPU."""

    payload: Payload
    fast_scratch: int


def opened(delegate: Delegate, index: int, npu: NpuTarget | None, name: str) -> Opened:
    """Delegate `index` of the model `name`. McuError where it is not for `npu`."""
    if delegate.id != BACKEND:
        raise McuError(
            f"{name}: delegate {delegate.id}: there is none but {BACKEND}",
            "Export the program for Ethos-U, or without delegates.",
        )
    payload = parse(delegate.payload, delegate.named_data, f"{name}: delegate {index}")
    made_for = name_of(payload.config)
    if npu is None or npu.name != made_for:
        wanted = made_for or f"an NPU with configuration {payload.config:#010x}"
        raise McuError(
            f"{name}: delegate {index} is made for {wanted}, the build for {npu.name if npu else 'no NPU'}",
            f"Build with --npu {made_for}." if made_for else "Export the program for an NPU of the board.",
        )
    return Opened(payload, npu.fast_bytes(index))


def check_boundary(tensor: Tensor, binding: Binding, name: str) -> None:
    """McuError where a tensor is not what the NPU reads or writes there."""
    if tensor.nbytes != binding.nbytes or tensor.dtype.size != binding.element_size:
        raise McuError(
            f"{name}: {tensor.name} is {tensor.dtype.numpy_name}{list(tensor.model_shape)}, the NPU has "
            f"{binding.nbytes} bytes of {binding.element_size} each there",
            "Export the program again.",
        )
    if binding.region != _SCRATCH_REGION:
        raise McuError(f"{name}: {tensor.name} lies in the NPU's region {binding.region}, not in scratch")


def steps(
    opened: Opened,
    constants: tuple[Tensor, Tensor | None],
    memories: tuple[Tensor, Tensor | None],
    boundaries: tuple[Sequence[tuple[Tensor, Tensor]], Sequence[tuple[Tensor, Tensor]]],
) -> Iterator[Step]:
    """Copy in, run, copy out.

    `constants` are the command stream and the weights, `memories` scratch and fast scratch, `boundaries` are
    pairs of a tensor and its offset in scratch: of inputs, of outputs.
    """
    (commands, weights), (scratch, fast) = constants, memories
    for tensor, slot in boundaries[0]:
        yield _copy(_IN, tensor, slot)
    params = EthosUParams(
        configuration=opened.payload.config,
        id=opened.payload.id,
        commands=commands.nbytes,
        weights=weights.nbytes if weights else 0,
        scratch=scratch.nbytes,
        fast_scratch=fast.nbytes if fast else 0,
    )
    weights_id, fast_id = (tensor.id if tensor else None for tensor in (weights, fast))
    call = EthosU(params, commands.id, weights_id, scratch.id, fast_id)
    yield Step.of(_RUN, "", call)
    for tensor, slot in boundaries[1]:
        yield _copy(_OUT, slot, tensor)


def left(opened: Opened, npu: NpuTarget, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Step:
    """A delegate that ExecuTorch's runtime runs itself."""
    ids = tuple(tensor.id for tensor in inputs), tuple(tensor.id for tensor in outputs)
    call = Delegated(None, opened.payload.config, opened.fast_scratch, npu.fast_apart, *ids)
    return Step.of(_RUN, "", call)


def _copy(operator: str, source: Tensor, target: Tensor) -> Step:
    return Step.of(operator, "", Copy.of(source, target))


def join_scratch(plan: Plan) -> Plan:
    """Drop copies into and out of scratch memory where that does not make the arena larger.

    What goes in must be read by nothing later: the NPU may write over it. Inputs and outputs of the model
    keep bytes of their own.
    """
    if plan.npu is None:
        return plan
    size = _size(plan)
    index = 0
    while index < len(plan.steps):
        joined = _joined(plan, index)
        new_size = _size(joined) if joined else size + 1
        if joined and new_size <= size:
            plan, size = joined, new_size
        else:
            index += 1
    return plan


def _size(plan: Plan) -> int:
    return place(plan).arena.size


def _joined(plan: Plan, index: int) -> Plan | None:
    """The plan without the copy at `index`, None where it has to be."""
    step = plan.steps[index]
    if step.operator not in (_IN, _OUT):
        return None
    source, target = (plan.tensors[id] for id in step.arguments if id is not None)
    tensor, slot = (source, target) if step.operator == _IN else (target, source)
    ports = {plan.owner(id).id for id in (*plan.inputs, *plan.outputs)}
    if tensor.alias_of is not None or tensor.is_constant or tensor.id in ports:
        return None
    if step.operator == _IN and _is_touched(plan, tensor.id, index + 1):
        return None
    moved = replace(tensor, alias_of=slot.alias_of, alias_offset=slot.alias_offset)
    steps = plan.steps[:index] + plan.steps[index + 1 :]
    return replace(plan, tensors={**plan.tensors, tensor.id: moved}, steps=steps)


def _is_touched(plan: Plan, owner: int, start: int) -> bool:
    """Whether a step from `start` on reads or writes bytes of tensor `owner`."""
    touched = (id for step in plan.steps[start:] for id in step.arguments if id is not None)
    return any(plan.owner(id).id == owner for id in touched)


__all__ = ["NpuTarget", "Opened", "check_boundary", "join_scratch", "left", "opened", "steps"]
