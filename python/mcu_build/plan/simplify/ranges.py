"""Which values each channel of a tensor can take, whatever the model's inputs are.

Ranges are never too narrow; of what is not known about a call, the whole range of int8 is left.
"""

from collections import defaultdict

from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.moves import Concat
from mcu_build.ir.channels import Ints, Range, array_of, channels_of
from mcu_build.ir.plan import Plan
from mcu_build.ir.tensor import DType, Tensor


def is_whole(tensor: Tensor, source: Tensor) -> bool:
    """Whether an alias is all of the bytes of `source`, of which it is an alias."""
    return (tensor.alias_offset, tensor.dtype, tensor.nbytes) == (0, source.dtype, source.nbytes)


class Ranges:
    """The ranges of a plan's int8 tensors: the `Values` that calls ask."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._known: dict[int, Range] = {}
        writers: dict[int, list[Call]] = defaultdict(list)
        for step in plan.steps:
            for id in step.writes:
                writers[plan.owner(id).id].append(step.call)
        for step in plan.steps:
            if len(step.writes) != 1 or plan.tensors[step.writes[0]].alias_of is not None:
                continue
            output = step.writes[0]
            # The parts of a concatenation have one step each.
            alone = len(writers[output]) == 1 or all(isinstance(call, Concat) for call in writers[output])
            values = step.call.value_range(self) if alone and output not in plan.inputs else None
            if values is not None:
                self._known[output] = values

    def tensor(self, id: int) -> Tensor:
        """A tensor of the plan."""
        return self.plan.tensors[id]

    def known(self, id: int) -> Range | None:
        """What steps so far found of a tensor."""
        return self._known.get(id)

    def of(self, id: int, channels: int | None = None) -> Range:
        """The range of a tensor, counted in its own channels or in `channels`."""
        tensor = self.plan.tensors[id]
        return self._own(tensor).over(channels or channels_of(tensor))

    def constant(self, id: int | None) -> Ints | None:
        """The elements of a constant; None where it is none."""
        if id is None or self.plan.tensors[id].data is None:
            return None
        return array_of(self.plan.tensors[id])

    def _own(self, tensor: Tensor) -> Range:
        if tensor.data is not None and tensor.dtype is DType.I8:
            values = array_of(tensor).reshape(-1, channels_of(tensor))
            return Range(values.min(0), values.max(0))
        if tensor.alias_of is not None:
            source = self.plan.tensors[tensor.alias_of]
            if is_whole(tensor, source):
                return self._own(source)
        return self._known.get(tensor.id, Range.whole(1))
