"""Data that moves: joins, cuts, permutations, padding, indices."""

from functools import partial
from typing import Any

from tests.support.npu_modules import Built, branched
from tests.support.npu_operators.draw import Draw, Generator, each


def cat(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    axis = draw.axis(shape)
    other = tuple(draw.randint(1, 9) if index == axis else size for index, size in enumerate(shape))
    inputs = (draw.tensor(*shape), draw.tensor(*other, low=-1, high=6))
    return branched(
        inputs, lambda x, y: torch.cat([x, y], axis), lambda x, y: torch.cat([y, x, y * 2.0], axis)
    )


def stack(draw: Draw) -> Built:
    import torch

    shape = draw.shape(2, 3)
    axis = draw.randint(0, len(shape))
    inputs = (draw.tensor(*shape), draw.tensor(*shape))
    return branched(inputs, lambda x, y: torch.stack([x, y], axis))


def split(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    axis = draw.axis(shape)
    return each(
        [draw.tensor(*shape)] * 2,
        [
            lambda x: torch.split(x, (shape[axis] + 1) // 2, axis)[0],
            lambda x: torch.split(x, [1, shape[axis] - 1], axis)[1] * 1.5,
        ],
    )


def unbind(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3)
    return each([draw.tensor(*shape)], [lambda x: torch.unbind(x, 1)[1]])


def select(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    axis = draw.axis(shape)
    place = draw.randrange(shape[axis])
    return each(
        [draw.tensor(*shape)] * 2,
        [lambda x: torch.select(x, axis, place), lambda x: torch.select(x, axis, -1)],
    )


def slice_(draw: Draw) -> Built:
    shape = draw.shape(4)
    ends = [draw.randint(1, size) for size in shape]
    starts = [draw.randrange(end) for end in ends]
    steps = [draw.randint(1, 3) for _ in shape]
    plain = tuple(slice(a, b) for a, b in zip(starts, ends, strict=True))
    strided = tuple(slice(a, b, s) for a, b, s in zip(starts, ends, steps, strict=True))
    return each([draw.tensor(*shape)] * 2, [lambda x: x[plain], lambda x: x[strided]])


def slice_scatter(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3)
    part = (shape[0], 1, shape[2])
    return branched(
        (draw.tensor(*shape), draw.tensor(*part)), lambda x, y: torch.slice_scatter(x, y, 1, 1, 2)
    )


def select_scatter(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3)
    return branched(
        (draw.tensor(*shape), draw.tensor(shape[0], shape[2])), lambda x, y: torch.select_scatter(x, y, 1, 1)
    )


def permute(draw: Draw) -> Built:
    shapes = [draw.shape(4), draw.shape(3), draw.shape(4)]
    orders = [draw.sample(range(len(shape)), len(shape)) for shape in shapes]
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [lambda x: x.permute(orders[0]), lambda x: x.permute(orders[1]), lambda x: x.permute(orders[2])],
    )


def transpose(draw: Draw) -> Built:
    shapes = [draw.shape(2), draw.shape(4)]
    axes = draw.sample(range(4), 2)
    return each(
        [draw.tensor(*shape) for shape in shapes], [lambda x: x.t(), lambda x: x.transpose(axes[0], axes[1])]
    )


def view(draw: Draw) -> Built:
    a, b, c = (draw.randint(2, 9) for _ in range(3))
    return each(
        [draw.tensor(a, b * c), draw.tensor(1, a, b, c), draw.tensor(a * b, c), draw.tensor(a, b, c)],
        [
            lambda x: x.view(a, b, c) * 2.0,
            lambda x: x.flatten(1),
            lambda x: x.unflatten(0, (a, b)).permute(1, 0, 2),
            lambda x: x.reshape(c, a * b),
        ],
    )


def squeeze(draw: Draw) -> Built:
    a, b = draw.randint(2, 9), draw.randint(2, 9)
    return each(
        [draw.tensor(a, 1, b), draw.tensor(1, a, b), draw.tensor(a, b)],
        [lambda x: x.squeeze(1) * 2.0, lambda x: x.squeeze(0), lambda x: x.unsqueeze(1).transpose(0, 2)],
    )


def expand(draw: Draw) -> Built:
    a, b, n = (draw.randint(2, 9) for _ in range(3))
    return each(
        [draw.tensor(a, 1, b), draw.tensor(1, 1, b)],
        [lambda x: x.expand(a, n, b), lambda x: x.expand(a, n, b)],
    )


def repeat(draw: Draw) -> Built:
    shapes = [draw.shape(2), draw.shape(3), draw.shape(4)]
    times = [draw.randint(1, 3) for _ in range(4)]
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [
            lambda x: x.repeat(2, 1),
            lambda x: x.repeat(*times[:3]),
            lambda x: x.repeat(1, *times[1:]),
        ],
    )


def flip(draw: Draw) -> Built:
    import torch

    shapes = [draw.shape(3), draw.shape(4)]
    axes = [draw.axis(shape) for shape in shapes]
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [lambda x: torch.flip(x, [axes[0]]), lambda x: torch.flip(x, [axes[1]])],
    )


def constant_pad_nd(draw: Draw) -> Built:
    from torch.nn import functional as f

    sides = [draw.randint(0, 4) for _ in range(6)]
    value = draw.uniform(-2, 2)
    return each(
        [draw.tensor(*draw.shape(4)), draw.tensor(*draw.shape(3))],
        [lambda x: f.pad(x, sides[:4]), lambda x: f.pad(x, sides, value=value)],
    )


def reflection_pad(draw: Draw) -> Built:
    from torch.nn import functional as f

    sides = [draw.randint(1, 2) for _ in range(4)]
    return each(
        [draw.tensor(3, 5, 7), draw.tensor(1, 4, 6, 5)],
        [lambda x: f.pad(x, sides[:2], mode="reflect"), lambda x: f.pad(x, sides, mode="reflect")],
    )


def pixel_shuffling(draw: Draw) -> Built:
    import torch

    high, wide, channels = draw.randint(2, 5), draw.randint(2, 5), draw.randint(1, 4)
    return each(
        [draw.tensor(1, 4 * channels, high, wide), draw.tensor(1, channels, 3 * high, 3 * wide)],
        [lambda x: torch.pixel_shuffle(x, 2), lambda x: torch.pixel_unshuffle(x, 3)],
    )


def unfold_copy(draw: Draw) -> Built:
    size = draw.randint(4, 9)
    return each([draw.tensor(3, size)], [lambda x: x.unfold(1, 3, 1)])


def as_strided_copy(draw: Draw) -> Built:
    a, b = draw.randint(2, 6), draw.randint(2, 6)
    return each([draw.tensor(a, b)], [lambda x: x.as_strided((b, a), (a, 1)) * 2.0])


def tril(draw: Draw) -> Built:
    import torch

    size = draw.randint(3, 9)
    return each([draw.tensor(size, size)], [lambda x: torch.tril(x)])


def _copies(name: str, draw: Draw) -> Built:
    """What leaves values as they are; an operator behind it makes it count."""
    import torch

    functions: dict[str, Any] = {
        "clone": lambda x: x.clone() * 1.5,
        "detach_copy": lambda x: torch.ops.aten.detach_copy.default(x) * 1.5,
        "alias_copy": lambda x: torch.ops.aten.alias_copy.default(x) * 1.5,
        "copy": lambda x: torch.zeros_like(x).copy_(x) * 1.5,
    }
    return each([draw.tensor(*draw.shape())], [functions[name]])


def _filled(name: str, draw: Draw) -> Built:
    """Constants that a function makes, next to an input."""
    import torch

    rows, columns = draw.randint(2, 9), draw.randint(2, 9)
    value = draw.uniform(0.5, 2)
    functions: dict[str, Any] = {
        "arange": lambda x: x + torch.arange(0.0, float(columns), 1.0),
        "eye": lambda x: x * torch.eye(rows, columns) + x,
        "full": lambda x: x + torch.full((columns,), value),
        "fill_scalar": lambda x: x * torch.full_like(x, 0).fill_(value),
        "ones": lambda x: x + torch.ones(rows, columns),
        "zeros": lambda x: torch.maximum(x, torch.zeros(columns)),
        "scalar_tensor": lambda x: x + torch.scalar_tensor(value),
    }
    return each([draw.tensor(rows, columns)], [functions[name]])


# Indices


def index_select(draw: Draw) -> Built:
    import torch

    rows, columns, picked = draw.randint(3, 12), draw.randint(2, 20), draw.randint(2, 9)
    return branched(
        (draw.tensor(rows, columns), draw.integers(picked, low=0, high=rows)),
        lambda x, i: torch.index_select(x, 0, i),
    )


def gather(draw: Draw) -> Built:
    import torch

    rows, columns, picked = draw.randint(3, 12), draw.randint(2, 9), draw.randint(2, 9)
    return branched(
        (draw.tensor(rows, columns), draw.integers(rows, picked, low=0, high=columns).long()),
        lambda x, i: torch.gather(x, 1, i),
    )


def index_tensor(draw: Draw) -> Built:
    rows, columns, picked = draw.randint(3, 12), draw.randint(2, 20), draw.randint(2, 9)
    return branched((draw.tensor(rows, columns), draw.integers(picked, low=0, high=rows)), lambda x, i: x[i])


def embedding(draw: Draw) -> Built:
    import torch

    rows, columns, picked = draw.randint(3, 30), draw.randint(2, 20), draw.randint(2, 9)
    table = torch.nn.Embedding(rows, columns)
    return branched((draw.integers(1, picked, low=0, high=rows),), table)


def index_put(draw: Draw) -> Built:
    import torch

    rows, columns = draw.randint(4, 9), draw.randint(2, 9)
    places = torch.tensor(draw.sample(range(rows), 2))
    return branched(
        (draw.tensor(rows, columns), draw.tensor(2, columns)), lambda x, y: torch.index_put(x, (places,), y)
    )


def index_copy(draw: Draw) -> Built:
    import torch

    rows, columns = draw.randint(4, 9), draw.randint(2, 9)
    places = torch.tensor(draw.sample(range(rows), 2))
    return branched(
        (draw.tensor(rows, columns), draw.tensor(2, columns)), lambda x, y: torch.index_copy(x, 0, places, y)
    )


def grid_sampler(draw: Draw) -> Built:
    import torch
    from torch.nn import functional as f

    grid = torch.rand(1, 4, 5, 2) * 1.6 - 0.8
    return each([draw.tensor(1, 3, 6, 7)], [lambda x: f.grid_sample(x, grid, align_corners=False)])


_COPIES = ("clone", "detach_copy", "alias_copy", "copy")
_FILLED = ("arange", "eye", "full", "fill_scalar", "ones", "zeros", "scalar_tensor")

GENERATORS: dict[str, Generator] = {
    **{name: partial(_copies, name) for name in _COPIES},
    **{name: partial(_filled, name) for name in _FILLED},
    "as_strided_copy": as_strided_copy,
    "cat": cat,
    "constant_pad_nd": constant_pad_nd,
    "embedding": embedding,
    "expand": expand,
    "flip": flip,
    "gather": gather,
    "grid_sampler": grid_sampler,
    "index_copy": index_copy,
    "index_put": index_put,
    "index_select": index_select,
    "index_tensor": index_tensor,
    "permute": permute,
    "pixel_shuffling": pixel_shuffling,
    "reflection_pad": reflection_pad,
    "repeat": repeat,
    "select": select,
    "select_scatter": select_scatter,
    "slice": slice_,
    "slice_scatter": slice_scatter,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "transpose": transpose,
    "tril": tril,
    "unbind": unbind,
    "unfold_copy": unfold_copy,
    "view": view,
}
