"""Bring a float graph into operators that CortexMQuantizer knows.

Each rule takes a call apart into others with the same result, so that every piece has an int8 form. Rules
know nothing of quantization; `RULES` says which operators they apply to.
"""

import operator
from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.annotate.clusters import CLAMPABLE, CLAMPS
from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import Builder, argument, aten, attribute, fake_mode, run_fake, shape
from mcu_build.lower.refusals import named
from mcu_build.lower.rewrite import masked_softmax, norms, pick, prelu, recurrent, resample, where
from mcu_build.lower.rewrite.idioms import IDIOMS
from mcu_build.lower.rewrite.layer_scale import into_weights
from mcu_build.lower.rewrite.legalize_convolution import CONVOLUTION_RULES
from mcu_build.lower.rewrite.legalize_moves import MOVE_RULES, relu6
from mcu_build.lower.rewrite.legalize_products import (
    addmm,
    attention,
    baddbmm,
    masked_attention,
    matmul,
    softmax,
)

Rule = Callable[[Builder, Node], Node | None]


def legalize(
    model: GraphModule, chosen: Chosen = everything, rules: Mapping[Any, tuple[Rule, ...]] | None = None
) -> None:
    """Apply `rules`, all where none are given, until none applies to a chosen node.

    All values are up to date afterwards.
    """
    rules = RULES if rules is None else rules
    mode = fake_mode(model)
    _drop_checks(model)
    for node in model.graph.nodes:
        if node.op == "get_attr":
            node.meta["val"] = mode.from_tensor(attribute(model, node).detach(), static_shapes=True)
        elif node.op == "call_function" and "val" not in node.meta:
            node.meta["val"] = run_fake(node, mode)
    for node in list(model.graph.nodes):
        if chosen(node) and node.target in IDIOMS:
            _apply(IDIOMS[node.target], model, mode, node)
    model.graph.eliminate_dead_code()
    changed = True
    while changed:
        changed = False
        for node in list(model.graph.nodes):
            if chosen(node):
                changed |= any(_apply(rule, model, mode, node) for rule in rules.get(node.target, ()))
        model.graph.eliminate_dead_code()
    model.graph.lint()
    model.recompile()


def _drop_checks(model: GraphModule) -> None:
    """Assertions of the exporter hold by construction, and nothing reads their result."""
    for node in list(model.graph.nodes):
        if node.target is aten._assert_tensor_metadata.default:
            model.graph.erase_node(node)
    model.graph.eliminate_dead_code()


def _apply(rule: Rule, model: GraphModule, mode: Any, node: Node) -> bool:
    if node not in node.graph.nodes or (not node.users and node.op != "output"):
        return False
    with named("quantized", node):
        replacement = rule(Builder(model, mode, node), node)
    if replacement is None:
        return False
    node.replace_all_uses_with(replacement, propagate_meta=False)
    model.graph.erase_node(node)
    return True


def _identity(build: Builder, node: Node) -> Node | None:
    """Dropout at rest, detach, a cast to the same type: the operand itself."""
    source = node.args[0]
    assert isinstance(source, Node)
    same = source.meta["val"].dtype == node.meta["val"].dtype and shape(source) == shape(node)
    training = node.target is aten.dropout.default and bool(node.args[2])
    return source if same and not training else None


def _functional(build: Builder, node: Node) -> Node | None:
    """An in-place operator as a new tensor: CortexMQuantizer's patterns miss many of the in-place names."""
    name, overload = node.target.__name__.split(".")
    packet = getattr(aten, name.removesuffix("_"))
    mutated = node.args[0]
    assert isinstance(mutated, Node)
    if mutated.op == "placeholder" or mutated.target in _VIEWS:
        return None
    replacement = build(getattr(packet, overload), *node.args, **node.kwargs)
    later = False
    for other in node.graph.nodes:
        later |= other is node
        if later and other is not node and mutated in other.all_input_nodes:
            other.replace_input_with(mutated, replacement)
    return replacement


