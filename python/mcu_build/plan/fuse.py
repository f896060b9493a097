"""Steps that another step can do on the way."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcu_build.ir.calls.boundary import Dequantize, Quantize
from mcu_build.ir.calls.call import Call, Portable
from mcu_build.ir.calls.convolution import Conv2d, DepthwiseConv2d
from mcu_build.ir.calls.moves import Pad, PadParams
from mcu_build.ir.calls.portable import (
    AdaptivePoolParams,
    PlanePoolParams,
    QuantizedAdaptivePoolParams,
    QuantizedPoolParams,
)
from mcu_build.ir.calls.struct import ImageSize, Pair
from mcu_build.ir.plan import DType, Plan, Step

# Of the four dimensions of images.
_ROWS, _COLUMNS = 1, 2
_FLOAT_POOLS = ("avg_pool_f32", "adaptive_avg_pool_f32")


def fuse_padding(plan: Plan) -> Plan:
    """Let convolutions pad: a pad with the input's zero point writes a whole tensor for nothing."""
    steps = list(plan.steps)
    fused: set[int] = set()
    kept = {*plan.outputs, *(tensor.alias_of for tensor in plan.tensors.values())}
    readers = _readers(plan)
    for place, step in enumerate(plan.steps):
        pad = step.call
        if not isinstance(pad, Pad) or pad.bits != 8 or pad.output in kept:
            continue
        indices = readers[pad.output]
        padded = [made for index in indices if (made := _padding_itself(pad, steps[index].call))]
        if not indices or len(padded) < len(indices) or not _is_worth_it(plan, pad, padded):
            continue
        for index, call in zip(indices, padded, strict=True):
            steps[index] = steps[index].calling(call)
        fused.add(place)
    return replace(plan, steps=tuple(step for place, step in enumerate(steps) if place not in fused))


def fuse_float_pools(plan: Plan) -> Plan:
    """Averages that are computed in floats between two boundaries, without the two images of floats."""
    readers, kept = _readers(plan), {plan.owner(id).id for id in plan.outputs}
    aliased = {tensor.alias_of for tensor in plan.tensors.values()}
    makers = {step.writes[0]: index for index, step in enumerate(plan.steps) if len(step.writes) == 1}
    steps: list[Step | None] = list(plan.steps)
    for index, step in enumerate(plan.steps):
        pool = step.call
        if not isinstance(pool, Portable) or pool.kernel not in _FLOAT_POOLS:
            continue
        source, result = pool.reads[0], pool.results[0]
        before, after = makers.get(source) if source is not None else None, readers[result]
        apart = not {source, result} & {*kept, *aliased}
        if before is None or len(after) != 1 or readers[plan.steps[before].writes[0]] != [index] or not apart:
            continue
        entered, left = plan.steps[before].call, plan.steps[after[0]].call
        if not isinstance(entered, Dequantize) or not isinstance(left, Quantize):
            continue
        if entered.dtype is DType.I8 is left.dtype:
            call = _quantized_pool(pool, entered, left)
            steps[before], steps[after[0]], steps[index] = None, None, step.calling(call)
    return replace(plan, steps=tuple(step for step in steps if step is not None))


def _quantized_pool(pool: Portable, entered: Dequantize, left: Quantize) -> Portable:
    """The call that reads and writes int8."""
    params: QuantizedPoolParams | QuantizedAdaptivePoolParams
    if isinstance(pool.params, PlanePoolParams):
        params = QuantizedPoolParams(pool.params, entered.params, left.params)
    else:
        assert isinstance(pool.params, AdaptivePoolParams)
        params = QuantizedAdaptivePoolParams(pool.params, entered.params, left.params)
    function = pool.function.replace("f32", "quantized_s8")
    return replace(pool, params=params, function=function, reads=(entered.input,), results=(left.output,))


def _readers(plan: Plan) -> Mapping[int, list[int]]:
    """The steps that read each tensor, by their index."""
    readers: dict[int, list[int]] = defaultdict(list)
    for index, step in enumerate(plan.steps):
        for id in {*step.reads}:
            readers[id].append(index)
    return readers


def _is_worth_it(plan: Plan, pad: Pad, users: Sequence[Conv2d | DepthwiseConv2d]) -> bool:
    """Whether the padded tensor is larger than what the convolutions make of it.

    A smaller one never sets the size of the arena, and convolutions are quicker without padding.
    """
    size = plan.tensors[pad.output].nbytes
    return all(size > plan.tensors[call.output].nbytes for call in users)


def _padding_itself(pad: Pad, call: Call) -> Conv2d | DepthwiseConv2d | None:
    """`call` reading what `pad` reads, or None where it is no convolution that the pad fits.

    Convolutions add nothing for what lies outside the image, which is what the zero point would add.
    """
    if not isinstance(call, Conv2d | DepthwiseConv2d) or call.input != pad.output:
        return None
    if pad.output in call.arguments[1:]:
        return None
    params = call.params
    inner = _inner_image(pad.params, params.batch, params.input)
    if inner is None or pad.byte != -params.input_offset:
        return None
    size, before = inner
    padding = Pair(params.window.padding.y + before.y, params.window.padding.x + before.x)
    source = replace(params.input, height=size.y, width=size.x)
    return call.reading(pad.input, source, replace(params.window, padding=padding))


def _inner_image(padding: PadParams, batch: int, padded: ImageSize) -> tuple[Pair, Pair] | None:
    """Height and width of the image inside a `padded` one, and the rows and columns before it.

    None where it does not lie in memory as an image, or where batch or channels grow. A dimension of size 1
    may stand anywhere in memory, so only the wider ones are looked at.
    """
    rows = zip(padding.shape, padding.inside, padding.strides, padding.before, strict=True)
    wide = [row for row in rows if row[0] != 1]
    sizes = (batch, padded.height, padded.width, padded.channels)
    order = [axis for axis, size in enumerate(sizes) if size != 1]
    if [row[0] for row in wide] != [sizes[axis] for axis in order]:
        return None
    insides, befores = {_ROWS: 1, _COLUMNS: 1}, {_ROWS: 0, _COLUMNS: 0}
    dense = 1
    for axis, (size, inside, stride, before) in zip(reversed(order), reversed(wide), strict=True):
        in_place = inside == 1 or stride == dense
        grows = 0 <= before <= size - inside if axis in insides else (size, before) == (inside, 0)
        if not in_place or not grows:
            return None
        dense *= inside
        if axis in insides:
            insides[axis], befores[axis] = inside, before
    return Pair(insides[_ROWS], insides[_COLUMNS]), Pair(befores[_ROWS], befores[_COLUMNS])
