"""Step by step: what each operator makes of the samples of a step, by operator."""

import operator
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch.fx import Node

from mcu_build.frontend.stream import geometry, other_axes
from mcu_build.frontend.stream.timeline import (
    LAST,
    Last,
    Reading,
    Rewrite,
    Rule,
    Site,
    Time,
    Timeline,
    step_shape,
)
from mcu_build.lower.builder import aten, shape
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS
from mcu_build.lower.upstream.quiet import quiet

with quiet():
    # Registers quantized_decomposed::*.
    import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401

_BOUNDARIES = (
    torch.ops.quantized_decomposed.quantize_per_tensor.default,
    torch.ops.quantized_decomposed.dequantize_per_tensor.default,
)


def rewrite(site: Site) -> Rewrite:
    """What becomes of an operator. McuError where it has no form step by step."""
    if all(site.time(operand) is None for operand in site.node.all_input_nodes):
        return site.rewrite(None)
    if not site.timelines:
        return site.rewrite(LAST)
    rule = _RULES.get(site.node.target)
    if rule is None and torch.Tag.pointwise in getattr(site.node.target, "tags", ()):
        rule = _pointwise
    if rule is None:
        raise site.refusal("it has no form step by step")
    made = rule(site)
    if any(time.repeats for time in site.timelines.values()) and not _knows_its_past(made.out):
        raise site.refusal(
            "it reads less of the padding in front than there is",
            "Pad with the first sample right in front of the layer that reads it, or pad with zeros.",
        )
    return made


def _knows_its_past(time: Time) -> bool:
    """Whether samples before the first step, where there are any, are like the first one."""
    return not isinstance(time, Timeline) or time.delay >= 0 or time.repeats


def _pointwise(site: Site) -> Rewrite:
    """Operands side by side: the earlier ones wait for the latest."""
    if any(isinstance(site.time(operand), Last) for operand in site.node.all_input_nodes):
        raise site.whole()
    rank = len(shape(site.node))
    axes = {time.axis - len(shape(node)) + rank for node, time in site.timelines.items()}
    return _aligned(site, axes, site.node.args)


