"""Operators of the float graph that become int8 operators of ours, one for one.

A family (prelu.py, norms.py, ...) lists for its operators what is int8 about them before calibration, and
builds the integer operator, with its constants, between the dequantize and the quantize that stand around it
afterwards.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import floor, frexp, log2
from typing import Any

import torch
from executorch.backends.arm.common.annotation_meta import ArmAnnotationInfo
from executorch.backends.arm.quantizer.arm_quantizer_utils import _mark_node_as_quantized
from executorch.backends.cortex_m.quantizer.pattern_matcher import PatternMatcher
from executorch.backends.cortex_m.quantizer.quantization_configs import INT8_ACTIVATION_PER_TENSOR_QSPEC
from executorch.backends.transforms.utils import create_constant_placeholder, get_param_tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import SharedQuantizationSpec

from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import inherit, run_fake
from mcu_build.lower.integer.ops import operator

QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default


@dataclass(frozen=True)
class Site:
    """A float operator between a dequantize (of `source`) and a quantize, both per tensor and of one type:
    int8, or int16 with zero points of 0."""

    exported: ExportedProgram
    node: Node
    source: Node
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int
    is_int16: bool = False

    @classmethod
    def between(
        cls, exported: ExportedProgram, node: Node, start: Node, end: Node, is_int16: bool = False
    ) -> "Site":
        """An operator behind the dequantize `start` of its first operand and before the quantize `end`."""
        scales = (float(start.args[1]), int(start.args[2]), float(end.args[1]), int(end.args[2]))
        return cls(exported, node, start.args[0], *scales, is_int16=is_int16)

    def call(self, name: str, *arguments: Any) -> Node:
        """A call of `mcu_build::name`; tensors among the arguments become constants of the program."""
        return self.call_operator(operator(name), *arguments)

    def call_operator(self, target: Any, *arguments: Any) -> Node:
        """A call of any operator, likewise."""
        operands = [
            self.constant(f"{self.node.name}_{index}", value) if isinstance(value, torch.Tensor) else value
            for index, value in enumerate(arguments)
        ]
        with self.exported.graph.inserting_before(self.node):
            made = self.exported.graph.call_function(target, tuple(operands))
        inherit(made, self.node)
        return made

    def integer(self, operand: Node) -> Node:
        """The integer tensor of a further operand that is quantized, itself where it is none."""
        is_quantized = operand.target is DEQUANTIZE
        return operand.all_input_nodes[0] if is_quantized else operand

    def value_of(self, argument: Any) -> torch.Tensor | None:
        """The tensor of a constant argument, None where it is absent."""
        return get_param_tensor(self.exported, argument).detach() if isinstance(argument, Node) else None

    def constant(self, name: str, value: torch.Tensor) -> Node:
        """A new constant of the program."""
        first = next(node for node in self.exported.graph.nodes if node.op == "placeholder")
        with self.exported.graph.inserting_before(first):
            return create_constant_placeholder(
                self.exported, self.exported.graph, f"{name}_integers", InputKind.PARAMETER, value
            )


@dataclass(frozen=True)
class Int8Form:
    """What is int8 of an operator: its first operand, and its result.

    `accepts` says whether a call has the form; `build` makes the integer operator, or nothing where
    executorch has it. The result's range is observed, unless it has a given `output` quantization (`outside`:
    where the model's caller gets it), or `shares` that of the operand. `others` are further operands with
    their quantization.
    """

    accepts: Callable[[Node], bool]
    build: Callable[[Site], Node | None]
    shares: bool = False
    output: Any = INT8_ACTIVATION_PER_TENSOR_QSPEC
    outside: Any = None
    others: Callable[[Node], Iterable[tuple[Node, Any]]] = lambda node: ()


def forms() -> Mapping[Any, Int8Form]:
    """All of them, by the float operator."""
    from mcu_build.lower.rewrite import masked_softmax, norms, pick, prelu, resample

    return {**prelu.FORMS, **norms.FORMS, **resample.FORMS, **pick.FORMS, **masked_softmax.forms()}


def are_constants(*arguments: Any) -> bool:
    """Whether all arguments are constants of the model, or absent."""
    return all(
        argument is None or (isinstance(argument, Node) and argument.op == "get_attr")
        for argument in arguments
    )


def annotate_forms(model: GraphModule, is_move: Callable[[Node], bool], chosen: Chosen = everything) -> None:
    """Mark them as quantized; `is_move`: whether an operator only moves elements."""
    known, outside = forms(), _seen_outside(model, is_move)
    for node in model.graph.nodes:
        form = known.get(node.target)
        if form is None or not chosen(node) or not form.accepts(node):
            continue
        source = node.args[0]
        output = SharedQuantizationSpec((source, node)) if form.shares else form.output
        if node in outside and form.outside is not None:
            output = form.outside
        inputs = {source: INT8_ACTIVATION_PER_TENSOR_QSPEC, **dict(form.others(node))}
        _mark_node_as_quantized(node, inputs, output, is_quantized=form.shares)
        node.meta[PatternMatcher.Q_PATTERN_MATCHED_KEY] = True


def _seen_outside(model: GraphModule, is_move: Callable[[Node], bool]) -> set[Node]:
    """What ends in outputs of the model, moved at most."""
    seen: set[Node] = set()
    for node in reversed(model.graph.nodes):
        if any(user.op == "output" or (user in seen and is_move(user)) for user in node.users):
            seen.add(node)
    return seen


def replace_ends(exported: ExportedProgram, make: Callable[[Node], Node | None]) -> None:
    """Put integer operators in the place of quantizes: what `make` gives for one, nothing where it stays."""
    for end in list(exported.graph.nodes):
        made = make(end) if end.target is QUANTIZE and isinstance(end.args[0], Node) else None
        if made is None:
            continue
        if made.op == "call_function" and "val" not in made.meta:
            made.meta["val"] = run_fake(made, end.meta["val"].fake_mode)
        end.replace_all_uses_with(made, propagate_meta=False)
    exported.graph.eliminate_dead_code()
    exported.graph.lint()
    exported.graph_module.recompile()


def build_forms(exported: ExportedProgram, chosen: Chosen = everything) -> None:
    """Replace quantize(operator(dequantize(x))) by the integer operator on x."""
    known = forms()

    def make(end: Node) -> Node | None:
        node = end.args[0]
        form = known.get(node.target)
        if form is None or not chosen(node):
            return None
        start = node.args[0]
        if start.target is not DEQUANTIZE or not start.args[5] is end.args[5] is torch.int8:
            return None
        made = form.build(Site.between(exported, node, start, end))
        if made is None:
            _leave_to_executorch(node, form)
        else:
            made.meta["val"] = end.meta["val"]
        return made

    replace_ends(exported, make)


def _leave_to_executorch(node: Node, form: Int8Form) -> None:
    """Let executorch's passes fold the quantization around an operator into the one that they have for it."""
    if form.accepts(node):
        note_quantized(node)


