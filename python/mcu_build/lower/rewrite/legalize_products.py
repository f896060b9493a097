"""Rules of products of matrices and of what stands around them: softmax, attention, sums with a product."""

from math import prod

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, argument, aten, shape
from mcu_build.lower.rewrite import masked_softmax


def softmax(build: Builder, node: Node) -> Node | None:
    """Softmax, or its logarithm, along the rows of a matrix.

    CortexMSoftmaxCheck takes 4-D tensors of one channel or pixel for channels-last, and refuses theirs.
    """
    source, dim = node.args[0], node.args[1]
    assert isinstance(source, Node) and isinstance(dim, int)
    sizes = shape(source)
    dim %= max(len(sizes), 1)
    if len(sizes) == 2 and dim == 1:
        return None
    order = [d for d in range(len(sizes)) if d != dim] + [dim]
    moved = source if dim == len(sizes) - 1 else build(aten.permute.default, source, order)
    rows = build.reshape(moved, (prod(sizes) // sizes[dim], sizes[dim]))
    shares = build(node.target, rows, 1)
    back = build.reshape(shares, [sizes[d] for d in order])
    if dim == len(sizes) - 1:
        return back
    return build(aten.permute.default, back, [order.index(d) for d in range(len(sizes))])


def attention(build: Builder, node: Node) -> Node | None:
    """torch's attention as matrix products and a softmax: to_edge takes it apart in float.

    executorch issue 21943 is about the same.
    """
    query, key, value = node.args[:3]
    assert isinstance(query, Node) and isinstance(key, Node) and isinstance(value, Node)
    mask, causal = argument(node, 3, "attn_mask", None), argument(node, 5, "is_causal", False)
    if node.kwargs.get("enable_gqa"):
        return None
    scale = node.kwargs.get("scale") or shape(query)[-1] ** -0.5
    scaled = build(aten.mul.Tensor, query, scale)
    scores = build(aten.matmul.default, scaled, build(aten.transpose.int, key, -2, -1))
    if causal:
        rows, columns = shape(scores)[-2:]
        mask = build.constant(torch.ones(rows, columns, dtype=torch.bool).tril())
    if isinstance(mask, Node) and mask.meta["val"].dtype is torch.bool:
        scores = build(aten.where.ScalarOther, mask, scores, -torch.inf)
    elif isinstance(mask, Node):
        if build.value_of(mask) is None and not masked_softmax.is_mask(build, mask):
            return None
        scores = build(aten.add.Tensor, scores, mask)
    return build(aten.matmul.default, build(aten.softmax.int, scores, -1), value)


def masked_attention(build: Builder, node: Node) -> Node | None:
    """Attention with a mask alone, likewise."""
    is_masked = argument(node, 3, "attn_mask", None) is not None or argument(node, 5, "is_causal", False)
    return attention(build, node) if is_masked else None


def baddbmm(build: Builder, node: Node) -> Node | None:
    """a + b @ c as a sum and a product."""
    if node.kwargs:
        return None
    return build(aten.add.Tensor, build(aten.bmm.default, *node.args[1:3]), node.args[0])


def matmul(build: Builder, node: Node) -> Node | None:
    """Matrix products as linear (constant right side) or as bmm of equal batches."""
    left, right = node.args[:2]
    assert isinstance(left, Node) and isinstance(right, Node)
    weight = build.value_of(right)
    if weight is not None and weight.dim() == 2:
        return build(aten.linear.default, left, build.constant(weight.T))
    ranks = len(shape(left)), len(shape(right))
    if min(ranks) < 2 or (node.target is aten.bmm.default and ranks == (3, 3)):
        return None
    batch = torch.broadcast_shapes(shape(left)[:-2], shape(right)[:-2])
    first = build.expand(left, (*batch, *shape(left)[-2:]))
    product = build(
        aten.bmm.default,
        build.reshape(first, (prod(batch), *shape(left)[-2:])),
        _right_batches(build, right, batch),
    )
    return build.reshape(product, shape(node))


def _right_batches(build: Builder, right: Node, batch: tuple[int, ...]) -> Node:
    """The right side as (batches, k, n); a transposition is kept outermost, where it meets bmm's own."""
    if right.target is aten.transpose.int and {d % len(shape(right)) for d in right.args[1:]} == {
        len(shape(right)) - 2,
        len(shape(right)) - 1,
    }:
        source = right.args[0]
        assert isinstance(source, Node)
        wide = build.expand(source, (*batch, *shape(source)[-2:]))
        flat = build.reshape(wide, (prod(batch), *shape(source)[-2:]))
        return build(aten.transpose.int, flat, 1, 2)
    wide = build.expand(right, (*batch, *shape(right)[-2:]))
    return build.reshape(wide, (prod(batch), *shape(right)[-2:]))


def addmm(build: Builder, node: Node) -> Node | None:
    """bias + x @ constant as linear."""
    bias, left, right = node.args[:3]
    weight = build.value_of(right)
    if weight is None or node.kwargs:
        return (
            build(aten.add.Tensor, build(aten.matmul.default, left, right), bias) if not node.kwargs else None
        )
    return build(aten.linear.default, left, build.constant(weight.T), bias)
