"""Quantization for an Ethos-U: what it can take for it, everything else for the int8 kernels of the core.

What it can take is known only after quantization. So the model is quantized for the NPU, partitioned on
trial, and quantized again with the rejected operators given to the core, until nothing more is rejected.
"""

import copy
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from executorch.backends.arm._passes import DecomposeMatmulPass
from executorch.backends.arm.constants import DQ_OPS, Q_OPS
from executorch.backends.arm.ethosu import EthosUCompileSpec
from executorch.backends.arm.quantizer import (
    EthosUQuantizer,
    get_symmetric_a16w8_quantization_config,
    get_symmetric_quantization_config,
)
from executorch.backends.cortex_m.edge_compile_config import cortex_m_edge_compile_config
from executorch.backends.cortex_m.quantizer.pattern_matcher import PatternMatcher
from executorch.exir import to_edge_transform_and_lower
from executorch.exir.backend.partitioner import PartitionResult
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node
from torchao.quantization.pt2e.quantizer import QuantizationSpec, Quantizer, SharedQuantizationSpec
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from mcu_build.frontend.quantize import Inputs, Quantized, quantize_layers, ruined_by_int8
from mcu_build.lower.annotate import int8 as annotate
from mcu_build.lower.annotate.clusters import is_float
from mcu_build.lower.annotate.tails import cut_tails
from mcu_build.lower.assigned import (
    assign_to_cpu,
    is_for_cpu,
    is_int4,
    is_int16,
    make_int16,
    origin,
    remember_origin,
    why_in_float,
    why_on_cpu,
)
from mcu_build.lower.integer.recurrent import build_recurrent
from mcu_build.lower.npu.partition import Partitioner
from mcu_build.lower.npu.vela import proven
from mcu_build.lower.npu.vela_defects import mended_passes
from mcu_build.lower.refusals import RefusedError, named
from mcu_build.lower.rewrite import computed_weights, recurrent
from mcu_build.lower.rewrite.bounded_masks import bound_masks
from mcu_build.lower.rewrite.legalize import ATTENTION_RULES, MASKED_ATTENTION_RULES, legalize
from mcu_build.lower.rewrite.legalize_moves import NPU_RULES
from mcu_build.lower.upstream.quiet import quick, quiet

# A round can only reject what the one before has cut off, or what is wrong behind what was: a few are enough.
_ROUNDS = 8
# What Vela makes of the delegates is proven for these: one of each kind that shares the quantization.
_PROVEN = {"ethos-u55": ("ethos-u55-128", "ethos-u65-256"), "ethos-u85": ("ethos-u85-256",)}
_OTHER_TYPE = re.compile(
    r"torch\.(?P<type>\w+) (?:in|out)put.* not supported by TOSA|unsupported dtype torch\.(?P<given>\w+)"
)
_OTHER_RESULT = re.compile(
    r"Output dtype torch\.(?P<made>\w+) is not supported .* for input dtype torch\.(?P<given>\w+)"
)
_CUT_OFF = "what is before or behind it does not run there"
# Of a partition that gives back what it is given.
_COPY = "a copy of an input, which the core makes"
_WIDE = "`precision` in the model file asks for int16"
_NARROW = "`precision` in the model file asks for int4"
_COPIES = frozenset(getattr(torch.ops.aten, name).default for name in ("clone", "alias", "detach"))


def quantize_for_npu(
    exported: ExportedProgram,
    calibration: Iterable[Inputs],
    kind: str,
    activation_bits: int = 8,
    examples: Callable[[], Iterable[Inputs]] = tuple,
    step: Callable[[str], None] = lambda text: None,
    tosa_folder: Path | None = None,
) -> Quantized:
    """Quantize for an NPU of `kind` ('ethos-u55', ...); what it rejects is marked (assigned.py).

    Activations have 8 bits or 16, weights 8, on the core as on the NPU. `examples` as in
    quantize.quantize_layers. `step` reports every round. The delegates' TOSA, which their proof
    needs, is left in `tosa_folder` for ethos_u.lower.
    """
    items = list(calibration)
    spec = EthosUCompileSpec(f"{kind}-256")
    graph = exported.module(check_guards=False).graph
    rejected = {node.name: computed_weights.WHY for node in computed_weights.layers(graph)}
    rejected |= {node.name: recurrent.WHY for node in recurrent.calls(graph)}
    if activation_bits == 8:
        rejected |= {node.name: _WIDE for node in graph.nodes if is_int16(node)}
    rejected |= {node.name: _NARROW for node in graph.nodes if is_int4(node)}
    rejected |= {node.name: why for node in graph.nodes if (why := why_in_float(node))}
    ruined = ruined_by_int8(exported, items) if activation_bits == 8 else {}
    rejected |= ruined
    rejected |= {node.name: _COPY for node in copied_inputs(graph)}

    def attempt() -> Quantized:
        with quiet():
            quantizer = SplitQuantizer(spec, rejected, activation_bits, ruined, items)
        return quantize_layers(exported, items, examples, quantizer)

    for number in range(1, _ROUNDS + 1):
        step(f"round {number} for the NPU: {len(rejected)} operators left to the core")
        try:
            quantized = attempt()
            reasons: Mapping[str, str] = _reject(
                quantized.program, spec, rejected, _PROVEN[kind], tosa_folder
            )
        except RefusedError as error:
            if error.reasons.keys() <= rejected.keys():
                raise
            reasons = error.reasons
        if reasons.keys() <= rejected.keys():
            return quantized
        rejected = {**reasons, **rejected}
    return attempt()


