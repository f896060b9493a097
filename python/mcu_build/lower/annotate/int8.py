"""What becomes int8: executorch's CortexMQuantizer, and what it leaves out.

Three things are added: functions of one tensor become tables (`clusters`), operators that only move elements
share the quantization of what they move, and readers of a fixed quantization take it over.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from executorch.backends.arm.quantizer.arm_quantizer_utils import _mark_node_as_quantized
from executorch.backends.cortex_m.quantizer.pattern_matcher import PatternMatcher
from executorch.backends.cortex_m.quantizer.quantization_configs import INT8_ACTIVATION_PER_TENSOR_QSPEC
from executorch.backends.cortex_m.quantizer.quantizer import CortexMQuantizer
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mcu_build.lower.annotate import int4, int16
from mcu_build.lower.annotate.clusters import find_sources, is_float, is_fused_clamp
from mcu_build.lower.annotate.per_channel import split_scales
from mcu_build.lower.annotate.scales import joined_outputs, remember_joined
from mcu_build.lower.assigned import (
    Chosen,
    everything,
    is_int4,
    is_int16,
    keep_in_float,
    make_int4,
    make_int16,
    origin,
    remember_origin,
    why_in_float,
)
from mcu_build.lower.builder import aten, attribute
from mcu_build.lower.integer.int8_forms import annotate_forms
from mcu_build.lower.layout import lay_out
from mcu_build.lower.rewrite import computed_weights, recurrent
from mcu_build.lower.rewrite.legalize import legalize
from mcu_build.lower.rewrite.masked_softmax import SHARES
from mcu_build.lower.rewrite.where import chooses
from mcu_build.lower.state_inputs import tied

# Operators whose results are their operands' elements (or a constant that padding adds).
MOVES = frozenset(
    {
        aten.reshape.default,
        aten.view.default,
        aten._unsafe_view.default,
        aten.flatten.using_ints,
        aten.unflatten.int,
        aten.squeeze.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.unsqueeze.default,
        aten.permute.default,
        aten.transpose.int,
        aten.t.default,
        aten.numpy_T.default,
        aten.movedim.int,
        aten.expand.default,
        aten.expand_as.default,
        aten.slice.Tensor,
        aten.select.int,
        aten.cat.default,
        aten.clone.default,
        aten.contiguous.default,
        aten.constant_pad_nd.default,
        aten.upsample_nearest2d.vec,
        aten.flip.default,
        aten.roll.default,
        aten.unfold.default,
        aten.index.Tensor,
        aten.gather.default,
        aten.index_select.default,
        aten.index_copy.default,
        aten.index_put.default,
        aten.maximum.default,
        aten.minimum.default,
        aten.amax.default,
        aten.amin.default,
    }
)
# Of these, operators that compare what they read.
_CHOOSE = frozenset({aten.maximum.default, aten.minimum.default, aten.amax.default, aten.amin.default})
_WITH_BIAS = frozenset({aten.conv2d.default, aten.conv_transpose2d.input, aten.linear.default})


class Quantizer(CortexMQuantizer):  # type: ignore[misc]
    """CortexMQuantizer over a graph that has been brought into the form that it knows.

    `chosen` says which operators it may rewrite and annotate; `refused` are those that stay in float, by
    their names in the float graph, with the reason; `wide` are those that get 16 bits, `narrow`
    those whose weights get 4.
    """

    def __init__(
        self,
        chosen: Chosen = everything,
        refused: Mapping[str, str] | None = None,
        wide: Collection[str] = (),
        narrow: Collection[str] = (),
    ) -> None:
        super().__init__()
        self._known: Chosen = lambda node: chosen(node) and not why_in_float(node)
        # Of these, int16 operators are annotated apart.
        self._chosen: Chosen = lambda node: self._known(node) and not is_int16(node)
        self._refused = refused or {}
        self._wide, self._narrow = frozenset(wide), frozenset(narrow)

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Rewrite the float graph before it is annotated."""
        for node in model.graph.nodes:
            if node.op == "call_function" and origin(node) is None:
                remember_origin(node)
            if node.name in self._refused:
                keep_in_float(node, self._refused[node.name])
            elif node.name in self._wide:
                make_int16(node)
            elif node.name in self._narrow:
                make_int4(node)
        for node in computed_weights.convolutions(model.graph):
            keep_in_float(node, computed_weights.WHY)
        self._scale_outputs(model)
        legalize(model, self._known)
        lay_out(model, self._known)
        _own_biases(model, self._known)
        _own_weights(model, self._known)
        _join_clamps(model, self._known)
        int16.choose(model, is_move, self._known)
        return model

    def _scale_outputs(self, model: GraphModule) -> None:
        """Give each output of a linear layer a scale where one for all loses too much."""
        split_scales(model, lambda node: self._chosen(node) and not is_int4(node))

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark what is quantized, and how."""
        int16.annotate(model, is_move)
        int4.annotate(model, self._chosen)
        functions = _annotate_functions(model, self._chosen)
        annotate_forms(model, is_move, self._chosen)
        recurrent.annotate(model, self._chosen)
        for node in model.graph.nodes:
            is_left = is_move(node) or _is_of_integers(node) or not self._chosen(node)
            if node.op in ("placeholder", "output") or is_left:
                node.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True
        for quantizer in self.quantizers[:-1]:  # the last one shares; ours below does more
            quantizer.annotate(model)
        # A choice by the chosen tensor itself, such as where(x > 0, x, 0.1 * x), is a function.
        _annotate_moves(model, lambda node: self._chosen(node) and node not in functions)
        _follow_fixed(model)
        _annotate_inputs(model)
        _tie_state(model)
        return model


def _own_biases(model: GraphModule, chosen: Chosen) -> None:
    """Give every call of a shared layer a bias of its own.

    A bias is quantized by the scale of the layer's input, which differs from call to call; torchao gives all
    readers of one tensor the scale of the first.
    """
    for node in list(model.graph.nodes):
        has_bias = node.target in _WITH_BIAS and len(node.args) > 2 and chosen(node)
        bias = node.args[2] if has_bias else None
        if isinstance(bias, Node) and bias.op == "get_attr" and len(bias.users) > 1:
            node.args = (*node.args[:2], _again(bias), *node.args[3:])
    model.recompile()


def _own_weights(model: GraphModule, chosen: Chosen) -> None:
    """Give each kind of reader a constant of its own.

    A weight of a linear layer is symmetric, an operand of a sum is not; torchao gives all readers of one
    tensor the quantization of the first.
    """
    for constant in [node for node in model.graph.nodes if node.op == "get_attr" and len(node.users) > 1]:
        own: dict[Any, Node] = {}
        for user in list(constant.users):
            kind = (
                user.target,
                tuple(index for index, argument in enumerate(user.args) if argument is constant),
            )
            if kind not in own:
                own[kind] = _again(constant) if own and chosen(user) else constant
            user.replace_input_with(constant, own[kind])
    model.recompile()


def _again(constant: Node) -> Node:
    """A second reading of a constant, which is quantized apart.

    It has a name of its own: torchao removes what it folds, whoever else reads it.
    """
    owner = constant.graph.owning_module
    value, name = attribute(owner, constant), f"_{str(constant.target).replace('.', '_')}_again"
    while hasattr(owner, name):
        name += "_"
    if isinstance(value, torch.nn.Parameter):
        owner.register_parameter(name, value)
    else:
        owner.register_buffer(name, value)
    with constant.graph.inserting_after(constant):
        made = constant.graph.get_attr(name)
    made.meta = dict(constant.meta)
    return made


def _join_clamps(model: GraphModule, chosen: Chosen) -> None:
    """Put a clamp right behind what it clamps: the patterns match neighbours in the order of the graph."""
    for node in list(model.graph.nodes):
        if is_fused_clamp(node, {}) and chosen(node) and chosen(node.args[0]):
            node.args[0].append(node)
    model.graph.lint()
    model.recompile()


def _annotate_functions(model: GraphModule, chosen: Chosen) -> Collection[Node]:
    """The operators of functions of one tensor, which become tables."""
    sources = find_sources(model.graph, chosen)
    for node, source in sources.items():
        node.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True
        inputs = {
            operand: INT8_ACTIVATION_PER_TENSOR_QSPEC for operand in node.all_input_nodes if operand is source
        }
        ends = any(sources.get(user) is not source for user in node.users)
        output = INT8_ACTIVATION_PER_TENSOR_QSPEC if ends and is_float(node) else None
        _mark_node_as_quantized(node, inputs, output, is_quantized=False)
    return sources.keys()


def _annotation(node: Node) -> QuantizationAnnotation | None:
    return node.meta.get(Q_ANNOTATION_KEY)


def _float_operands(node: Node) -> list[Node]:
    return [operand for operand in node.all_input_nodes if is_float(operand)]


def _is_of_integers(node: Node) -> bool:
    """Whether a node makes floats of integers alone: a mean of counts, for instance."""
    values = [operand.meta.get("val") for operand in node.all_input_nodes]
    counts = [isinstance(value, torch.Tensor) and not value.dtype.is_floating_point for value in values]
    return is_float(node) and bool(counts) and all(counts)


def is_move(node: Node) -> bool:
    """Whether a node's results are its operands' elements: not where index_put adds them up."""
    adds = node.target is aten.index_put.default and len(node.args) > 3 and node.args[3] is True
    return (node.target in MOVES and not adds) or chooses(node)


def _moves_float(node: Node, chosen: Chosen) -> bool:
    return is_move(node) and is_float(node) and chosen(node)


def _component(start: Node, chosen: Chosen, apart: Set[Node]) -> set[Node]:
    """The operators that move the same elements on, from `start`, against and along the flow, but for those
    that are `apart`."""
    component, queue = {start}, [start]
    while queue:
        node = queue.pop()
        for neighbour in (*node.all_input_nodes, *node.users):
            if neighbour not in component and neighbour not in apart and _moves_float(neighbour, chosen):
                component.add(neighbour)
                queue.append(neighbour)
    return component


def _touches_int8(component: Collection[Node], states: Set[Node] = frozenset()) -> bool:
    """Whether anything quantized writes what they read, or reads what they write; `states` count as such."""
    for node in component:
        if node in states or not states.isdisjoint(node.all_input_nodes):
            return True
        for operand in _float_operands(node):
            annotation = _annotation(operand)
            if operand not in component and annotation is not None and annotation.output_qspec is not None:
                return True
        for user in node.users:
            annotation = _annotation(user)
            if (
                user not in component
                and annotation is not None
                and annotation.input_qspec_map.get(node) is not None
            ):
                return True
    return False


def _annotate_moves(model: GraphModule, chosen: Chosen) -> None:
    """One quantization for all tensors that the same elements pass through: SharedQspecQuantizer does so too,
    but it observes a fixed producer (softmax) anew, and turns clamps into users of their operand's range."""
    joined = joined_outputs(
        model.graph, lambda node: _moves_float(node, chosen) and node.target not in _CHOOSE
    )
    apart = {node for group in joined for node in group}
    states: set[Node] = set()
    done: set[Node] = set(apart)
    while True:
        done |= _annotate_components(model, chosen, apart, done, states)
        # What is int8 where it is moved is so in the next call, and where it is moved there.
        state_nodes = {
            node for pair in tied(model.graph) if _is_int8_state(*pair, done, chosen) for node in pair
        }
        if state_nodes <= states:
            break
        states |= state_nodes
        for node in state_nodes:
            if node.op == "placeholder" and _annotation(node) is None:
                _mark_node_as_quantized(node, {}, INT8_ACTIVATION_PER_TENSOR_QSPEC, is_quantized=True)
    for group in joined:
        _annotate_joined(group)


