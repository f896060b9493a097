"""Operators of the user's own: calls of the user's C++ functions (docs/custom-operators.md)."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from mcu_build.custom import Kind, Signature
from mcu_build.errors import McuError
from mcu_build.ir.calls.outside import UserCall, UserFunction, UserTensor, UserValue
from mcu_build.ir.plan import Step
from mcu_build.plan.operators.layout import contiguous, contiguous_output
from mcu_build.plan.select import Call, Selector


def selectors(signatures: Sequence[Signature]) -> Mapping[str, Selector]:
    """What makes a step of each call, by the operator's name in a program."""
    return {signature.operator: _selector(signature) for signature in signatures}


def _selector(signature: Signature) -> Selector:
    def select(call: Call) -> None:
        operands: list[UserTensor | UserValue] = []
        reads = []
        for index, (name, kind) in enumerate(signature.parameters):
            if kind == "Tensor":
                reads.append(contiguous(call, call.tensor(index)))
                operands.append(UserTensor(name, reads[-1].dtype, reads[-1].model_shape, written=False))
            else:
                operands.append(_value(call, index, name, kind))
        count = len(signature.results)
        outputs = call.outputs(count) if count > 1 else (call.output,)
        with ExitStack() as stack:
            written = [stack.enter_context(contiguous_output(call, output)) for output in outputs]
            for name, output in zip(signature.results, outputs, strict=True):
                operands.append(UserTensor(name, output.dtype, output.model_shape, written=True))
            user = UserCall(signature.function, tuple(operands))
            ids = (tuple(tensor.id for tensor in tensors) for tensors in (reads, written))
            call.append(UserFunction(None, user, *ids))

    return select


def _value(call: Call, index: int, name: str, kind: Kind) -> UserValue:
    if kind == "int[]":
        return UserValue(name, call.integers(index))
    if kind == "float":
        return UserValue(name, call.real(index))
    number = call.integer(index)
    return UserValue(name, bool(number) if kind == "bool" else int(number))


def user_calls(steps: Sequence[Step]) -> dict[str, UserCall]:
    """A call of every custom operator among `steps`, by the operator's name.

    McuError where two calls of one operator differ in their types: one function serves one operator.
    """
    calls: dict[str, tuple[Step, UserCall]] = {}
    for step in steps:
        if not isinstance(step.call, UserFunction):
            continue
        user = step.call.user
        first, known = calls.setdefault(step.operator, (step, user))
        if known.prototype != user.prototype:
            raise McuError(
                f"{step.layer or step.name or 'the model'}: {step.operator}: tensors of other types than at "
                f"{first.layer or first.name or 'an earlier call'}: {user.prototype} and {known.prototype}",
                "Give each combination of types an operator of its own.",
            )
    return {operator: user for operator, (_, user) in calls.items()}
