"""A plan as plain data, for plan.json, the manifest and --json."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from mcu_build.ir.calls.boundary import Boundary
from mcu_build.ir.calls.dma import DmaStart
from mcu_build.ir.calls.moves import Move
from mcu_build.ir.calls.outside import Delegated, EthosU
from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.ir.ports import Kind, port_names, port_quantization
from mcu_build.plan.memory.allocate import lifetimes
from mcu_build.plan.memory.fit import constant_bytes, constants_elsewhere, peak

# The steps of a layer, by their indices in the plan: one, or one for each band of its rows.
Layers = Sequence[Sequence[int]]


def layers_of(plan: Plan) -> Layers:
    """The layers of a plan, in the order of their first steps."""
    layers: dict[tuple[str, int], list[int]] = {}
    for index, step in enumerate(plan.steps):
        key = ("step", index) if step.part_of is None else ("image", step.part_of)
        layers.setdefault(key, []).append(index)
    return tuple(layers.values())


def calls(plan: Plan) -> list[tuple[int, str]]:
    """For each step its layer and its kernel; empty where each layer is one step."""
    layers = layers_of(plan)
    if len(layers) == len(plan.steps):
        return []
    owners = {step: layer for layer, steps in enumerate(layers) for step in steps}
    return [(owners[index], step.kernel) for index, step in enumerate(plan.steps)]


def describe(plan: Plan) -> dict[str, Any]:
    """The whole plan without its constants' bytes. What it counts in steps are layers, whole ones."""
    return {
        "schema": 1,
        "name": plan.name,
        "inputs": ports(plan, "input"),
        "outputs": ports(plan, "output"),
        "operators": operators(plan),
        "removed": removed(plan),
        "memory": memory(plan),
        "calls": calls(plan),
        "steps": [_step(plan, steps) for steps in layers_of(plan)],
        "tensors": [_tensor(plan, id) for id in sorted(plan.tensors)],
        "arena": arena(plan),
    }


def arena(plan: Plan) -> list[dict[str, Any]]:
    """A row for every tensor that owns bytes of the arena: where they lie, and which steps need them.

    Where the arena is spread over memories, `memory` is None in the first of them, and offsets go on from one
    memory to the next.
    `made_by` is the first step that writes it, None for an input of the model.
    """
    makers: dict[int, int] = {}
    layers = layers_of(plan)
    owners = {step: layer for layer, steps in enumerate(layers) for step in steps}
    owners |= {-1: -1, len(plan.steps): len(layers)}
    for index, step in enumerate(plan.steps):
        for id in step.writes:
            makers.setdefault(plan.owner(id).id, owners[index])
    starts, start = {"": 0}, plan.arena.first_size
    for name, size in plan.arena.elsewhere.items():
        starts[name], start = start, start + size
    memory_of = plan.arena.memory_of
    return [
        {
            "tensor": block.id,
            "name": plan.tensors[block.id].name,
            "offset": starts[memory_of.get(block.id, "")] + plan.arena.offsets[block.id],
            "memory": memory_of.get(block.id),
            "size": block.size,
            "first": owners[block.first],
            "last": owners[block.last],
            "made_by": makers.get(block.id),
        }
        for block in lifetimes(plan)
    ]


def memory(plan: Plan) -> dict[str, Any]:
    """Bytes of the arena and of constants, beside ExecuTorch's own plan."""
    return {
        "arena": plan.arena.size,
        "lower_bound": plan.arena.lower_bound,
        "peak": peak(plan),
        "peak_step": next(
            (layer for layer, steps in enumerate(layers_of(plan)) if plan.arena.peak_step in steps), 0
        ),
        "executorch": plan.program_arena_bytes,
        "arena_elsewhere": dict(plan.arena.elsewhere),
        "arena_waits": round(plan.arena.waits),
        "constants": constant_bytes(plan),
        "constants_elsewhere": constants_elsewhere(plan),
        "state": len(plan.initial_state),
        "state_offsets": list(plan.state_offsets),
        "state_rings": list(plan.state_rings),
    }


