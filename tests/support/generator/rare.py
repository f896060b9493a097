"""Operators that few models have: one line each, for models of numbers of their own."""

from collections.abc import Callable

from tests.support.generator.operators import Dice, Draft, Shape, Template, along, texts


def _stft(dice: Dice, shape: Shape) -> Draft | None:
    size = dice.choice((6, 8))
    if shape[1] < size:
        return None
    window = f"window=torch.hann_window({size}), " if dice.random() < 0.5 else ""
    return Draft(
        f"torch.stft({{0}}, {size}, {size // 2}, {window}center=False, return_complex=True).abs().flatten(1)"
    )


def _volume(text: str, module: str = "") -> Callable[[Dice, Shape], Draft | None]:
    """A call on `{v}`, the image as a volume of two layers, whose result is an image again."""

    def draw(dice: Dice, shape: Shape) -> Draft | None:
        volume = "torch.stack([{0}, {0} * 0.5], 2)"
        call = text.replace("{v}", volume)
        return Draft(f"{call}.flatten(1, 2)", module.replace("{c}", str(shape[1])))

    return draw


def _embedding(dice: Dice, shape: Shape) -> Draft:
    words = "({0}.flatten(1)[:, :6] * 4).round().long().clamp(-4, 4) + 4"
    return Draft(f"{{m}}({words})", f"nn.Embedding(9, {dice.choice((4, 6, 8))})")


def _bag(dice: Dice, shape: Shape) -> Draft:
    words = "({0}.flatten(1)[:, :6] * 4).round().long().clamp(-4, 4) + 4"
    return Draft(f"{{m}}({words})", f"nn.EmbeddingBag(9, 6, mode='{dice.choice(('sum', 'mean', 'max'))}')")


def _rotary(dice: Dice, shape: Shape) -> Draft | None:
    """A rotary position embedding in complex numbers."""
    if shape[-1] % 2:
        return None
    sizes = f"{shape[1]}, {shape[2] // 2}"
    turns = (
        f"torch.polar(torch.ones({sizes}), 0.3 * torch.arange({shape[1] * shape[2] // 2}.0).reshape({sizes}))"
    )
    pairs = "torch.view_as_complex({0}.unflatten(-1, (-1, 2)).contiguous())"
    return Draft(f"torch.view_as_real({pairs} * {turns}).flatten(2)")


def _statistics(dice: Dice, shape: Shape, running: bool = False) -> Draft:
    """A batch norm by the statistics of the call itself."""
    stored = f"torch.zeros({shape[1]}), torch.ones({shape[1]})" if running else "None, None"
    return Draft(f"F.batch_norm({{0}}, {stored}, training=True)")


