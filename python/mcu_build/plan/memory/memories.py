"""Activations and constants over several memories of a board: each where reading it costs least.

A memory costs the cycles that its reads wait (the board file's `timing`), times the bytes that kernels read
of a tensor. At first each tensor lies in its cheapest memory, the earlier one in the board's list where two
cost the same. From a memory that is too full, tensors go to others: those first whose move costs the fewest
cycles for the bytes that it relieves. Then single tensors are brought to a cheaper memory, and others out of
it, where that costs less altogether. Deterministic.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from mcu_build.errors import Exit, McuError
from mcu_build.ir.calls.dma import DmaStart
from mcu_build.ir.calls.outside import Delegated, EthosU
from mcu_build.ir.plan import Arena, Plan, Step
from mcu_build.ir.ports import port_names
from mcu_build.ir.tensor import aligned
from mcu_build.plan.memory.allocate import Block, best_placement, block_distances, lifetimes, live_of

# Bytes that are read for each multiply-accumulate: counted in the simulator for ResNet8 on a Cortex-M4.
_BYTES_PER_MAC = 1.0
_WEIGHT_BYTES_PER_MAC = 0.5
# Tensors that are tried in a cheaper memory in the end, and how often.
_MOST_TRIED = 32
_MOST_ROUNDS = 4


@dataclass(frozen=True)
class Room:
    """A memory: the bytes that activations, or constants, may take there, and what reading it costs.

    `wait` are the cycles that a byte waits, `npu` and `dma` are whether an NPU, and the DMA, reach it.
    """

    name: str
    size: int
    wait: float = 0.0
    npu: bool = True
    dma: bool = True


@dataclass(frozen=True)
class Pin:
    """A memory for layers, by the path of their module (`*` stands for any letters), or for a port."""

    layer: str
    memory: str

    @classmethod
    def of(cls, text: str) -> "Pin":
        """`features.0=dtcm`. McuError (status 2) where it is not of this form."""
        layer, _, memory = text.partition("=")
        if not (layer and memory):
            raise McuError(
                f"--place: {text!r} is not LAYER=MEMORY",
                "Such as --place features.0=dtcm, or --place input=sram.",
                Exit.USAGE,
            )
        return cls(layer, memory)

    def names(self, layer: str) -> bool:
        """Whether a layer is meant, by its own name or by that of a module around it."""
        return fnmatchcase(layer, self.layer) or layer.startswith(f"{self.layer}.")


@dataclass(frozen=True)
class Memories:
    """Where a plan may lie: rooms for activations, rooms for constants, and what is placed by name.

    One room, or none, is the arena as a whole. `copies` are the bytes up to which the arena may grow for
    copies of weights (copy_weights.py); they may always be as large as it is without. Where a DMA can
    copy them ahead, `dma` are the cycles that a multiply-accumulate takes meanwhile.
    """

    arenas: tuple[Room, ...] = ()
    constants: tuple[Room, ...] = ()
    pins: tuple[Pin, ...] = ()
    copies: int = 0
    dma: float | None = None

    @property
    def differ(self) -> bool:
        """Whether reading some memory for activations costs more than reading another."""
        return len({room.wait for room in self.arenas}) > 1

    @property
    def names(self) -> tuple[str, ...]:
        """Memories that a pin may name."""
        return tuple(dict.fromkeys(room.name for room in (*self.arenas, *self.constants)))

    def without(self, nbytes: int) -> "Memories":
        """The same with fewer bytes in the first memory for activations."""
        if not self.arenas:
            return self
        first, *others = self.arenas
        return replace(self, arenas=(replace(first, size=max(first.size - nbytes, 0)), *others))

    def spread(self, plan: Plan) -> Plan:
        """A placed plan over the memories: constants first, activations in what these leave."""
        if len(self.constants) > 1:
            plan = spread_constants(plan, self.constants, self.pins)
        if len(self.arenas) < 2:
            return plan
        taken: dict[str, int] = defaultdict(int)
        first = self.constants[0].name if self.constants else ""
        for id in _constants(plan):
            taken[plan.constants_in.get(id, first)] += aligned(plan.tensors[id].nbytes)
        left = [replace(room, size=max(room.size - taken[room.name], 0)) for room in self.arenas]
        return spread(plan, left, self.pins)


def spread(plan: Plan, rooms: Sequence[Room], pins: Sequence[Pin] = ()) -> Plan:
    """A placed plan with its activations over `rooms`. `over` of its arena is what these lack."""
    return plan.with_arena(_Spread(plan, rooms, pins).arena())


def spread_constants(plan: Plan, rooms: Sequence[Room], pins: Sequence[Pin] = ()) -> Plan:
    """The plan with its constants over `rooms`. What finds no room elsewhere stays in its cheapest memory."""
    blocks = [Block(id, aligned(plan.tensors[id].nbytes), 0, 0) for id in sorted(_constants(plan))]
    choices = _Choices(plan, rooms, pins)
    at = {block.id: choices.of(block.id)[0] for block in blocks}
    held = [sum(block.size for block in blocks if at[block.id] == number) for number in range(len(rooms))]
    for number, room in enumerate(rooms):
        here = [block for block in blocks if at[block.id] == number]
        for block in sorted(
            here, key=lambda block: (choices.dearer(block.id) / max(block.size, 1), -block.size)
        ):
            others = choices.of(block.id)[1:]
            target = next((to for to in others if held[to] + block.size <= rooms[to].size), None)
            if held[number] > room.size and target is not None:
                at[block.id] = target
                held[number] -= block.size
                held[target] += block.size
    return replace(plan, constants_in={id: rooms[number].name for id, number in at.items() if number})


def check_pins(plan: Plan, pins: Sequence[Pin], memories: Sequence[str]) -> None:
    """McuError (status 2) for a pin that names no layer of the plan, or none of `memories`."""
    names = sorted({name for names in _names(plan).values() for name in names})
    for pin in pins:
        if pin.memory not in memories:
            raise McuError(
                f"--place: {pin.layer}={pin.memory}: neither arena nor constants of the board may lie in "
                f"{pin.memory!r}",
                f"They may in {', '.join(memories)}: add others with --arena or --constants.",
                Exit.USAGE,
            )
        if not any(map(pin.names, names)):
            near = get_close_matches(pin.layer, names, n=3, cutoff=0) or names[:3]
            raise McuError(
                f"--place: {pin.layer}={pin.memory}: no layer of {plan.name} is called {pin.layer!r}",
                f"There are {', '.join(near)} and others: `mcu-build build --json` lists them."
                if near
                else "",
                Exit.USAGE,
            )


def reads(plan: Plan) -> Mapping[int, float]:
    """Bytes that all steps together read of each tensor that owns bytes, by an estimate.

    A multiply-accumulate reads a part of each of its operands, as kernels keep some in registers. A kernel
    with scratch memory has brought its activations there. Outputs are read by the application.
    """
    counts: dict[int, float] = defaultdict(float)
    for id in plan.outputs:
        counts[plan.owner(id).id] += plan.tensors[id].nbytes
    for step in _calls(plan):
        scratch = [id for id in step.writes[1:] if plan.tensors[id].name == "scratch"]
        for id in {*step.reads, *scratch}:
            tensor, owner = plan.tensors[id], plan.owner(id)
            by_macs = owner.is_constant or not scratch or id in scratch
            each = _WEIGHT_BYTES_PER_MAC if owner.is_constant else _BYTES_PER_MAC
            counts[owner.id] += max(tensor.nbytes, each * step.macs if by_macs else 0.0)
    return counts


class _Choices:
    """For each tensor the memories that it may lie in, the cheapest first."""

    def __init__(self, plan: Plan, rooms: Sequence[Room], pins: Sequence[Pin]) -> None:
        self._rooms, self._pins = rooms, pins
        self._reads, self._names = reads(plan), _names(plan)
        self._of_npu, self._of_dma = (
            {
                plan.owner(id).id
                for step in _calls(plan)
                if isinstance(step.call, kind)
                for id in step.arguments
                if id is not None
            }
            for kind in (EthosU | Delegated, DmaStart)
        )
        self._known: dict[int, list[int]] = {}

    def of(self, id: int) -> list[int]:
        """Numbers of rooms."""
        if id not in self._known:
            self._known[id] = sorted(self._allowed(id), key=lambda number: (self.cost(id, number), number))
        return self._known[id]

    def cost(self, id: int, number: int) -> float:
        """Cycles that reads of a tensor wait in a memory."""
        return self._reads.get(id, 0.0) * self._rooms[number].wait

    def dearer(self, id: int) -> float:
        """Cycles that its next best memory costs more than its best one."""
        first, *others = self.of(id)
        return self.cost(id, others[0]) - self.cost(id, first) if others else 0.0

    def _allowed(self, id: int) -> list[int]:
        every = range(len(self._rooms))
        reached = [number for number in every if self._reaches(id, self._rooms[number])]
        names = self._names.get(id, set())
        for pin in self._pins:
            if any(map(pin.names, names)):
                pinned = [number for number in every if self._rooms[number].name == pin.memory]
                if pinned and id in self._of_npu and pinned[0] not in reached:
                    raise McuError(
                        f"--place: {pin.layer}={pin.memory}: the NPU does not reach {pin.memory}",
                        "Take a memory that it reaches: `npu = true` in the board file.",
                        Exit.USAGE,
                    )
                # A buffer that a DMA fills is no layer's own.
                if pinned and pinned[0] in reached:
                    return pinned
        # Where the NPU reaches none, the check of what fits says so.
        return reached or list(every)

    def _reaches(self, id: int, room: Room) -> bool:
        return (room.npu or id not in self._of_npu) and (room.dma or id not in self._of_dma)


class _Spread:
    """Which memory each block of a plan lies in, on the way to one that all rooms are large enough for."""

    def __init__(self, plan: Plan, rooms: Sequence[Room], pins: Sequence[Pin]) -> None:
        self._plan, self._rooms = plan, rooms
        self._blocks = lifetimes(plan)
        self._distances = block_distances(plan, self._blocks)
        self._choices = _Choices(plan, rooms, pins)
        self._at = {block.id: self._choices.of(block.id)[0] for block in self._blocks}
        # Moves out of a memory that have been made: none is taken back meanwhile.
        self._left: set[tuple[int, int]] = set()
        self._placed: dict[frozenset[int], tuple[Mapping[int, int], int]] = {}

    def arena(self) -> Arena:
        """Where all lies in the end."""
        if self._settle():
            self._improve()
        parts = [self._placement(number) for number in range(len(self._rooms))]
        sizes = {room.name: size for room, (_, size) in zip(self._rooms, parts, strict=True)}
        named = {id: self._rooms[number].name for id, number in self._at.items() if number}
        return replace(
            self._plan.arena,
            size=sum(sizes.values()),
            offsets={id: offset for offsets, _ in parts for id, offset in offsets.items()},
            elsewhere={name: size for name, size in list(sizes.items())[1:] if size},
            memory_of=named,
            over=sum(max(0, sizes[room.name] - room.size) for room in self._rooms),
            waits=self._waits(),
        )

    def _in(self, number: int) -> list[Block]:
        return [block for block in self._blocks if self._at[block.id] == number]

    def _live(self, number: int) -> list[int]:
        own = self._in(number)
        ids = {block.id for block in own}
        both = {pair: distance for pair, distance in self._distances.items() if ids.issuperset(pair)}
        return live_of(own, both, len(self._plan.steps))

    def _placement(self, number: int) -> tuple[Mapping[int, int], int]:
        own = self._in(number)
        key = frozenset(block.id for block in own)
        if key not in self._placed:
            both = {pair: distance for pair, distance in self._distances.items() if key.issuperset(pair)}
            bound = max(live_of(own, both, len(self._plan.steps)), default=0)
            self._placed[key] = best_placement(own, both, bound)
        return self._placed[key]

    def _too_full(self) -> tuple[int, int, list[Block]] | None:
        """A room that is too small, the bytes that it lacks, and the blocks that have a part in it."""
        for number, room in enumerate(self._rooms):
            live = self._live(number)
            step = max(range(len(live)), key=live.__getitem__)
            if live[step] > room.size:
                there = [block for block in self._in(number) if block.first <= step - 1 <= block.last]
                return number, live[step] - room.size, there
        for number, room in enumerate(self._rooms):
            offsets, size = self._placement(number)
            if size > room.size:
                high = [block for block in self._in(number) if offsets[block.id] + block.size > room.size]
                return number, size - room.size, high
        return None

    def _relieve(self, number: int, lacking: int, blocks: Iterable[Block]) -> bool:
        """Move one of `blocks` to another memory; False where none has room for any."""
        moves = []
        for block in blocks:
            for to in self._choices.of(block.id):
                if to != number and (block.id, to) not in self._left and self._has_room(block, to):
                    dearer = self._choices.cost(block.id, to) - self._choices.cost(block.id, number)
                    enough = block.size >= lacking
                    size = block.size if enough else -block.size
                    moves.append((dearer / max(min(block.size, lacking), 1), not enough, size, to, block.id))
                    break
        if not moves:
            return False
        *_, to, id = min(moves)
        self._left.add((id, number))
        self._at[id] = to
        return True

    def _has_room(self, block: Block, number: int) -> bool:
        live = self._live(number)[block.first + 1 : block.last + 2]
        return max(live) + block.size <= self._rooms[number].size

    def _improve(self) -> None:
        """Bring blocks to a cheaper memory, and others out of it, as long as that saves cycles.

        Those that save the most are tried first.
        """
        for _ in range(_MOST_ROUNDS):
            away = [block for block in self._blocks if self._saving(block.id) > 0]
            best = sorted(away, key=lambda block: (-self._saving(block.id), block.id))[:_MOST_TRIED]
            if not [block for block in best if self._is_improved(block)]:
                return

    def _is_improved(self, block: Block) -> bool:
        """Whether a block could be brought to a cheaper memory, with what that takes."""
        before, waits = dict(self._at), self._waits()
        for better in self._choices.of(block.id):
            if better == before[block.id]:
                return False
            self._at[block.id] = better
            # Nothing moves twice, and it stays.
            self._left = {(block.id, better)}
            fits = self._settle(fixed=block)
            if fits and self._waits() < waits:
                return True
            self._at = dict(before)
        return False

    def _settle(self, fixed: Block | None = None) -> bool:
        """Move blocks, but not the `fixed` one, until all rooms are large enough. False: they are not."""
        while (full := self._too_full()) is not None:
            number, lacking, blocks = full
            if not self._relieve(number, lacking, (block for block in blocks if block is not fixed)):
                return False
        return True

    def _waits(self) -> float:
        return sum(self._choices.cost(id, number) for id, number in self._at.items())

    def _saving(self, id: int) -> float:
        return self._choices.cost(id, self._at[id]) - self._choices.cost(id, self._choices.of(id)[0])


def _calls(plan: Plan) -> Iterator[Step]:
    """The steps that call kernels, those of chains of rows among them."""
    for step in plan.steps:
        yield from step.inner or (step,)


def _constants(plan: Plan) -> set[int]:
    used = {plan.owner(id).id for step in _calls(plan) for id in step.arguments if id is not None}
    return {id for id in used if plan.tensors[id].is_constant}


def _names(plan: Plan) -> Mapping[int, set[str]]:
    """What pins may call each tensor that owns bytes: layers that make it, or whose constant it is; ports."""
    by_tensor: dict[int, set[str]] = defaultdict(set)
    for step in _calls(plan):
        for id in step.arguments:
            if id is not None and (id in step.writes or plan.owner(id).is_constant) and step.name:
                by_tensor[plan.owner(id).id].add(step.name)
    for names, ids in (
        (port_names(plan, "input"), plan.inputs),
        (port_names(plan, "output"), plan.outputs),
    ):
        for name, id in zip(names, ids, strict=True):
            by_tensor[plan.owner(id).id].add(name)
    return by_tensor
