"""Plan → a program for ExecuTorch's own runtime whose steps are delegates of ours. Pure.

Consecutive steps of a plan are one delegate: its payload is a plan as data (codegen/table.py), which
firmware/executorch/backends/mcu.cpp runs on the program's planned memory. That memory is the plan's arena, so
nothing is copied. What a model keeps from call to call is a second memory, and its initial values the first
constant of the program, where firmware/executorch/model.cpp finds them. Delegates of an NPU and operators of
the user's own stand between them as they were.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from mcu_build.codegen.kernel_set import Numbers
from mcu_build.codegen.table import encode
from mcu_build.ir.calls.outside import Delegated, UserFunction
from mcu_build.ir.plan import DType, Plan, Step
from mcu_build.ir.program import (
    Delegate,
    DelegateCall,
    KernelCall,
    Program,
    TensorListValue,
    TensorValue,
    Value,
)
from mcu_build.ir.tensor import ALIGNMENT, aligned

BACKEND = "McuBackend"
# The memories of a program's plan that are the arena, and the state.
_MEMORY, _STATE = 1, 2


def is_left(step: Step) -> bool:
    """Whether ExecuTorch's runtime calls a step itself."""
    return isinstance(step.call, Delegated | UserFunction)


def delegated(plan: Plan, program: Program, kernels: Numbers) -> Program:
    """The program of a placed plan, made from `program`, for firmware with `kernels`."""
    made = _Made(plan, program)
    calls = iter(call for call in program.instructions if made.keeps(call))
    for left, steps in groupby(plan.steps, is_left):
        if not left:
            made.run(tuple(steps), kernels)
            continue
        for step in steps:
            made.keep(step, next(calls))
    return replace(
        program,
        values=tuple(made.values),
        instructions=tuple(made.instructions),
        inputs=tuple(made.tensor(id) for id in plan.inputs),
        outputs=tuple(made.tensor(id) for id in plan.outputs),
        delegates=tuple(made.delegates),
        planned_sizes=made.memories,
    )


def state_bytes(program: Program) -> int:
    """Bytes that a program with delegates of ours keeps from call to call."""
    is_ours = any(delegate.id == BACKEND for delegate in program.delegates)
    return sum(program.planned_sizes[_STATE - 1 :]) if is_ours else 0


@dataclass
class _Made:
    """The new program as far as it is made; its first values are arena and state as tensors of bytes."""

    plan: Plan
    program: Program
    instructions: list[KernelCall | DelegateCall] = field(default_factory=list)
    delegates: list[Delegate] = field(default_factory=list)
    _known: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arena, state = max(aligned(self.plan.arena.size), ALIGNMENT), aligned(len(self.plan.initial_state))
        self.memories = (arena, state) if state else (arena,)
        self.values: list[Value] = [
            TensorValue(DType.U8, (size,), (0,), None, (memory, 0))
            for memory, size in enumerate(self.memories, _MEMORY)
        ]
        if state:
            initial = self.plan.initial_state.ljust(state, b"\0")
            self.values.append(TensorValue(DType.U8, (state,), (0,), initial, None))
        self._own = {step.operator for step in self.plan.steps if isinstance(step.call, UserFunction)}
        others = [step for step in self.plan.steps if is_left(step)]
        self._given = self._by_owner([*self.plan.inputs, *(id for step in others for id in step.writes)])
        self._wanted = self._by_owner([*self.plan.outputs, *(id for step in others for id in step.reads)])

    def keeps(self, call: KernelCall | DelegateCall) -> bool:
        """Whether a call of the program is none of our steps."""
        return isinstance(call, DelegateCall) or call.operator in self._own

    def tensor(self, id: int) -> int:
        """The value that is a tensor of the plan."""
        if id not in self._known:
            tensor = self.plan.tensors[id]
            memory = _MEMORY if self.plan.owner(id).state is None else _STATE
            place = None if tensor.is_constant else (memory, self.plan.offset(id))
            value = TensorValue(tensor.dtype, tensor.model_shape, tensor.dim_order, tensor.data, place)
            self._known[id] = self._add(value)
        return self._known[id]

    def run(self, steps: tuple[Step, ...], kernels: Numbers) -> None:
        """Steps of ours as one delegate, which is given arena and state, and what it reads and writes."""
        inputs, outputs = self._ports(steps)
        # Initial values are the program's, not those of each delegate.
        state = bytes(len(self.plan.initial_state))
        part = replace(self.plan, steps=steps, inputs=inputs, outputs=outputs, initial_state=state)
        self.delegates.append(Delegate(BACKEND, encode(part, kernels)))
        operands = (
            *range(len(self.memories)),
            *map(self.tensor, part.inputs),
            *map(self.tensor, part.outputs),
        )
        self.instructions.append(DelegateCall(len(self.delegates) - 1, operands))

    def keep(self, step: Step, call: KernelCall | DelegateCall) -> None:
        """A call of the program, on the plan's tensors."""
        if isinstance(call, DelegateCall):
            self.delegates.append(self.program.delegates[call.delegate])
            arguments = tuple(self.tensor(id) for id in step.arguments if id is not None)
            self.instructions.append(replace(call, delegate=len(self.delegates) - 1, arguments=arguments))
            return
        self.instructions.append(replace(call, arguments=tuple(self._arguments(step, call))))

    def _arguments(self, step: Step, call: KernelCall) -> Iterator[int]:
        """Those of an operator of the user's: tensors in their order, which end in its results, once more."""
        ids = iter(id for id in step.arguments if id is not None)
        results: Mapping[int, int] = {}
        for argument in call.arguments:
            value = self.program.values[argument]
            if isinstance(value, TensorValue):
                id = next(ids, None)
                place = results[argument] if id is None else self.tensor(id)
                results = {**results, argument: place}
                yield place
            elif isinstance(value, TensorListValue):
                yield self._add(TensorListValue(tuple(results[item] for item in value.items)))
            else:
                yield self._add(value)

    def _ports(self, steps: Sequence[Step]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What steps read that others made, and what they make that others read."""
        owner = self.plan.owner
        read = {owner(id).id for step in steps for id in step.reads}
        made = {owner(id).id for step in steps for id in step.writes}
        return _found(read, self._given), _found(made, self._wanted)

    def _by_owner(self, ids: Iterable[int]) -> dict[int, list[tuple[int, int]]]:
        """Tensors with their place among `ids`, by the one in whose memory they lie."""
        accesses: dict[int, list[tuple[int, int]]] = {}
        for place, id in enumerate(dict.fromkeys(ids)):
            accesses.setdefault(self.plan.owner(id).id, []).append((place, id))
        return accesses

    def _add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1


def _found(owners: Iterable[int], known: Mapping[int, Sequence[tuple[int, int]]]) -> tuple[int, ...]:
    """The tensors of `owners` that are known, by their place."""
    return tuple(id for _, id in sorted(access for owner in owners for access in known.get(owner, ())))