def removed(plan: Plan) -> dict[str, Any] | None:
    """What the plan has left out: sums, and a row for each layer. None where that is nothing."""
    if not plan.removed:
        return None
    rows = [asdict(layer) for layer in plan.removed]
    sums = {name: sum(row[name] for row in rows) for name in ("channels", "of", "nbytes", "macs")}
    return {**sums, "layers": rows}


def operators(plan: Plan) -> list[dict[str, Any]]:
    """A row for every layer: module, operator, output shape, kernel, where it computes, line of the model.

    `bands` are the parts in which its rows are made, where these are several; `copied` the bytes that a DMA
    begins to copy, and their memory (None: the first for constants).
    """
    return [_layer(plan, steps) for steps in layers_of(plan)]


def _layer(plan: Plan, steps: Sequence[int]) -> dict[str, Any]:
    own = [plan.steps[index] for index in steps]
    step = _main(own)
    image = plan.tensors[step.part_of] if step.part_of is not None else None
    return {
        "name": step.name,
        "operator": step.operator,
        "shape": list(image.model_shape if image else plan.output_shape(step)),
        "kernel": step.kernel,
        "where": where(plan, step),
        "layer": step.layer,
        "macs": sum(step.macs for step in own),
        **({"bands": sum(not isinstance(step.call, Move) for step in own)} if len(own) > 1 else {}),
        **({"copied": _copied(plan, step.call)} if isinstance(step.call, DmaStart) else {}),
    }


def _copied(plan: Plan, call: DmaStart) -> dict[str, Any]:
    return {"bytes": call.params.bytes, "memory": plan.constants_in.get(call.input)}


def _main(steps: Sequence[Step]) -> Step:
    """The step that stands for all of a layer: no copy of rows."""
    return next((step for step in steps if not isinstance(step.call, Move)), steps[0])


def where(plan: Plan, step: Step) -> str:
    """'npu', 'int8' or 'int16' where no float takes part, 'float', or 'boundary' between the two."""
    if isinstance(step.call, EthosU | Delegated):
        return "npu"
    if isinstance(step.call, Boundary):
        return "boundary"
    types = {plan.tensors[id].dtype for id in step.arguments if id is not None}
    if DType.F32 in types:
        return "float"
    return "int16" if any(plan.tensors[id].dtype is DType.I16 for id in step.writes) else "int8"


def ports(plan: Plan, kind: Kind) -> list[dict[str, Any]]:
    """Inputs or outputs as the application sees them; `name` is that in the header."""
    ids = plan.inputs if kind == "input" else plan.outputs
    return [_port(plan, id, name) for id, name in zip(ids, port_names(plan, kind), strict=True)]


def _port(plan: Plan, id: int, name: str) -> dict[str, Any]:
    tensor = plan.tensors[id]
    quantization = port_quantization(plan, id)
    return {
        "name": name,
        "dtype": tensor.dtype.numpy_name,
        "shape": list(tensor.model_shape),
        "dim_order": list(tensor.dim_order),
        "scale": quantization.scale if quantization else None,
        "zero_point": quantization.zero_point if quantization else None,
    }


def _step(plan: Plan, steps: Sequence[int]) -> dict[str, Any]:
    own = [plan.steps[index] for index in steps]
    step = _main(own)
    return {
        **_layer(plan, steps),
        "params": {"type": step.params.type, **step.params.members} if step.params else None,
        "arguments": list(step.arguments if len(own) == 1 else _each(operand.arguments for operand in own)),
        "writes": list(step.writes if len(own) == 1 else _each(operand.writes for operand in own)),
    }


def _each(ids: Iterable[Iterable[int | None]]) -> list[int | None]:
    return list(dict.fromkeys(id for some in ids for id in some))


def _tensor(plan: Plan, id: int) -> dict[str, Any]:
    tensor, owner = plan.tensors[id], plan.owner(id)
    return {
        "id": id,
        "name": tensor.name,
        "dtype": tensor.dtype.numpy_name,
        "shape": list(tensor.shape),
        "dim_order": list(tensor.dim_order),
        "constant": owner.is_constant,
        "alias_of": tensor.alias_of,
        "offset": plan.offset(id) if owner.id in plan.arena.offsets else None,
    }