def _is_int8_state(state: Node, result: Node, done: Set[Node], chosen: Chosen) -> bool:
    """Whether a state is written in int8, or read so and only moved where it is written."""
    annotation = _annotation(result)
    if not is_float(state) or (annotation is not None and annotation.output_qspec is not None):
        return is_float(state)
    reads = [(_annotation(user), user) for user in state.users]
    others = [annotation for annotation, user in reads if user in done or not _moves_float(user, chosen)]
    is_read_so = bool(others) and all(other and other.input_qspec_map.get(state) for other in others)
    return is_read_so and (_moves_float(result, chosen) or result.op == "placeholder")


def _annotate_components(
    model: GraphModule, chosen: Chosen, apart: Set[Node], done: Set[Node], states: Set[Node]
) -> set[Node]:
    """Annotate moves that are not `done` where they touch what is int8, `states` among it. Returns them."""
    seen, made = set(done), set()
    order = {node: index for index, node in enumerate(model.graph.nodes)}
    for node in model.graph.nodes:
        if not _moves_float(node, chosen) or node in seen:
            continue
        component = _component(node, chosen, apart)
        seen |= component
        if not _touches_int8(component, states):
            continue
        made |= component
        members = sorted(component, key=lambda member: order[member])
        first = next(member for member in members if _float_operands(member))
        root = (_float_operands(first)[0], first)
        shared = SharedQuantizationSpec(root)
        for member in members:
            inputs: dict[Node, Any] = dict.fromkeys(_float_operands(member), shared)
            _mark_node_as_quantized(member, inputs, shared, is_quantized=True)
        # A softmax joined with others has to be brought to a range that holds them all.
        producers = {operand for m in members for operand in _float_operands(m) if operand not in component}
        alone = all(_is_fixed(model, producer) for producer in producers)
        first.meta[Q_ANNOTATION_KEY].input_qspec_map[root[0]] = (
            SharedQuantizationSpec(root[0]) if alone else INT8_ACTIVATION_PER_TENSOR_QSPEC
        )
    return made