def _pool_after_clamp(build: Builder, node: Node) -> Node | None:
    """max_pool → clamp as clamp → max_pool (both are monotone): the clamp then fuses with a convolution."""
    pool = node.args[0]
    if not isinstance(pool, Node) or pool.target is not aten.max_pool2d.default or len(pool.users) != 1:
        return None
    clamped = build(node.target, pool.args[0], *node.args[1:], **node.kwargs)
    return build(pool.target, clamped, *pool.args[1:], **pool.kwargs)


def _clamp_before_moves(build: Builder, node: Node) -> Node | None:
    """conv2d → squeeze → clamp, as of conv1d, as conv2d → clamp → squeeze: the clamp then fuses with the
    convolution, and no value that it cuts off takes part in the scale."""
    move, source = node.args[0], node.args[0]
    while isinstance(source, Node) and source.target in _SAME_ELEMENTS and len(source.users) == 1:
        source = source.args[0]
    if not isinstance(move, Node) or source is move or not isinstance(source, Node):
        return None
    if source.target not in CLAMPABLE or len(source.users) != 1:
        return None
    clamped = build(node.target, move.args[0], *node.args[1:], **node.kwargs)
    return build(move.target, clamped, *move.args[1:], **move.kwargs)


def _cut_tails(build: Builder, node: Node) -> Node | None:
    """hardswish and hardsigmoid of a layer whose result is clamped: what they make the same of takes no part
    in its scale."""
    before = node.args[0]
    source = before
    while isinstance(source, Node) and source.target in _SAME_ELEMENTS and len(source.users) == 1:
        source = source.args[0]
    if not isinstance(source, Node) or source.target not in CLAMPABLE or len(source.users) != 1:
        return None
    return build(node.target, build(aten.clamp.default, before, *BETWEEN[node.target]))


def _known(build: Builder, node: Node) -> Node | None:
    """A tensor that no input decides, such as an LSTM's first state, as a constant."""
    if not node.meta["val"].dtype.is_floating_point:
        return None
    args = torch.fx.map_arg(node.args, lambda operand: torch.empty(shape(operand)))
    return build.constant(node.target(*args, **node.kwargs))


def _without_zeros(build: Builder, node: Node) -> Node | None:
    """x + 0 and x * 0: what a constant of zeros leaves."""
    for index, operand in enumerate(node.args[:2]):
        constant, other = build.value_of(operand), node.args[1 - index]
        if constant is None or constant.any() or not isinstance(other, Node):
            continue
        if node.target is aten.mul.Tensor:
            return build.constant(torch.zeros(shape(node), dtype=node.meta["val"].dtype))
        if node.target is aten.add.Tensor and shape(other) == shape(node) and not node.kwargs:
            return other
    return None


def _scalar(build: Builder, value: Any) -> float | None:
    tensor = build.value_of(value)
    return None if tensor is None or tensor.numel() != 1 or tensor.dim() > 1 else float(tensor)


def _binary(build: Builder, node: Node) -> Node | None:
    """Operands of one shape; constants of one element as numbers; a constant divisor as a factor.

    cortex_m.quantized_add, _mul and _div repeat channels at most. Integers stay integers of their type.
    """
    left, right = node.args[:2]
    if not isinstance(left, Node) or not isinstance(right, Node):
        return None
    if not node.meta["val"].dtype.is_floating_point:
        return None
    for index, operand in enumerate((left, right)):
        if (number := _scalar(build, operand)) is not None and shape((right, left)[index]) == shape(node):
            return _with_number(build, node, index, number)
    divisor = build.value_of(right)
    if node.target is aten.div.Tensor and divisor is not None and "rounding_mode" not in node.kwargs:
        return build(aten.mul.Tensor, left, build.constant(1.0 / divisor))
    if shape(left) == shape(right) or _is_channel_factor(node):
        return None
    sizes = shape(node)
    constants = [build.value_of(operand) for operand in (left, right)]
    operands = [
        build.expand(operand, sizes) if constant is None else build.constant(constant.expand(sizes))
        for operand, constant in zip((left, right), constants, strict=True)
    ]
    return build(node.target, *operands, **node.kwargs)


