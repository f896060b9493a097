"""Programs that their author has quantized: PT2E's quantize and dequantize operators around float ones.

Between `take_out` and `put_back` such a program is a float program, so that every rewrite of the lowering
works on it, with a marker wherever a value was rounded (`mcu_build::quantized_as` for what is computed,
`mcu_build::quantized_weights` for constants). The markers take the place of what calibration finds for other
programs. What the int8 kernels cannot compute in the author's scales stays in float, where it is the same to
the bit.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from executorch.backends.cortex_m.quantizer.quantization_configs import INT8_ACTIVATION_PER_TENSOR_QSPEC
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import (
    DerivedQuantizationSpec,
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    SharedQuantizationSpec,
)
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mcu_build.errors import McuError
from mcu_build.lower.annotate.given_markers import marker, weights_marker
from mcu_build.lower.annotate.int8 import Quantizer, root_place
from mcu_build.lower.annotate.per_channel import as_convolution
from mcu_build.lower.assigned import operator_name
from mcu_build.lower.builder import Builder, aten, attribute, fake_mode, shape
from mcu_build.lower.lines import source_line
from mcu_build.lower.refusals import refusal
from mcu_build.lower.rewrite.fold import evaluated, fold_constants

_NAMESPACE = "quantized_decomposed"
_QUANTIZE = "quantize_per_tensor"
_DEQUANTIZE = ("dequantize_per_tensor", "dequantize_per_channel")
_FLOAT = "it is in float in the given program"
_OTHER = "its int8 kernel takes other scales than the given program has"
_AT_RUN_TIME = (
    "Give the model.py: there the weights of torchao's `quantize_` are kept, activations get fixed ranges."
)
_HINT = (
    "int8 activations with one scale a tensor, and int8 weights with one a tensor or output channel, are "
    "kept: quantize with CortexMQuantizer, XNNPACKQuantizer or EthosUQuantizer, or give the float model."
)


@dataclass(frozen=True)
class Scales:
    """real = scale * (q - zero_point), `low` <= q <= `high`; one scale, or one for each index of `axis`."""

    scale: torch.Tensor
    zero_point: torch.Tensor
    low: int
    high: int
    axis: int = 0


class _Given(FixedQParamsQuantizationSpec):  # type: ignore[misc]
    """The scale of a marker, as opposed to one that a kernel prescribes."""


def is_marked(exported: ExportedProgram) -> bool:
    """Whether anything of a program was rounded by its author."""
    return any(node.target in (marker(), weights_marker()) for node in exported.graph.nodes)


def has_scales(exported: ExportedProgram) -> bool:
    """Whether its activations have scales of its author's, too."""
    return any(node.target is marker() for node in exported.graph.nodes)


def take_out(exported: ExportedProgram) -> ExportedProgram:
    """The program in float with markers; a program without quantize and dequantize operators as it is.

    McuError with everything that is quantized in a way that no int8 kernel has.
    """
    anew = [node for node in exported.graph.nodes if operator_name(node).startswith("torchao::choose_")]
    if anew:
        places = (f"{source_line(node) or 'the model'}: {operator_name(node)}" for node in anew)
        wrong = [f"{place}: activations are quantized anew at each call" for place in places]
        raise McuError("\n".join(wrong), _AT_RUN_TIME)
    if not any(_kind(node) for node in exported.graph.nodes):
        return exported
    known = evaluated(exported, dequantize=True)
    wrong = list(_not_kept(exported, known))
    if wrong:
        raise McuError("\n".join(wrong), _HINT)
    _mark_weights(exported, known)
    folded = fold_constants(exported, dequantize=True)
    _mark(folded)
    return folded