def _annotate_joined(group: Sequence[Node]) -> None:
    """A scale for each part of an output, and one for the whole: `settle_scales` unites them, or drops the
    latter."""
    if not _touches_int8(group):
        return
    whole = SharedQuantizationSpec(group[0])
    for node in group:
        inputs: dict[Node, Any] = {
            operand: whole if operand in group else INT8_ACTIVATION_PER_TENSOR_QSPEC
            for operand in _float_operands(node)
        }
        output = INT8_ACTIVATION_PER_TENSOR_QSPEC if node is group[0] else whole
        _mark_node_as_quantized(node, inputs, output, is_quantized=True)
    remember_joined(group)


def _is_fixed(model: GraphModule, node: Node) -> bool:
    """Whether the quantization of a node's result is that of its kernel, which no reader changes."""
    annotation = _annotation(node)
    if annotation is None or annotation.output_qspec is None or is_int16(node):
        return False
    holder, key = root_place(node)
    spec = holder.output_qspec if key is None else holder.input_qspec_map[key]
    return isinstance(spec, FixedQParamsQuantizationSpec) or spec is SHARES


def _observed_edges(model: GraphModule) -> Iterator[tuple[Node, Node, QuantizationAnnotation]]:
    for node in model.graph.nodes:
        annotation = _annotation(node)
        if annotation is None:
            continue
        for operand, spec in annotation.input_qspec_map.items():
            if spec is INT8_ACTIVATION_PER_TENSOR_QSPEC:
                yield operand, node, annotation


