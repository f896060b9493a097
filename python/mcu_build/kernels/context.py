"""What specializers see: the tensors of a plan, and which of them take which calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mcu_build.ir.calls.call import Call
from mcu_build.ir.plan import Optimize, Plan, Step
from mcu_build.ir.tensor import DType, Tensor

C = TypeVar("C", bound=Call)
T = TypeVar("T")


class Context:
    """The tensors of a plan while its steps are replaced.

    `dual_issue`: the core starts two instructions a cycle.
    """

    def __init__(self, plan: Plan, optimize: Optimize, dual_issue: bool = False) -> None:
        self.plan = plan
        self.optimize = optimize
        self.dual_issue = dual_issue
        self.tensors = dict(plan.tensors)
        self._next_id = max(self.tensors, default=-1) + 1
        self._constants: dict[tuple[DType, tuple[int, ...], bytes], int] = {}
        self._asked: dict[Callable[[Plan], Any], Any] = {}

    def tensor(self, id: int | None) -> Tensor:
        """A tensor of the plan. KeyError where an optional argument is absent."""
        if id is None:
            raise KeyError("absent")
        return self.tensors[id]

    def once(self, ask: Callable[[Plan], T]) -> T:
        """What a function says of the plan: it is asked once, however many steps want to know."""
        if ask not in self._asked:
            self._asked[ask] = ask(self.plan)
        answer: T = self._asked[ask]
        return answer

    def constant(self, name: str, dtype: DType, shape: Sequence[int], data: bytes) -> int:
        """A constant, such as packed weights, added where there is none of these bytes yet; its id.

        What nothing reads any more is not kept.
        """
        key = (dtype, tuple(shape), data)
        if key not in self._constants:
            tensor = Tensor(self._next_id, name, dtype, tuple(shape), tuple(range(len(shape))), data)
            self._constants[key] = self._add(tensor)
        return self._constants[key]

    def scratch(self, nbytes: int) -> int:
        """Add memory that one step alone uses; its id belongs in the step's arguments and writes."""
        return self._add(Tensor(self._next_id, "scratch", DType.U8, (nbytes,), (0,)))

    def _add(self, tensor: Tensor) -> int:
        self.tensors[tensor.id] = tensor
        self._next_id += 1
        return tensor.id


@dataclass(frozen=True)
class Way:
    """A kernel that serves a call: modelled cycles on its core, and the step, whose weights `make` packs."""

    cycles: float
    make: Callable[[], Step]


@dataclass(frozen=True)
class Rule(Generic[C]):
    """A kernel for calls of one kind without a rival in its folder: `make` replaces a step, or not."""

    kind: type[C]
    make: Callable[[Context, Step, C], Step | None]

    def ways(self, context: Context, step: Step) -> Sequence[Way]:
        """The step by this kernel, without a price; none where it is none for it."""
        ways = self.make(context, step, step.call) if isinstance(step.call, self.kind) else None
        return [Way(0, lambda: ways)] if ways is not None else []


@dataclass(frozen=True)
class Priced(Generic[C]):
    """Kernels for calls of one kind, those that need fewer bytes first: what each takes, none made yet."""

    kind: type[C]
    find: Callable[[Context, Step, C], Sequence[Way]]

    def ways(self, context: Context, step: Step) -> Sequence[Way]:
        """Each kernel that takes the call of a step."""
        return self.find(context, step, step.call) if isinstance(step.call, self.kind) else []


# The kernels of a folder.
Table = tuple[Rule[Any] | Priced[Any], ...]
