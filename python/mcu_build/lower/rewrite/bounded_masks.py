"""Masks of attention for an NPU, whose softmax has no operand for them: bounds near the scores.

A mask of -1e9 would take the scores' scale: one step of int8 would be larger than all that they differ by. So
what a mask leaves out gets a bound of its own, `margin` below the least score of the calibration data, and
what it leaves in a bound that no score exceeds:

    softmax(scores + mask)  =  softmax(minimum(scores, bound))

exp(-margin) is what is left, at most, of an entry that is masked: nothing, once it is rounded to 8 bits
(margin 8) or 16 (margin 16). Scores beyond those of the calibration data saturate as they do anywhere else.
"""

from collections.abc import Iterable

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.builder import Builder, aten, fake_mode, shape
from mcu_build.lower.rewrite.masked_softmax import unmasked
from mcu_build.lower.rewrite.watch import Inputs, ranges


def bound_masks(model: GraphModule, calls: Iterable[Inputs], margin: float) -> None:
    """Rewrite every masked softmax of `model`, a legalized graph in float; `calls` are calibration data."""
    mode = fake_mode(model)
    bounds: dict[Node, tuple[Node, Node]] = {}
    for node in list(model.graph.nodes):
        if node.target is aten.softmax.int and (parts := unmasked(Builder(model, mode, node), node)):
            bounds[node] = parts
    if not bounds:
        return
    model.recompile()
    widths = ranges(model, {scores for scores, _ in bounds.values()}, calls)
    for node, (scores, allowed) in bounds.items():
        build = Builder(model, mode, node)
        low, high = widths[scores]
        bounded = build(aten.minimum.default, scores, _bound(build, allowed, low - margin, high))
        shares = build.reshape(build(aten.softmax.int, bounded, -1), shape(node))
        node.replace_all_uses_with(shares, propagate_meta=False)
    model.graph.eliminate_dead_code()
    model.recompile()


def _bound(build: Builder, allowed: Node, low: float, high: float) -> Node:
    """`high` where an entry is allowed, `low` where not."""
    value = build.value_of(allowed)
    if value is not None:
        return build.constant(torch.where(value > 0.5, high, low))
    if allowed.meta["val"].dtype is torch.bool:
        allowed = build(aten.to.dtype, allowed, torch.float32)
    return build(aten.add.Tensor, build(aten.mul.Tensor, allowed, high - low), low)
