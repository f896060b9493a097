"""A plan as plain data, for plan.json, the manifest and --json."""

from dataclasses import asdict
from typing import Any

from mcu_build.ir.calls.boundary import Boundary
from mcu_build.ir.calls.outside import EthosU
from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.ir.ports import Kind, port_names, port_quantization
from mcu_build.plan.fit import constant_bytes, peak
from mcu_build.plan.memory import lifetimes


def describe(plan: Plan) -> dict[str, Any]:
    """The whole plan without its constants' bytes."""
    return {
        "schema": 1,
        "name": plan.name,
        "inputs": ports(plan, "input"),
        "outputs": ports(plan, "output"),
        "operators": operators(plan),
        "removed": removed(plan),
        "memory": memory(plan),
        "steps": [_step(plan, step) for step in plan.steps],
        "tensors": [_tensor(plan, id) for id in sorted(plan.tensors)],
        "arena": arena(plan),
    }


def arena(plan: Plan) -> list[dict[str, Any]]:
    """A row for every tensor that owns bytes of the arena: where they lie, and which steps need them.

    `made_by` is the first step that writes it, None for an input of the model.
    """
    makers: dict[int, int] = {}
    for index, step in enumerate(plan.steps):
        for id in step.writes:
            makers.setdefault(plan.owner(id).id, index)
    return [
        {
            "tensor": block.id,
            "name": plan.tensors[block.id].name,
            "offset": plan.arena.offsets[block.id],
            "size": block.size,
            "first": block.first,
            "last": block.last,
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
        "peak_step": plan.arena.peak_step,
        "executorch": plan.program_arena_bytes,
        "constants": constant_bytes(plan),
        "state": len(plan.initial_state),
    }


def removed(plan: Plan) -> dict[str, Any] | None:
    """What the plan has left out: sums, and a row for each layer. None where that is nothing."""
    if not plan.removed:
        return None
    rows = [asdict(layer) for layer in plan.removed]
    sums = {name: sum(row[name] for row in rows) for name in ("channels", "of", "nbytes", "macs")}
    return {**sums, "layers": rows}


def operators(plan: Plan) -> list[dict[str, Any]]:
    """A row for every step: module, operator, output shape, kernel, where it computes, line of the model."""
    return [
        {
            "name": step.name,
            "operator": step.operator,
            "shape": list(plan.output_shape(step)),
            "kernel": step.kernel,
            "where": where(plan, step),
            "layer": step.layer,
            "macs": step.macs,
        }
        for step in plan.steps
    ]


def where(plan: Plan, step: Step) -> str:
    """'npu', 'int8' where no float takes part, 'float', or 'border' between the two."""
    if isinstance(step.call, EthosU):
        return "npu"
    if isinstance(step.call, Boundary):
        return "border"
    types = {plan.tensors[id].dtype for id in step.arguments if id is not None}
    return "float" if DType.F32 in types else "int8"


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


def _step(plan: Plan, step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "operator": step.operator,
        "shape": list(plan.output_shape(step)),
        "kernel": step.kernel,
        "where": where(plan, step),
        "layer": step.layer,
        "macs": step.macs,
        "params": {"type": step.params.type, **step.params.members} if step.params else None,
        "arguments": list(step.arguments),
        "writes": list(step.writes),
    }


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
