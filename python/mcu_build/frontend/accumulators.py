"""State that calls add to or let decay, such as a running mean: it stays in float.

In int8 a mean that a call moves by a hundredth of the difference stops where that is below half a step, and a
level that decays stays where it is. What only moves (a ring buffer), what is chosen (a maximum without decay)
and what passes a layer or a saturating function (the state of a recurrent cell that is written out: `tanh`)
does not add up, and stays int8.
"""

from collections.abc import Callable, Iterable, Iterator

from torch.export import ExportedProgram
from torch.fx import Node

from mcu_build.lower.annotate.clusters import is_float
from mcu_build.lower.annotate.int8 import MOVES
from mcu_build.lower.assigned import schema_name
from mcu_build.lower.state_inputs import tied

WHY = "a state that adds up or decays: eight bits lose what is below a step (`precision` can ask for int8)"
_ARITHMETIC = frozenset(
    f"aten::{name}" for name in ("add", "sub", "rsub", "mul", "div", "neg", "lerp", "addcmul", "addcdiv")
)
_SUMS, _SCALES = frozenset({"aten::cumsum", "aten::cumprod"}), frozenset({"aten::mul", "aten::div"})
_PASSES = frozenset(
    {*_ARITHMETIC, *(f"aten::{name}" for name in ("where", "clamp", "max", "min", "clone", "alias", "copy"))}
    | {target._schema.name for target in MOVES}
)


def accumulating(exported: ExportedProgram) -> set[Node]:
    """The operators between a state and its new value, where arithmetic of elements leads from one to the
    other."""
    nodes = set()
    for state, result in tied(exported.graph):
        if not is_float(state):
            continue
        after = _reached(state, lambda node: node.users)
        between = after & _reached(result, lambda node: node.all_input_nodes)
        if result in after and any(_name(node) in _ARITHMETIC for node in between):
            nodes |= between
    return nodes | set(_scaled_sums(exported))


def _scaled_sums(exported: ExportedProgram) -> Iterator[Node]:
    """What divides cumulative sums, which are float, by constants: a mean of all so far."""
    inputs = {*exported.graph_signature.user_inputs}
    varying = set[Node]()
    for node in exported.graph.nodes:
        before = varying.intersection(node.all_input_nodes)
        if node.name in inputs or before:
            varying.add(node)
        is_of_sums = len(before) == 1 and _name(next(iter(before))) in _SUMS
        if is_of_sums and _name(node) in _SCALES and is_float(node):
            yield node


def _reached(start: Node, neighbours: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """The operators on elements that lead on from `start`, itself among them where it is one."""
    reached, queue = {start} if start.op == "call_function" else set(), [start]
    if start in reached and not _passes(start):
        return set()
    while queue:
        for node in neighbours(queue.pop()):
            if node not in reached and _passes(node):
                reached.add(node)
                queue.append(node)
    return reached


def _passes(node: Node) -> bool:
    return _name(node) in _PASSES and is_float(node)


def _name(node: Node) -> str:
    """'aten::add', of `add_` too."""
    return schema_name(node).removesuffix("_")
