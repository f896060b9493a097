"""The order of steps: of all that compute the same, one whose fullest step has the fewest live bytes.

What has run decides which bytes are live, in whatever order it ran. So orders are paths through the sets of
steps that can have run, and the path whose fullest step is least is found as a shortest one (Dijkstra, with
the maximum in place of the sum). Layers behind one another leave one set for each length, branches a few
hundred. Exact; but where there are more sets than are looked at, the order stays as it is.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mcu_build.ir.calls.outside import Delegated, EthosU, UserFunction
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import aligned
from mcu_build.plan.memory.allocate import distance_of, live_bytes

# Sets of steps that are looked at, and steps that may follow one of them, at most.
_MOST_SETS = 5_000
_MOST_READY = 24
# The share of live bytes from which on another order is worth it.
_WORTH = 0.01


def reordered(plan: Plan) -> Plan:
    """The plan, not placed yet, with its steps in the order that needs the fewest bytes."""
    live = max(live_bytes(plan), default=0)
    if live <= _least(plan):
        return plan
    order = _Orders(plan).best()
    if order is None:
        return plan
    ordered = replace(plan, steps=tuple(plan.steps[index] for index in order))
    return ordered if max(live_bytes(ordered)) <= (1 - _WORTH) * live else plan


def _least(plan: Plan) -> int:
    """Bytes that some step needs in any order: the largest it reads or writes, or all model inputs."""
    ports = sum(aligned(plan.owner(id).nbytes) for id in plan.inputs if not plan.owner(id).is_apart)
    steps = (max((size for _, size in _moving(plan, step)), default=0) for step in plan.steps)
    return max(ports, *steps, 0)


def _moving(plan: Plan, step: Step) -> Iterator[tuple[int, int]]:
    """What a step reads and writes of the arena: owners' ids, and their bytes."""
    owners = {plan.owner(id) for id in step.arguments if id is not None}
    for owner in owners:
        if not owner.is_constant and not owner.is_apart:
            yield owner.id, aligned(owner.nbytes)


@dataclass(frozen=True)
class _Shared:
    """A step's output may lie over an input that it uses up: the bytes that both have then."""

    source: int
    output: int
    nbytes: int


class _Orders:
    """Sets of steps are bits of a number."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._sizes = dict(pair for step in plan.steps for pair in _moving(plan, step))
        self._inputs = {plan.owner(id).id for id in plan.inputs if not plan.owner(id).is_apart}
        self._sizes |= {id: aligned(plan.tensors[id].nbytes) for id in self._inputs}
        self._kept = {plan.owner(id).id for id in plan.outputs}
        self._touched = [tuple(id for id, _ in _moving(plan, step)) for step in plan.steps]
        self._users: dict[int, int] = defaultdict(int)
        for index, touched in enumerate(self._touched):
            for id in touched:
                self._users[id] |= 1 << index
        self._before = _dependences(plan)
        self._behind: dict[int, list[int]] = defaultdict(list)
        for index, before in enumerate(self._before):
            for other in _members(before):
                self._behind[other].append(index)
        self._shared = [tuple(_shared(plan, step, self._sizes)) for step in plan.steps]

    def best(self) -> list[int] | None:
        """Indices of steps in the order with the least peak; None: too many were looked at."""
        start = sum(self._sizes[id] for id in self._inputs)
        ready = tuple(index for index, before in enumerate(self._before) if not before)
        # Peak, steps to go, a number that tells equals apart; set, live bytes, steps that can follow.
        heap = [(start, len(self._before), 0, 0, start, ready)]
        best, came, count = {0: start}, dict[int, int](), 0
        for _ in range(_MOST_SETS):
            peak, left, _, done, live, ready = heapq.heappop(heap)
            if not left:
                return _path(came, done)
            if len(ready) > _MOST_READY:
                return None
            if best[done] < peak:
                continue
            for index in ready:
                during, after = self._live(index, done, live)
                there, most = done | 1 << index, max(peak, during)
                if most < best.get(there, most + 1):
                    best[there], came[there], count = most, index, count + 1
                    follow = (*(step for step in ready if step != index), *self._freed(index, there))
                    heapq.heappush(heap, (most, left - 1, count, there, after, follow))
        return None

    def _freed(self, index: int, done: int) -> Iterator[int]:
        """Steps that waited for this one last."""
        return (other for other in self._behind[index] if not self._before[other] & ~done)

    def _live(self, index: int, done: int, live: int) -> tuple[int, int]:
        """Bytes that are live during a step and behind it, where `live` are when the steps `done` are."""
        there, touched = done | 1 << index, self._touched[index]
        new = {id for id in touched if not self._users[id] & done and id not in self._inputs}
        over = {id for id in touched if not self._users[id] & ~there and id not in self._kept}
        shared = (
            tensor.nbytes
            for tensor in self._shared[index]
            if tensor.source in over - new and tensor.output in new
        )
        during = live + sum(self._sizes[id] for id in new)
        return during - max(shared, default=0), during - sum(self._sizes[id] for id in over)


def _members(steps: int) -> Iterator[int]:
    while steps:
        lowest = steps & -steps
        yield lowest.bit_length() - 1
        steps ^= lowest


def _path(came: Mapping[int, int], done: int) -> list[int]:
    order = []
    while done:
        order.append(came[done])
        done ^= 1 << order[-1]
    return order[::-1]


def _dependences(plan: Plan) -> list[int]:
    """For each step those that have to run before: writers of what it reads, users of what it writes.

    What runs code that is not ours stays in its order.
    """
    dependences, outside = [], 0
    writers: dict[int, int] = defaultdict(int)
    users: dict[int, int] = defaultdict(int)
    for index, step in enumerate(plan.steps):
        read = {plan.owner(id).id for id in step.reads if id is not None}
        written = {plan.owner(id).id for id in step.writes}
        before = 0
        for id in read:
            before |= writers[id]
        for id in written:
            before |= users[id]
        for id in read | written:
            users[id] |= 1 << index
        for id in written:
            writers[id] |= 1 << index
        if isinstance(step.call, EthosU | Delegated | UserFunction):
            before |= outside
            outside |= 1 << index
        dependences.append(before)
    return dependences


def _shared(plan: Plan, step: Step, sizes: Mapping[int, int]) -> Iterator[_Shared]:
    for id in step.inplace:
        pair = plan.owner(id).id, plan.owner(step.writes[0]).id
        if (distance := distance_of(plan, step, id)) is not None:
            source, output = (sizes[tensor] for tensor in pair)
            yield _Shared(*pair, source + output - max(output, source + distance.least))
