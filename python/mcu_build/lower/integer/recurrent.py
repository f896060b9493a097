"""Recurrent calls between input and output of int8, or of int16, as `mcu_build::lstm`, `gru` or `rnn`, after
calibration.

Weights are rounded to int8 here, with a scale for each row; the gates that they make need no calibration.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

import torch
from executorch.backends.transforms.utils import is_param_node
from torch.export import ExportedProgram
from torch.fx import Node

from mcu_build.arithmetic.recurrent import (
    FUNCTION_BITS,
    GATE_BITS,
    MOST_WEIGHT_S16,
    MULTIPLIER_BITS,
    RELU_BITS,
    tanh_table,
)
from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import aten, shape
from mcu_build.lower.integer.int8_forms import DEQUANTIZE, QUANTIZE, Site, fixed_point
from mcu_build.lower.rewrite.recurrent import RecurrentCall
from mcu_build.lower.rewrite.recurrent_shapes import LAYERS
from mcu_build.lower.state_inputs import PREFIX

# Bits of factors for differences of 8 bits, and for 16 bits: rounded products stay within 31 bits.
_BITS_FOR_8, _BITS_FOR_16 = 22, 15
_LARGEST_BIAS = (1 << 30) - 1


@dataclass(frozen=True)
class _Rounded:
    """Weights of int8 as a constant of the program; scale and sum of each row."""

    constant: Node
    scales: torch.Tensor
    sums: torch.Tensor


# Which result of a call is the state of 16 bits.
_KEPT = {aten.lstm.input: 2, aten.gru.input: 1}

# Constants by the float weights that they are made from, and whether for int16: cells in a loop share theirs.
_Known = dict[tuple[Node, bool], _Rounded]


def build_recurrent(exported: ExportedProgram, chosen: Chosen = everything) -> None:
    """Replace the float calls by integer operators of ours."""
    known: _Known = {}
    for node in list(exported.graph.nodes):
        if node.target in LAYERS and chosen(node):
            _replace(exported, RecurrentCall.of(node), known)
    _name_outputs(exported)
    exported.graph.eliminate_dead_code()
    exported.graph.lint()
    exported.graph_module.recompile()


def _name_outputs(exported: ExportedProgram) -> None:
    """Outputs that were replaced, in the signature: a state may be one."""
    results = exported.graph.output_node().args[0]
    for result, spec in zip(results, exported.graph_signature.output_specs, strict=True):
        spec.arg.name = result.name


def _replace(exported: ExportedProgram, call: RecurrentCall, known: _Known) -> None:
    results = call.results()
    end = next(iter(results[0].users)) if 0 in results else None
    if end is None or end.target is not QUANTIZE or len(results[0].users) != 1:
        return
    if not _is_integer(call.source, end):
        return
    site = Site.between(exported, call.node, call.source, end, is_int16=end.args[5] is torch.int16)
    first, is_known = _first(site, call.states[0], end)
    if not is_known and not _is_carried(call):
        return
    made = _BUILDERS[call.node.target](site, call, first, known)
    sequence = made
    if (last := _KEPT.get(call.node.target)) is not None:
        made.meta["val"] = (end.meta["val"], call.node.meta["val"][last])
        sequence, state = (_piece(made, index, call.node) for index in (0, 1))
        if last in results:
            results[last].replace_all_uses_with(state, propagate_meta=False)
    sequence.meta["val"] = end.meta["val"]
    end.replace_all_uses_with(sequence, propagate_meta=False)
    # torch takes the float layer for random, for its dropout, and would keep it.
    for unused in (end, *results.values(), call.node):
        call.node.graph.erase_node(unused)


def _piece(made: Node, index: int, before: Node) -> Node:
    with before.graph.inserting_before(before):
        piece = before.graph.call_function(operator.getitem, (made, index))
    piece.meta["val"] = made.meta["val"][index]
    return piece


def _is_integer(node: Node, end: Node) -> bool:
    """Whether it is dequantized from the type of the output."""
    return node.target is DEQUANTIZE and node.args[5] is end.args[5]


def _first(site: Site, state: Node, end: Node) -> tuple[Node | None, bool]:
    """The h before the first step, None for zeros, and whether it has the quantization of the output."""
    if _is_zero(site, state):
        return None, True
    fits = _is_integer(state, end) and state.args[1:3] == (site.output_scale, site.output_zero_point)
    return (state.args[0], True) if fits else (None, False)


def _is_carried(call: RecurrentCall) -> bool:
    """Whether h before the first step comes whole, as h after the last one is given: a GRU's of 16 bits."""
    state = call.states[0]
    return call.node.target is aten.gru.input and state.name.startswith(PREFIX)


def _is_zero(site: Site, node: Node) -> bool:
    if not is_param_node(site.exported, node):
        return False
    value = site.value_of(node)
    return value is not None and not bool(value.any())


def _rounded(site: Site, weight: Node, known: _Known) -> _Rounded:
    key = weight, site.is_int16
    if key not in known:
        value = site.value_of(weight)
        assert value is not None
        wide = value.to(torch.float64)
        scales = (wide.abs().amax(dim=1) / 127).clamp(min=1e-30)
        if site.is_int16:
            # Half a step more for each weight that is rounded up.
            room = MOST_WEIGHT_S16 - wide.shape[1] / 2
            scales = torch.maximum(scales, wide.abs().sum(dim=1) / room)
        integers = torch.round(wide / scales.unsqueeze(1)).to(torch.int8)
        sums = integers.to(torch.float64).sum(dim=1)
        known[key] = _Rounded(site.constant(f"{weight.name}_rows", integers), scales, sums)
    return known[key]


