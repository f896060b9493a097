"""Programs that are written: what the reader gives back of them, and of a plan's delegates."""

from dataclasses import replace

import numpy as np

from mcu_build.codegen.delegated import BACKEND, delegated, is_left
from mcu_build.codegen.kernel_set import KernelSet
from mcu_build.codegen.pte import encode
from mcu_build.ir.calls.outside import UserFunction
from mcu_build.ir.plan import DType
from mcu_build.ir.program import (
    Delegate,
    DelegateCall,
    KernelCall,
    Program,
    TensorListValue,
    TensorValue,
    parse,
)
from mcu_build.plan.compile import compile_program
from tests.support.cases import program_of
from tests.support.firmware import quantizer


def image(offset: int | None, data: bytes | None = None) -> TensorValue:
    place = None if offset is None else (1, offset)
    return TensorValue(DType.I8, (1, 4, 3, 5), (0, 2, 3, 1), data, place)


def test_what_is_written_is_read() -> None:
    constants = [image(None, bytes(range(first, first + 60))) for first in (0, 60)]
    lists = (TensorListValue((0, 2)), (3, -1 << 40, 3), (0.5, -2.0))
    numbers = (None, True, False, 7, -(1 << 62), 2.5, "words", *lists)
    values = (image(0), *constants, image(64), TensorValue(DType.F32, (), (), None, (1, 1 << 20)), *numbers)
    calls = (
        KernelCall("odd::mix.out", (0, 1, 8, 13, 3, 3)),
        DelegateCall(1, (3, 0)),
        KernelCall("odd::plain", (0, 2, 3)),
        DelegateCall(0, (0, 3)),
    )
    delegates = (Delegate("First", bytes(range(100))), Delegate("Second", b"", {"weights": b"12345"}))
    delegates = tuple(replace(one, named_data={"weights": b"12345"}) for one in delegates)
    written = Program("forward", values, calls, (0,), (3, 4), delegates, (1 << 21, 16))
    data = encode(written)
    found = parse(data)
    assert replace(found, values=found.values[: len(values)]) == written
    assert [type(value) for value in found.values[: len(values)]] == [type(value) for value in values]
    assert encode(found) == encode(parse(encode(found)))
    # Where ExecuTorch uses what it has loaded as it lies there: at a multiple of 16 bytes.
    assert data.index(delegates[0].payload) % 16 == 0 and data.index(bytes(range(60, 120))) % 16 == 0
    alone = replace(written, delegates=(), instructions=(calls[0], calls[2]), values=values)
    assert parse(encode(alone)).delegates == ()


def test_a_plan_is_one_delegate_on_the_memory_of_its_program() -> None:
    program, _ = program_of(quantizer())
    plan = compile_program(program, "tiny")
    kernels = KernelSet.of(plan.steps).numbers
    found = parse(encode(delegated(plan, program, kernels)))
    ((call,), (delegate,)) = found.instructions, found.delegates
    assert delegate.id == BACKEND and delegate.payload[:4] == b"MCUT"
    arena, *ports = (found.values[id] for id in call.arguments)
    assert isinstance(arena, TensorValue) and arena.location == (1, 0) and arena.nbytes >= plan.arena.size
    assert [one.location for one in ports if isinstance(one, TensorValue)] == [
        (1, plan.offset(id)) for id in (*plan.inputs, *plan.outputs)
    ]
    assert (*found.inputs, *found.outputs) == call.arguments[1:]


def test_a_call_of_the_users_parts_a_plan() -> None:
    """What is ours before and behind it are two delegates, which say what they read and write."""
    program, _ = program_of(quantizer())
    plan = compile_program(program, "tiny")
    (step,) = plan.steps
    first, last = plan.inputs[0], plan.outputs[0]
    tensors = {
        **plan.tensors,
        **{id: replace(plan.tensors[last], id=id, name=f"t{id}") for id in (100, 101)},
    }
    offsets = {first: 0, last: 64, 100: 128, 101: 192}
    parted = replace(
        plan,
        tensors=tensors,
        steps=(
            step.renamed({last: 100}),
            replace(step, operator="odd::mix.out", call=UserFunction(None, None, (100,), (101,)),
                    arguments=(100, 101), writes=(101,)),
            step.renamed({first: 101}),
        ),
        placed=replace(plan.arena, size=256, offsets=offsets),
    )  # fmt: skip
    assert [is_left(one) for one in parted.steps] == [False, True, False]
    given = replace(program, instructions=(KernelCall("odd::mix.out", (*program.inputs, *program.outputs)),))
    kernels = KernelSet.of(one for one in parted.steps if not is_left(one)).numbers
    found = delegated(parted, given, kernels)
    places = [[found.values[id].location for id in call.arguments] for call in found.instructions]
    assert places == [[(1, 0), (1, 0), (1, 128)], [(1, 128), (1, 192)], [(1, 0), (1, 192), (1, 64)]]
    assert [type(call) for call in found.instructions] == [DelegateCall, KernelCall, DelegateCall]
    tables = [np.frombuffer(one.payload[40:56], "<u4").tolist() for one in found.delegates]
    assert tables == [[1, 4, 1, 1]] * 2
