"""State that calls add to or let decay, such as a running mean: it stays in float.

In int8 a mean that a call moves by a hundredth of the difference stops where that is below half a step, and a
level that decays stays where it is. What only moves (a ring buffer), what is chosen (a maximum without decay)
and what passes a layer or a saturating function (the state of a recurrent cell that is written out: `tanh`)
does not add up, and stays int8.
"""

import operator
from collections.abc import Callable, Iterable, Iterator

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, Node

from mcu_build.lower.annotate.clusters import is_float
from mcu_build.lower.annotate.int8 import MOVES
from mcu_build.lower.assigned import schema_name
from mcu_build.lower.state_inputs import tied

WHY = "a state that adds up or decays: eight bits lose what is below a step (`precision` can ask for int8)"
_ARITHMETIC = frozenset(
    f"aten::{name}" for name in ("add", "sub", "rsub", "mul", "div", "neg", "lerp", "addcmul", "addcdiv")
)
_SUMS, _SCALES = frozenset({"aten::cumsum", "aten::cumprod"}), frozenset({"aten::mul", "aten::div"})
# What keeps small changes of an element: functions without bounds, choices and moves.
_KEEPS = (
    *("abs", "clamp", "max", "min", "pow", "relu", "sqrt", "square", "masked_fill", "where"),
    *("alias", "chunk", "clone", "copy", "split", "split_with_sizes", "stack", "unbind"),
)
_PASSES = frozenset(
    {*_ARITHMETIC, *(f"aten::{name}" for name in _KEEPS), *(target._schema.name for target in MOVES)}
)


def accumulating(exported: ExportedProgram) -> set[Node]:
    """The operators between a state and its new value, where arithmetic of elements leads from one to the
    other, in one call or over several (a filter whose second delay goes to its first)."""
    nodes = set(_scaled_sums(exported))
    for _, between in loops(exported.graph):
        if any(name_of(node) in _ARITHMETIC for node in between):
            nodes |= between
    return nodes


def loops(graph: Graph) -> Iterator[tuple[Node, set[Node]]]:
    """Each state that is float, with the operators on elements that lead from it back to it."""
    states = {state: result for state, result in tied(graph) if is_float(state)}
    readers = {result: [state for state in states if states[state] is result] for result in states.values()}

    def later(node: Node) -> list[Node]:
        return [*node.users, *readers.get(node, ())]

    def earlier(node: Node) -> list[Node]:
        return [states[node]] if node in states else node.all_input_nodes

    def passes(node: Node) -> bool:
        if node.target is operator.getitem:
            return passes(node.args[0])
        return node in states or (name_of(node) in _PASSES and _is_of_floats(node))

    for state in states:
        around = _reached(state, later, passes) & _reached(state, earlier, passes)
        yield state, around - set(states)


def _scaled_sums(exported: ExportedProgram) -> Iterator[Node]:
    """What divides cumulative sums, which are float, by constants: a mean of all so far."""
    inputs = {*exported.graph_signature.user_inputs}
    varying = set[Node]()
    for node in exported.graph.nodes:
        before = varying.intersection(node.all_input_nodes)
        if node.name in inputs or before:
            varying.add(node)
        is_of_sums = len(before) == 1 and name_of(next(iter(before))) in _SUMS
        if is_of_sums and name_of(node) in _SCALES and is_float(node):
            yield node


def _reached(
    start: Node, neighbours: Callable[[Node], Iterable[Node]], passes: Callable[[Node], bool]
) -> set[Node]:
    """What is reached from a node, itself where a way leads back to it."""
    reached, queue = set[Node](), [start]
    while queue:
        for node in neighbours(queue.pop()):
            if node not in reached and passes(node):
                reached.add(node)
                queue.append(node)
    return reached


def _is_of_floats(node: Node) -> bool:
    """Whether a node is a float tensor, or several."""
    value = node.meta.get("val")
    tensors = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(tensor, torch.Tensor) and tensor.dtype.is_floating_point for tensor in tensors)


def name_of(node: Node) -> str:
    """'aten::add', of `add_` too."""
    return schema_name(node).removesuffix("_")