def _aligned(site: Site, axes: set[int], args: tuple[Any, ...]) -> Rewrite:
    """A result with time along the only one of `axes`, of operands with the same hop."""
    times = site.timelines
    if len(axes) != 1 or len({time.hop for time in times.values()}) != 1:
        raise site.refusal("its operands have different axes of time")
    axis = axes.pop()
    delay = max(time.delay for time in times.values())
    first = next(iter(times.values()))
    if first.rows > 1 and not _are_rows(site, first, axis):
        raise site.refusal("time and what is before it were joined to one dimension of one operand alone")
    repeats = all(time.repeats and time.delay == delay for time in times.values())
    out = Timeline(axis, first.hop, delay, shape(site.node)[axis] // first.rows, first.rows, repeats)
    made = site.rewrite(out, args)
    for node, time in times.items():
        wait = delay - time.delay
        made = made.reading(node, Reading(wait, wait))
    return made


def _are_rows(site: Site, first: Timeline, axis: int) -> bool:
    """Whether all operands have the rows of `first`, and come at its time, or are the same for all of it."""
    from_end = len(shape(site.node)) - axis
    others = [node for node in site.node.all_input_nodes if node not in site.timelines]
    alike = {(time.rows, time.delay) for time in site.timelines.values()} == {(first.rows, first.delay)}
    return alike and all(len(shape(other)) < from_end or shape(other)[-from_end] == 1 for other in others)


def _same(site: Site) -> Rewrite:
    """One operand, the same axis."""
    return site.rewrite(site.only_rows[1])


def _moved(axis_of: Any) -> Any:
    """A rule for an operator that moves dimensions: `axis_of(site, axis)` is where time comes to lie."""

    def rule(site: Site) -> Rewrite:
        _, time = site.only
        return site.rewrite(replace(time, axis=axis_of(site, time.axis)))

    return rule


def _permuted(site: Site, axis: int) -> int:
    rank = len(shape(site.node))
    order = [int(dimension) % rank for dimension in site.node.args[1]]
    return order.index(axis)


def _transposed(site: Site, axis: int) -> int:
    rank = len(shape(site.node))
    first, second = (int(dimension) % rank for dimension in (*site.node.args[1:3], 0, 1)[:2])
    return {first: second, second: first}.get(axis, axis)


def _unsqueezed(site: Site, axis: int) -> int:
    return axis + (int(site.node.args[1]) % len(shape(site.node)) <= axis)


def _squeezed(site: Site) -> Rewrite:
    operand, time = site.only
    rank = len(shape(operand))
    axes = site.node.args[1] if len(site.node.args) > 1 else range(rank)
    dimensions = {int(d) % rank for d in (axes if isinstance(axes, Sequence | range) else [axes])}
    gone = {d for d in dimensions if shape(operand)[d] == 1}
    if time.axis in gone:
        return site.window(operand)
    if len(site.node.args) == 1:
        raise site.refusal("it drops all dimensions of one element", "Name the dimension: squeeze(dim).")
    return site.rewrite(replace(time, axis=time.axis - sum(d < time.axis for d in gone)))


def _reshaped(site: Site) -> Rewrite:
    """view, reshape, flatten: time stays a dimension, is cut into windows, or takes in what follows it."""
    operand, time = site.only_rows
    before, after = shape(operand), shape(site.node)
    front, axis = prod(before[: time.axis]) * time.rows, 0
    while axis < len(after) and prod(after[:axis]) != front:
        axis += 1
    if axis == len(after):
        return _joined_in_front(site, front)
    time = replace(time, rows=1)
    # Dimensions of one element may stand before it.
    while after[axis] == 1 and before[time.axis] != 1 and axis + 1 < len(after):
        axis += 1
    length = after[axis]
    if length == time.length:
        out = replace(time, axis=axis)
    elif time.length % length == 0 and _is_cut(after, axis, time.length):
        return _cut(site, axis, time.length // length)
    elif length % time.length == 0:
        factor = length // time.length
        out = Timeline(axis, time.hop * factor, time.delay * factor, length)
    else:
        return _as_reshape(site.window(operand, (operand, list(after))))
    return _as_reshape(site.rewrite(out, (operand, step_shape(site.node, out))))


def _joined_in_front(site: Site, front: int) -> Rewrite:
    """A reshape whose first dimension takes in time and the `front` elements before it, or a window."""
    operand, time = site.only_rows
    after = shape(site.node)
    factor, rest = divmod(after[0], front * time.length)
    if factor == 0 or rest or len(after) == 1:
        operand, _ = site.only
        return _as_reshape(site.window(operand, (operand, list(after))))
    out = Timeline(0, time.hop * factor, time.delay * factor, time.length * factor, front)
    return _as_reshape(site.rewrite(out, (operand, step_shape(site.node, out))))


def _as_reshape(made: Rewrite) -> Rewrite:
    return replace(made, kwargs={}, target=aten.reshape.default)


def _is_cut(sizes: tuple[int, ...], axis: int, length: int) -> bool:
    """Whether dimensions from `axis` on have `length` elements together."""
    return any(prod(sizes[axis:end]) == length for end in range(axis + 1, len(sizes) + 1))


def _cut(site: Site, axis: int, window: int) -> Rewrite:
    operand, time = site.only_rows
    site.multiple(time, window)
    wait = -time.delay % window
    if wait:
        operand, time = site.only
    out = Timeline(axis, time.hop // window, (time.delay + wait) // window, shape(site.node)[axis])
    made = site.rewrite(out, (operand, step_shape(site.node, out)))
    return _as_reshape(made.reading(operand, Reading(wait, wait)))


def _expanded(site: Site) -> Rewrite:
    operand, time = site.only
    axis = time.axis + len(shape(site.node)) - len(shape(operand))
    out = replace(time, axis=axis)
    return site.rewrite(out, (operand, step_shape(site.node, out)))


def _joined(site: Site) -> Rewrite:
    """cat: of tensors over time side by side; along time only with constants, which are padding."""
    parts, axis = list(site.node.args[0]), int(site.argument(1, "dim", 0)) % len(shape(site.node))
    times = [site.time(part) for part in parts]
    if any(isinstance(time, Last) for time in times):
        raise site.whole()
    with_time = [index for index, time in enumerate(times) if isinstance(time, Timeline)]
    first = times[with_time[0]]
    assert isinstance(first, Timeline)
    if first.axis != axis:
        axes = {time.axis for time in times if isinstance(time, Timeline)}
        return _aligned(site, axes, site.node.args)
    if len(with_time) > 1 and _begin_with_first(parts, axis):
        last = parts[-1]
        time = site.timelines[last]
        out = geometry.repeated(site, time, len(parts) - 1)
        return site.rewrite(out, ([last], axis))
    if len(with_time) > 1 or first.delay > 0:
        raise site.refusal("it joins samples along time", "Join along another dimension.")
    before = sum(shape(part)[axis] for part in parts[: with_time[0]])
    out = Timeline(axis, first.hop, first.delay - before, shape(site.node)[axis])
    return site.rewrite(out, ([parts[with_time[0]]], axis))


def _begin_with_first(parts: Sequence[Node], axis: int) -> bool:
    """Whether all parts but the last are its first sample: padding with copies of the edge, in pieces."""
    *copies, last = (_unquantized(part) for part in parts)
    return all(
        copy.target is aten.slice.Tensor
        and _unquantized(copy.args[0]) is last
        and tuple(copy.args[1:4]) == (axis, 0, 1)
        for copy in copies
    )


def _unquantized(node: Node) -> Node:
    """What was quantized and dequantized."""
    while node.target in _BOUNDARIES:
        (node, *_) = node.args
    return node


def _stacked(site: Site) -> Rewrite:
    axis = int(site.argument(1, "dim", 0)) % len(shape(site.node))
    return _aligned(
        site, {time.axis + (axis <= time.axis) for time in site.timelines.values()}, site.node.args
    )


def _normalized(site: Site) -> Rewrite:
    """softmax and its like: over one dimension, which is not time."""
    operand, time = site.only
    if int(site.node.args[1]) % len(shape(operand)) == time.axis:
        raise site.whole()
    return site.rewrite(time)


def _linear(site: Site) -> Rewrite:
    operand, time = site.only_rows
    if operand is not site.node.args[0]:
        raise site.refusal("its weights depend on the recording")
    return site.window(site.only[0]) if time.axis == len(shape(operand)) - 1 else site.rewrite(time)


def _product(site: Site) -> Rewrite:
    """matmul, mm, bmm: with a tensor that is the same in all steps, or of matrices for each sample."""
    rank = len(shape(site.node))
    batches = {time.axis - len(shape(node)) + rank for node, time in site.timelines.items()}
    if len(site.timelines) > 1 and len(batches) == 1 and max(batches) < rank - 2:
        return _pointwise(site)
    operand, time = site.only
    first = site.node.args[0]
    rank, result = len(shape(operand)), len(shape(site.node))
    contracted = rank - 1 if operand is first else max(rank - 2, 0)
    if time.axis == contracted:
        return site.window(operand)
    return site.rewrite(replace(time, axis=time.axis + result - rank))


def _summed(site: Site) -> Rewrite:
    """einsum of matrices for each sample: time is one letter, of all operands with time and of the result."""
    inputs, result = str(site.node.args[0]).replace(" ", "").split("->")
    letters = {
        terms[time.axis]
        for terms, node in zip(inputs.split(","), site.node.args[1], strict=True)
        if isinstance(time := site.time(node), Timeline)
    }
    if "." in inputs or len(letters) != 1 or not letters <= set(result):
        raise site.whole()
    return _aligned(site, {result.index(letters.pop())}, site.node.args)


def _pieces(site: Site) -> Rewrite:
    """split, chunk: along another dimension than time."""
    operand, time = site.only
    if int(site.argument(2, "dim", 0)) % len(shape(operand)) == time.axis:
        raise site.refusal("it cuts time into pieces")
    return site.rewrite(time)


def _embedded(site: Site) -> Rewrite:
    operand, time = site.only
    if operand is not site.node.args[1]:
        raise site.refusal("its table depends on the recording")
    return site.rewrite(time)


def _picked(site: Site) -> Rewrite:
    operand, time = site.only
    if operand is not site.node.args[0] or int(site.node.args[1]) % len(shape(operand)) == time.axis:
        raise site.refusal("it picks samples by their index")
    return site.rewrite(time)


def _flipped(site: Site) -> Rewrite:
    operand, time = site.only
    if time.axis in {int(d) % len(shape(operand)) for d in site.node.args[1]}:
        raise site.whole()
    return site.rewrite(time)


def _grouped(site: Site) -> Rewrite:
    raise site.whole()


def _recurrent(site: Site) -> Rewrite:
    """LSTM, GRU, RNN: their state goes on (rewrite.py). A step begins with the first sample or after it."""
    operand, time = site.only
    batch_first = bool(site.node.args[-1])
    if site.node.args[-2]:
        raise site.whole()
    if operand is not site.node.args[0] or time.axis != (1 if batch_first else 0):
        raise site.refusal("its time is not the time of the recording")
    late = -(-max(time.delay, 0) // time.hop) * time.hop
    wait = late - time.delay
    return site.rewrite(replace(time, delay=late)).reading(operand, Reading(wait, wait))


def _item(site: Site) -> Rewrite:
    source, index = site.node.args
    time: Time = site.time(source)
    if isinstance(source, Node) and source.target in LAYERS and index:
        return site.rewrite(LAST)
    return (
        other_axes.extreme_of(site) if other_axes.is_extreme_over_time(source, time) else site.rewrite(time)
    )


_PLAIN = (
    *_BOUNDARIES,
    aten.clone.default,
    aten.contiguous.default,
    aten._to_copy.default,
    aten.to.dtype,
    aten.alias.default,
    aten.detach.default,
    aten.dropout.default,
    aten.hardtanh.default,
    # Of one operand, and without torch's tag of those that compute each element alone.
    aten.hardswish.default,
    aten.log_sigmoid.default,
    aten.feature_dropout.default,
)

_RULES: dict[Any, Rule] = {
    **geometry.RULES,
    **other_axes.RULES,
    **dict.fromkeys(_PLAIN, _same),
    **dict.fromkeys(LAYERS, _recurrent),
    operator.getitem: _item,
    aten.permute.default: _moved(_permuted),
    aten.transpose.int: _moved(_transposed),
    aten.t.default: _moved(lambda site, axis: 1 - axis),
    aten.unsqueeze.default: _moved(_unsqueezed),
    aten.squeeze.default: _squeezed,
    aten.squeeze.dim: _squeezed,
    aten.squeeze.dims: _squeezed,
    aten.reshape.default: _reshaped,
    aten.view.default: _reshaped,
    aten._unsafe_view.default: _reshaped,
    aten.flatten.using_ints: _reshaped,
    aten.unflatten.int: _reshaped,
    aten.expand.default: _expanded,
    aten.expand_as.default: _pointwise,
    aten.cat.default: _joined,
    aten.stack.default: _stacked,
    aten.softmax.int: _normalized,
    aten._softmax.default: _normalized,
    aten.log_softmax.int: _normalized,
    aten.group_norm.default: _grouped,
    aten.instance_norm.default: _grouped,
    aten.linear.default: _linear,
    aten.matmul.default: _product,
    aten.mm.default: _product,
    aten.bmm.default: _product,
    aten.einsum.default: _summed,
    aten.split.Tensor: _pieces,
    aten.split_with_sizes.default: _pieces,
    aten.chunk.default: _pieces,
    aten.embedding.default: _embedded,
    aten.index_select.default: _picked,
    aten.flip.default: _flipped,
}
