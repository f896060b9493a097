"""Softmax, over scores of which some are masked too, and log_softmax.

Shares of many are small: 1/256, the step of Cortex-M's softmax, is as much as all of 256 equal ones. Where
none of calibration's is larger than 2^-octaves, steps are that much finer (`mcu_build::softmax`).

A mask is no part of the scores: what is added to them, or put in their place, is so far below them that int8
would keep nothing else. The mask goes to an operator of its own (`mcu_build::masked_softmax`), the scores
keep their scale.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, floor, log, log2, prod
from typing import Any

import torch
from executorch.backends.cortex_m.quantizer.quantization_configs import SOFTMAX_OUTPUT_FIXED_QSPEC
from torch.fx import Node
from torchao.quantization.pt2e.observer import MinMaxObserver
from torchao.quantization.pt2e.quantizer import FixedQParamsQuantizationSpec, QuantizationSpec

from mcu_build.arithmetic.int8 import LOG_BITS
from mcu_build.ir.arithmetic import MOST_OCTAVES
from mcu_build.lower.builder import Builder, aten, shape
from mcu_build.lower.integer.int8_forms import Int8Form, Site, fixed_point

# What lowers a score at least this far leaves nothing of it: exp(-100) is 2^-144.
_FAR = -100.0
# How many times a factor of a mask is enlarged at most: of 100 int8 still tells 1 from 0.
_STEEP = 100.0
_VIEWS = frozenset(
    {
        aten.view.default,
        aten.reshape.default,
        aten._unsafe_view.default,
        aten.unsqueeze.default,
        aten.squeeze.dim,
        aten.expand.default,
        aten.slice.Tensor,
        aten.select.int,
        aten.clone.default,
        aten.contiguous.default,
    }
)
_CASTS = frozenset({aten.to.dtype, aten._to_copy.default, aten.to.dtype_layout, aten.type_as.default})
_RESHAPES = frozenset({aten.view.default, aten.reshape.default, aten._unsafe_view.default})
_FILLS = frozenset({aten.masked_fill.Scalar, aten.masked_fill.Tensor})
# A mask that was computed in float: 1 where a score counts, 0 where not.
_MASK_QSPEC = FixedQParamsQuantizationSpec(
    dtype=torch.int8, scale=1.0, zero_point=0, quant_min=-128, quant_max=127
)

_STEPS = 256  # of shares, in the range of int8


class ShareObserver(MinMaxObserver):  # type: ignore[misc]
    """The finest of the steps 2^-8, 2^-9, ... of which 255 hold the largest share that was seen."""

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and zero point."""
        largest = max(float(self.max_val), 2.0**-MOST_OCTAVES) if self.max_val.numel() else 1.0
        octaves = min(max(floor(log2((_STEPS - 1) / _STEPS / largest)), 0), MOST_OCTAVES)
        return torch.tensor(1 / _STEPS / (1 << octaves)), torch.tensor(-128)


SHARES = QuantizationSpec(
    dtype=torch.int8,
    observer_or_fake_quant_ctr=ShareObserver,
    quant_min=-128,
    quant_max=127,
    qscheme=torch.per_tensor_affine,
)


@functools.cache
def _library() -> torch.library.Library:
    library = torch.library.Library("mcu_build", "FRAGMENT")
    library.define("softmax_where(Tensor scores, Tensor allowed) -> Tensor")
    library.impl("softmax_where", _softmax_where, "CPU")
    torch.library.register_fake(
        "mcu_build::softmax_where", lambda scores, allowed: torch.empty_like(scores), lib=library
    )
    return library


