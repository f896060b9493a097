"""LSTM, GRU and RNN layers and cells as calls of int8 kernels that loop over time.

A call of torch with several layers or directions becomes one of the same operator for each layer and
direction, with flips for the second direction; a cell becomes a layer of one step. A projection becomes a
linear layer behind the sequence: with h = W m the gates see (U W) m where they saw U h. Such a call keeps its
float operator through calibration, with an int8 input and output; integer/recurrent.py replaces it then.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from executorch.backends.arm.quantizer.arm_quantizer_utils import _mark_node_as_quantized
from executorch.backends.cortex_m.quantizer.pattern_matcher import PatternMatcher
from executorch.backends.cortex_m.quantizer.quantization_configs import INT8_ACTIVATION_PER_TENSOR_QSPEC
from torch.fx import Graph, GraphModule, Node
from torchao.quantization.pt2e.quantizer import SharedQuantizationSpec

from mcu_build.arithmetic.recurrent import MOST_INPUTS
from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import Builder, aten, attribute, shape
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS

_CELLS = {
    aten.lstm_cell.default: aten.lstm.input,
    aten.gru_cell.default: aten.gru.input,
    aten.rnn_tanh_cell.default: aten.rnn_tanh.input,
    aten.rnn_relu_cell.default: aten.rnn_relu.input,
}

# Why an NPU is not asked: it would be given every step by itself.
WHY = "a loop over time, which the core's kernel runs"


@dataclass(frozen=True)
class RecurrentCall:
    """A call of aten's recurrent operators. `states` are the first states: h, and an LSTM's c."""

    node: Node
    source: Node
    states: tuple[Node, ...]
    weights: tuple[Node, ...]
    has_biases: bool
    layers: int
    directions: int
    batch_first: bool

    @staticmethod
    def of(node: Node) -> "RecurrentCall":
        """The call at `node`."""
        source, states, weights, has_biases, layers, _, _, bidirectional, batch_first = node.args
        initial = tuple(states) if isinstance(states, list | tuple) else (states,)
        directions = 2 if bidirectional else 1
        return RecurrentCall(
            node,
            source,
            initial,
            tuple(weights),
            bool(has_biases),
            int(layers),
            directions,
            bool(batch_first),
        )

    @property
    def tensors(self) -> int:
        """How many weights a layer has in one direction."""
        return len(self.weights) // (self.layers * self.directions)

    @property
    def projects(self) -> bool:
        """Whether h is a projection of the units (proj_size)."""
        return self.tensors != (4 if self.has_biases else 2)

    @property
    def time(self) -> int:
        """The dimension of the steps."""
        return 1 if self.batch_first else 0

    def results(self) -> Mapping[int, Node]:
        """What is read of its results, by their number."""
        return {int(user.args[1]): user for user in self.node.users}


def calls(graph: Graph) -> list[Node]:
    """The recurrent layers and cells of a float graph."""
    return [node for node in graph.nodes if node.target in LAYERS or node.target in _CELLS]


def layers(build: Builder, node: Node) -> Node | None:
    """A recurrent call as one for each layer and direction, of which the whole sequence and c are read."""
    call = RecurrentCall.of(node)
    results = call.results()
    is_one = call.layers == call.directions == 1
    if (is_one and 1 not in results and not call.projects) or bool(node.args[-3]):
        return None
    if call.projects and not _can_project(build, call):
        return None
    sequence = call.source
    last: list[list[Node]] = []
    for layer in range(call.layers):
        directions = [
            _direction(build, call, sequence, layer, direction) for direction in range(call.directions)
        ]
        sequence = _joined(build, [each[0] for each in directions], 2)
        last += [each[1:] for each in directions]
    states = [_joined(build, list(each), 0) for each in zip(*last, strict=True)]
    for index, result in results.items():
        result.replace_all_uses_with([sequence, *states][index], propagate_meta=False)
        node.graph.erase_node(result)
    return sequence


def _joined(build: Builder, nodes: list[Node], dimension: int) -> Node:
    return nodes[0] if len(nodes) == 1 else build(aten.cat.default, nodes, dimension)


def _direction(build: Builder, call: RecurrentCall, source: Node, layer: int, direction: int) -> list[Node]:
    """The sequence that one layer makes in one direction, and its states after the last step."""
    place = layer * call.directions + direction
    weights = list(call.weights[place * call.tensors : (place + 1) * call.tensors])
    states = [_state(build, call, state, place) for state in call.states]
    if direction:
        source = build(aten.flip.default, source, [call.time])
    settings = (call.has_biases, 1, 0.0, False, False, call.batch_first)
    projection = weights.pop() if call.projects else None
    if projection is not None:
        states[0], weights[1] = _before_projection(build, states[0], weights[1], projection)
    made = build(call.node.target, source, states if len(states) > 1 else states[0], weights, *settings)
    sequence = build(operator.getitem, made, 0)
    if projection is not None:
        sequence = build(aten.linear.default, sequence, projection)
    last = build(aten.select.int, sequence, call.time, shape(sequence)[call.time] - 1)
    results = [build(aten.unsqueeze.default, last, 0)]
    if len(states) > 1 and 2 in call.results():
        results.append(build(operator.getitem, made, 2))
    if direction:
        sequence = build(aten.flip.default, sequence, [call.time])
    return [sequence, *results]


def _can_project(build: Builder, call: RecurrentCall) -> bool:
    """Whether weights are constants, and every h before the first step is a projection of something."""
    known = [build.value_of(weight) for weight in call.weights]
    if any(weight is None for weight in known):
        return False
    first = build.value_of(call.states[0])
    projections = known[call.tensors - 1 :: call.tensors]
    return (first is not None and not first.any()) or all(
        int(torch.linalg.matrix_rank(projection)) == projection.shape[0]
        for projection in projections
        if projection is not None
    )


def _before_projection(build: Builder, state: Node, hidden: Node, projection: Node) -> tuple[Node, Node]:
    """What the first h is a projection of, the least there is, and weights of the gates for it."""
    weights, known = build.value_of(projection), build.value_of(state)
    into_gates = build.value_of(hidden)
    assert weights is not None and into_gates is not None
    back = torch.linalg.pinv(weights)
    if known is None:
        first = build(aten.linear.default, state, build.constant(back))
    else:
        first = build.constant(known @ back.T)
    return first, build.constant(into_gates @ weights)


def _state(build: Builder, call: RecurrentCall, state: Node, place: int) -> Node:
    if call.layers == call.directions == 1:
        return state
    value = build.value_of(state)
    if value is not None:
        return build.constant(value[place : place + 1])
    return build(aten.slice.Tensor, state, 0, place, place + 1)


def cell(build: Builder, node: Node) -> Node | None:
    """A cell as a layer of one step."""
    source, states, *weights = node.args
    present = [weight for weight in weights if weight is not None]
    many = isinstance(states, list | tuple)
    first = [_unsqueezed(build, state) for state in (states if many else [states])]
    made = build(
        _CELLS[node.target],
        build(aten.unsqueeze.default, source, 0),
        first if many else first[0],
        present,
        len(present) == 4,
        1,
        0.0,
        False,
        False,
        False,
    )
    h = build(aten.squeeze.dim, build(operator.getitem, made, 0), 0)
    if not many:
        return h
    results = {int(user.args[1]): user for user in node.users}
    for index, result in results.items():
        new = h if index == 0 else build(aten.squeeze.dim, build(operator.getitem, made, 2), 0)
        result.replace_all_uses_with(new, propagate_meta=False)
        node.graph.erase_node(result)
    return h


def _unsqueezed(build: Builder, state: Node) -> Node:
    """A state as layers take it: as the cell before has given it, where there is one."""
    if state.target is aten.squeeze.dim and len(shape(state.args[0])) == 3 and state.args[1] == 0:
        return state.args[0]
    return build(aten.unsqueeze.default, state, 0)


RULES: Mapping[Any, Any] = {**dict.fromkeys(LAYERS, (layers,)), **dict.fromkeys(_CELLS, (cell,))}


def annotate(
    model: GraphModule, chosen: Chosen = everything, spec: Any = INT8_ACTIVATION_PER_TENSOR_QSPEC
) -> None:
    """Mark recurrent calls as quantized: their input, the sequence that they make, and h before the first."""
    for node in model.graph.nodes:
        if node.target not in LAYERS or not chosen(node) or not accepts(node):
            continue
        call = RecurrentCall.of(node)
        sequence = call.results()[0]
        state = call.states[0]
        inputs: dict[Node, Any] = {call.source: spec}
        output: Any = spec
        if not _is_zero(model, state):
            # One quantization for h before and after every step.
            inputs[state] = spec
            output = SharedQuantizationSpec((state, node))
        _mark_node_as_quantized(node, inputs, None, is_quantized=False)
        _mark_node_as_quantized(sequence, {}, output, is_quantized=False)
        for part in (node, *call.results().values()):
            part.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True


def accepts(node: Node) -> bool:
    """Whether a recurrent layer has an integer form."""
    call = RecurrentCall.of(node)
    constant = all(weight.op == "get_attr" for weight in call.weights)
    fits = all(shape(weight)[-1] <= MOST_INPUTS for weight in call.weights[:2])
    is_single = call.layers == call.directions == 1 and not call.projects and not bool(node.args[-3])
    results = call.results()
    return constant and fits and is_single and 0 in results and 1 not in results


def _is_zero(model: GraphModule, node: Node) -> bool:
    return node.op == "get_attr" and not bool(attribute(model, node).any())
