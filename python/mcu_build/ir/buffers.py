"""Buffers that a program itself keeps from call to call, as its last inputs and outputs.

ExecuTorch's exporter writes them back at the end of a method, by `aten::copy_` (its pass insert_write_back),
or lets an operator write them in place (`aten::index_put_`). Without either the program is a pure function,
as those are that we lower ourselves: whoever calls it carries the state.
"""

from dataclasses import replace

from mcu_build.ir.program import KernelCall, Program, TensorValue

_WRITE_BACK = "aten::copy_"


def lift_buffers(program: Program) -> Program:
    """The program with its written buffers as last inputs, their new values as last outputs, in one order.

    `initial` are their bytes before the first call, None where the file does not tell.
    """
    written = _written_buffers(program)
    if not written:
        return program
    values, calls = list(program.values), []
    newest = {id: id for id in written}
    for call in program.instructions:
        arguments = tuple(newest.get(id, id) for id in call.arguments)
        target = call.arguments[-1]
        if target not in written or not isinstance(call, KernelCall):
            calls.append(replace(call, arguments=arguments))
        elif call.operator == _WRITE_BACK:
            newest[target] = arguments[1]
        else:
            # A result of its own, in the buffer's place: views of the buffer are found there.
            values.append(replace(_tensor(program, target), data=None))
            newest[target] = len(values) - 1
            name = call.operator.removesuffix("_") + ".out"
            calls.append(replace(call, operator=name, arguments=(*arguments[:-1], newest[target])))
    for id in written:
        values[id] = replace(_tensor(program, id), data=None)
    return replace(
        program,
        values=tuple(values),
        instructions=tuple(calls),
        inputs=(*program.inputs, *written),
        outputs=(*(newest.get(id, id) for id in program.outputs), *newest.values()),
        initial=tuple(_tensor(program, id).data for id in written),
    )


def _written_buffers(program: Program) -> tuple[int, ...]:
    """Tensors that calls write in place and that nothing gives a value before, in the order of the writes."""
    known = set(program.inputs)
    written: dict[int, None] = {}
    for call in program.instructions:
        target = call.arguments[-1]
        is_in_place = isinstance(call, KernelCall) and call.operator.endswith("_")
        is_in_place = is_in_place and call.arguments[0] == target
        if is_in_place and target not in known and isinstance(program.values[target], TensorValue):
            written[target] = None
        elif not is_in_place:
            known.add(target)
    return tuple(written)


def _tensor(program: Program, id: int) -> TensorValue:
    value = program.values[id]
    assert isinstance(value, TensorValue)
    return value
