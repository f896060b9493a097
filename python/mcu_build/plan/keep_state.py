"""State: what a model keeps between calls gets memory of its own, and its new value is copied there."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.moves import Concat, Copy
from mcu_build.ir.calls.outside import Delegated, EthosU, UserFunction
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
    values = []
    for id, value, quantization in zip(program.inputs[first:], initial, known, strict=True):
        tensor = program.values[id]
        assert isinstance(tensor, TensorValue)
        values.append(quantize(value, quantization, tensor.dtype.numpy_name) if quantization else value)
    return values


def initial_bytes(program: Program, values: Sequence[Array]) -> list[bytes]:
    """Initial values in memory order."""
    contents = []
    for id, value in zip(program.inputs[len(program.inputs) - len(values) :], values, strict=True):
        tensor = program.values[id]
        assert isinstance(tensor, TensorValue)
        contents.append(np.ascontiguousarray(value.transpose(tensor.dim_order)).tobytes())
    return contents


def keep_state(plan: Plan, initial: Sequence[bytes], windows: bool = True) -> Plan:
    """The plan of a program whose last inputs are state, and whose last outputs their new values.

    `initial` are their bytes before the first call, in memory order. Inputs and outputs of the result
    are the model's own. With `windows` the past of a stream has room for the samples that follow it, so that
    a step appends them and then moves all down, and copies nothing twice.
    """
    if not initial:
        return plan
    states, results = plan.inputs[-len(initial) :], plan.outputs[-len(initial) :]
    made = replace(plan, inputs=plan.inputs[: -len(initial)], outputs=plan.outputs[: -len(initial)])
    in_windows = _windows(made, states, results) if windows else {}
    tensors, memory, offsets, copies = dict(plan.tensors), bytearray(), list[int](), list[Step]()
    makers = {plan.owner(id).id: step for step in plan.steps for id in step.writes}
    for id, result, value in zip(states, results, initial, strict=True):
        assert len(value) == tensors[id].nbytes
        read, written = ([size for size in tensors[tensor].shape if size != 1] for tensor in (id, result))
        assert read == written, "state is written in another layout than it is read"
        memory += bytes(-len(memory) % ALIGNMENT)
        offsets.append(len(memory))
        memory += value
        if id in in_windows:
            window = plan.owner(result)
            tensors[window.id] = replace(window, state=offsets[-1])
            tensors[id] = replace(tensors[id], alias_of=window.id)
            memory += bytes(window.nbytes - len(value))
        else:
            tensors[id] = replace(tensors[id], state=offsets[-1])
        # Behind all else: the state is read until the end of the call.
        maker = makers.get(plan.owner(result).id)
        line, name = (maker.layer, maker.name) if maker else ("", "")
        copies.append(Step.of("state", line, Copy.of(tensors[result], tensors[id]), name))
    appended = set(in_windows.values())
    steps = (step for index, step in enumerate(plan.steps) if index not in appended)
    return replace(
        made,
        tensors=tensors,
        steps=(*steps, *copies),
        initial_state=bytes(memory),
        state_offsets=tuple(offsets),
        state_rings=(None,) * len(offsets),
    )


def _windows(plan: Plan, states: Sequence[int], results: Sequence[int]) -> Mapping[int, int]:
    """The steps, by the id of the state, that put a state in front of the samples that follow it.

    The state can lie where they put it, if its new value is the end of the same tensor, all else that is made
    there is appended, and nothing outside of our kernels sees any of it.
    """
    writers: dict[int, list[int]] = defaultdict(list)
    closed = {plan.owner(id).id for id in (*plan.inputs, *plan.outputs)}
    for index, step in enumerate(plan.steps):
        for id in step.writes:
            writers[plan.owner(id).id].append(index)
        if isinstance(step.call, EthosU | Delegated | UserFunction):
            closed |= {plan.owner(id).id for id in step.arguments if id is not None}
    users = Counter(plan.owner(result).id for result in results)
    windows = {}
    for id, result in zip(states, results, strict=True):
        window = plan.owner(result).id
        joins = [(index, plan.steps[index].call) for index in writers[window]]
        if users[window] == 1 and window not in closed:
            first = _first(plan, id, joins, closed)
            if first is not None:
                windows[id] = first
    return windows


def _first(plan: Plan, state: int, joins: Sequence[tuple[int, Call]], closed: Collection[int]) -> int | None:
    """Which of the steps that write a tensor puts a state in front; None where the others do not append."""
    size, first = plan.tensors[state].nbytes, None
    for index, call in joins:
        if (
            not isinstance(call, Concat)
            or call.params.rows != 1
            or plan.tensors[call.output].alias_of is not None
        ):
            return None
        if call.params.offset == 0 and call.input == state:
            first = index
        elif call.params.offset < size or plan.owner(call.input).id in closed:
            return None
    return first
