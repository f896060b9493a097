"""Kernels of the core in place of reference kernels, with weights laid out as they want them.

Each folder of firmware/kernels that holds kernels with a layout of their own has a module here. Its table
goes from a reference kernel to functions that look at one step; the first that returns a step replaces it.
A kernel that takes what the reference kernel takes needs nothing here: the build finds it by its file's name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mcu_build.ir.plan import DType, Optimize, Plan, Step, Tensor
from mcu_build.plan.fit import constant_bytes
from mcu_build.plan.specialize import cmsis_nn, dsp, mve, thumb

# A layer's weights are worth a slower kernel where they would take so many bytes more, and a quarter more.
_LARGE = 4096

Specializer = Callable[["Context", Step], Step | None]
TABLES: Mapping[str, Mapping[str, tuple[Specializer, ...]]] = {
    "cmsis_nn": cmsis_nn.TABLE,
    "dsp": dsp.TABLE,
    "mve": mve.TABLE,
    "thumb": thumb.TABLE,
    "thumb2": thumb.TABLE_2,
}


class Context:
    """The tensors of a plan while its steps are replaced."""

    def __init__(self, plan: Plan, optimize: Optimize) -> None:
        self.plan = plan
        self.optimize = optimize
        self.tensors = dict(plan.tensors)
        self._next_id = max(self.tensors, default=-1) + 1

    def tensor(self, id: int | None) -> Tensor:
        """A tensor of the plan. KeyError where an optional argument is absent."""
        if id is None:
            raise KeyError("absent")
        return self.tensors[id]

    def constant(self, name: str, dtype: DType, shape: Sequence[int], data: bytes) -> int:
        """Add a constant, such as packed weights; its id. What nothing reads any more is not kept."""
        return self._add(Tensor(self._next_id, name, dtype, tuple(shape), tuple(range(len(shape))), data))

    def scratch(self, nbytes: int) -> int:
        """Add memory that one step alone uses; its id belongs in the step's arguments and writes."""
        return self._add(Tensor(self._next_id, "scratch", DType.U8, (nbytes,), (0,)))

    def _add(self, tensor: Tensor) -> int:
        self.tensors[tensor.id] = tensor
        self._next_id += 1
        return tensor.id


def specialize(
    plan: Plan, kernel_folders: Sequence[str], optimize: Optimize = "speed", room: int | None = None
) -> Plan:
    """Replace steps by those of the best folder that has a kernel for them, `kernel_folders` best first.

    A kernel may want weights in more bytes than the program has them in. A step keeps the program's weights,
    and the reference kernel, where its own would take much more and `optimize` is size; and, those first that
    take the most more, where constants would else take more than `room` bytes.
    """
    context = Context(plan, optimize)
    steps = [_best(context, step, kernel_folders) for step in plan.steps]
    made = replace(plan, tensors=context.tensors, program_constants=constant_bytes(plan))
    costs = [
        _constants(made, after) - _constants(made, before)
        for before, after in zip(plan.steps, steps, strict=True)
    ]
    total = constant_bytes(replace(made, steps=tuple(steps)))
    kept = 0
    for index in sorted(range(len(steps)), key=lambda index: -costs[index]):
        grows = costs[index] > max(_LARGE, _constants(made, plan.steps[index]) // 4)
        over = room is not None and total > room and costs[index] > 0
        if over or (optimize == "size" and grows):
            steps[index] = plan.steps[index]
            total -= costs[index]
            kept += over
    return replace(made, steps=tuple(steps), plain_steps=kept)


def _constants(plan: Plan, step: Step) -> int:
    """Bytes of the constants that a step reads."""
    tensors = {plan.owner(id).id: plan.owner(id) for id in step.arguments if id is not None}
    return sum(tensor.nbytes for tensor in tensors.values() if tensor.is_constant)


def _best(context: Context, step: Step, kernel_folders: Sequence[str]) -> Step:
    for folder in kernel_folders:
        for specializer in TABLES.get(folder, {}).get(step.kernel, ()):
            found = specializer(context, step)
            if found is not None:
                return found
    return step
