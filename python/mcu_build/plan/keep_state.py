"""State: what a model keeps between calls gets memory of its own, and its new value is copied there."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.moves import Copy
from mcu_build.ir.plan import ALIGNMENT, Plan, Quantization, Step
from mcu_build.ir.program import Program, TensorValue
from mcu_build.vectors.npz import Array
from mcu_build.vectors.pack import quantize


def initial_values(
    program: Program, initial: Sequence[Array], quantizations: Sequence[Quantization | None]
) -> list[Array]:
    """What the last inputs of a program hold before the first call.

    `initial` are their values in the float model, `quantizations` those of all inputs; without any they are
    taken as they are.
    """
    first = len(program.inputs) - len(initial)
    known = quantizations[first:] if quantizations else [None] * len(initial)
    found = []
    for id, value, quantization in zip(program.inputs[first:], initial, known, strict=True):
        tensor = program.values[id]
        assert isinstance(tensor, TensorValue)
        found.append(quantize(value, quantization, tensor.dtype.numpy_name) if quantization else value)
    return found


def initial_bytes(program: Program, values: Sequence[Array]) -> list[bytes]:
    """Initial values in memory order."""
    found = []
    for id, value in zip(program.inputs[len(program.inputs) - len(values) :], values, strict=True):
        tensor = program.values[id]
        assert isinstance(tensor, TensorValue)
        found.append(np.ascontiguousarray(value.transpose(tensor.dim_order)).tobytes())
    return found


def keep_state(plan: Plan, initial: Sequence[bytes]) -> Plan:
    """The plan of a program whose last inputs are state, and whose last outputs their new values.

    `initial` are their bytes before the first call, in memory order. Inputs and outputs of the result
    are the model's own.
    """
    if not initial:
        return plan
    inputs, states = plan.inputs[: -len(initial)], plan.inputs[-len(initial) :]
    outputs, results = plan.outputs[: -len(initial)], plan.outputs[-len(initial) :]
    tensors, memory, copies = dict(plan.tensors), bytearray(), []
    makers = {plan.owner(id).id: step for step in plan.steps for id in step.writes}
    for id, result, value in zip(states, results, initial, strict=True):
        assert len(value) == tensors[id].nbytes
        read, written = ([size for size in tensors[one].shape if size != 1] for one in (id, result))
        assert read == written, "state is written in another layout than it is read"
        memory += bytes(-len(memory) % ALIGNMENT)
        tensors[id] = replace(tensors[id], state=len(memory))
        memory += value
        # Behind all else: the state is read until the end of the call.
        maker = makers.get(plan.owner(result).id)
        line, name = (maker.layer, maker.name) if maker else ("", "")
        copies.append(Step.of("state", line, Copy.of(tensors[result], tensors[id]), name))
    return replace(
        plan,
        tensors=tensors,
        steps=(*plan.steps, *copies),
        inputs=inputs,
        outputs=outputs,
        initial_state=bytes(memory),
    )