def _with_number(build: Builder, node: Node, index: int, number: float) -> Node | None:
    if index == 1:
        return build(node.target, node.args[0], number, **node.kwargs)
    match node.target:
        case aten.add.Tensor | aten.mul.Tensor:
            alpha = node.kwargs.get("alpha", 1)
            scaled = build(aten.mul.Tensor, node.args[1], alpha) if alpha != 1 else node.args[1]
            return build(node.target, scaled, number)
        case aten.sub.Tensor:
            return build(aten.rsub.Scalar, node.args[1], number, node.kwargs.get("alpha", 1))
        case aten.div.Tensor:
            return build(aten.mul.Tensor, build(aten.reciprocal.default, node.args[1]), number)
    return None


def _is_channel_factor(node: Node) -> bool:
    """[n, c, h, w] with [1, c, 1, 1]: the one broadcast that the operators have."""
    sizes = sorted((shape(operand) for operand in node.all_input_nodes), key=prod)
    if node.target is aten.div.Tensor or len(sizes) != 2 or len(sizes[0]) != 4 or len(sizes[1]) != 4:
        return False
    small, large = sizes
    return small == (1, large[1], 1, 1) and large == shape(node)


def _reversed_subtraction(build: Builder, node: Node) -> Node | None:
    """rsub of tensors as sub."""
    if not isinstance(node.args[1], Node):
        return None
    return build(aten.sub.Tensor, node.args[1], node.args[0], **node.kwargs)


# Attention alone: products that are left to the core have to be known before the NPU's quantizer makes them.
ATTENTION_RULES: Mapping[Any, tuple[Rule, ...]] = {aten.scaled_dot_product_attention.default: (attention,)}
# Masks have to be known before the scores have a range (bounded_masks.py).
MASKED_ATTENTION_RULES: Mapping[Any, tuple[Rule, ...]] = {
    aten.scaled_dot_product_attention.default: (masked_attention,)
}


def _mean(build: Builder, node: Node) -> Node | None:
    """A mean as an average pool, which has integer arithmetic, over adjacent dimensions as a height."""
    source = node.args[0]
    assert isinstance(source, Node)
    sizes = shape(source)
    if node.kwargs.get("dtype") or not node.meta["val"].dtype.is_floating_point:
        return None
    listed = node.args[1] if len(node.args) > 1 and node.args[1] else list(range(len(sizes)))
    dims = sorted(d % len(sizes) for d in listed)
    if len(sizes) == 4 and dims == [2, 3]:
        pooled = build(aten.avg_pool2d.default, source, list(sizes[2:]), [1, 1])
        return build.reshape(pooled, shape(node))
    if dims != list(range(dims[0], dims[-1] + 1)):
        order = [d for d in range(len(sizes)) if d not in dims] + dims
        source = build(aten.permute.default, source, order)
        sizes = shape(source)
        dims = list(range(len(sizes) - len(dims), len(sizes)))
    before, count = prod(sizes[: dims[0]]), prod(sizes[dims[0] : dims[-1] + 1])
    plane = build.reshape(source, (before, 1, count, prod(sizes[dims[-1] + 1 :])))
    pooled = build(aten.avg_pool2d.default, plane, [count, 1], [1, 1])
    return build.reshape(pooled, shape(node))


def _sum(build: Builder, node: Node) -> Node | None:
    """A sum as a mean times the count."""
    source = node.args[0]
    assert isinstance(source, Node)
    if node.kwargs.get("dtype") or not node.meta["val"].dtype.is_floating_point:
        return None
    dims = node.args[1] if len(node.args) > 1 and node.args[1] else list(range(len(shape(source))))
    count = prod(shape(source)[d] for d in dims)
    mean = build(aten.mean.dim, source, dims, len(node.args) > 2 and node.args[2])
    return build(aten.mul.Tensor, mean, count)