def note_quantized(node: Node) -> None:
    """Have executorch's passes fold the quantization around an operator into it."""
    notes = node.meta.get("custom") or {}
    node.meta["custom"] = {**notes, ArmAnnotationInfo.CUSTOM_META_KEY: ArmAnnotationInfo(quantized=True)}


def fixed_point(values: torch.Tensor, bits: int, shifts: tuple[int, int]) -> tuple[torch.Tensor, int]:
    """Real numbers as int32 of at most `bits` bits and a common shift within `shifts`:
    values = integers / 2^shift."""
    largest = float(values.abs().max())
    shift = bits - 1 - floor(log2(largest)) if largest > 0 else shifts[1]
    shift = min(max(shift, shifts[0]), shifts[1])
    limit = (1 << bits) - 1
    scaled = torch.round(values.to(torch.float64) * 2.0**shift).clamp(-limit, limit)
    return scaled.to(torch.int32), shift


def multiplier_and_shift(factor: float) -> tuple[int, int]:
    """A positive factor as requantize takes it: factor = multiplier * 2^(shift - 31)."""
    fraction, exponent = frexp(factor)
    multiplier = round(fraction * (1 << 31))
    return (multiplier, exponent) if multiplier < 1 << 31 else (multiplier >> 1, exponent + 1)