class SplitQuantizer(Quantizer):  # type: ignore[misc]
    """EthosUQuantizer for all operators but `rejected` (their names in the float graph, with the reason).

    Of these, `in_float` stay in float. `calls` are calibration data, which masks are bounded by.
    """

    def __init__(
        self,
        spec: EthosUCompileSpec,
        rejected: Mapping[str, str],
        activation_bits: int,
        in_float: Mapping[str, str] = MappingProxyType({}),
        calls: Sequence[Inputs] = (),
    ) -> None:
        self._bits, self._calls = activation_bits, calls
        self._rejected = rejected
        self._wide = activation_bits == 16
        self._cpu = annotate.Quantizer(_is_wide_for_cpu if self._wide else is_for_cpu, in_float)
        self._npu = EthosUQuantizer(spec)
        self._npu.set_global(
            get_symmetric_a16w8_quantization_config() if self._wide else get_symmetric_quantization_config()
        )
        self._npu.set_node_finder(None, _ForCpu())

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Rewrite every operator for where it will run."""
        # The NPU has no products of 16 bits: each has to be known by name to be left to the core, and those
        # that executorch makes later have none.
        attention = ATTENTION_RULES if self._wide else MASKED_ATTENTION_RULES
        legalize(model, rules={**NPU_RULES, **attention})
        bound_masks(model, self._calls, margin=self._bits)
        if self._wide:
            model = _Products(tfa_pass=True)(model).graph_module
        for node in _operators(model):
            _take_stride_off_single_window(node)
            remember_origin(node)
            if why := self._rejected.get(node.name) or _why_of_source(node):
                self._leave(node, why)
        if self._rejected:
            model = self._cpu.transform_for_annotation(model)
        return self._npu.transform_for_annotation(model)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Mark what is quantized, and how: the NPU's operators first."""
        self._npu.annotate(model)
        cut_tails(model.graph)
        if not self._rejected:
            return model
        for node in _operators(model):
            annotation = node.meta.get(Q_ANNOTATION_KEY)
            # Moves among operators of the core have no quantized neighbour that the NPU's quantizer knows.
            if annotation is None and is_float(node) and not is_for_cpu(node):
                self._leave(node, _CUT_OFF)
            if is_for_cpu(node):
                node.meta.pop(Q_ANNOTATION_KEY, None)
                node.meta.pop(PatternMatcher.Q_PATTERN_MATCHED_KEY, None)
        self._cpu.annotate(model)
        _join_boundaries(model, self._wide)
        return model

    def _leave(self, node: Node, why: str) -> None:
        """To the core, in as many bits as the NPU has."""
        assign_to_cpu(node, why)
        if self._wide and not is_int4(node):
            make_int16(node)

    def validate(self, model: GraphModule) -> None:
        """Nothing that the two have not checked."""


def _why_of_source(node: Node) -> str:
    """Of one of several results: why what gives them is left to the core."""
    is_part = node.target is operator.getitem and isinstance(node.args[0], Node)
    return why_on_cpu(node.args[0]) if is_part else ""


def _is_wide_for_cpu(node: Node) -> bool:
    return is_for_cpu(node) and is_int16(node)


class _Trial(Partitioner):
    """A partitioner that says what it would not delegate, by origin, and delegates nothing unless all of that
    is `known`.
    """

    def __init__(self, spec: EthosUCompileSpec, known: Collection[str]) -> None:
        super().__init__(spec)
        self._known = known
        self.rejected: dict[str, str] = {}

    def partition(self, exported_program: ExportedProgram) -> PartitionResult:
        """Partition, tell, and forget."""
        result = super().partition(exported_program)
        tagged = result.tagged_exported_program
        for node in _operators(tagged.graph_module):
            made_from = origin(node)
            new = made_from and made_from.name not in self._known
            if (
                made_from
                and new
                and "delegation_tag" not in node.meta
                and node.target not in (*Q_OPS, *DQ_OPS)
            ):
                self.rejected.setdefault(made_from.name, in_words(self.reasons.get(node, _CUT_OFF)))
        if not self.rejected:
            return result
        for node in tagged.graph.nodes:
            node.meta.pop("delegation_tag", None)
        return PartitionResult(tagged_exported_program=tagged, partition_tags={})