_GRID = (
    "F.affine_grid(torch.tensor([[[0.9, 0.1, 0, 0], [-0.1, 0.9, 0, 0], [0, 0, 0.8, 0.1]]]), "
    "(1, 1, 2, 3, 4), False)"
)
_SCORES = "torch.bmm({0}, {1}.transpose(1, 2))"
# Drawn for seeds of their own (models.RARE_FIRST), so that what the others stand for stays.
RARE: tuple[Template, ...] = (
    Template("stft", (2,), _stft),
    Template("conv3d", (4,), _volume("{m}({v})", "nn.Conv3d({c}, 4, (2, 3, 3), padding=(0, 1, 1))")),
    Template("batch_norm3d", (4,), _volume("{m}({v})", "nn.BatchNorm3d({c})")),
    Template("max_pool3d", (4,), _volume("F.max_pool3d({v}, (1, 2, 2))")),
    Template("avg_pool3d", (4,), _volume("F.avg_pool3d({v}, 2, padding=1)")),
    Template("permute_5d", (4,), _volume("{v}.permute(0, 2, 1, 4, 3)")),
    Template("tokens", (2, 3), _embedding),
    *texts(
        (2, 3, 4),
        1,
        cond="torch.ops.higher_order.cond({0}.mean() > 0, lambda a: a / 2, lambda a: F.relu(a) - 1, ({0},))",
        index_put="torch.index_put({0}[0], (torch.tensor([1, 0]),), {0}[0, :2] * 0.5).unsqueeze(0)",
        index_put_added="torch.index_put({0}, (torch.tensor([0, 0]),), {0}[0] * 0.3, accumulate=True)",
        put_where="torch.index_put({0}, ({0} > 0.4,), torch.tensor(0.25))",
        median="torch.median({0}, -1, keepdim=True)[0]",
        masked_mean="({0} * ({0} > 0)).sum(-1) / ({0} > 0).sum(-1).clamp(min=1)",
    ),
    *texts(
        (3,),
        2,
        masked_attention=f"F.scaled_dot_product_attention({{0}}, {{1}}, {{1}}, attn_mask={_SCORES} > -0.5)",
        biased_attention=f"F.scaled_dot_product_attention({{0}}, {{1}}, {{1}}, attn_mask={_SCORES}.relu())",
        masked_softmax=f"torch.softmax({_SCORES}.masked_fill({_SCORES} < -0.6, -1e4), -1)",
        masked_by_least=f"torch.softmax({_SCORES} + ({_SCORES} < -0.6).float() * torch.finfo().min, -1)",
    ),
    Template("rotary", (3,), _rotary),
    *texts(
        (2, 3),
        1,
        filtered="torch.fft.irfft(torch.fft.rfft({0}) * 0.5, n={0}.shape[-1])",
        vmap="torch.vmap(torch.tanh)({0})",
        bucketize="torch.bucketize({0}, torch.tensor([-0.5, 0.0, 0.5])) * 0.25",
        fresh_zeros="torch.zeros_like({0}).index_add_(-1, torch.arange({0}.shape[-1]) // 2, {0})",
    ),
    *texts(
        (2, 3, 4),
        1,
        left_shift="((4 * {0}).to(torch.int32) << 2).float()",
        right_shift="((40 * {0}).to(torch.int32) >> 1).float() * 0.1",
        bitwise_left_shift="torch.bitwise_left_shift((4 * {0}).to(torch.int32), torch.tensor([2])).float()",
        bitwise_right_shift="torch.bitwise_right_shift((40 * {0}).to(torch.int32), 2).float() * 0.1",
        bitwise_not="(~(4 * {0}).to(torch.int32)).float()",
        bitwise_or="((4 * {0}).to(torch.int32) | 1).float()",
        exp2="torch.exp2({0}.clamp(-3, 3))",
        full="torch.full({0}.shape, 0.4) * {0}",
        ones_like="torch.ones_like({0}) * 0.3 - {0}",
        empty_like="torch.empty_like({0}).fill_(0.3) + {0}",
        empty_strided="torch.empty_strided({0}.shape, {0}.stride()).fill_(0.3) + {0}",
        empty_permuted="torch.empty_permuted({0}.shape, list(range({0}.dim()))).fill_(0.5) * {0}",
        copy="{0}.clone().copy_({0}[..., :1] * 0.5)",
        dropout="torch.ops.aten.native_dropout({0}, 0.5, False)[0]",
        strided_scatter="torch.as_strided_scatter({0}, torch.tensor([0.25, -0.25]), (2,), (1,), 1)",
        embedding_bag="torch.ops.aten._embedding_bag_forward_only("
        "torch.linspace(-1, 1, 36).reshape(9, 4), ({0}.flatten() * 4).round().long().clamp(-4, 4) + 4, "
        "torch.tensor([0, 2]), False, 1)[0]",
    ),
    *texts(
        (2, 3, 4),
        2,
        logical_and_of="torch.where(torch.logical_and({0} > 0, {1} > 0), {0}, {1})",
        logical_or_of="torch.where(torch.logical_or({0} > 0, {1} > 0), {0}, {1})",
        logical_xor_of="torch.where(torch.logical_xor({0} > 0, {1} > 0), {0}, {1})",
        masked_scatter="{0}.masked_scatter({0} > 0.2, {1} * 0.5)",
    ),
    *(
        Template(name, (2, 3, 4), along(text))
        for name, text in {
            "cummax": "torch.cummax({0}, {d})[0]",
            "cummin": "torch.cummin({0}, {d})[0]",
            "split_with_sizes": "torch.split({0}, [1, {n} - 1], {d})[1]",
            "select_scatter": "torch.select_scatter({0}, {0}.select({d}, 0) * 0.5, {d}, -1)",
            "slice_scatter": "torch.slice_scatter({0}, {0}.narrow({d}, 0, 1) * 0.5, {d}, 1, 2)",
            "scatter_reduce": "{0}.scatter_reduce({d}, {0}.argsort({d}), {0} * 0.5, 'amax')",
            "scatter_mean": "{0}.scatter_reduce({d}, torch.zeros_like({0}).long(), {0}, 'mean')",
            "index_reduce": "{0}.index_reduce({d}, torch.arange({n}) // 2, {0} * 0.5, 'amin')",
        }.items()
    ),
    *texts(
        (3, 4),
        1,
        diagonal="torch.diagonal({0}, 0, 1, 2)",
        diagonal_scatter="torch.diagonal_scatter({0}, torch.diagonal({0}, 0, -2, -1) * 0.5, 0, -2, -1)",
    ),
    *texts((3,), 1, pdist="torch.pdist({0}[0]).unsqueeze(0)"),
    *texts((4,), 1, fold="F.fold(F.unfold({0}, 2), {0}.shape[2:], 2) * 0.25"),
    Template("batch_statistics", (3, 4), _statistics),
    Template("running_statistics", (3, 4), lambda dice, shape: _statistics(dice, shape, running=True)),
    Template("adaptive_avg_pool3d", (4,), _volume("F.adaptive_avg_pool3d({v}, (1, 2, 2))")),
    Template("adaptive_max_pool3d", (4,), _volume("F.adaptive_max_pool3d({v}, (1, 2, 2))")),
    Template("reflect_pad3d", (4,), _volume("F.pad({v}, (1, 0, 0, 1, 1, 0), mode='reflect')")),
    Template("replicate_pad3d", (4,), _volume("F.pad({v}, (1, 0, 0, 1, 1, 0), mode='replicate')")),
    Template("nearest3d", (4,), _volume("F.interpolate({v}, scale_factor=2)")),
    Template("grid_sample3d", (4,), _volume("F.grid_sample({v}, " + _GRID + ", align_corners=False)")),
    Template("bag_of_tokens", (2, 3), _bag),
    Template("trilinear", (4,), _volume("F.interpolate({v}, scale_factor=(1, 2, 1.3), mode='trilinear')")),
)
