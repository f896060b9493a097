"""Inputs and outputs of a plan: their names, which tensor holds one in integers, and at which scale."""

import re
from typing import Literal

from mcu_build.ir.calls.boundary import Boundary
from mcu_build.ir.plan import DType, Plan, Quantization, Tensor

Kind = Literal["input", "output"]
# What else the header names: kws_output_at(), kws::output_bytes, KWS_OUTPUT_COUNT, KWS_OUTPUT_BOXES_SIZE.
_TAKEN = ("AT", "BYTES", "COUNT")
_SUFFIXES = ("_SIZE", "_RANK", "_SHAPE", "_SCALE", "_ZERO_POINT")


def port_names(plan: Plan, kind: Kind) -> list[str]:
    """`output`; where there are several `output_boxes` for an entry "boxes" of a dict, else `output_0`."""
    count = len(plan.inputs if kind == "input" else plan.outputs)
    if count == 1:
        return [kind]
    own = plan.output_names if kind == "output" and len(plan.output_names) == count else ("",) * count
    words = [re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") for name in own]
    named = [word if word and not word.isdigit() else str(index) for index, word in enumerate(words)]
    upper = {word.upper() for word in named}
    clash = len(upper) < count or any(
        word in _TAKEN or any(word.removesuffix(end) in upper - {word} for end in _SUFFIXES) for word in upper
    )
    return [f"{kind}_{word}" for word in (map(str, range(count)) if clash else named)]


def quantized_port(plan: Plan, id: int) -> Tensor | None:
    """The tensor that holds an input or output in integers: its own, or that behind the boundary's step."""
    tensor = plan.tensors[id]
    if tensor.quantization or tensor.dtype is not DType.F32:
        return tensor if tensor.quantization else None
    owner = plan.owner(id).id
    for step in plan.steps:
        operands = [plan.tensors[argument] for argument in step.arguments if argument is not None]
        if owner in [plan.owner(operand.id).id for operand in operands] and isinstance(step.call, Boundary):
            return next((operand for operand in operands if operand.quantization), None)
    return None


def port_quantization(plan: Plan, id: int) -> Quantization | None:
    """The quantization of an input or output: its own, or that of the step at the boundary behind it."""
    port = quantized_port(plan, id)
    return port.quantization if port else None