class _Products(DecomposeMatmulPass):  # type: ignore[misc]
    """DecomposeMatmulPass that keeps the lines of the model."""

    def _get_placeholder_map(self, node: Node, decomposed_module: GraphModule) -> dict[str, Node]:
        for made in decomposed_module.graph.nodes:
            made.meta["stack_trace"] = node.meta.get("stack_trace")
        placeholders: dict[str, Node] = super()._get_placeholder_map(node, decomposed_module)
        return placeholders


class _ForCpu:
    """What executorch calls a node finder: the nodes that are for the core."""

    def find_nodes(self, model: GraphModule) -> Iterable[Node]:
        """The nodes, in order."""
        return iter([node for node in _operators(model) if is_for_cpu(node)])


def copied_inputs(graph: Graph) -> Iterable[Node]:
    """Copies of inputs and of state that nothing but an output reads.

    A partition of one has an output that is its input, which neither Vela nor a command stream knows.
    """
    copied: set[Node] = set()
    for node in graph.nodes:
        operands = node.all_input_nodes
        is_copy = node.target in _COPIES and (operands[0].op == "placeholder" or operands[0] in copied)
        if is_copy and all(user.op == "output" or user.target in _COPIES for user in node.users):
            copied.add(node)
    return copied


def in_words(reason: str) -> str:
    """A reason of the partitioner as a user reads it."""
    if "fp dtype" in reason or "_NotForCpu" in reason:
        return _CUT_OFF
    if "not marked as quantized" in reason:
        return "executorch does not quantize it for an NPU"
    if "registered tosa_support_check" in reason:
        return "there is no such operator on the NPU"
    if match := _OTHER_TYPE.search(reason):
        return f"the NPU has no tensors of {match['type'] or match['given']} there"
    if match := _OTHER_RESULT.search(reason):
        return f"the NPU does not make {match['made']} of {match['given']}"
    return " ".join(reason.split()).rstrip(".")


def _take_stride_off_single_window(node: Node) -> None:
    """Pooling of the whole image: a stride that takes no step may be one that the NPU has."""
    if node.target != torch.ops.aten.avg_pool2d.default or any(size != 1 for size in _image(node)):
        return
    image, window = node.args[:2]
    node.args = (image, window, [1, 1], *node.args[3:])


def _image(node: Node) -> tuple[int, ...]:
    return tuple(node.meta["val"].shape[-2:])


def _reject(
    quantized: ExportedProgram,
    spec: EthosUCompileSpec,
    known: Collection[str],
    targets: Sequence[str],
    tosa_folder: Path | None,
) -> dict[str, str]:
    """What the NPU does not take beside what is `known`; if that is nothing, what Vela compiles wrong."""
    trial = _Trial(spec, known)
    with quiet(), quick(), named("lowered"), mended_passes(), proven(targets, tosa_folder) as wrong:
        tried = copy.deepcopy(quantized)
        # Else torch takes them apart, step by step.
        build_recurrent(tried, is_for_cpu)
        to_edge_transform_and_lower(tried, partitioner=[trial], compile_config=cortex_m_edge_compile_config())
    return trial.rejected or {name: why for name, why in wrong.items() if name not in known}


def _operators(model: GraphModule) -> list[Node]:
    return [node for node in model.graph.nodes if node.op == "call_function"]


def _join_boundaries(model: GraphModule, wide: bool) -> None:
    """One quantization for a tensor that one side writes and the other reads: no rescaling between them."""
    for node in _operators(model):
        annotation = node.meta.get(Q_ANNOTATION_KEY)
        for operand, spec in list(annotation.input_qspec_map.items()) if annotation else []:
            written = operand.meta.get(Q_ANNOTATION_KEY)
            crosses = operand.op == "call_function" and is_for_cpu(operand) != is_for_cpu(node)
            has_range = written is not None and written.output_qspec is not None
            dtype = torch.int16 if wide or is_int16(operand) else torch.int8
            if crosses and has_range and _is_observed(spec, dtype):
                annotation.input_qspec_map[operand] = SharedQuantizationSpec(operand)


def _is_observed(spec: Any, dtype: Any) -> bool:
    return isinstance(spec, QuantizationSpec) and spec.dtype is dtype
