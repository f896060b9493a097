"""The operators that random models are made of: one line each.

A template says for which ranks of a float tensor it is meant, and draws the text of a call: `{0}`, `{1}` are
operands of one shape, `{m}` the module that the call needs. Arguments are drawn such that the call is valid;
domains (of log, asin ...) are kept by the text itself.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

Shape = tuple[int, ...]
Dice = random.Random


@dataclass(frozen=True)
class Draft:
    """The text of a call, and of the module that it calls, where it calls one."""

    expression: str
    module: str = ""


@dataclass(frozen=True)
class Template:
    """An operator: `draw` gives a call for a shape, or None where that shape does not suit it."""

    name: str
    ranks: tuple[int, ...]
    draw: Callable[[Dice, Shape], Draft | None]
    operands: int = 1
    weight: int = 1


ANY = (1, 2, 3, 4)


def texts(ranks: tuple[int, ...], operands: int, **texts: str) -> list[Template]:
    """Operators whose text is always the same."""
    return [
        Template(name, ranks, lambda dice, shape, text=text: Draft(text), operands)
        for name, text in texts.items()
    ]


_UNARY = texts(
    ANY,
    1,
    abs="{0}.abs()",
    acos="torch.acos({0}.clamp(-0.9, 0.9))",
    acosh="torch.acosh({0}.abs() + 1.5)",
    asin="torch.asin({0}.clamp(-0.9, 0.9))",
    asinh="torch.asinh({0})",
    atan="torch.atan({0})",
    atanh="torch.atanh({0}.clamp(-0.9, 0.9))",
    ceil="torch.ceil(2 * {0})",
    cos="torch.cos({0})",
    cosh="torch.cosh({0}.clamp(-3, 3))",
    erf="torch.erf({0})",
    exp="torch.exp({0}.clamp(-4, 4))",
    expm1="torch.expm1({0}.clamp(-4, 4))",
    floor="torch.floor(2 * {0})",
    log="torch.log({0}.abs() + 0.5)",
    log10="torch.log10({0}.abs() + 0.5)",
    log1p="torch.log1p({0}.abs())",
    log2="torch.log2({0}.abs() + 0.5)",
    neg="-{0}",
    reciprocal="torch.reciprocal({0}.abs() + 0.5)",
    round="torch.round(3 * {0})",
    rsqrt="torch.rsqrt({0}.abs() + 0.25)",
    sign="torch.sign({0})",
    sin="torch.sin({0})",
    sinh="torch.sinh({0}.clamp(-3, 3))",
    sqrt="torch.sqrt({0}.abs() + 0.01)",
    square="{0}.square()",
    cube="{0}.clamp(-2, 2) ** 3",
    pow_half="({0}.abs() + 0.1) ** 0.5",
    pow_scalar_base="2 ** {0}.clamp(-3, 3)",
    tan="torch.tan({0}.clamp(-1, 1))",
    trunc="torch.trunc(2 * {0})",
    frac="torch.frac({0})",
    logical_not="torch.logical_not({0} > 0).float() + {0}",
    nan_to_num="torch.nan_to_num({0})",
    isnan="torch.where(torch.isnan({0}), 0.0, {0})",
    isinf="torch.where(torch.isinf({0}), 0.0, {0})",
    threshold="torch.where({0} > 0.1, {0}, 0.25)",
    masked_fill="{0}.masked_fill({0} < -0.2, -0.5)",
    clamp="{0}.clamp(-0.7, 0.8)",
    clamp_min="{0}.clamp(min=-0.3)",
    rsub="1.5 - {0}",
    scale="{0} * 0.37 + 0.1",
    floor_divide="torch.floor_divide({0}, 0.4)",
    remainder="torch.remainder({0}, 0.7)",
    fmod="torch.fmod({0}, 0.7)",
    to_integer="(4 * {0}).to(torch.int32).float()",
    bitwise="((4 * {0}).to(torch.int32) & 3).float()",
    zeros_like="{0} + torch.zeros_like({0})",
    full_like="{0} * torch.full_like({0}, 0.6)",
    detach="{0}.detach() + 0.1",
    clone="{0}.clone()",
    contiguous="{0}.contiguous()",
)
_ACTIVATIONS = [
    Template(name, ANY, lambda dice, shape, text=text: Draft(text), weight=2)
    for name, text in {
        "relu": "F.relu({0})",
        "relu6": "F.relu6({0})",
        "leaky_relu": "F.leaky_relu({0}, 0.1)",
        "elu": "F.elu({0})",
        "gelu": "F.gelu({0})",
        "gelu_tanh": "F.gelu({0}, approximate='tanh')",
        "silu": "F.silu({0})",
        "sigmoid": "torch.sigmoid({0})",
        "tanh": "torch.tanh({0})",
        "hardsigmoid": "F.hardsigmoid({0})",
        "hardswish": "F.hardswish({0})",
        "hardtanh": "F.hardtanh({0}, -0.5, 0.9)",
        "softplus": "F.softplus({0})",
        "mish": "F.mish({0})",
        "selu": "F.selu({0})",
        "celu": "F.celu({0})",
        "softsign": "F.softsign({0})",
        "logsigmoid": "F.logsigmoid({0})",
        "hardshrink": "F.hardshrink({0}, 0.2)",
        "softshrink": "F.softshrink({0}, 0.2)",
        "tanhshrink": "F.tanhshrink({0})",
    }.items()
]
_BINARY = texts(
    ANY,
    2,
    add="{0} + {1}",
    sub="{0} - {1}",
    sub_alpha="torch.sub({0}, {1}, alpha=0.5)",
    mul="{0} * {1}",
    div="{0} / ({1}.abs() + 0.5)",
    maximum="torch.maximum({0}, {1})",
    minimum="torch.minimum({0}, {1})",
    pow_tensor="({0}.abs() + 0.5) ** {1}.clamp(-2, 2)",
    atan2="torch.atan2({0}, {1}.abs() + 0.5)",
    fmod_tensor="torch.fmod({0}, {1}.abs() + 0.5)",
    remainder_tensor="torch.remainder({0}, {1}.abs() + 0.5)",
    eq="torch.where(torch.round({0}) == torch.round({1}), {0}, {1})",
    ne="torch.where(torch.round({0}) != torch.round({1}), {0}, {1})",
    ge="torch.where({0} >= {1}, {0}, {1} * 0.5)",
    le="torch.where({0} <= {1}, {0}, {1} * 0.5)",
    lt="({0} < {1}).float() - {0}",
    logical_and="torch.where(({0} > 0) & ({1} > 0), {0}, {1})",
    logical_or="torch.where(({0} > 0) | ({1} > 0), {0}, {1})",
    logical_xor="torch.where(({0} > 0) ^ ({1} > 0), {0}, {1})",
    lerp="torch.lerp({0}, {1}, 0.3)",
    addcmul="torch.addcmul({0}, {0}, {1}, value=0.5)",
)


def _axis(dice: Dice, shape: Shape, least: int = 2) -> int | None:
    """A dimension behind the batch of `least` entries or more, often counted from the end."""
    fitting = [axis for axis in range(1, len(shape)) if shape[axis] >= least]
    if not fitting:
        return None
    axis = dice.choice(fitting)
    return axis if dice.random() < 0.5 else axis - len(shape)


def along(text: str, least: int = 2) -> Callable[[Dice, Shape], Draft | None]:
    """A call with one dimension as `{d}`, and its size as `{n}`."""

    def draw(dice: Dice, shape: Shape) -> Draft | None:
        axis = _axis(dice, shape, least)
        if axis is None:
            return None
        return Draft(text.replace("{d}", str(axis)).replace("{n}", str(shape[axis])))

    return draw


_REDUCTIONS = [
    Template(name, (2, 3, 4), along(text))
    for name, text in {
        "mean": "{0}.mean({d}, keepdim=True)",
        "mean_squeezed": "{0}.mean({d})",
        "sum": "{0}.sum({d}, keepdim=True) * 0.2",
        "amax": "{0}.amax({d}, keepdim=True)",
        "amin": "{0}.amin({d}, keepdim=True)",
        "max_dim": "{0}.max({d})[0]",
        "min_dim": "{0}.min({d}, keepdim=True)[0]",
        "argmax": "{0}.argmax({d}, keepdim=True).float() * 0.1 + {0}",
        "argmin": "{0}.argmin({d}).float()",
        "prod": "{0}.clamp(-1.5, 1.5).prod({d}, keepdim=True)",
        "var": "{0}.var({d}, keepdim=True)",
        "std": "{0}.std({d}, unbiased=False)",
        "var_mean": "sum(torch.var_mean({0}, {d}))",
        "norm": "torch.linalg.vector_norm({0}, dim={d}, keepdim=True)",
        "normalize": "F.normalize({0}, dim={d})",
        "logsumexp": "torch.logsumexp({0}, {d})",
        "any": "torch.any({0} > 0.5, {d}, keepdim=True).float() + {0}",
        "all": "torch.all({0} > -0.5, {d}, keepdim=True).float() - {0}",
        "softmax": "F.softmax({0}, {d})",
        "log_softmax": "F.log_softmax({0}, {d})",
        "softmin": "F.softmin({0}, {d})",
        "cumsum": "torch.cumsum({0}, {d}) * 0.3",
        "cumprod": "torch.cumprod({0}.clamp(-1.2, 1.2), {d})",
        "topk": "torch.topk({0}, 2, {d})[0]",
        "topk_smallest": "torch.topk({0}, 1, {d}, largest=False)[0]",
        "sort": "torch.sort({0}, {d}, descending=True)[0]",
        "argsort": "torch.gather({0}, {d}, torch.argsort({0}, {d}))",
        "median_free_rank": "({0} > {0}.mean({d}, keepdim=True)).float()",
        "centre": "{0} - {0}.mean({d}, keepdim=True)",
        "standardize": "({0} - {0}.mean({d}, keepdim=True)) * torch.rsqrt({0}.var({d}, keepdim=True) + 0.01)",
    }.items()
]
_MOVEMENT = [
    Template(name, (2, 3, 4), along(text))
    for name, text in {
        "flip": "{0}.flip({d})",
        "roll": "torch.roll({0}, 1, {d})",
        "repeat_interleave": "{0}.repeat_interleave(2, {d})",
        "narrow": "{0}.narrow({d}, 1, {n} - 1)",
        "select": "{0}.select({d}, -1)",
        "cat_self": "torch.cat([{0}, {0} * 0.5], {d})",
        "stack_self": "torch.stack([{0}, -{0}], {d}).sum({d})",
        "split": "torch.split({0}, ({n} + 1) // 2, {d})[0]",
        "chunk": "torch.chunk({0}, 2, {d})[1]",
        "unbind": "torch.unbind({0}, {d})[0]",
        "index": "torch.index_select({0}, {d}, torch.tensor([{n} - 1, 0]))",
        "gather": "torch.gather({0}, {d}, {0}.argsort({d}, descending=True))",
        "take_along": "torch.take_along_dim({0}, {0}.argmax({d}, keepdim=True), {d})",
        "tensor_split": "torch.tensor_split({0}, 2, {d})[0]",
        "unfold": "{0}.unfold({d}, 2, 1).mean(-1)",
        "diff": "torch.diff({0}, dim={d})",
        "scatter": "torch.scatter({0}, {d}, {0}.argmax({d}, keepdim=True), 0.5)",
        "scatter_add": "torch.scatter_add({0}, {d}, {0}.argsort({d}), {0} * 0.5)",
        "position": "({0}.transpose({d}, -1) + 0.1 * torch.arange(float({n}))).transpose({d}, -1)",
    }.items()
] + texts(
    (2, 3, 4),
    1,
    unsqueeze_squeeze="{0}.unsqueeze(1).squeeze(1)",
    expand="{0} + {0}[:, :1].expand_as({0})",
    repeat="{0}.repeat(*[1] * ({0}.dim() - 1), 2)",
    flatten="{0}.flatten(1)",
    step="{0}[..., ::2]",
    constant_pad="F.pad({0}, (1, 0), value=0.3)",
    negative_pad="F.pad({0}, (2, -1))",
    triu="torch.triu({0})",
    tril="{0} * torch.tril(torch.ones({0}.shape[-2:]))",
    select_columns="{0}[:, [0, -1]]",
    new_zeros="torch.cat([{0}, {0}.new_zeros({0}.shape)], -1)",
)


def _permute(dice: Dice, shape: Shape) -> Draft:
    axes = list(range(1, len(shape)))
    dice.shuffle(axes)
    return Draft(f"{{0}}.permute({', '.join(map(str, [0, *axes]))})")


def _view(dice: Dice, shape: Shape) -> Draft | None:
    """Another shape of the same size: a dimension cut in two, or two made one."""
    even = [axis for axis in range(1, len(shape)) if shape[axis] % 2 == 0]
    sizes = list(shape)
    if even and len(shape) < 4 and dice.random() < 0.6:
        axis = dice.choice(even)
        sizes[axis : axis + 1] = dice.choice(([2, shape[axis] // 2], [shape[axis] // 2, 2]))
    elif len(shape) > 2:
        axis = dice.randrange(1, len(shape) - 1)
        sizes[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
    else:
        return None
    return Draft(f"{{0}}.reshape({', '.join(map(str, sizes))})")


_SHAPES = [
    Template("transpose", (3, 4), lambda dice, shape: Draft("{0}.transpose(1, -1)")),
    Template("transpose_last", (3, 4), lambda dice, shape: Draft("{0}.transpose(-1, -2)")),
    Template("permute", (3, 4), _permute),
    Template("reshape", (2, 3, 4), _view, weight=2),
    Template("movedim", (3, 4), lambda dice, shape: Draft("{0}.movedim(1, -1)")),
]


def _divisor(dice: Dice, *sizes: int) -> int:
    """A number that divides all `sizes`."""
    return dice.choice([n for n in range(1, min(sizes) + 1) if all(size % n == 0 for size in sizes)])


def _conv(dimensions: int, depthwise: bool = False) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft | None:
        inputs, sizes = shape[1], shape[2:]
        outputs = inputs * dice.choice((1, 1, 2)) if depthwise else dice.choice((1, 2, 3, 4, 5, 8, 12, 16))
        groups = inputs if depthwise else dice.choice((1, 1, 1, _divisor(dice, inputs, outputs)))
        kernel = [dice.randint(1, min(4, size + 2)) for size in sizes]
        dilation, stride = dice.choice((1, 1, 1, 2)), dice.choice((1, 1, 1, 2, 3))
        padding = [min(dice.randint(0, k // 2), k - 1) for k in kernel]
        if any(
            size + 2 * p < dilation * (k - 1) + 1 for size, p, k in zip(sizes, padding, kernel, strict=True)
        ):
            return None
        mode = dice.choice(("", "", "", ", padding_mode='reflect'"))
        if any(p >= size for p, size in zip(padding, sizes, strict=True)):
            mode = ""
        return Draft(
            "{m}({0})",
            f"nn.Conv{dimensions}d({inputs}, {outputs}, {_tuple(kernel)}, stride={stride}, "
            f"padding={_tuple(padding)}, dilation={dilation}, groups={groups}, "
            f"bias={dice.random() < 0.7}{mode})",
        )

    return draw


def _tuple(sizes: list[int]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else str(tuple(sizes))


def _transposed(dimensions: int) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft | None:
        inputs, outputs = shape[1], dice.choice((1, 2, 3, 4, 6))
        groups = dice.choice((1, 1, _divisor(dice, inputs, outputs)))
        kernel, stride = dice.randint(1, 4), dice.randint(1, 3)
        padding = dice.randint(0, (kernel - 1) // 2)
        extra = dice.randint(0, stride - 1)
        if any((size - 1) * stride + kernel - 2 * padding + extra < 1 for size in shape[2:]):
            return None
        return Draft(
            "{m}({0})",
            f"nn.ConvTranspose{dimensions}d({inputs}, {outputs}, {kernel}, stride={stride}, "
            f"padding={padding}, output_padding={extra}, groups={groups}, bias={dice.random() < 0.7})",
        )

    return draw


def _pool(kind: str, dimensions: int) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft | None:
        least = min(shape[2:])
        if least < 2:
            return None
        kernel = dice.randint(2, min(3, least))
        more = f", stride={dice.randint(1, 3)}, padding={dice.randint(0, kernel // 2)}"
        more += f", ceil_mode={dice.random() < 0.3}"
        if kind == "avg":
            more += f", count_include_pad={dice.random() < 0.5}"
        return Draft(f"F.{kind}_pool{dimensions}d({{0}}, {kernel}{more})")

    return draw


def _linear(dice: Dice, shape: Shape) -> Draft:
    outputs = dice.choice((1, 2, 3, 4, 5, 7, 8, 10, 16, 20))
    return Draft("{m}({0})", f"nn.Linear({shape[-1]}, {outputs}, bias={dice.random() < 0.8})")


def _batch_norm(dice: Dice, shape: Shape) -> Draft:
    return Draft("{m}({0})", f"nn.BatchNorm{max(1, len(shape) - 2)}d({shape[1]})")


def _group_norm(dice: Dice, shape: Shape) -> Draft | None:
    groups = _divisor(dice, shape[1])
    return Draft("{m}({0})", f"nn.GroupNorm({groups}, {shape[1]})") if shape[1] // groups > 1 else None


def _layer_norm(dice: Dice, shape: Shape) -> Draft | None:
    return Draft("{m}({0})", f"nn.LayerNorm({shape[-1]})") if shape[-1] > 2 else None


def _recurrent(kind: str) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft | None:
        if shape[1] > 8:
            return None
        both = dice.random() < 0.3
        return Draft(
            "{m}({0})[0]",
            f"nn.{kind}({shape[2]}, {dice.randint(2, 6)}, batch_first=True, bidirectional={both})",
        )

    return draw


def _attention(dice: Dice, shape: Shape) -> Draft | None:
    width = shape[2]
    if width % 2:
        return None
    return Draft(
        "{m}({0}, {0}, {0}, need_weights=False)[0]",
        f"nn.MultiheadAttention({width}, {_divisor(dice, width)}, batch_first=True)",
    )


def _sdpa(dice: Dice, shape: Shape) -> Draft:
    return Draft(f"F.scaled_dot_product_attention({{0}}, {{0}}, {{0}}, is_causal={dice.random() < 0.5})")


def _resize(mode: str) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft | None:
        if max(shape[2:]) > 12:
            return None
        corners = (
            f", align_corners={dice.random() < 0.5}" if mode in ("bilinear", "bicubic", "linear") else ""
        )
        if dice.random() < 0.5:
            return Draft(f"F.interpolate({{0}}, scale_factor=2, mode='{mode}'{corners})")
        size = _tuple([dice.randint(1, 12) for _ in shape[2:]])
        return Draft(f"F.interpolate({{0}}, size={size}, mode='{mode}'{corners})")

    return draw


def _adaptive(kind: str) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft:
        size = dice.choice((1, 1, _divisor(dice, *shape[2:]), dice.randint(1, min(shape[2:]))))
        return Draft(f"F.adaptive_{kind}_pool{len(shape) - 2}d({{0}}, {size})")

    return draw


def _prelu(dice: Dice, shape: Shape) -> Draft:
    return Draft("{m}({0})", f"nn.PReLU({dice.choice((1, shape[1]))})")


def _padded(mode: str) -> Callable[[Dice, Shape], Draft | None]:
    def draw(dice: Dice, shape: Shape) -> Draft | None:
        amounts = [dice.randint(0, min(2, size - 1)) for size in reversed(shape[2:]) for _ in range(2)]
        return Draft(f"F.pad({{0}}, {tuple(amounts)}, mode='{mode}')") if any(amounts) else None

    return draw


def _shuffle(dice: Dice, shape: Shape) -> Draft | None:
    return Draft("F.pixel_shuffle({0}, 2)") if shape[1] % 4 == 0 else None


def _unshuffle(dice: Dice, shape: Shape) -> Draft | None:
    return Draft("F.pixel_unshuffle({0}, 2)") if shape[2] % 2 == shape[3] % 2 == 0 else None


def _channel_shuffle(dice: Dice, shape: Shape) -> Draft | None:
    return Draft("F.channel_shuffle({0}, 2)") if shape[1] % 2 == 0 else None


def _glu(dice: Dice, shape: Shape) -> Draft | None:
    return Draft("F.glu({0}, -1)") if shape[-1] % 2 == 0 else None


def _squeeze_excite(dice: Dice, shape: Shape) -> Draft:
    return Draft(
        "{0} * torch.sigmoid({m}({0}.mean((2, 3), keepdim=True)))", f"nn.Conv2d({shape[1]}, {shape[1]}, 1)"
    )


def _residual(dice: Dice, shape: Shape) -> Draft:
    return Draft("{0} + {m}({0})", f"nn.Conv2d({shape[1]}, {shape[1]}, 3, padding=1)")


def _grid_sample(dice: Dice, shape: Shape) -> Draft:
    places = f"F.affine_grid(torch.tensor([[[0.9, 0.1, 0.0], [-0.1, 0.9, 0.1]]]), {list(shape)}, False)"
    return Draft(f"F.grid_sample({{0}}, {places}, align_corners=False)")


def _weight_norm(dice: Dice, shape: Shape) -> Draft:
    return Draft("{m}({0})", f"torch.nn.utils.parametrizations.weight_norm(nn.Linear({shape[-1]}, 6))")


_LAYERS = [
    Template("conv2d", (4,), _conv(2), weight=14),
    Template("depthwise_conv2d", (4,), _conv(2, depthwise=True), weight=6),
    Template("conv1d", (3,), _conv(1), weight=8),
    Template("depthwise_conv1d", (3,), _conv(1, depthwise=True), weight=3),
    Template("conv_transpose2d", (4,), _transposed(2), weight=2),
    Template("conv_transpose1d", (3,), _transposed(1)),
    Template("max_pool2d", (4,), _pool("max", 2), weight=3),
    Template("avg_pool2d", (4,), _pool("avg", 2), weight=2),
    Template("max_pool1d", (3,), _pool("max", 1)),
    Template("avg_pool1d", (3,), _pool("avg", 1)),
    Template("linear", (2, 3, 4), _linear, weight=8),
    Template("batch_norm", (2, 3, 4), _batch_norm, weight=4),
    Template("group_norm", (3, 4), _group_norm),
    Template("layer_norm", (2, 3, 4), _layer_norm, weight=2),
    Template(
        "instance_norm",
        (3, 4),
        lambda dice, shape: Draft("F.instance_norm({0})") if min(shape[2:]) > 1 else None,
    ),
    Template(
        "rms_norm",
        (2, 3),
        lambda dice, shape: Draft(f"F.rms_norm({{0}}, ({shape[-1]},))") if shape[-1] > 2 else None,
    ),
    Template("local_response_norm", (4,), lambda dice, shape: Draft("F.local_response_norm({0}, 3)")),
    Template("lstm", (3,), _recurrent("LSTM")),
    Template("gru", (3,), _recurrent("GRU")),
    Template("rnn", (3,), _recurrent("RNN")),
    Template("multihead_attention", (3,), _attention, weight=2),
    Template("sdpa", (3,), _sdpa),
    Template("nearest", (4,), _resize("nearest")),
    Template("bilinear", (4,), _resize("bilinear")),
    Template("bicubic", (4,), _resize("bicubic")),
    Template("linear_resize", (3,), _resize("linear")),
    Template("adaptive_avg_pool2d", (4,), _adaptive("avg"), weight=2),
    Template("adaptive_max_pool2d", (4,), _adaptive("max")),
    Template("adaptive_avg_pool1d", (3,), _adaptive("avg")),
    Template("prelu", (2, 3, 4), _prelu),
    Template("reflect_pad", (3, 4), _padded("reflect")),
    Template("replicate_pad", (3, 4), _padded("replicate")),
    Template("circular_pad", (3, 4), _padded("circular")),
    Template("pixel_shuffle", (4,), _shuffle),
    Template("pixel_unshuffle", (4,), _unshuffle),
    Template("channel_shuffle", (4,), _channel_shuffle),
    Template("glu", (2, 3, 4), _glu),
    Template("squeeze_excite", (4,), _squeeze_excite, weight=2),
    Template("residual", (4,), _residual, weight=2),
    Template("weight_norm", (2, 3), _weight_norm),
    Template("grid_sample", (4,), _grid_sample),
]
_PRODUCTS = texts(
    (3,),
    2,
    bmm="torch.bmm({0}, {1}.transpose(1, 2)) * 0.3",
    baddbmm="torch.baddbmm({0}, torch.softmax(torch.bmm({1}, {0}.transpose(1, 2)), -1), {1})",
    einsum="torch.einsum('btc,bsc->bts', {0}, {1}) * 0.3",
    cosine="F.cosine_similarity({0}, {1}, dim=-1)",
) + texts(
    (2,),
    2,
    outer="({0}.unsqueeze(2) * {1}.unsqueeze(1)).flatten(1)",
    matmul="torch.matmul({0}, {1}.transpose(0, 1))",
    addmm="torch.addmm({0}, {0}, torch.eye({0}.shape[1]), beta=0.5, alpha=0.7)",
    distance="torch.cdist({0}, {1})",
)

TEMPLATES: tuple[Template, ...] = (
    *(*_UNARY, *_ACTIVATIONS, *_BINARY, *_REDUCTIONS, *_MOVEMENT, *_SHAPES, *_LAYERS, *_PRODUCTS),
)