def put_back(converted: GraphModule) -> None:
    """Take the markers out of a quantized graph, and what quantizes twice in one scale."""
    for node in list(converted.graph.nodes):
        if node.target is marker():
            node.replace_all_uses_with(node.args[0])
            converted.graph.erase_node(node)
    for node in list(converted.graph.nodes):
        before = node.args[0] if _kind(node) == _QUANTIZE else None
        if isinstance(before, Node) and _kind(before) == _DEQUANTIZE[0] and before.args[1:] == node.args[1:]:
            node.replace_all_uses_with(before.args[0])
            converted.graph.erase_node(node)
    converted.graph.eliminate_dead_code()
    converted.recompile()


class WeightsQuantizer(Quantizer):
    """The quantizer of our own, with the author's scales for weights that have them."""

    def __init__(self, **choices: Any) -> None:
        super().__init__(**choices)
        self._weights: Mapping[str, Scales] = {}

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Rewrite the float graph; linear layers with a scale for each output become convolutions."""
        self._weights = {_numbers(weight): scales for weight, scales in _take_weights(model)}
        return super().transform_for_annotation(model)

    def _scale_outputs(self, model: GraphModule) -> None:
        """Also of those whose author has given each output its scale."""
        self._split_known(model)
        super()._scale_outputs(model)

    def _split_known(self, model: GraphModule) -> None:
        for node in list(model.graph.nodes):
            if node.target is aten.linear.default:
                scales = self._scales(model, node)
                if scales is not None and scales.scale.numel() > 1:
                    as_convolution(model, node)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark what is quantized, and how. RefusedError for layers that cannot have the author's weights."""
        super().annotate(model)
        layers = [node for node in model.graph.nodes if Q_ANNOTATION_KEY in node.meta]
        known = [node for node in layers if self._scales(model, node) is not None]
        refused = {
            node: _OTHER for node in known if not self._keep_weights(model, node, node.meta[Q_ANNOTATION_KEY])
        }
        if refused:
            raise refusal(refused)
        return model

    def _keep_weights(self, model: GraphModule, node: Node, annotation: QuantizationAnnotation) -> bool:
        """Quantize the weights of a layer as the author did. False where its kernel cannot."""
        for operand, spec in list(annotation.input_qspec_map.items()):
            if operand.op != "get_attr" or not isinstance(spec, QuantizationSpec):
                continue
            scales = self._scales(model, node)
            if scales is None:
                return False
            made = _weight_spec(node, scales, spec)
            if made is None:
                return False
            annotation.input_qspec_map[operand] = made
        return True

    def _scales(self, model: GraphModule, node: Node) -> Scales | None:
        """How the author has quantized the weights of a layer, which rewrites may have reshaped."""
        weight = node.args[1] if len(node.args) > 1 else None
        if not isinstance(weight, Node) or weight.op != "get_attr":
            return None
        return self._weights.get(_numbers(attribute(model, weight).detach()))


class GivenQuantizer(WeightsQuantizer):
    """Likewise, with the author's scales in place of observed ones for activations, too."""

    def _scale_outputs(self, model: GraphModule) -> None:
        self._split_known(model)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark what is quantized, and how. RefusedError for what cannot be in the author's scales."""
        markers = [node for node in model.graph.nodes if node.target is marker()]
        for node in markers:
            node.meta[Q_ANNOTATION_KEY] = _as_given(node)
        Quantizer.annotate(self, model)
        for node in markers:
            _give_scale(node)
        refused = dict(self._refused_nodes(model))
        if refused:
            raise refusal(refused)
        return model

    def _refused_nodes(self, model: GraphModule) -> Iterator[tuple[Node, str]]:
        for node in model.graph.nodes:
            annotation = node.meta.get(Q_ANNOTATION_KEY)
            if annotation is None or node.target is marker():
                continue
            if not self._keep_weights(model, node, annotation):
                yield node, _OTHER
            elif node.op == "placeholder" and not _is_given(node):
                yield from ((user, _FLOAT) for user in node.users if user.target is not marker())
            elif node.op == "call_function" and annotation.output_qspec is not None and not _is_given(node):
                yield node, _FLOAT if not _marker_behind(node) else _OTHER
            elif any(_is_observed(spec) for spec in annotation.input_qspec_map.values()):
                yield node, _FLOAT


