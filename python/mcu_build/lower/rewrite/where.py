"""torch.where as a move: each element of the result is one of its operands'."""

from typing import Any

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, attribute


def chooses(node: Node) -> bool:
    """Whether a node is a `where` of tensors that one quantization fits.

    A constant other than zeros, such as a mask of -1e9, would stretch the range of the others.
    """
    return node.target is aten.where.self and all(map(_fits, node.args[1:]))


def _fits(operand: Any) -> bool:
    if not isinstance(operand, Node):
        return False
    if operand.op != "get_attr":
        return True
    return not attribute(operand.graph.owning_module, operand).any()


def _filled(build: Builder, node: Node) -> Node | None:
    """masked_fill with zeros as where."""
    source, mask, value = node.args
    assert isinstance(source, Node)
    return _where(build, mask, value, source)


def _of_numbers(build: Builder, node: Node) -> Node | None:
    """where with a number as where of two tensors."""
    return _where(build, *node.args)


def _where(build: Builder, condition: Any, first: Any, second: Any) -> Node | None:
    """None where a number among them is not 0."""
    numbers = [operand for operand in (first, second) if not isinstance(operand, Node)]
    tensors = [operand for operand in (first, second) if isinstance(operand, Node)]
    if len(numbers) != 1 or numbers[0] != 0 or not tensors[0].meta["val"].dtype.is_floating_point:
        return None
    zeros = build.constant(torch.zeros([1] * tensors[0].meta["val"].dim()))
    operands = [operand if isinstance(operand, Node) else zeros for operand in (first, second)]
    return build(aten.where.self, condition, *operands)


RULES = {
    aten.masked_fill.Scalar: (_filled,),
    aten.where.ScalarOther: (_of_numbers,),
    aten.where.ScalarSelf: (_of_numbers,),
}
