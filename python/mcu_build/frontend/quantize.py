"""Float ExportedProgram → int8 ExportedProgram: quantize and dequantize around every operator that is int8.

The quantizer is executorch's CortexMQuantizer (per-channel weights, int8 activations) or, with an NPU, that
of quantize_npu.py. Nothing here depends on the board's core, so that boards share the result.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from mcu_build.errors import McuError
from mcu_build.frontend.biases import correct, float_model
from mcu_build.frontend.eager_numbers import NAN_HINT
from mcu_build.frontend.histogram import quick_histograms
from mcu_build.frontend.layer_quality import FloatValues, LayerQuality, quality_by_node
from mcu_build.frontend.not_finite import first_not_finite
from mcu_build.lower.builder import shape
from mcu_build.lower.refusals import named, without_refused
from mcu_build.lower.upstream.quiet import quick, quiet, without_training

if TYPE_CHECKING:
    from torchao.quantization.pt2e.quantizer import Quantizer

Inputs = tuple[torch.Tensor, ...]
# Calls over which channels are compared before they are equalized.
_EQUALIZED = 64
# Calls over which ranges are looked at.
_COMPARED = 4
_NORMS = (torch.ops.aten.batch_norm.default, torch.ops.aten._native_batch_norm_legit_no_training.default)


@dataclass(frozen=True)
class Quantized:
    """An int8 program, with what its layers computed in float before."""

    program: ExportedProgram
    converted: GraphModule
    floats: FloatValues

    @cached_property
    def rows(self) -> Mapping[Node, LayerQuality]:
        """What quantization does to each operator of `converted`."""
        with quiet():
            return quality_by_node(self.converted, self.floats)

    def layers(self) -> tuple[LayerQuality, ...]:
        """Likewise, in the graph's order."""
        return tuple(self.rows.values())


def quantize(
    exported: ExportedProgram, calibration: Iterable[Inputs], quantizer: "Quantizer | None" = None
) -> ExportedProgram:
    """The program of `quantize_layers`."""
    return quantize_layers(exported, calibration, quantizer=quantizer).program


def quantize_layers(
    exported: ExportedProgram,
    calibration: Iterable[Inputs],
    examples: Callable[[], Iterable[Inputs]] = tuple,
    quantizer: "Quantizer | None" = None,
    in_int16: Collection[str] = (),
) -> Quantized:
    """Observe the ranges of every activation over `calibration`, then round weights and mark activations.

    `exported` has fixed shapes; every item of `calibration` is one call's inputs. `examples` gives inputs to
    compare layers over; it is called once calibration is through. An operator that the quantizer (our own
    where none is given) cannot take stays in float; `in_int16` are those that get 16 bits, by their names.
    McuError where there is no item or an item does not fit the model.
    """
    converted, floats = convert(exported, calibration, examples, quantizer, in_int16=in_int16)
    with quiet(), quick(), named("quantized"):
        program = torch.export.export(converted, _example(exported), strict=False)
    return Quantized(program, converted, floats)


def convert(
    exported: ExportedProgram,
    calibration: Iterable[Inputs],
    examples: Callable[[], Iterable[Inputs]] = tuple,
    quantizer: "Quantizer | None" = None,
    in_float: Mapping[str, str] = MappingProxyType({}),
    in_int16: Collection[str] = (),
    in_int4: Collection[str] = (),
) -> tuple[GraphModule, FloatValues]:
    """Likewise, as a graph that runs in PyTorch and is not exported yet, with the float model's values.

    `in_float` are operators that our own quantizer leaves in float: their names in `exported`, and why;
    `in_int16` those that it gives 16 bits, `in_int4` those whose weights get 4.
    """
    with quiet(), named("quantized"):
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        from mcu_build.lower.annotate import int8 as annotate
        from mcu_build.lower.annotate.given import (
            GivenQuantizer,
            WeightsQuantizer,
            has_scales,
            is_marked,
            put_back,
        )
        from mcu_build.lower.annotate.int4 import round_weights
        from mcu_build.lower.annotate.scales import settle_scales
        from mcu_build.lower.rewrite.equalize import equalize, first_of

        is_given, is_rounded = has_scales(exported), is_marked(exported)
        first, calibration = first_of(calibration, _EQUALIZED)
        ruined = {} if is_given or quantizer else ruined_by_int8(exported, first)
        ruined = {name: why for name, why in ruined.items() if name not in in_int16}

        def prepare(refused: Mapping[str, str]) -> GraphModule:
            left = {**ruined, **in_float, **refused}
            own = WeightsQuantizer if is_rounded else annotate.Quantizer
            ours = own(refused=left, wide=in_int16, narrow=in_int4)
            chosen = quantizer or (GivenQuantizer(refused=left) if is_given else ours)
            with named("quantized"):
                module = _with_own_weights(exported)
                if not is_rounded:
                    equalize(module, first)
                return prepare_pt2e(module, chosen)

        prepared = prepare({}) if quantizer else without_refused(prepare)
        with quick_histograms():
            _calibrate(prepared, calibration)
            settle_scales(prepared)
            floats = FloatValues(prepared, examples())
            model = None if is_given or is_rounded else float_model(prepared, first)
            with quick(), without_training():
                converted = convert_pt2e(prepared)
                put_back(converted)
                round_weights(converted)
            if model is not None:
                correct(converted, model)
        return converted, floats