def _kind(node: Node) -> str:
    """'quantize_per_tensor', ... for the operators of PT2E; empty for others."""
    space, _, name = operator_name(node).partition("::") if node.op == "call_function" else ("", "", "")
    return name.split(".")[0] if space == _NAMESPACE else ""


def _mark_weights(exported: ExportedProgram, known: Mapping[Node, Any]) -> None:
    """Put a marker behind every constant that is dequantized."""
    mode = fake_mode(exported.graph_module)
    for node in list(exported.graph.nodes):
        if _kind(node) not in _DEQUANTIZE or node not in known:
            continue
        scale, zero_point, *rest = (
            known[argument] if isinstance(argument, Node) else argument for argument in node.args[1:]
        )
        axis, low, high = (0, *rest[:2]) if _kind(node) == _DEQUANTIZE[0] else rest[:3]
        lists = torch.as_tensor(scale).reshape(-1).tolist(), torch.as_tensor(zero_point).reshape(-1).tolist()
        made = Builder(exported.graph_module, mode, node.next)(
            weights_marker(), node, *lists, low, high, axis
        )
        node.replace_all_uses_with(made, delete_user_cb=lambda user, made=made: user is not made)


def _take_weights(model: GraphModule) -> Iterator[tuple[torch.Tensor, Scales]]:
    """Take the markers of weights out: the weights, and how each was rounded."""
    for node in list(model.graph.nodes):
        if node.target is weights_marker():
            constant, scale, zero_point, low, high, axis = node.args
            scales = torch.tensor(scale, dtype=torch.float32), torch.tensor(zero_point)
            yield attribute(model, constant).detach().clone(), Scales(*scales, low, high, axis)
            node.replace_all_uses_with(constant)
            model.graph.erase_node(node)
    model.recompile()


def _not_kept(exported: ExportedProgram, known: Mapping[Node, Any]) -> Iterator[str]:
    """What is quantized otherwise than int8 kernels are, with its place."""
    for node in exported.graph.nodes:
        kind = _kind(node)
        if not kind or node in known:
            continue
        where = f"{source_line(node) or 'the model'}: {operator_name(node)}"
        if kind not in (_QUANTIZE, _DEQUANTIZE[0]) or any(
            isinstance(argument, Node) for argument in node.args[1:3]
        ):
            yield f"{where}: activations are quantized with one fixed scale only"
        elif _as_int8(node) is None:
            yield f"{where}: activations of {node.args[5]}, {node.args[3]} to {node.args[4]}"
        elif kind == _QUANTIZE and any(_kind(user) != _DEQUANTIZE[0] for user in node.users):
            yield f"{where}: its integers are used otherwise than by dequantizing them"
        elif kind == _DEQUANTIZE[0] and _kind(node.args[0]) != _QUANTIZE:
            yield f"{where}: inputs are integers; `--io int8` makes firmware of that kind"


def _as_int8(node: Node) -> tuple[float, int, int, int] | None:
    """Scale, zero point and range of int8 numbers; uint8 of the whole range is the same 128 further."""
    scale, zero_point, low, high, dtype = node.args[1:6]
    if dtype is torch.int8:
        return scale, zero_point, low, high
    if dtype is torch.uint8 and (low, high) == (0, 255):
        return scale, zero_point - 128, -128, 127
    return None


def _mark(exported: ExportedProgram) -> None:
    """Put a marker in the place of each quantize with its dequantize."""
    graph, mode = exported.graph, fake_mode(exported.graph_module)
    for node in list(graph.nodes):
        if _kind(node) != _QUANTIZE:
            continue
        readers = list(node.users)
        made = Builder(exported.graph_module, mode, node)(marker(), node.args[0], *(_as_int8(node) or ()))
        for reader in readers:
            reader.replace_all_uses_with(made)
            graph.erase_node(reader)
        graph.erase_node(node)
    for result, spec in zip(graph.output_node().args[0], exported.graph_signature.output_specs, strict=True):
        if isinstance(result, Node):
            spec.arg.name = result.name
    graph.lint()
    exported.graph_module.recompile()


