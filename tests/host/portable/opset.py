"""A call of every operator of the Core ATen opset that is served: what torch.export records for it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Row:
    """One call: tensors among the arguments are inputs of the model. `close` is for sums in another order.

    `results` is how many of what it returns a model in use reads.
    """

    operator: torch._ops.OpOverload
    arguments: tuple[object, ...]
    keywords: Mapping[str, object]
    close: bool
    results: int

    @property
    def name(self) -> str:
        """As in 'aten::add.Tensor'."""
        return self.operator.name()


def _reals(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def _whole(*shape: int, high: int = 5) -> torch.Tensor:
    return torch.randint(0, high, shape, generator=torch.Generator().manual_seed(sum(shape)))


def _row(name: str, *arguments: object, close: bool = False, results: int = 9, **keywords: object) -> Row:
    packet, _, overload = name.partition(".")
    return Row(getattr(getattr(aten, packet), overload or "default"), arguments, keywords, close, results)


def rows() -> list[Row]:
    """All of them."""
    return [*_elements(), *_reductions(), *_moves(), *_images(), *_positions()]


# fmt: off
_FLOAT = (
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "exp", "expm1", "gelu", "log",
    "log10", "log1p", "log2", "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
)
_EXACT = (
    "abs", "alias", "ceil", "clone", "floor", "isinf", "isnan", "neg", "relu", "round", "sign", "trunc",
)
# fmt: on


def _elements() -> Iterator[Row]:
    x, y, number = _reals(4, 6), _reals(4, 1), _whole(4, 6)
    inside = x.abs() / 5 + 0.1
    for name in _FLOAT:
        yield _row(name, inside + 1 if name == "acosh" else inside, close=True)
    for name in _EXACT:
        yield _row(name, x)
    for name in ("bitwise_not", "logical_not"):
        yield _row(name, number)
    for name in ("add", "sub", "mul", "div"):
        yield _row(f"{name}.Tensor", x, y)
        yield _row(f"{name}.Scalar", x, 1.5)
    for name in ("eq", "ne", "lt", "le", "gt", "ge", "fmod", "remainder"):
        yield _row(f"{name}.Tensor", x, y)
        yield _row(f"{name}.Scalar", x, 0.5)
    for mode in ("trunc", "floor"):
        yield _row("div.Tensor_mode", x, y, rounding_mode=mode)
        yield _row("div.Scalar_mode", x, 0.3, rounding_mode=mode)
    for name in ("and", "or", "xor"):
        yield _row(f"bitwise_{name}.Tensor", number, _whole(6))
        yield _row(f"bitwise_{name}.Scalar", number, 3)
        yield _row(f"logical_{name}", x, y)
    yield _row("atan2", x, y, close=True)
    yield _row("maximum", x, y)
    yield _row("minimum", x, y)
    yield _row("pow.Scalar", 2.0, x, close=True)
    yield _row("pow.Tensor_Scalar", number, 3)
    yield _row("pow.Tensor_Tensor", inside, y, close=True)
    yield _row("where.self", number > 2, x, y)
    yield _row("clamp", x, -0.5, None)
    yield _row("clamp.Tensor", x, y, None)
    yield _row("hardtanh", x, -0.5, 0.7)
    yield _row("leaky_relu", x, 0.1)
    yield _row("elu", x, 0.5, close=True)
    yield _row("native_dropout", x, 0.5, False)
    yield _row("_to_copy", x, dtype=torch.int32)
    yield _row("copy", x, y)
    yield _row("fill.Scalar", x, 2.5)


def _reductions() -> Iterator[Row]:
    x, image = _reals(4, 6), _reals(2, 4, 3, 5)
    for name in ("amax", "amin"):
        yield _row(name, image, [1, 2])
    for name in ("argmax", "argmin"):
        yield _row(name, x, 1)
    for name in ("any", "all"):
        yield _row(name, x > 1)
        yield _row(f"{name}.dim", x > 1, 1)
        yield _row(f"{name}.dims", x > 1, [0, 1])
    yield _row("max.dim", x, 1)
    yield _row("min.dim", x, 0, True)
    yield _row("mean", x, close=True)
    yield _row("mean.dim", image, [1, 3], True, close=True)
    yield _row("sum.dim_IntList", image, [0, 3], close=True)
    yield _row("prod", x, close=True)
    yield _row("prod.dim_int", x, 1, close=True)
    yield _row("var.correction", x, [1], close=True)
    yield _row("var.dim", x, [0], close=True)
    yield _row("cumsum", x, 1, close=True)
    yield _row("_softmax", x, 1, False, close=True)
    yield _row("_log_softmax", x, 0, False, close=True)
    yield _row("sort", x, 1, True)
    yield _row("topk", x, 3, 1)
    factors, variance = [_reals(4), _reals(4).flip(0)], _reals(4).abs() + 0.5
    yield _row("native_layer_norm", x, [6], _reals(6), None, 1e-5, close=True)
    yield _row("native_group_norm", image, *factors, 2, 4, 15, 2, 1e-5, close=True)
    yield _row("_native_batch_norm_legit.no_stats", image, *factors, True, 0.1, 1e-5, close=True)
    yield _row(
        "_native_batch_norm_legit_no_training", image, *factors, factors[0], variance, 0.1, 1e-5, close=True
    )
    yield _row("mm", x, _reals(6, 3), close=True)
    yield _row("bmm", _reals(2, 3, 4), _reals(2, 4, 5), close=True)
    yield _row("addmm", _reals(3), x, _reals(6, 3), close=True)
    yield _row("_cdist_forward", x, _reals(3, 6), 2.0, None, close=True)
    yield _row("_pdist_forward", x, 2.0, close=True)


def _moves() -> Iterator[Row]:
    x, wide = _reals(4, 6), _reals(2, 3, 4)
    yield _row("arange.start_step", 2, 9, 3)
    yield _row("as_strided", x, [3, 4], [2, 3], 1)
    yield _row("cat", [x, _reals(2, 6)], 0)
    yield _row("constant_pad_nd", x, [1, 2], 0.5)
    yield _row("diagonal", wide, 1, 1, 2)
    yield _row("expand", _reals(4, 1), [2, 4, 3])
    yield _row("flip", wide, [0, 2])
    yield _row("full", [2, 3], 1.5)
    yield _row("full_like", x, 2.5)
    yield _row("permute", wide, [2, 0, 1])
    yield _row("repeat", x, [2, 1, 2])
    yield _row("scalar_tensor", 2.5)
    yield _row("select.int", wide, 1, -1)
    yield _row("select_scatter", wide, _reals(2, 4), 1, 2)
    yield _row("slice.Tensor", x, 1, 1, 5, 2)
    yield _row("slice_scatter", x, _reals(4, 2), 1, 1, 5, 2)
    yield _row("split_with_sizes", x, [1, 3, 2], 1)
    yield _row("squeeze.dim", _reals(4, 1), 1)
    yield _row("squeeze.dims", _reals(1, 4, 1), [0, 2])
    yield _row("unsqueeze", x, 1)
    yield _row("view", x, [3, 8])
    for axes, pads in ((1, [2, 1]), (2, [2, 1, 0, 2]), (3, [1, 0, 2, 1, 1, 1])):
        yield _row(f"reflection_pad{axes}d", _reals(1, 2, *(4,) * axes), pads)
        if axes > 1:
            yield _row(f"replication_pad{axes}d", _reals(1, 2, *(4,) * axes), pads)


def _images() -> Iterator[Row]:
    line, image, volume = _reals(2, 3, 9), _reals(2, 3, 7, 8), _reals(1, 2, 5, 4, 6)
    yield _row("adaptive_avg_pool1d", line, [4], close=True)
    yield _row("_adaptive_avg_pool2d", image, [3, 5], close=True)
    yield _row("_adaptive_avg_pool3d", volume, [2, 3, 4], close=True)
    yield _row("avg_pool1d", line, [3], [2], [1], True, False, close=True)
    yield _row("avg_pool2d", image, [3, 2], [2, 2], [1, 1], True, False, 5, close=True)
    yield _row("avg_pool3d", volume, [2, 2, 2], [2, 1, 2], [1, 0, 1], True, close=True)
    yield _row("max_pool2d_with_indices", image, [3, 3], [2, 2], [1, 1], [1, 1], True)
    yield _row("max_pool3d_with_indices", volume, [2, 2, 2], [2, 1, 2])
    plain = [[1, 2], [1, 0], [1, 1], False, [0, 0], 1]
    yield _row("convolution", image, _reals(4, 3, 3, 2), _reals(4), *plain, close=True)
    yield _row("grid_sampler_2d", image, _reals(2, 4, 5, 2), 0, 0, False, close=True)
    yield _row("col2im", _reals(1, 8, 9), [4, 4], [2, 2], [1, 1], [0, 0], [1, 1], close=True)
    for mode in ("bilinear", "nearest"):
        extra = [False] if mode == "bilinear" else []
        yield _row(f"upsample_{mode}2d.vec", image, [10, 12], *extra, None, close=mode == "bilinear")


def _positions() -> Iterator[Row]:
    x, index = _reals(4, 6), _whole(4, 3)
    distinct = torch.tensor([[0, 2, 5], [1, 0, 3], [4, 3, 2], [5, 1, 0]])
    yield _row("embedding", x, _whole(2, 3, high=4))
    yield _row("_embedding_bag", x, _whole(7, high=4), torch.tensor([0, 2, 5]), close=True, results=1)
    yield _row("gather", x, 1, index)
    yield _row("index.Tensor", x, [None, _whole(3)])
    yield _row("index_put", x, [torch.tensor([0, 2])], _reals(2, 6))
    yield _row("index_select", x, 1, _whole(3))
    yield _row("masked_scatter", x, x > 0, _reals(24))
    yield _row("scatter.src", x, 1, distinct, _reals(4, 3))
    yield _row("scatter.value", x, 1, distinct, 2.0)
    yield _row("scatter_add", x, 1, index, _reals(4, 3), close=True)
    yield _row("scatter_reduce.two", x, 1, index, _reals(4, 3), "prod", close=True)