def _follow_fixed(model: GraphModule) -> None:
    """Read a softmax in its own quantization, not in an observed one: between the two there would be a
    quantize that no pass folds, and AtenToCortexMPass then meets int8 and int32 at attention's bmm."""
    for operand, node, annotation in list(_observed_edges(model)):
        if not is_move(node) and _is_fixed(model, operand):
            annotation.input_qspec_map[operand] = SharedQuantizationSpec(operand)


def _annotate_inputs(model: GraphModule) -> None:
    """Quantize an input once for all its readers."""
    for operand, _node, _found in list(_observed_edges(model)):
        if (
            operand.op == "placeholder"
            and _annotation(operand) is None
            and not any(map(is_int16, operand.users))
        ):
            _mark_node_as_quantized(operand, {}, INT8_ACTIVATION_PER_TENSOR_QSPEC, is_quantized=True)


def _tie_state(model: GraphModule) -> None:
    """One quantization for a state that is read and for its new value, so that it is kept as integers."""
    inputs = {id(_annotation(node)): node for node in model.graph.nodes if node.op == "placeholder"}
    order = {node: index for index, node in enumerate(inputs.values())}
    for placeholder, result in tied(model.graph):
        if _annotation(placeholder) is None or _annotation(result) is None:
            continue
        # Shared quantizations refer to what comes before: the new value, whoever it shares with, to the old.
        holder, key = root_place(result)
        if key is not None and _annotation(key) is not None and key.op == "placeholder":
            # An input that is read as it is: the two are observed together.
            holder, key = root_place(key)
        spec = holder.output_qspec if key is None else holder.input_qspec_map[key]
        old, _ = root_place(placeholder)
        if spec is None or holder is old or isinstance(spec, FixedQParamsQuantizationSpec):
            continue
        earlier = inputs.get(id(holder)) if key is None else None
        if earlier is not None and order[earlier] < order[inputs[id(old)]]:
            # An input as it is, or a state before this one.
            old.output_qspec = SharedQuantizationSpec(earlier)
        elif key is None:
            holder.output_qspec = SharedQuantizationSpec(placeholder)
        else:
            holder.input_qspec_map[key] = SharedQuantizationSpec(placeholder)


def root_place(node: Node) -> tuple[QuantizationAnnotation, Node | None]:
    """Where the quantization of a result is chosen: an annotation, and the operand that it is of, or None."""
    holder, key = node.meta[Q_ANNOTATION_KEY], None
    spec = holder.output_qspec
    while isinstance(spec, SharedQuantizationSpec):
        place = spec.edge_or_node
        if isinstance(place, tuple):
            holder, key = place[1].meta[Q_ANNOTATION_KEY], place[0]
            spec = holder.input_qspec_map[key]
        else:
            holder, key = place.meta[Q_ANNOTATION_KEY], None
            spec = holder.output_qspec
    return holder, key