def _as_given(node: Node) -> QuantizationAnnotation:
    """The annotation of a marker: the author's scale for what it reads and for what it gives."""
    scale, zero_point, low, high = node.args[1:]
    spec = _Given(dtype=torch.int8, scale=scale, zero_point=zero_point, quant_min=low, quant_max=high)
    return QuantizationAnnotation(input_qspec_map={node.args[0]: spec}, output_qspec=spec, _annotated=True)


def _give_scale(node: Node) -> None:
    """Have what a marker reads be in the author's scale, where nothing else reads it and it is free."""
    source: Node = node.args[0]
    written = source.meta.get(Q_ANNOTATION_KEY)
    if written is None or written.output_qspec is None or len(source.users) > 1:
        return
    annotation: QuantizationAnnotation = node.meta[Q_ANNOTATION_KEY]
    holder, key = root_place(source)
    if key is None and _is_observed(holder.output_qspec):
        holder.output_qspec = annotation.output_qspec
    elif key is not None and _is_observed(holder.input_qspec_map[key]):
        # What is only moved on before it is rounded.
        holder.input_qspec_map[key] = annotation.output_qspec
        producer = key.meta.get(Q_ANNOTATION_KEY)
        if producer is not None and _is_observed(producer.output_qspec) and len(key.users) == 1:
            producer.output_qspec = annotation.output_qspec
    annotation.input_qspec_map[source] = SharedQuantizationSpec(source)


def _is_given(node: Node) -> bool:
    """Whether the scale of a node's result is that of the marker behind it, or of what it only moves."""
    spec = _root_spec(node)
    behind = _marker_behind(node)
    if not isinstance(spec, _Given):
        return False
    return behind is None or (spec.scale, spec.zero_point) == tuple(behind.args[1:3]) or _only_moves(node)


def _root_spec(node: Node) -> Any:
    holder, key = root_place(node)
    return holder.output_qspec if key is None else holder.input_qspec_map[key]


def _only_moves(node: Node) -> bool:
    """Whether a result shares the scale of an operand: requantizing it behind that changes nothing."""
    return isinstance(node.meta[Q_ANNOTATION_KEY].output_qspec, SharedQuantizationSpec)


def _marker_behind(node: Node) -> Node | None:
    return next((user for user in node.users if user.target is marker()), None)


def _is_observed(spec: Any) -> bool:
    return spec is INT8_ACTIVATION_PER_TENSOR_QSPEC


def _weight_spec(node: Node, scales: Scales, spec: QuantizationSpec) -> Any:
    """The author's scales in the form that the kernel's specification has; None where it has no such form."""
    wide = spec.ch_axis is not None
    if scales.scale.numel() > 1 and (not wide or scales.axis != spec.ch_axis):
        return None
    count = shape(node.args[1])[spec.ch_axis] if wide else 1
    scale, zero_point = scales.scale.expand(count), scales.zero_point.expand(count)
    if bool(zero_point.any()):
        return None
    return DerivedQuantizationSpec(
        derived_from=[(node.args[0], node)],
        derive_qparams_fn=lambda _: (scale, zero_point),
        dtype=torch.int8,
        quant_min=scales.low,
        quant_max=scales.high,
        qscheme=spec.qscheme,
        ch_axis=spec.ch_axis,
    )


def _numbers(weight: torch.Tensor) -> str:
    """What tells weights apart that rewrites may have reshaped: their numbers, and sizes above 1."""
    sizes = [size for size in weight.shape if size != 1]
    return hashlib.sha256(repr(sizes).encode() + weight.contiguous().numpy().tobytes()).hexdigest()