def ruined_by_int8(exported: ExportedProgram, calibration: Sequence[Inputs]) -> dict[str, str]:
    """What int8 would leave little of, by a few calls, unless it is asked for: operators with the reason."""
    from mcu_build.frontend.far_beginnings import far_beginnings
    from mcu_build.lower.assigned import asks_int8
    from mcu_build.lower.rewrite.steep_means import steep_means
    from mcu_build.lower.rewrite.unlike_channels import unlike_channels
    from mcu_build.lower.rewrite.unlike_rows import unlike_rows
    from mcu_build.lower.rewrite.wide_arguments import wide_arguments

    with quiet(), named("quantized"):
        module, calls = exported.module(check_guards=False), calibration[:_COMPARED]
        rules = (wide_arguments, unlike_rows, unlike_channels, steep_means, far_beginnings)
        results = (rule(module, calls) for rule in rules)
        asked = {node.name for node in module.graph.nodes if asks_int8(node)}
        return {name: why for result in results for name, why in result.items() if name not in asked}


def _with_own_weights(exported: ExportedProgram) -> GraphModule:
    """The program as a module whose weights are copies.

    Executorch folds factors into weights in place: they are the user's, and would be again at the next try.
    """
    module = exported.module(check_guards=False)
    copies: dict[int, torch.Tensor] = {}
    for owner in module.modules():
        for held in (owner._parameters, owner._buffers, vars(owner)):
            for name, tensor in list(held.items()):
                if isinstance(tensor, torch.Tensor):
                    del held[name]
                    copied = copies.setdefault(id(tensor), _copied(tensor))
                    kept = owner._parameters if isinstance(copied, torch.nn.Parameter) else owner._buffers
                    kept[name] = copied
    _keep_norms_apart(module.graph)
    _give_biases(module)
    module.recompile()
    return module


def _keep_norms_apart(graph: Graph) -> None:
    """Put something between a batch norm and a layer that others read, or whose weights others read.

    torchao folds the norm into the layer all the same: a sum past the norm (pre-activation blocks) would get
    normalized values.
    """
    for node in list(graph.nodes):
        if node.target not in _NORMS or not isinstance(node.args[0], Node):
            continue
        layer = node.args[0]
        weight = layer.args[1] if layer.op == "call_function" and len(layer.args) > 1 else None
        has_own_statistics = node.args[3] is None
        if isinstance(weight, Node) and (
            has_own_statistics or not all(_is_normed_alike(reader, node) for reader in weight.users)
        ):
            with graph.inserting_before(node):
                apart = graph.call_function(torch.ops.aten.alias.default, (layer,))
            apart.meta = dict(layer.meta)
            node.replace_input_with(layer, apart)


def _give_biases(module: GraphModule) -> None:
    """Give layers that share a weight, with a norm behind each, a bias of zeros where they have none.

    torchao folds the norm into their weights once, and takes the bias that comes of it away at the next.
    """
    for weight in [node for node in module.graph.nodes if node.op == "get_attr" and len(node.users) > 1]:
        layers = [reader for reader in weight.users if any(user.target in _NORMS for user in reader.users)]
        without = [layer for layer in layers if layer.args[2:3] in ((), (None,))]
        rows = any(layer.target is torch.ops.aten.linear.default and shape(layer)[2:] for layer in layers)
        if not without or rows:
            continue
        norm = next(user for user in without[0].users if user.target in _NORMS)
        name = f"{weight.name}_zeros"
        zeros = torch.zeros(shape(norm)[1])
        module.register_parameter(name, torch.nn.Parameter(zeros, requires_grad=False))
        with module.graph.inserting_after(weight):
            bias = module.graph.get_attr(name)
        bias.meta["val"] = norm.meta["val"].fake_mode.from_tensor(zeros)
        for layer in without:
            layer.args = (*layer.args[:2], bias, *layer.args[3:])


def _is_normed_alike(layer: Node, norm: Node) -> bool:
    """Whether nothing but a norm with the parameters of `norm` reads a layer."""
    readers = list(layer.users)
    return len(readers) == 1 and readers[0].target is norm.target and readers[0].args[1:] == norm.args[1:]


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """A copy, of floats as a parameter: torchao folds batch norms into no other weight.

    A weight that is computed from others (a parametrization) is a constant of the exported program.
    """
    made = tensor.detach().clone()
    return torch.nn.Parameter(made, requires_grad=False) if made.is_floating_point() else made


def _calibrate(prepared: GraphModule, calibration: Iterable[Inputs]) -> None:
    count = 0
    with torch.no_grad():
        for inputs in calibration:
            try:
                prepared(*inputs)
            except (RuntimeError, TypeError, ValueError) as error:
                if "not finite" in str(error):
                    where = first_not_finite(prepared, inputs)
                    raise McuError(
                        f"calibration: item {count}: the model computes NaN or infinite numbers from it"
                        f"{f', first in {where}' if where else ''}",
                        NAN_HINT,
                    ) from error
                raise McuError(
                    f"calibration: item {count}: {str(error).splitlines()[0]}",
                    "Every item is a tuple of tensors like example_inputs.",
                ) from error
            count += 1
    if count == 0:
        raise McuError(
            "calibration: it holds no item", "Give at least one tuple of inputs like example_inputs."
        )


def _example(exported: ExportedProgram) -> Inputs:
    """Inputs of the shapes, types and memory order that the program was exported with."""
    names = set(exported.graph_signature.user_inputs)
    values: list[Any] = [
        n.meta["val"] for n in exported.graph.nodes if n.op == "placeholder" and n.name in names
    ]
    return tuple(
        torch.empty_strided(value.shape, value.stride(), dtype=value.dtype).zero_() for value in values
    )
