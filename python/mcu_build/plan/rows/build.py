"""Chains of steps → one step each, whose inner steps make a few rows at a time."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.chain import Rows
from mcu_build.ir.calls.moves import CopyParams, Move
from mcu_build.ir.calls.rows import height_of, shape_of_rows
from mcu_build.ir.plan import Plan, Step
from mcu_build.ir.tensor import Tensor
from mcu_build.plan.memory.allocate import Block, lifetimes
from mcu_build.plan.rows.schedule import Band, Needs, Schedule, needs_key, output_of, schedule


@dataclass(frozen=True)
class Chain:
    """Steps `first` to before `end` of a plan, in bands of `band` rows of the last one's output."""

    first: int
    end: int
    band: int


def scheduled(plan: Plan, chain: Chain, blocks: Mapping[int, Block], needs: Needs) -> Schedule | None:
    """When the layers of a chain make which rows; None where they cannot.

    `blocks` are the plan's, by their ids; `needs` keeps what calls have answered.
    """
    calls = [step.call for step in plan.steps[chain.first : chain.end]]
    if any(len(call.writes) != 1 for call in calls):
        return None
    outputs = {output_of(call) for call in calls}
    inner = {
        id
        for id in outputs
        if id in blocks and chain.first <= blocks[id].first and blocks[id].last < chain.end
    } - {output_of(calls[-1])}
    return schedule(calls, plan.tensors, inner, chain.band, needs)


def in_bands(plan: Plan, chains: Sequence[Chain]) -> Plan:
    """The plan with each of the chains, in their order, as one step."""
    tensors, steps, at = dict(plan.tensors), list[Step](), 0
    blocks = {block.id: block for block in lifetimes(plan)} if chains else {}
    needs: Needs = {}
    for chain in chains:
        order = scheduled(plan, chain, blocks, needs)
        assert order is not None, "only what can run row by row is asked to"
        steps += [*plan.steps[at : chain.first], _Builder(plan, tensors, chain, order, needs).step()]
        at = chain.end
    return replace(plan, tensors=tensors, steps=(*steps, *plan.steps[at:]))


class _Builder:
    """The inner steps of one chain, and the tensors that they work on, which it adds to `tensors`."""

    def __init__(
        self, plan: Plan, tensors: dict[int, Tensor], chain: Chain, order: Schedule, needs: Needs
    ) -> None:
        self._plan = plan
        self._tensors = tensors
        self._next_id = max(tensors) + 1
        self._layers = plan.steps[chain.first : chain.end]
        self._schedule = order
        self._needs = needs
        self._known: dict[tuple[int, Call], Step] = {}
        self._buffers = {id: self._buffer(id, rows) for id, rows in order.capacity.items()}
        # The image's row at the start of each buffer, and the rows of it that are there.
        self._base: dict[int, int] = defaultdict(int)
        self._filled: dict[int, int] = defaultdict(int)
        self._views: dict[tuple[int, int, int], int] = {}

    def step(self) -> Step:
        """All of it as one step."""
        inner = [(band.layer, step) for band in self._schedule.bands for step in self._steps(band)]
        outputs = dict.fromkeys(output_of(layer.call) for layer in reversed(self._layers))
        whole = [id for id in outputs if id not in self._buffers]
        read = {id for layer in self._layers for id in layer.reads} - outputs.keys()
        call = Rows(
            params=None,
            reads=tuple(sorted(read)),
            outputs=tuple(whole),
            buffers=tuple(self._buffers.values()),
            alive=tuple(frozenset(self._buffers[id] for id in ids) for ids in self._schedule.alive),
            layers=tuple(layer for layer, _ in inner),
        )
        last = self._layers[-1]
        step = Step.of(last.operator, last.layer, call, last.name)
        lead = {id: ahead for id, ahead in self._schedule.lead.items() if id in read}
        return replace(step, inplace=lead, inner=tuple(step for _, step in inner))

    def _steps(self, band: Band) -> Iterator[Step]:
        layer = self._layers[band.layer]
        output = output_of(layer.call)
        yield from self._make_room(output, band.kept, band.rows.stop, layer)
        needed = self._needs[needs_key(layer.call, band.rows)]
        assert needed is not None
        views = {id: self._view(id, rows) for id, rows in needed.items()}
        views[output] = self._view(output, band.rows)
        yield self._step(band.layer, layer.call.of_rows(self._plan.tensors, band.rows).renamed(views))
        self._filled[output] = max(self._filled[output], band.rows.stop)

    def _step(self, index: int, call: Call) -> Step:
        """A band of a layer; the same one where the call is, so that others see it as one."""
        if (index, call) not in self._known:
            layer = self._layers[index]
            self._known[index, call] = replace(
                layer.calling(call),
                part_of=output_of(layer.call),
                inplace=call.inplace_distances(self._tensors),
            )
        return self._known[index, call]

    def _make_room(self, id: int, kept: int, end: int, layer: Step) -> Iterator[Step]:
        """Move what is still needed of an image to its buffer's start, where rows up to `end` do not fit."""
        if id not in self._buffers or self._filled[id] >= end:
            return
        left = range(kept, self._filled[id])
        if left and end - self._base[id] <= self._schedule.capacity[id]:
            return
        start = left.start if left else self._filled[id]
        if left and start != self._base[id]:
            source = self._view(id, left)
            self._base[id] = start
            target = self._view(id, left)
            move = Move(CopyParams(self._tensors[source].nbytes), source, target)
            yield replace(Step.of("move", layer.layer, move, layer.name), part_of=id)
        self._base[id] = start

    def _buffer(self, id: int, rows: int) -> int:
        whole = self._tensors[id]
        return self._add(replace(whole, shape=shape_of_rows(whole, rows), name=f"{whole.name}_rows"))

    def _view(self, id: int, rows: range) -> int:
        """Some rows of an image, where they lie now."""
        owner = self._buffers.get(id, id)
        # No rows lie anywhere.
        first = rows.start - self._base[id] if rows else 0
        key = (owner, first, len(rows))
        if key not in self._views:
            whole = self._plan.tensors[id]
            height = height_of(whole)
            assert height is not None
            shape, offset = shape_of_rows(whole, len(rows)), first * (whole.nbytes // height)
            view = replace(whole, shape=shape, data=None, alias_of=owner, alias_offset=offset)
            self._views[key] = self._add(view)
        return self._views[key]

    def _add(self, tensor: Tensor) -> int:
        id = self._next_id
        self._next_id += 1
        self._tensors[id] = replace(tensor, id=id)
        return id


def in_one_line(plan: Plan) -> Plan:
    """The plan with inner steps in place of the steps that hold them."""
    if not any(step.inner for step in plan.steps):
        return plan
    steps = tuple(inner for step in plan.steps for inner in (step.inner or (step,)))
    before = plan.steps[: plan.arena.peak_step]
    peak = sum(len(step.inner) or 1 for step in before)
    return replace(plan, steps=steps, placed=replace(plan.arena, peak_step=peak))
