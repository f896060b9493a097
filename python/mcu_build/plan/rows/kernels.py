"""Kernels for the inner steps of chains that run row by row, and one piece of memory for all they keep."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import lcm

from mcu_build.ir.calls.call import Call
from mcu_build.ir.calls.chain import Rows
from mcu_build.ir.plan import Step
from mcu_build.ir.tensor import aligned
from mcu_build.kernels.context import Context
from mcu_build.plan.memory.allocate import Block, Distance, Distances, allocate


def specialized_rows(context: Context, step: Step, best: Callable[[Step], Step]) -> Step:
    """A chain with the kernels that `best` finds for its layers, and its memory laid out.

    Bands that differ in nothing but where they lie get one kernel, found once.
    """
    call = step.call
    assert isinstance(call, Rows)
    kept: dict[Call, dict[int, Sequence[Step]]] = {}
    # Bands that lie alike are one step, more than once.
    ways: dict[int, Sequence[Step]] = {}
    for layer, band in zip(call.layers, step.inner, strict=True):
        if id(band) not in ways:
            ways[id(band)] = _ways(context, layer, band, kept, best)
    inner = _fitting(context, call, [ways[id(band)] for band in step.inner])
    pool = _pool(context, call, inner)
    used = dict.fromkeys(id for band in inner for id in band.arguments if id is not None)
    constants = [id for id in used if context.tensors[id].is_constant]
    images = [id for id in call.reads if id is not None and not context.tensors[id].is_constant]
    made = replace(call, reads=(*images, *constants), buffers=pool, alive=())
    whole = replace(step, call=made, arguments=made.arguments, writes=made.writes, inner=inner)
    return _with_distances(context, whole)


def _fitting(context: Context, call: Rows, ways: Sequence[Sequence[Step]]) -> tuple[Step, ...]:
    """Each band in the quickest of its ways that takes no more than the fullest one in its leanest."""

    def live(layer: int, way: Step) -> int:
        scratch = (id for id in way.writes if context.tensors[id].name == "scratch")
        return sum(aligned(context.tensors[id].nbytes) for id in (*call.alive[layer], *scratch))

    bands = list(zip(call.layers, ways, strict=True))
    most = max(live(layer, own[-1]) for layer, own in bands)
    return tuple(next(way for way in own if live(layer, way) <= most) for layer, own in bands)


def _ways(
    context: Context,
    layer: int,
    step: Step,
    kept: dict[Call, dict[int, Sequence[Step]]],
    best: Callable[[Step], Step],
) -> list[Step]:
    """A band by its best kernel, the quickest way first, the leanest last."""
    images = [
        id
        for id in dict.fromkeys(step.arguments)
        if id is not None and context.tensors[id].alias_of is not None
    ]
    here = {id: -1 - index for index, id in enumerate(images)}
    known = kept.setdefault(step.call.renamed(here), {})
    if not known:
        made = best(step)
        known[layer] = [replace(way, low_scratch=()).renamed(here) for way in (made, *made.low_scratch)]
    if layer not in known:
        known[layer] = [
            replace(way, name=step.name, layer=step.layer, part_of=step.part_of)
            for way in _with_own_scratch(context, next(iter(known.values())))
        ]
    there = {number: id for id, number in here.items()}
    return [way.renamed(there) for way in known[layer]]


def _with_own_scratch(context: Context, ways: Sequence[Step]) -> list[Step]:
    """Ways of another layer that makes the same call: both may hold something at a time."""
    ids = {id for way in ways for id in way.writes if id >= 0 and context.tensors[id].name == "scratch"}
    own = {id: context.scratch(context.tensors[id].nbytes) for id in sorted(ids)}
    return [way.renamed(own) for way in ways]


def _owner(context: Context, id: int) -> int:
    tensor = context.tensors[id]
    while tensor.alias_of is not None:
        tensor = context.tensors[tensor.alias_of]
    return tensor.id


def _pool(context: Context, call: Rows, inner: Sequence[Step]) -> tuple[int, ...]:
    """One tensor with all buffers and all scratch memory of a chain in it; what they were are views of it."""
    # The bands of a layer use its scratch memory one after the other.
    scratch: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for layer, step in zip(call.layers, inner, strict=True):
        own = [id for id in step.writes if context.tensors[id].name == "scratch"]
        for place, id in enumerate(own):
            scratch[layer, place][id] = context.tensors[id].nbytes
    largest = {key: max(sizes, key=sizes.__getitem__) for key, sizes in scratch.items()}
    alive = [set(ids) for ids in call.alive]
    for (layer, _), id in largest.items():
        alive[layer].add(id)
    blocks = [
        Block(id, aligned(context.tensors[id].nbytes), 0, 0) for id in (*call.buffers, *largest.values())
    ]
    bound = max(sum(block.size for block in blocks if block.id in ids) for ids in alive)
    offsets, size = allocate(blocks, _together(blocks, alive), _distances(context, call, inner, alive), bound)
    if not size:
        return ()
    pool = context.scratch(size)
    starts = dict(offsets) | {id: offsets[largest[key]] for key, ids in scratch.items() for id in ids}
    for id, offset in starts.items():
        context.tensors[id] = replace(context.tensors[id], alias_of=pool, alias_offset=offset)
    return (pool,)


def _together(blocks: Sequence[Block], alive: Sequence[Collection[int]]) -> Mapping[int, list[Block]]:
    """The others that hold something while a block does."""
    return {
        block.id: [
            other
            for other in blocks
            if other is not block and any(block.id in ids and other.id in ids for ids in alive)
        ]
        for block in blocks
    }


def _distances(
    context: Context, call: Rows, inner: Sequence[Step], alive: Sequence[Collection[int]]
) -> Distances:
    """Buffers that may share bytes: one layer alone needs both, all of the one for the other."""
    least: dict[tuple[int, int], int] = {}
    multiple: dict[tuple[int, int], int] = {}
    never = set[tuple[int, int]]()
    for layer, step in zip(call.layers, inner, strict=True):
        output = _owner(context, step.writes[0])
        for id in step.reads:
            pair = _owner(context, id), output
            if not set(pair) <= {*call.buffers} or pair[0] == output:
                continue
            if id not in step.inplace or any(
                set(pair) <= set(ids) for other, ids in enumerate(alive) if other != layer
            ):
                never.add(pair)
                continue
            least[pair] = max(least.get(pair, 0), step.inplace[id])
            multiple[pair] = lcm(multiple.get(pair, 1), step.inplace_multiple)
    return {pair: Distance.of(least[pair], multiple[pair]) for pair in least.keys() - never}


def _with_distances(context: Context, step: Step) -> Step:
    """The chain's own distances where its last layer reads an image of others itself: as its kernel does."""
    call = step.call
    assert isinstance(call, Rows)
    last = max(call.layers)
    distances, multiple = dict(step.inplace), step.inplace_multiple
    for layer, inner in zip(call.layers, step.inner, strict=True):
        for id in inner.reads if layer == last else ():
            owner = _owner(context, id)
            if owner not in distances:
                continue
            if id not in inner.inplace:
                del distances[owner]
                continue
            ahead = context.tensors[inner.writes[0]].alias_offset - context.tensors[id].alias_offset
            distances[owner] = max(distances[owner], ahead + inner.inplace[id])
            multiple = lcm(multiple, inner.inplace_multiple)
    return replace(step, inplace=distances, inplace_multiple=multiple)
