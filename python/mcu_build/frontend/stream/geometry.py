"""Step by step: operators that read several samples for each of their own: convolutions, pools, windows."""

from dataclasses import dataclass, replace
from typing import Any

from mcu_build.frontend.stream.timeline import LAST, Reading, Rewrite, Rule, Site, Timeline
from mcu_build.lower.builder import aten, shape

_PAD_HINT = "Pad in front of the first layer."
_MOST_COPIES = 8  # that are still pieces of a concatenation when a program is cut into steps


@dataclass(frozen=True)
class _Taps:
    """Samples j * stride - before + i * dilation, i < kernel, for sample j."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0

    @property
    def span(self) -> int:
        return (self.kernel - 1) * self.dilation


def _read(site: Site, taps: _Taps, args: tuple[Any, ...], fill: float = 0.0) -> Rewrite:
    """What `taps` reads of the only operand with time."""
    operand, time = site.only
    if time.repeats and taps.before > 0:
        raise site.refusal("it pads what is padded already", _PAD_HINT)
    site.multiple(time, taps.stride)
    length = shape(site.node)[time.axis]
    if length != (time.length + 2 * taps.before - taps.span - 1) // taps.stride + 1 and taps.before > 0:
        raise site.refusal("its padding is rounded up at the end (ceil_mode)")
    delay = -(-(time.delay + taps.span - taps.before - (taps.stride - 1)) // taps.stride)
    past = taps.stride * delay + taps.before - time.delay
    drop = taps.stride * delay + taps.stride + taps.before - taps.span - time.delay - 1
    out = Timeline(time.axis, time.hop // taps.stride, delay, length)
    made = site.rewrite(out, args).reading(operand, Reading(past, drop, fill))
    return replace(made, zeroed=(operand,)) if taps.before > 0 and time.delay > 0 else made


def _pair(value: Any, index: int) -> int:
    """One of the numbers that an operator has for its dimensions, or the one for all."""
    return int(value[index] if isinstance(value, list | tuple) and len(value) > 1 else _single(value))


def _single(value: Any) -> int:
    return int(value[0]) if isinstance(value, list | tuple) else int(value)


def _without(value: Any, index: int, count: int) -> list[int]:
    """Padding of `count` dimensions, none along one of them."""
    return [0 if position == index else _pair(value, position) for position in range(count)]


def convolution(site: Site) -> Rewrite:
    """conv1d and conv2d; weights do not depend on the recording."""
    operand, time = site.only
    if operand is not site.node.args[0]:
        raise site.refusal("its weights depend on the recording")
    count = len(shape(site.node)) - 2
    index = time.axis - 2
    if index < 0:
        raise site.refusal("it adds up all of time as its channels") if index == -1 else site.whole()
    kernel = shape(site.node.args[1])[time.axis]
    padding = site.argument(4, "padding", [0] * count)
    if isinstance(padding, str):
        raise site.refusal(f"padding={padding!r} here is not understood", "Give the padding as numbers.")
    stride, dilation = site.argument(3, "stride", [1]), site.argument(5, "dilation", [1])
    taps = _Taps(kernel, _pair(stride, index), _pair(dilation, index), _pair(padding, index))
    bias = site.argument(2, "bias", None)
    dilations = [_pair(dilation, each) for each in range(count)]
    if shape(site.node)[time.axis] == 1 and not taps.before:
        made = site.window(operand)
    else:
        made = _read(site, taps, ())
        if isinstance(made.out, Timeline) and made.out.hop == 1:
            # The taps of the only sample, one beside the other.
            made = made.reading(operand, replace(made.readings[operand], every=taps.dilation))
            dilations[index] = 1
    args = (
        *site.node.args[:2],
        bias,
        [_pair(stride, each) for each in range(count)],
        _without(padding, index, count),
        dilations,
        site.argument(6, "groups", 1),
    )
    return replace(made, args=args, kwargs={})


def average(site: Site) -> Rewrite:
    """avg_pool1d and avg_pool2d."""
    return _pool(site, dilated=False)


def maximum(site: Site) -> Rewrite:
    """max_pool1d and max_pool2d."""
    return _pool(site, dilated=True)


def _pool(site: Site, dilated: bool) -> Rewrite:
    sizes = shape(site.node)
    count = 1 if "1d" in str(site.node.target) else 2
    index = site.only_rows[1].axis - (len(sizes) - count)
    if index < 0:
        return site.rewrite(site.only_rows[1])
    operand, time = site.only
    kernel = site.argument(1, "kernel_size", None)
    stride = site.argument(2, "stride", kernel) or kernel
    padding = site.argument(3, "padding", [0])
    dilation = site.argument(4, "dilation", [1]) if dilated else [1]
    taps = _Taps(_pair(kernel, index), _pair(stride, index), _pair(dilation, index), _pair(padding, index))
    args = list(site.node.args)
    if sizes[time.axis] == 1 and not taps.before:
        return site.window(operand)
    if taps.before:
        if not dilated and site.argument(5, "count_include_pad", True) is False:
            raise site.refusal("at the edges of the recording it averages fewer samples")
        if dilated and time.delay > 0:
            raise site.refusal("padding in front of samples that come late", _PAD_HINT)
        args[3] = _without(padding, index, count)
    return _read(site, taps, tuple(args), float("-inf") if dilated else 0.0)


def frames(site: Site) -> Rewrite:
    """unfold: windows of `size` samples, `step` apart, along a new last dimension."""
    operand, time = site.only
    dimension, size, step = (int(value) for value in site.node.args[1:4])
    if dimension % len(shape(operand)) != time.axis:
        return site.rewrite(time)
    return _read(site, _Taps(size, step), site.node.args)


def padding(site: Site) -> Rewrite:
    """Constant padding: samples in front are known before the first step; those behind never come."""
    operand, time = site.only
    is_general = site.node.target is aten.pad.default
    mode = site.argument(2, "mode", "constant") if is_general else "constant"
    value = float(site.argument(3 if is_general else 2, "value", 0.0) or 0.0)
    pads = list(site.node.args[1])
    place = 2 * (len(shape(operand)) - 1 - time.axis)
    if place >= len(pads):
        return site.rewrite(time)
    before = int(pads[place])
    if mode not in ("constant", "replicate") and (before or pads[place + 1]):
        raise site.refusal("it pads with samples of the recording", "Pad with zeros, or mode='replicate'.")
    pads[place] = pads[place + 1] = 0
    args = (operand, pads, *site.node.args[2:])
    if mode == "replicate" and before > 0:
        return site.rewrite(repeated(site, time, before), args)
    out = Timeline(time.axis, time.hop, time.delay - before, shape(site.node)[time.axis])
    if before > 0 and time.delay > 0:
        if value:
            raise site.refusal("it pads in front of samples that come late", _PAD_HINT)
        return replace(site.rewrite(out, args), zeroed=(operand,))
    return site.rewrite(out, args)


def repeated(site: Site, time: Timeline, copies: int) -> Timeline:
    """A tensor behind so many copies of its first sample."""
    if time.delay and not time.repeats:
        raise site.refusal("it pads in front of samples that come late or are padded", _PAD_HINT)
    if copies > _MOST_COPIES:
        raise site.refusal(
            f"it pads with {copies} copies of the first sample",
            f"Pad by up to {_MOST_COPIES} at a time: x = F.pad(x, ({_MOST_COPIES}, 0), mode='replicate').",
        )
    return replace(time, delay=time.delay - copies, length=shape(site.node)[time.axis], repeats=True)


def part(site: Site) -> Rewrite:
    """slice: samples from `start` on."""
    operand, time = site.only
    axis = int(site.argument(1, "dim", 0)) % len(shape(operand))
    if axis != time.axis:
        return site.rewrite(time)
    count = time.length
    start, _, step = slice(
        site.argument(2, "start", None), site.argument(3, "end", None), site.argument(4, "step", 1)
    ).indices(count)
    whole = (operand, axis, 0, 2**63 - 1, step)
    made = _read(site, _Taps(1, step, 1, -start), whole)
    assert isinstance(made.out, Timeline)
    return replace(made, out=replace(made.out, repeats=time.repeats and start == 0))


def chosen(site: Site) -> Rewrite:
    """select: one index of a dimension; of time, counted from the last sample."""
    operand, time = site.only
    axis = int(site.node.args[1]) % len(shape(operand))
    index = int(site.node.args[2]) % shape(operand)[axis]
    if axis != time.axis:
        return site.rewrite(replace(time, axis=time.axis - (axis < time.axis)))
    back = site.recording.steps * time.hop - time.delay - 1 - index
    if back < 0:
        raise site.refusal(f"it reads a sample that comes {-back} after the recording")
    return site.rewrite(LAST, (operand, axis, 0)).reading(operand, Reading(back + 1 - time.hop, back))


def upsampled(site: Site) -> Rewrite:
    """upsample_nearest by a whole number."""
    operand, time = site.only
    sizes, source = shape(site.node), shape(operand)
    factor, rest = divmod(sizes[time.axis], source[time.axis])
    if rest:
        raise site.refusal("it resizes time by a factor that is not whole")
    out = Timeline(time.axis, time.hop * factor, time.delay * factor, sizes[time.axis])
    factors = [size / whole for size, whole in zip(sizes[2:], source[2:], strict=True)]
    return replace(site.rewrite(out, (operand, None, factors)), kwargs={})


def transposed(site: Site) -> Rewrite:
    """conv_transpose: a sample of the input is `stride` of the output, which as many before it reach, too.

    Of the output of those that a step has and the `past` before them, the padding cuts off what is not new.
    """
    operand, time = site.only
    index, count = time.axis - 2, len(shape(site.node)) - 2
    if operand is not site.node.args[0]:
        raise site.refusal("its weights depend on the recording")
    if index < 0:
        raise site.whole()
    stride, padding, rest, dilation = (
        [_pair(site.argument(place, name, [default]), each) for each in range(count)]
        for place, name, default in (
            (3, "stride", 1),
            (4, "padding", 0),
            (5, "output_padding", 0),
            (7, "dilation", 1),
        )
    )
    factor, cut = stride[index], padding[index]
    span = (shape(site.node.args[1])[time.axis] - 1) * dilation[index] + 1
    past = -(-span // factor) - 1
    padding[index], rest[index] = past * factor, (past + 1) * factor - span
    out = Timeline(time.axis, time.hop * factor, time.delay * factor + cut, shape(site.node)[time.axis])
    layer = (*site.node.args[:2], site.argument(2, "bias", None))
    args = (*layer, stride, padding, rest, site.argument(6, "groups", 1), dilation)
    made = replace(site.rewrite(out, args), kwargs={}).reading(operand, Reading(past))
    return replace(made, zeroed=(operand,)) if past > 0 and time.delay > 0 else made


RULES: dict[Any, Rule] = {
    aten.conv1d.default: convolution,
    aten.conv2d.default: convolution,
    aten.conv_transpose1d.default: transposed,
    aten.conv_transpose2d.input: transposed,
    aten.avg_pool1d.default: average,
    aten.avg_pool2d.default: average,
    aten.max_pool1d.default: maximum,
    aten.max_pool2d.default: maximum,
    aten.max_pool2d_with_indices.default: maximum,
    aten.unfold.default: frames,
    aten.constant_pad_nd.default: padding,
    aten.pad.default: padding,
    aten.slice.Tensor: part,
    aten.select.int: chosen,
    aten.upsample_nearest1d.vec: upsampled,
    aten.upsample_nearest2d.vec: upsampled,
}
