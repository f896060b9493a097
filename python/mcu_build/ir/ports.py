"""Inputs and outputs of a plan: which tensor holds one in integers, and at which scale."""

from mcu_build.ir.calls.boundary import Boundary
from mcu_build.ir.plan import DType, Plan, Quantization, Tensor


def quantized_port(plan: Plan, id: int) -> Tensor | None:
    """The tensor that holds an input or output in integers: its own, or that behind the boundary's step."""
    tensor = plan.tensors[id]
    if tensor.quantization or tensor.dtype is not DType.F32:
        return tensor if tensor.quantization else None
    owner = plan.owner(id).id
    for step in plan.steps:
        operands = [plan.tensors[argument] for argument in step.arguments if argument is not None]
        if owner in [plan.owner(one.id).id for one in operands] and isinstance(step.call, Boundary):
            return next((one for one in operands if one.quantization), None)
    return None


def port_quantization(plan: Plan, id: int) -> Quantization | None:
    """The quantization of an input or output: its own, or that of the step at the boundary behind it."""
    found = quantized_port(plan, id)
    return found.quantization if found else None