def _softmax_where(scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Softmax over the last dimension of what is allowed, zeros in rows where nothing is."""
    counts = allowed if allowed.dtype is torch.bool else allowed > 0.5
    shares = torch.softmax(torch.where(counts, scores, -torch.inf), -1)
    return torch.where(counts.any(-1, keepdim=True), shares, 0.0)


def softmax_where() -> Any:
    """The float operator that stands for a masked softmax: (scores [b, r, c], allowed [1 | b, 1 | r, c])."""
    _library()
    return torch.ops.mcu_build.softmax_where.default


@dataclass(frozen=True)
class _Peeled:
    """Scores without a mask, and where they count: a mask that broadcasts to them (None: everywhere)."""

    scores: Node
    allowed: Node | None


def with_mask(build: Builder, node: Node) -> Node | None:
    """softmax over the last dimension of masked scores as softmax_where."""
    peeled = unmasked(build, node)
    return build.reshape(build(softmax_where(), *peeled), shape(node)) if peeled else None


def unmasked(build: Builder, node: Node) -> tuple[Node, Node] | None:
    """Scores [b, r, c] of a softmax over the last dimension, and where they count [1 | b, 1 | r, c]; None
    where nothing is masked."""
    scores, sizes = node.args[0], shape(node)
    if node.args[1] not in (-1, len(sizes) - 1):
        return None
    masks: list[Node] = []
    while isinstance(scores, Node) and (peeled := _peel(build, scores)) is not None:
        if peeled.allowed is not None:
            masks.append(_three_dimensions(build, peeled.allowed, shape(scores)))
        scores = peeled.scores
    if not masks:
        return None
    allowed = _all_of(build, masks)
    rows = sizes[-2] if len(sizes) > 1 else 1
    return build.reshape(scores, (prod(sizes) // (rows * sizes[-1]), rows, sizes[-1])), allowed


def _all_of(build: Builder, masks: list[Node]) -> Node:
    values = [build.value_of(mask) for mask in masks]
    known = [value for value in values if value is not None]
    computed = [mask for mask, value in zip(masks, values, strict=True) if value is None]
    if known:
        constant = functools.reduce(torch.logical_and, known)
        computed = [*computed, build.constant(constant)]
    if all(mask.meta["val"].dtype is torch.bool for mask in computed):
        return functools.reduce(lambda a, b: build(aten.logical_and.default, a, b), computed)
    # Masks of zeros and ones in float become int8, and so does their product.
    floats = [_as_float(build, mask) for mask in computed]
    return functools.reduce(lambda a, b: build(aten.mul.Tensor, a, b), floats)


def _as_float(build: Builder, mask: Node) -> Node:
    if mask.meta["val"].dtype is not torch.bool:
        return mask
    value = build.value_of(mask)
    return build(aten.to.dtype, mask, torch.float32) if value is None else build.constant(value.float())


def _three_dimensions(build: Builder, mask: Node, sizes: tuple[int, ...]) -> Node:
    """A mask that broadcasts to `sizes` as [1 | batches, 1 | rows, columns]."""
    full = (1,) * max(2 - len(sizes), 0) + sizes
    own = (1,) * (len(full) - len(shape(mask))) + shape(mask)
    batches = full[:-2] if any(size != 1 for size in own[:-2]) else (1,) * len(full[:-2])
    wanted = (*batches, own[-2], full[-1])
    value = build.value_of(mask)
    if value is not None:
        return build.constant(value.reshape(own).expand(wanted).reshape(prod(batches), *wanted[-2:]))
    return build.reshape(build.expand(mask, wanted), (prod(batches), *wanted[-2:]))


def _peel(build: Builder, node: Node) -> _Peeled | None:
    """One mask off `node`, which is scores with masks; None where it has none."""
    target, args = node.target, node.args
    if target in _RESHAPES and shape(node)[-2:] == shape(args[0])[-2:]:
        # Only where there is a mask below: a view as such is not in the way.
        return _Peeled(args[0], None) if _is_masked(build, args[0]) else None
    if target in _FILLS and _is_far(build, args[2]):
        return _Peeled(args[0], build(aten.logical_not.default, args[1]))
    if target in (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf):
        condition, first, second = args
        if _is_far(build, second) and isinstance(first, Node) and shape(first) == shape(node):
            return _Peeled(first, condition)
        if _is_far(build, first) and isinstance(second, Node) and shape(second) == shape(node):
            return _Peeled(second, build(aten.logical_not.default, condition))
    if target is aten.maximum.default and _is_far(build, args[1]):
        return _Peeled(args[0], None) if _is_masked(build, args[0]) else None
    if target is aten.add.Tensor and not node.kwargs:
        for scores, mask in (args[:2], args[1::-1]):
            if isinstance(scores, Node) and shape(scores) == shape(node) and isinstance(mask, Node):
                peeled = _added(build, scores, mask)
                if peeled is not None:
                    return peeled
    return None


def _is_masked(build: Builder, node: Any) -> bool:
    return isinstance(node, Node) and _peel(build, node) is not None


def _is_far(build: Builder, value: Any) -> bool:
    """Whether a number, or every element of a constant, is far below all scores."""
    if isinstance(value, Node):
        tensor = build.value_of(value)
        return tensor is not None and tensor.is_floating_point() and bool((tensor <= _FAR).all())
    return isinstance(value, int | float) and value <= _FAR


def _added(build: Builder, scores: Node, mask: Node) -> _Peeled | None:
    """scores + mask, where the mask is a constant or computed from what is no score."""
    value = build.value_of(mask)
    if value is not None:
        allowed = value > _FAR
        if bool(allowed.all()):
            return None
        rest = torch.where(allowed, value, 0.0)
        left = build(aten.add.Tensor, scores, build.constant(rest)) if bool(rest.any()) else scores
        return _Peeled(left, build.constant(allowed))
    allowed = _allowed(build, mask)
    if allowed is not None:
        return _Peeled(scores, allowed)
    views, both = _behind_views(mask)
    if both.target is aten.add.Tensor and not both.kwargs:
        # A bias with a mask on it, added as one: relative positions.
        for bias, rest in (both.args[:2], both.args[1::-1]):
            if isinstance(bias, Node) and (allowed := _allowed(build, rest)) is not None:
                biased = build(aten.add.Tensor, scores, _seen_through(build, views, bias))
                return _Peeled(biased, _seen_through(build, views, allowed))
    return None


def _allowed(build: Builder, mask: Any) -> Node | None:
    """Where a mask, 0 or far below everywhere, leaves a score; None for what is no mask."""
    if not isinstance(mask, Node):
        return None
    value = build.value_of(mask)
    if value is not None:
        is_mask = value.is_floating_point() and bool(((value == 0) | (value <= _FAR)).all())
        return build.constant(value == 0) if is_mask else None
    views, core = _behind_views(mask)
    counted = _counted(build, core)
    return None if counted is None else _seen_through(build, views, counted)


def _seen_through(build: Builder, views: list[Node], node: Node) -> Node:
    for view in reversed(views):
        if view.target in _VIEWS:
            node = build(view.target, node, *view.args[1:], **view.kwargs)
    return node


def _behind_views(node: Node) -> tuple[list[Node], Node]:
    views = []
    while node.target in _VIEWS or node.target in _CASTS:
        views.append(node)
        source = node.args[0]
        assert isinstance(source, Node)
        node = source
    return views, node


def _counted(build: Builder, mask: Node) -> Node | None:
    """Where an added mask leaves a score: zeros filled with something far below, a factor of that, or a sum
    of such masks, which is kept above the least float.
    """
    args = mask.args
    if mask.target is aten.add.Tensor and not mask.kwargs:
        both = [_allowed(build, argument) for argument in args]
        return _all_of(build, [part for part in both if part is not None]) if all(both) else None
    if mask.target is aten.clamp.default and _is_far(build, args[1]) and args[2:] in ((), (None,)):
        return _allowed(build, args[0])
    if mask.target in _FILLS and _is_far(build, args[2]) and not _is_zero(build, args[0]):
        rest = _allowed(build, args[0])
        return _all_of(build, [build(aten.logical_not.default, args[1]), rest]) if rest is not None else None
    if mask.target in _FILLS and _is_far(build, args[2]) and _is_zero(build, args[0]):
        return build(aten.logical_not.default, args[1])
    if mask.target in (aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar):
        condition, first, second = args
        if _is_far(build, second) and _is_zero(build, first):
            assert isinstance(condition, Node)
            return condition
        if _is_far(build, first) and _is_zero(build, second):
            return build(aten.logical_not.default, condition)
    if mask.target in (aten.mul.Tensor, aten.mul.Scalar):
        for factor, far in (args[:2], args[1::-1]):
            if isinstance(factor, Node) and _is_far(build, far):
                return _counts(build, factor) or _where_zero(build, factor, far)
    return None


def _counts(build: Builder, factor: Node) -> Node | None:
    """Where 1 - mask is 0, for a mask of integers or booleans that was cast to floats: where it is not 0."""
    args = factor.args
    if factor.target is aten.rsub.Scalar and args[1] == 1 and len(args) == 2 and not factor.kwargs:
        mask = args[0]
    elif factor.target is aten.sub.Tensor and _is_one(build, args[0]) and not factor.kwargs:
        mask = args[1]
    else:
        return None
    while isinstance(mask, Node) and mask.target in _CASTS and mask.meta["val"].dtype.is_floating_point:
        mask = mask.args[0]
    is_count = isinstance(mask, Node) and not mask.meta["val"].dtype.is_floating_point
    if not is_count:
        return None
    return mask if mask.meta["val"].dtype is torch.bool else build(aten.ne.Scalar, mask, 0)


def _is_one(build: Builder, value: Any) -> bool:
    known = build.value_of(value) if isinstance(value, Node) else None
    return bool((known == 1).all()) if known is not None else not isinstance(value, Node) and value == 1


def _where_zero(build: Builder, factor: Node, far: Any) -> Node:
    """(1 - mask) * -10000 is 0 or far below: 1 where the factor is 0, and 0 where its product counts.

    The product itself may be as large as floats are (`torch.finfo.min`): beside it int8 would have no 1. What
    is cut off at 1 is larger than 1 by more than a step of int8.
    """
    least = (
        float(value.max()) if isinstance(far, Node) and (value := build.value_of(far)) is not None else far
    )
    scaled = build(aten.mul.Tensor, factor, -1.5 * min(least / _FAR, _STEEP))
    return build(aten.clamp.default, build(aten.add.Tensor, scaled, 1.5), 0.0, 1.0)


def is_mask(build: Builder, added: Node) -> bool:
    """Whether what is added to scores, and computed, is a mask: 0 or far below everywhere."""
    return _allowed(build, added) is not None


def _is_zero(build: Builder, value: Any) -> bool:
    if isinstance(value, Node):
        tensor = build.value_of(value)
        return tensor is not None and not bool(tensor.any())
    return isinstance(value, int | float) and value == 0


def mask_operands(node: Node) -> Iterator[tuple[Node, Any]]:
    """A mask of floats, with its quantization."""
    allowed = node.args[1]
    if isinstance(allowed, Node) and allowed.meta["val"].is_floating_point():
        yield allowed, _MASK_QSPEC


def exponentials(scale: float) -> torch.Tensor:
    """exp(-d * scale) for d = 0 ... 255 in units of 2^-31, unsigned numbers kept as int32."""
    entries = [round(exp(-d * scale) * (1 << 31)) for d in range(256)]
    return torch.tensor(entries, dtype=torch.int64).to(torch.int32)


def _softmax(site: Site) -> Node | None:
    """Nothing where the step is that of cortex_m::softmax."""
    octaves = _octaves(site)
    return site.call("softmax", site.source, exponentials(site.input_scale), octaves) if octaves else None


def _masked_softmax(site: Site) -> Node:
    mask = site.node.args[1]
    assert isinstance(mask, Node)
    table = exponentials(site.input_scale)
    return site.call("masked_softmax", site.source, site.integer(mask), table, _octaves(site))


def _octaves(site: Site) -> int:
    return -round(log2(site.output_scale * _STEPS))


def accepts_rows(node: Node) -> bool:
    """Whether a softmax, or its logarithm, is one over the rows of a matrix, as legalize.py leaves it."""
    return len(shape(node)) == 2 and node.args[1] in (1, -1)


def log_factors(site: Site) -> tuple[int, int, int]:
    """Of a step below the largest, of 2^-16 octaves of the sum, and the shift of both."""
    step = site.input_scale / site.output_scale
    octave = log(2) / site.output_scale / (1 << LOG_BITS)
    factors, shift = fixed_point(torch.tensor([step, octave], dtype=torch.float64), 31, (1, 45))
    return int(factors[0]), int(factors[1]), shift


def _log_softmax(site: Site) -> Node:
    table = exponentials(site.input_scale)
    return site.call("log_softmax", site.source, table, *log_factors(site), site.output_zero_point)


def forms() -> Mapping[Any, Int8Form]:
    """All of them, by the float operator."""
    return {
        softmax_where(): Int8Form(
            lambda node: True,
            _masked_softmax,
            output=SHARES,
            outside=SOFTMAX_OUTPUT_FIXED_QSPEC,
            others=mask_operands,
        ),
        aten.softmax.int: Int8Form(accepts_rows, _softmax, output=SHARES, outside=SOFTMAX_OUTPUT_FIXED_QSPEC),
        aten.log_softmax.int: Int8Form(accepts_rows, _log_softmax),
    }