def _adaptive_pool(build: Builder, node: Node) -> Node | None:
    """An adaptive average whose windows are all of one size."""
    source = node.args[0]
    assert isinstance(source, Node)
    size, out = shape(source)[2:], shape(node)[2:]
    if len(shape(source)) != 4 or size[0] % out[0] or size[1] % out[1]:
        return None
    window = [size[0] // out[0], size[1] // out[1]]
    return build(aten.avg_pool2d.default, source, window, window)


def _split(build: Builder, node: Node) -> Node | None:
    """A piece of split, chunk or unbind as a slice or a selection."""
    pieces, index = node.args
    if not isinstance(pieces, Node) or pieces.target not in _SPLITS:
        return None
    source = pieces.args[0]
    assert isinstance(source, Node) and isinstance(index, int)
    place = 1 if pieces.target is aten.unbind.int else 2
    dim = argument(pieces, place, "dim", 0)
    if pieces.target is aten.unbind.int:
        return build(aten.select.int, source, dim, index)
    sizes = [value.shape[dim] for value in pieces.meta["val"]]
    start = sum(sizes[:index])
    return build(aten.slice.Tensor, source, dim, start, start + sizes[index])


def _stack(build: Builder, node: Node) -> Node:
    """stack as cat of unsqueezed tensors."""
    dim = argument(node, 1, "dim", 0) % len(shape(node))
    pieces = [build(aten.unsqueeze.default, piece, dim) for piece in node.args[0]]
    return build(aten.cat.default, pieces, dim)


def _glu(build: Builder, node: Node) -> Node:
    """glu as one half times the sigmoid of the other."""
    source = node.args[0]
    assert isinstance(source, Node)
    dim = argument(node, 1, "dim", -1) % len(shape(source))
    half = shape(source)[dim] // 2
    value, gate = (build(aten.slice.Tensor, source, dim, first, first + half) for first in (0, half))
    return build(aten.mul.Tensor, value, build(aten.sigmoid.default, gate))


def _repeat(build: Builder, node: Node) -> Node:
    """repeat as cat along each dimension."""
    times = node.args[1]
    assert isinstance(times, list | tuple) and isinstance(node.args[0], Node)
    sizes = shape(node.args[0])
    result = build.reshape(node.args[0], (1,) * (len(times) - len(sizes)) + sizes)
    for dim, count in enumerate(times):
        if count != 1:
            result = build(aten.cat.default, [result] * count, dim)
    return result


def _pad(build: Builder, node: Node) -> Node | None:
    """pad in constant mode by its name in the core operators."""
    if argument(node, 2, "mode", "constant") != "constant":
        return None
    value = argument(node, 3, "value", None)
    return build(aten.constant_pad_nd.default, node.args[0], node.args[1], 0.0 if value is None else value)


def _pixel_shuffle(build: Builder, node: Node) -> Node:
    """pixel_shuffle as a permutation of six dimensions."""
    source, factor = node.args[:2]
    assert isinstance(source, Node) and isinstance(factor, int)
    *batch, channels, height, width = shape(source)
    n = prod(batch)
    split = build.reshape(source, (n, channels // factor**2, factor, factor, height, width))
    moved = build(aten.permute.default, split, [0, 1, 4, 2, 5, 3])
    return build.reshape(moved, shape(node))


def _pixel_unshuffle(build: Builder, node: Node) -> Node:
    """pixel_unshuffle likewise."""
    source, factor = node.args[:2]
    assert isinstance(source, Node) and isinstance(factor, int)
    *batch, channels, height, width = shape(source)
    sizes = (prod(batch), channels, height // factor, factor, width // factor, factor)
    moved = build(aten.permute.default, build.reshape(source, sizes), [0, 1, 3, 5, 2, 4])
    return build.reshape(moved, shape(node))


_VIEWS = frozenset(
    {
        aten.view.default,
        aten.slice.Tensor,
        aten.select.int,
        aten.transpose.int,
        aten.permute.default,
        aten.unsqueeze.default,
        aten.expand.default,
    }
)
# Of these, and others, what gives back every element of its operand once.
_SAME_ELEMENTS = frozenset(
    {
        aten.view.default,
        aten.reshape.default,
        aten.flatten.using_ints,
        aten.transpose.int,
        aten.permute.default,
        aten.unsqueeze.default,
        aten.squeeze.dim,
    }
)
# hardswish is 0 below -3; hardsigmoid is 0 there, and 1 above 3.
BETWEEN = {aten.hardswish.default: (-3.0,), aten.hardsigmoid.default: (-3.0, 3.0)}
_SPLITS = frozenset({aten.split.Tensor, aten.split_with_sizes.default, aten.chunk.default, aten.unbind.int})
_IN_PLACE = [
    "relu_.default",
    "relu6_.default",
    "hardtanh_.default",
    "hardswish_.default",
    "hardsigmoid_.default",
    "leaky_relu_.default",
    "elu_.default",
    "silu_.default",
    "sigmoid_.default",
    "tanh_.default",
    "clamp_.default",
    "clamp_min_.default",
    "exp_.default",
    "abs_.default",
    "neg_.default",
    "sqrt_.default",
    "add_.Tensor",
    "sub_.Tensor",
    "mul_.Tensor",
    "div_.Tensor",
    "dropout_.default",
    "masked_fill_.Scalar",
    "masked_fill_.Tensor",
]


def _in_place_targets() -> list[Any]:
    return [getattr(getattr(aten, name.split(".")[0]), name.split(".")[1]) for name in _IN_PLACE]


RULES: Mapping[Any, tuple[Rule, ...]] = {
    **dict.fromkeys(_in_place_targets(), (_functional,)),
    **dict.fromkeys(
        (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor), (_without_zeros, _binary)
    ),
    **dict.fromkeys(
        (
            aten.zeros.default,
            aten.ones.default,
            aten.full.default,
            aten.new_zeros.default,
            aten.new_ones.default,
            aten.new_full.default,
            aten.zeros_like.default,
            aten.ones_like.default,
            aten.full_like.default,
        ),
        (_known,),
    ),
    aten.mul.Tensor: (_without_zeros, into_weights, _binary),
    **dict.fromkeys((aten.maximum.default, aten.minimum.default), (_binary,)),
    **dict.fromkeys(CLAMPS, (_pool_after_clamp, _clamp_before_moves)),
    **dict.fromkeys(BETWEEN, (_cut_tails,)),
    **dict.fromkeys((aten.matmul.default, aten.mm.default, aten.bmm.default), (matmul,)),
    **dict.fromkeys((aten.mean.dim, aten.mean.default), (_mean,)),
    **dict.fromkeys((aten.sum.dim_IntList, aten.sum.default), (_sum,)),
    **dict.fromkeys(
        (
            aten.dropout.default,
            aten.detach.default,
            aten.alias.default,
            aten.to.dtype,
            aten.lift_fresh_copy.default,
        ),
        (_identity,),
    ),
    aten.relu6.default: (relu6,),
    aten.rsub.Tensor: (_reversed_subtraction,),
    aten.softmax.int: (masked_softmax.with_mask, softmax),
    aten.log_softmax.int: (softmax,),
    aten.baddbmm.default: (baddbmm,),
    **ATTENTION_RULES,
    aten.addmm.default: (addmm,),
    aten.adaptive_avg_pool2d.default: (_adaptive_pool,),
    aten.stack.default: (_stack,),
    aten.glu.default: (_glu,),
    aten.repeat.default: (_repeat,),
    **MOVE_RULES,
    aten.pad.default: (*MOVE_RULES[aten.pad.default], _pad),
    aten.pixel_shuffle.default: (_pixel_shuffle,),
    aten.pixel_unshuffle.default: (_pixel_unshuffle,),
    aten.prelu.default: (prelu.one_slope,),
    aten.embedding.default: (pick.own_table,),
    **dict.fromkeys((aten.layer_norm.default, aten.rms_norm.default), (norms.rows,)),
    aten.instance_norm.default: (norms.known_statistics,),
    **dict.fromkeys((aten.upsample_linear1d.vec, aten.upsample_nearest1d.vec), (resample.line,)),
    **dict.fromkeys((aten.upsample_nearest3d.vec, aten._upsample_nearest_exact3d.vec), (resample.volume,)),
    aten.avg_pool2d.default: (resample.by_divisor,),
    operator.getitem: (_split, pick.adaptive_max),
    **CONVOLUTION_RULES,
    **recurrent.RULES,
    **where.RULES,
}
