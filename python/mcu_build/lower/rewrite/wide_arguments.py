"""Functions that repeat or step, of a wide argument that inputs alone decide: sin(100 x), floor(16 x).

int8 has 255 values for the whole of the argument, and few for a period or a step of it: the phase of an
oscillator, the cell of a grid. What computes such an argument from inputs stays in float, with the function.
Where a layer with weights computes it, its own result would have to be in float as well: that stays int8.
A function whose result becomes an integer, an index, stays in float whatever computes its argument.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Node

from mcu_build.lower.annotate.clusters import is_float
from mcu_build.lower.annotate.int8 import is_move
from mcu_build.lower.assigned import is_int16
from mcu_build.lower.builder import aten
from mcu_build.lower.rewrite.watch import Inputs, ranges

WHY = "a function that repeats or steps, of a wide argument: int8 has few values for a period or a step"
# Of 255 values a range of this width has 21 for a unit, or 133 for a period of 2 pi: the sine of it, 28 dB.
_WIDE = 12.0
_FUNCTIONS = frozenset(
    getattr(aten, name).default for name in ("sin", "cos", "tan", "floor", "ceil", "round", "trunc", "frac")
) | {aten.remainder.Scalar, aten.fmod.Scalar}
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_SUMS = frozenset({aten.cumsum.default, aten.upsample_linear1d.vec, aten.sum.dim_IntList})


def wide_arguments(module: GraphModule, inputs: Iterable[Inputs]) -> dict[str, str]:
    """Operators of `module`, an exported program in float, that stay in float, with the reason.

    `inputs` are a few calls of calibration data.
    """
    nodes = (node for node in module.graph.nodes if node.target in _FUNCTIONS and is_float(node))
    functions = [node for node in nodes if not is_int16(node)]
    made = _made_of_inputs(module) if functions else set()
    widths = ranges(module, {node.args[0] for node in functions if node.args[0] in made}, inputs)
    wide = {node for node, (low, high) in widths.items() if high - low > _WIDE}
    kept = [node for node in functions if node.args[0] in wide or _is_cast(node)]
    return {node.name: WHY for node in [*kept, *_before(kept, made)]}


def _is_cast(node: Node) -> bool:
    """Whether a node becomes integers: int8's 2.99 for 3 would become 2."""
    values = [user.meta.get("val") for user in node.users]
    return any(isinstance(value, torch.Tensor) and value.dtype in _INTEGERS for value in values)


def _made_of_inputs(module: GraphModule) -> set[Node]:
    """What inputs and constants alone decide, element by element, by sums or by moves."""
    made: set[Node] = set()
    for node in module.graph.nodes:
        is_source = node.op in ("placeholder", "get_attr")
        if is_source or (_is_simple(node) and all(operand in made for operand in node.all_input_nodes)):
            made.add(node)
    return made


def _is_simple(node: Node) -> bool:
    if node.op != "call_function":
        return False
    pointwise = torch.Tag.pointwise in getattr(node.target, "tags", ())
    return pointwise or is_move(node) or node.target in _SUMS


def _before(functions: Iterable[Node], made: set[Node]) -> Iterator[Node]:
    """The operators that arguments of functions are made by."""
    waiting, seen = [node.args[0] for node in functions], set[Any]()
    while waiting:
        node = waiting.pop()
        if node in made and node not in seen and node.op == "call_function" and is_float(node):
            seen.add(node)
            yield node
            waiting += node.all_input_nodes
