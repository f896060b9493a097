"""Step by step: operators along dimensions that are not time, which are the same in each step."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node

from mcu_build.frontend.stream.timeline import LAST, Rewrite, Rule, Site, Time, Timeline
from mcu_build.lower.builder import aten, shape

_EXTREMES = (aten.cummax.default, aten.cummin.default)


def along(site: Site, dimensions: Any, keeps: bool) -> Rewrite:
    """An operator that joins all of `dimensions` (None: of all), which it keeps as ones or does away with."""
    operand, time = site.only_rows
    rank = len(shape(operand))
    axes = range(rank) if dimensions in (None, []) else dimensions
    gone = {int(d) % rank for d in (axes if isinstance(axes, Sequence | range) else [axes])}
    if time.axis in gone:
        return site.window(site.only[0])
    return site.rewrite(replace(time, axis=time.axis - (0 if keeps else sum(d < time.axis for d in gone))))


def reduced(dimensions: int, keeps: int) -> Rule:
    """A rule for an operator that joins dimensions, by the positions of `dim` and `keepdim`."""

    def rule(site: Site) -> Rewrite:
        return along(
            site, site.argument(dimensions, "dim", None), bool(site.argument(keeps, "keepdim", False))
        )

    return rule


def _apart(dimension: Callable[[Site], Any]) -> Rule:
    """A rule for an operator that mixes the elements of dimensions: not of time."""

    def rule(site: Site) -> Rewrite:
        operand, time = site.only
        value = dimension(site)
        axes = value if isinstance(value, Sequence) else [value]
        if time.axis in {int(axis) % len(shape(operand)) for axis in axes}:
            raise site.whole()
        return site.rewrite(time)

    return rule


def _of(index: int, default: int) -> Rule:
    return _apart(lambda site: site.argument(index, "dim", default))


def _accumulated(site: Site) -> Rewrite:
    """cumsum, cumprod: of floats, the last result goes on."""
    operand, time = site.only
    if int(site.node.args[1]) % len(shape(operand)) != time.axis:
        return site.rewrite(time)
    is_sum = site.node.target is aten.cumsum.default
    if not (is_sum or time.delay <= 0):
        raise site.refusal("it multiplies samples that come late", "Have it in front of other layers.")
    if not site.node.meta["val"].is_floating_point():
        raise site.refusal("it counts in integers over all of time", "Make its operand float: x.float().")
    made = replace(site.rewrite(time), neutral=0.0 if is_sum else 1.0)
    return replace(made, zeroed=(operand,)) if time.delay > 0 else made


def is_extreme_over_time(source: Any, time: Time) -> bool:
    """Whether it is cummax or cummin over time."""
    return source.target in _EXTREMES and isinstance(time, Timeline) and _dimension(source) == time.axis


def extreme_of(site: Site) -> Rewrite:
    """The values of cummax or cummin over time: the last one goes on. Places in the recording do not."""
    source, index = site.node.args
    time = site.only[1]
    if index and not site.node.users:
        return site.rewrite(LAST)
    if index:
        raise site.refusal("it tells the place of a sample in the recording", "Use its values alone.")
    if time.delay > 0:
        raise site.refusal("it compares samples that come late", "Have it in front of other layers.")
    lowest = torch.finfo(source.args[0].meta["val"].dtype).min
    return replace(site.rewrite(time), neutral=lowest if source.target is aten.cummax.default else -lowest)


def _extremes(site: Site) -> Rewrite:
    return site.rewrite(site.only[1])


def _dimension(node: Node) -> int:
    return int(node.args[1]) % len(shape(node.args[0]))


def _batch_norm(site: Site) -> Rewrite:
    """With the statistics of its training; channels are dimension 1."""
    operand, time = site.only
    if operand is not site.node.args[0] or site.argument(5, "training", False) or time.axis == 1:
        raise site.whole()
    return site.rewrite(time)


def _prelu(site: Site) -> Rewrite:
    operand, time = site.only
    if operand is not site.node.args[0] or (time.axis == 1 and shape(site.node.args[1]) != (1,)):
        raise site.refusal("its slopes change over time", "Have channels in dimension 1.")
    return site.rewrite(time)


def _norm_of_rows(site: Site) -> Rewrite:
    operand, time = site.only
    if time.axis >= len(shape(operand)) - len(site.node.args[1]):
        raise site.whole()
    return site.rewrite(time)


def _narrowed(site: Site) -> Rewrite:
    operand, time = site.only
    if int(site.node.args[1]) % len(shape(operand)) == time.axis:
        raise site.refusal("it cuts time into pieces", "Cut with a slice: x[..., start:].")
    return site.rewrite(time)


def _unbound(site: Site) -> Rewrite:
    operand, time = site.only
    dimension = int(site.argument(1, "dim", 0)) % len(shape(operand))
    if dimension == time.axis:
        raise site.refusal("it cuts time into pieces")
    return site.rewrite(replace(time, axis=time.axis - (dimension < time.axis)))


def _moved(site: Site) -> Rewrite:
    """movedim: where time comes to lie, dimensions of a tensor on the meta device tell."""
    operand, time = site.only
    sizes = torch.empty([int(d == time.axis) + 1 for d in range(len(shape(operand)))], device="meta")
    moved = site.node.target(sizes, *site.node.args[1:])
    return site.rewrite(replace(time, axis=list(moved.shape).index(2)))


def _repeated(site: Site) -> Rewrite:
    operand, time = site.only
    counts = site.node.args[1]
    axis = time.axis + len(counts) - len(shape(operand))
    if counts[axis] != 1:
        raise site.refusal("it repeats the recording")
    return site.rewrite(replace(time, axis=axis))


def _adaptive(site: Site) -> Rewrite:
    """adaptive_avg_pool: all of a dimension that is not time, or all of time."""
    operand, time = site.only
    sizes = list(site.node.args[1])
    index = time.axis - (len(shape(operand)) - len(sizes))
    if index < 0:
        return site.rewrite(time)
    if sizes[index] == time.length:
        sizes[index] = time.hop
        return site.rewrite(time, (operand, sizes))
    if sizes[index] != 1:
        raise site.refusal("it cuts time into windows", "Give the window: nn.AvgPool1d(4).")
    return site.window(operand)


RULES: dict[Any, Rule] = {
    aten.batch_norm.default: _batch_norm,
    aten.prelu.default: _prelu,
    **dict.fromkeys((aten.layer_norm.default, aten.rms_norm.default), _norm_of_rows),
    aten.narrow.default: _narrowed,
    aten.unbind.int: _unbound,
    aten.movedim.int: _moved,
    aten.movedim.intlist: _moved,
    aten.swapaxes.default: _moved,
    aten.swapdims.default: _moved,
    aten.repeat.default: _repeated,
    aten.adaptive_avg_pool1d.default: _adaptive,
    aten.adaptive_avg_pool2d.default: _adaptive,
    aten.glu.default: _of(1, -1),
    aten.cumsum.default: _accumulated,
    aten.cumprod.default: _accumulated,
    **dict.fromkeys(_EXTREMES, _extremes),
    aten.topk.default: _of(2, -1),
    aten.sort.default: _of(1, -1),
    aten.argsort.default: _of(1, -1),
    aten.roll.default: _apart(lambda site: site.argument(2, "dims", ()) or range(len(shape(site.node)))),
    aten.mean.dim: reduced(1, 2),
    aten.sum.dim_IntList: reduced(1, 2),
    aten.amax.default: reduced(1, 2),
    aten.amin.default: reduced(1, 2),
    aten.argmax.default: reduced(1, 2),
    aten.argmin.default: reduced(1, 2),
    aten.max.dim: reduced(1, 2),
    aten.min.dim: reduced(1, 2),
    aten.any.dim: reduced(1, 2),
    aten.all.dim: reduced(1, 2),
    aten.prod.dim_int: reduced(1, 2),
    aten.logsumexp.default: reduced(1, 2),
    aten.median.dim: reduced(1, 2),
    aten.kthvalue.default: reduced(2, 3),
    aten.var.dim: reduced(1, 3),
    aten.std.dim: reduced(1, 3),
    aten.var.correction: reduced(1, 3),
    aten.std.correction: reduced(1, 3),
    aten.linalg_vector_norm.default: reduced(2, 3),
}
