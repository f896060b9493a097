"""Graphs written in TOSA, for what no operator of PyTorch brings to the NPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support.npu_cases import Graph, run_reference

_RUNS = 3


def graph(
    operator: str,
    inputs: Sequence[tuple[tuple[int, ...], str, int, int]],
    output: tuple[tuple[int, ...], str],
    attribute: tuple[Any, ...] = (),
    constants: Sequence[np.ndarray] = (),
) -> Graph:
    """One operator. `inputs` are shape, type, least and largest value; `constants` follow them."""
    from serializer import tosa_serializer as ts
    from tosa.Op import Op

    serializer = ts.TosaSerializer("", constMode=ts.ConstMode.EMBED)
    operands = [serializer.addPlaceholder(shape, _kind(kind), None) for shape, kind, _, _ in inputs]
    operands += [serializer.addConst(c.shape, _kind(c.dtype.name), c) for c in constants]
    result = serializer.addOutput(*output[:1], _kind(output[1]))
    described = ts.TosaSerializerAttribute()
    getattr(described, f"{operator}Attribute")(*attribute)
    names = [operand.name for operand in operands]
    serializer.addOperator(_number(Op, operator), names, [result.name], described)
    tosa = bytes(serializer.serialize())
    drawn = [_draw(inputs, seed) for seed in range(_RUNS)]
    return Graph(tosa, drawn, [run_reference(tosa, run) for run in drawn])


def _number(operators: Any, operator: str) -> int:
    return next(v for k, v in vars(operators).items() if k.replace("_", "").lower() == operator.lower())


def _kind(name: str) -> int:
    from tosa.DType import DType

    return getattr(DType, name.upper())  # type: ignore[no-any-return]


def _draw(inputs: Sequence[tuple[tuple[int, ...], str, int, int]], seed: int) -> list[np.ndarray]:
    dice = np.random.default_rng(seed)
    return [dice.integers(low, high, shape, endpoint=True).astype(kind) for shape, kind, low, high in inputs]
