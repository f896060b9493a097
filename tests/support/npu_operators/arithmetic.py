"""Arithmetic, comparisons and reductions."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.support.npu_modules import Built, branched
from tests.support.npu_operators.draw import Draw, Generator, each, pick

# Functions of one value: torch's name of the function, and the range that it is tried on.
UNARY = {
    "abs": ("abs", -3, 3),
    "acos": ("acos", -1, 1),
    "acosh": ("acosh", 1, 5),
    "asin": ("asin", -1, 1),
    "asinh": ("asinh", -5, 5),
    "atan": ("atan", -5, 5),
    "atanh": ("atanh", -0.9, 0.9),
    "ceil": ("ceil", -6, 6),
    "cos": ("cos", -6, 6),
    "cosh": ("cosh", -3, 3),
    "erf": ("erf", -3, 3),
    "erfinv": ("erfinv", -0.9, 0.9),
    "exp": ("exp", -3, 2),
    "expm1": ("expm1", -3, 2),
    "floor": ("floor", -6, 6),
    "log": ("log", 0.1, 6),
    "log10": ("log10", 0.1, 6),
    "log1p": ("log1p", -0.5, 6),
    "logit": ("logit", 0.05, 0.95),
    "neg": ("neg", -3, 3),
    "reciprocal": ("reciprocal", 0.3, 4),
    "relu": ("relu", -3, 3),
    "round": ("round", -6, 6),
    "rsqrt": ("rsqrt", 0.2, 5),
    "sigmoid": ("sigmoid", -6, 6),
    "sign": ("sign", -3, 3),
    "sin": ("sin", -6, 6),
    "sinh": ("sinh", -3, 3),
    "sqrt": ("sqrt", 0, 6),
    "tan": ("tan", -1, 1),
    "tanh": ("tanh", -4, 4),
}
_ACTIVATIONS = ("celu", "elu", "gelu", "hardsigmoid", "hardswish", "leaky_relu", "selu", "silu")


_ARITHMETIC = ("add", "sub", "mul", "div", "remainder", "floor_divide")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_REDUCTIONS = ("sum", "mean", "amax", "amin", "var")


def _unary(name: str, low: float, high: float, draw: Draw) -> Built:
    import torch

    function = getattr(torch, name)
    inputs = [draw.tensor(*draw.shape(1, 2, 3, 4), low=low, high=high) for _ in range(2)]
    return each(inputs, [function, function])


def _activation(name: str, draw: Draw) -> Built:
    from torch.nn import functional

    function = getattr(functional, name)
    inputs = [draw.tensor(*draw.shape(), low=-6, high=6) for _ in range(2)]
    second = partial(function, negative_slope=draw.uniform(0.02, 0.9)) if name == "leaky_relu" else function
    return each(inputs, [function, second])


def hardtanh(draw: Draw) -> Built:
    from torch.nn import functional as f

    low = draw.uniform(-2, 0)
    inputs = [draw.tensor(*draw.shape()) for _ in range(2)]
    return each(inputs, [f.hardtanh, lambda x: f.hardtanh(x, low, low + 1.5)])


def clamp(draw: Draw) -> Built:
    import torch

    low, high = draw.uniform(-2, 0), draw.uniform(0.1, 2)
    inputs = [draw.tensor(*draw.shape()) for _ in range(3)]
    return each(
        inputs,
        [
            lambda x: torch.clamp(x, low, high),
            lambda x: torch.clamp(x, min=low),
            lambda x: torch.clamp(x, max=high),
        ],
    )


def pow(draw: Draw) -> Built:
    inputs = [draw.tensor(*draw.shape(), low=0.2, high=3) for _ in range(3)]
    power = draw.uniform(0.5, 2.5)
    return each(inputs, [lambda x: x**2, lambda x: x**3, lambda x: x**power])


def prelu(draw: Draw) -> Built:
    import torch

    channels = draw.randint(2, 9)
    first, second = torch.nn.PReLU(), torch.nn.PReLU(channels, init=draw.uniform(-0.5, 0.8))
    shape = (1, channels, draw.randint(2, 9), draw.randint(2, 9))
    return each([draw.tensor(*shape), draw.tensor(*shape)], [first, second])


def glu(draw: Draw) -> Built:
    from torch.nn import functional as f

    return each([draw.tensor(2, 6, 8), draw.tensor(1, 8, 5, 4)], [f.glu, lambda x: f.glu(x, 1)])


# Two operands


def _operands(draw: Draw, low: float = -3, high: float = 3) -> tuple[list[Any], list[tuple[int, int]]]:
    """Inputs, and pairs of them that broadcast: equal shapes, fewer dimensions, dimensions of 1."""
    shape = draw.shape(3, 4)
    partly = tuple(1 if draw.random() < 0.5 else size for size in shape)
    made = [draw.tensor(*s, low=low, high=high) for s in (shape, shape, shape[-1:], partly)]
    return made, [(0, 1), (1, 2), (3, 0)]


def _pairs(inputs: Sequence[Any], pairs: Sequence[tuple[int, int]], function: Any, *others: Any) -> Built:
    """`function` of each pair, and `others` of the first input alone."""
    two = [partial(_apply, function, first, second) for first, second in pairs]
    return branched(tuple(inputs), *two, *(pick(0, other) for other in others))


def _apply(function: Any, first: int, second: int, *tensors: Any) -> Any:
    return function(tensors[first], tensors[second])


def _arithmetic(name: str, draw: Draw) -> Built:
    import torch

    function = getattr(torch, name)
    number = draw.uniform(0.3, 3)
    low = 0.4 if name in ("div", "floor_divide", "remainder") else -3
    inputs, pairs = _operands(draw, low, 4)
    return _pairs(inputs, pairs, function, lambda x: function(x, number))


def maximum(draw: Draw) -> Built:
    import torch

    return _pairs(*_operands(draw), torch.maximum)


def minimum(draw: Draw) -> Built:
    import torch

    return _pairs(*_operands(draw), torch.minimum)


def div_tensor_mode(draw: Draw) -> Built:
    import torch

    inputs, pairs = _operands(draw, 0.4, 4)
    return _pairs(inputs, pairs[:2], partial(torch.div, rounding_mode="floor"))


def rsub(draw: Draw) -> Built:
    import torch

    number = draw.uniform(-2, 2)
    inputs = [draw.tensor(*draw.shape()) for _ in range(2)]
    return each(inputs, [lambda x: torch.rsub(x, number), lambda x: torch.rsub(x, 2 * number)])


def addmm(draw: Draw) -> Built:
    import torch

    m, k, n = (draw.randint(2, 20) for _ in range(3))
    inputs = [draw.tensor(n), draw.tensor(m, k), draw.tensor(k, n)]
    return branched(tuple(inputs), torch.addmm)


def _comparison(name: str, draw: Draw) -> Built:
    import torch

    function = getattr(torch, name)
    number = draw.uniform(-1, 1)
    if name in ("eq", "ne"):
        shape = draw.shape(3, 4)
        inputs = [draw.integers(*shape, low=-3, high=4) for _ in range(2)]
        return branched(tuple(inputs), function, pick(0, lambda x: function(x, 1)))
    inputs, pairs = _operands(draw)
    return _pairs(inputs, pairs, function, lambda x: function(x, number))


def logical(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    inputs = [torch.rand(shape) < 0.5 for _ in range(2)]
    return branched(
        tuple(inputs),
        torch.logical_and,
        torch.logical_or,
        torch.logical_xor,
        lambda x, _: torch.logical_not(x),
    )


def bitwise(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    inputs = [draw.integers(*shape, low=-(1 << 20), high=1 << 20) for _ in range(2)]
    mask = draw.randint(1, 1 << 16)
    return branched(
        tuple(inputs),
        torch.bitwise_and,
        torch.bitwise_or,
        torch.bitwise_xor,
        lambda x, _: torch.bitwise_and(x, mask),
    )


def bitwise_not(draw: Draw) -> Built:
    import torch

    inputs = [draw.integers(*draw.shape(3, 4), low=-(1 << 20), high=1 << 20)]
    return branched(tuple(inputs), torch.bitwise_not)


def lshift(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    inputs = (draw.integers(*shape, low=0, high=16), draw.integers(*shape, low=0, high=16))
    by = draw.randint(1, 12)
    return branched(inputs, torch.bitwise_left_shift, lambda x, _: x << by)


def rshift(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    inputs = (draw.integers(*shape, low=0, high=32), draw.integers(*shape, low=0, high=32))
    by = draw.randint(1, 4)
    return branched(inputs, torch.bitwise_right_shift, lambda x, _: x >> by)


def where(draw: Draw) -> Built:
    import torch

    inputs, _ = _operands(draw)
    return branched(
        tuple(inputs),
        lambda a, b, c, d: torch.where(a > b, a, b * 0.5),
        lambda a, b, c, d: torch.where(a >= d, c, a),
        lambda a, b, c, d: torch.where((a > b) & (b < 0.5), a, b),
    )


def masked_fill(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    value = draw.uniform(-2, 2)
    return branched(
        (draw.tensor(*shape), torch.rand(shape) < 0.5), lambda x, mask: torch.masked_fill(x, mask, value)
    )


# Reductions


def _reduction(name: str, draw: Draw) -> Built:
    import torch

    function = getattr(torch, name)
    shapes = [draw.shape(2, 3, 4) for _ in range(3)]
    axes = [draw.axis(shape) for shape in shapes]
    functions = [
        lambda x: function(x, axes[0], keepdim=True),
        lambda x: function(x, axes[1]),
        lambda x: function(x, axes[2], keepdim=True),
    ]
    if name == "amin":
        # The last dimension, without keeping it: test_vela_defects.py.
        functions[1] = lambda x: function(x, axes[1], keepdim=True)
    return each([draw.tensor(*shape) for shape in shapes], functions)


def linalg_vector_norm(draw: Draw) -> Built:
    import torch

    shape = draw.shape(3, 4)
    axis = draw.axis(shape)
    return each([draw.tensor(*shape)], [lambda x: torch.linalg.vector_norm(x, 2, axis, keepdim=True)])


def _any_all(name: str, draw: Draw) -> Built:
    import torch

    function = getattr(torch, name)
    shape = draw.shape(3)
    chance = 0.15 if name == "any" else 0.85
    mask = torch.rand(shape) < chance
    return branched((mask,), lambda x: function(x, 1), lambda x: function(x, 2, keepdim=True))


def argmax(draw: Draw) -> Built:
    import torch

    shape = draw.shape(4)
    return each([draw.tensor(*shape)], [lambda x: torch.argmax(x, dim=-1).to(torch.int32)])


def prod(draw: Draw) -> Built:
    import torch

    return each([draw.tensor(2, 5, 4, low=0.5, high=1.5)], [lambda x: torch.prod(x, 2)])


def cumsum(draw: Draw) -> Built:
    import torch

    shapes = [draw.shape(2, 3) for _ in range(2)]
    axes = [draw.axis(shape) for shape in shapes]
    return each(
        [draw.tensor(*shape) for shape in shapes],
        [lambda x: torch.cumsum(x, axes[0]), lambda x: torch.cumsum(x, axes[1])],
    )


GENERATORS: dict[str, Generator] = {
    **{name: partial(_unary, *facts) for name, facts in UNARY.items()},
    **{name: partial(_activation, name) for name in _ACTIVATIONS},
    **{name: partial(_arithmetic, name) for name in _ARITHMETIC},
    **{name: partial(_comparison, name) for name in _COMPARISONS},
    **{name: partial(_reduction, name) for name in _REDUCTIONS},
    "any": partial(_any_all, "any"),
    "all": partial(_any_all, "all"),
    "hardtanh": hardtanh,
    "clamp": clamp,
    "pow": pow,
    "prelu": prelu,
    "glu": glu,
    "maximum": maximum,
    "minimum": minimum,
    "div_tensor_mode": div_tensor_mode,
    "addmm": addmm,
    "logical": logical,
    "bitwise": bitwise,
    "bitwise_not": bitwise_not,
    "lshift": lshift,
    "rshift": rshift,
    "rsub": rsub,
    "where": where,
    "masked_fill": masked_fill,
    "linalg_vector_norm": linalg_vector_norm,
    "argmax": argmax,
    "prod": prod,
    "cumsum": cumsum,
}