@dataclass(frozen=True)
class _Gates:
    """What makes the gates: arguments of the operator, and the biases of x and of h in their units."""

    weights: tuple[Node, ...]
    multipliers: torch.Tensor
    shift: int
    biases: tuple[torch.Tensor, ...]


def _gates(site: Site, call: RecurrentCall, known: _Known, unit: float) -> _Gates:
    """Gates in steps of `unit`; zero points become parts of the biases."""
    weights = [_rounded(site, weight, known) for weight in call.weights[:2]]
    steps = (site.input_scale / unit, site.output_scale / unit)
    factors = torch.stack([each.scales * step for each, step in zip(weights, steps, strict=True)])
    multipliers, shift = fixed_point(factors, MULTIPLIER_BITS[_bits(site)], (1, 61))
    exact = multipliers.to(torch.float64) / 2.0**shift
    biases = []
    for index, zero_point in enumerate((site.input_zero_point, site.output_zero_point)):
        bias = site.value_of(call.weights[2 + index]) if call.has_biases else None
        real = torch.zeros(len(exact[index]), dtype=torch.float64) if bias is None else bias / unit
        biases.append(real - zero_point * weights[index].sums * exact[index])
    return _Gates(tuple(each.constant for each in weights), multipliers, shift, tuple(biases))


def _bits(site: Site) -> int:
    return 16 if site.is_int16 else 8


def _integers(biases: torch.Tensor) -> torch.Tensor:
    return torch.round(biases).clamp(-_LARGEST_BIAS, _LARGEST_BIAS).to(torch.int32)


def _table() -> torch.Tensor:
    return torch.from_numpy(tanh_table())


def _factor(value: float, bits: int) -> tuple[int, int]:
    integers, shift = fixed_point(torch.tensor([value], dtype=torch.float64), bits, (1, 30))
    return int(integers[0]), shift


def _lstm(site: Site, call: RecurrentCall, first: Node | None, known: _Known) -> Node:
    gates = _gates(site, call, known, 2.0**-GATE_BITS)
    cell = None if _is_zero(site, call.states[1]) else call.states[1]
    return site.call(
        "lstm",
        site.source,
        first,
        cell,
        *gates.weights,
        gates.multipliers,
        _integers(gates.biases[0] + gates.biases[1]),
        _table(),
        call.batch_first,
        gates.shift,
        site.output_zero_point,
        *_factor(2.0**-FUNCTION_BITS / site.output_scale, _BITS_FOR_16),
    )


def _gru(site: Site, call: RecurrentCall, first: Node | None, known: _Known) -> Node:
    gates = _gates(site, call, known, 2.0**-GATE_BITS)
    of_input, of_hidden = (bias.split(2 * shape(call.weights[1])[1]) for bias in gates.biases)
    bits = FUNCTION_BITS if first is None else _state_bits(site)
    return site.call(
        "gru",
        site.source,
        first,
        call.states[0] if _is_carried(call) else None,
        *gates.weights,
        gates.multipliers,
        _integers(torch.cat([of_input[0] + of_hidden[0], of_input[1], of_hidden[1]])),
        _table(),
        call.batch_first,
        gates.shift,
        site.output_zero_point,
        *_factor(2.0**-bits / site.output_scale, _BITS_FOR_16),
        bits,
        *_factor(site.output_scale * 2.0**bits, _BITS_FOR_16 if site.is_int16 else _BITS_FOR_8),
    )


def _state_bits(site: Site) -> int:
    """Bits behind the point of a state of 16 that holds all that h can be at first."""
    least = 1 << (_bits(site) - 1)
    largest = site.output_scale * max(least - 1 - site.output_zero_point, least + site.output_zero_point)
    return min(FUNCTION_BITS, max(1, FUNCTION_BITS - ceil(log2(largest))))


def _rnn_tanh(site: Site, call: RecurrentCall, first: Node | None, known: _Known) -> Node:
    shown = _factor(2.0**-FUNCTION_BITS / site.output_scale, _BITS_FOR_16)
    return _rnn(site, call, first, _gates(site, call, known, 2.0**-GATE_BITS), _table(), shown)


def _rnn_relu(site: Site, call: RecurrentCall, first: Node | None, known: _Known) -> Node:
    bits = 0 if site.is_int16 else RELU_BITS
    gates = _gates(site, call, known, site.output_scale * 2.0**-bits)
    return _rnn(site, call, first, gates, None, (2, 1 + bits) if site.is_int16 else (1, bits))


def _rnn(
    site: Site,
    call: RecurrentCall,
    first: Node | None,
    gates: _Gates,
    table: torch.Tensor | None,
    shown: tuple[int, int],
) -> Node:
    return site.call(
        "rnn",
        site.source,
        first,
        *gates.weights,
        gates.multipliers,
        _integers(gates.biases[0] + gates.biases[1]),
        table,
        call.batch_first,
        gates.shift,
        site.output_zero_point,
        *shown,
    )


_BUILDERS: Mapping[Any, Callable[[Site, RecurrentCall, Node | None, _Known], Node]] = {
    aten.lstm.input: _lstm,
    aten.gru.input: _gru,
    aten.rnn_tanh.input: _rnn_tanh,
    aten.rnn_relu.input: _rnn_relu,
}
