"""Layers with weights of 4 bits as integer operators (arithmetic/int4.py), after annotate/int4.py."""

from typing import Any

import numpy as np
import torch
from executorch.backends.transforms.utils import get_param_tensor
from torch.export import ExportedProgram
from torch.fx import Node

from mcu_build.arithmetic.int4 import LARGEST_FACTOR, LEAST_SHIFT, WHOLE_FACTOR, pack
from mcu_build.lower.annotate.clusters import CLAMPS
from mcu_build.lower.annotate.int4 import LAYERS, by_group
from mcu_build.lower.assigned import Chosen, everything
from mcu_build.lower.builder import aten
from mcu_build.lower.integer.int8_forms import DEQUANTIZE, Site, replace_ends
from mcu_build.lower.integer.int16 import factor

_MOST = 1 << 31
_LEAST, _MOST_INT8 = -128, 127


def build_int4(exported: ExportedProgram, chosen: Chosen = everything) -> None:
    """Replace quantize(layer(dequantize(x), dequantized int4 weights)) by the integer operator on x."""
    replace_ends(exported, lambda end: _made(exported, end, chosen))


def _made(exported: ExportedProgram, end: Node, chosen: Chosen) -> Node | None:
    clamp, layer = None, end.args[0]
    if isinstance(layer, Node) and layer.target in CLAMPS and isinstance(layer.args[0], Node):
        clamp, layer = layer, layer.args[0]
    if not isinstance(layer, Node) or layer.target not in LAYERS or not chosen(layer) or len(layer.users) > 1:
        return None
    start, held = layer.args[0], _dequantized(layer.args[1])
    if held is None or not isinstance(start, Node) or start.target is not DEQUANTIZE:
        return None
    if not start.args[5] is end.args[5] is torch.int8:
        return None
    site = Site.between(exported, layer, start, end)
    weight, by_group = (get_param_tensor(exported, held.args[index]).detach().numpy() for index in (0, 1))
    bias = site.value_of(layer.args[2]) if len(layer.args) > 2 else None
    constants = _integers(weight, by_group, None if bias is None else bias.numpy().reshape(-1), site)
    dimension = -1 if layer.target is aten.linear.default else 1
    if constants[-1].min() < LEAST_SHIFT:
        return None
    tensors = [torch.from_numpy(constant) for constant in constants]
    return site.call(
        "linear_w4",
        site.source,
        *tensors,
        weight.shape[1],
        dimension,
        site.output_zero_point,
        *_bounds(clamp, site),
    )


def _dequantized(weight: Any) -> Node | None:
    """The operator that weights of 4 bits come from."""
    while isinstance(weight, Node) and weight.target in (aten.reshape.default, aten.view.default):
        weight = weight.args[0]
    return weight if isinstance(weight, Node) and weight.target is by_group() else None


def _bounds(clamp: Node | None, site: Site) -> tuple[int, int]:
    """The bounds of the output, in its steps."""
    if clamp is None:
        return _LEAST, _MOST_INT8
    limits: tuple[Any, ...] = (0.0, None) if clamp.target is aten.relu.default else clamp.args[1:]
    defaults: tuple[Any, ...] = (-1.0, 1.0) if clamp.target is aten.hardtanh.default else (None, None)
    low, high = (*limits, *defaults[len(limits) :])

    def inside(value: float) -> int:
        return min(max(round(value / site.output_scale) + site.output_zero_point, _LEAST), _MOST_INT8)

    least = _LEAST if low is None else inside(float(low))
    return least, _MOST_INT8 if high is None else max(inside(float(high)), least)


def _integers(weight: Any, scales: Any, bias: Any, site: Site) -> tuple[Any, ...]:
    """Packed weights, factors, biases, multipliers and shifts of a layer."""
    outputs = len(weight)
    is_grouped = scales.shape[1] > 1
    unit = scales.astype(np.float64).max(axis=1) / (LARGEST_FACTOR if is_grouped else WHOLE_FACTOR)
    factors = np.rint(scales.astype(np.float64) / unit[:, None]).astype(np.int64)
    real = np.zeros(outputs) if bias is None else bias.astype(np.float64)
    # A bias that is beyond 32 bits makes its weights coarser.
    needed = np.abs(real) / (site.input_scale * unit) / (_MOST >> 1)
    coarser = np.exp2(np.ceil(np.log2(np.maximum(needed, 1.0))))
    weight = np.rint(weight / coarser[:, None]).astype(np.int8)
    steps = site.input_scale * unit * coarser
    wide = weight.astype(np.int64).reshape(*factors.shape, -1) * factors[:, :, None]
    contributed = wide.sum(axis=(1, 2)) * site.input_zero_point
    biases = np.rint(real / steps).astype(np.int64) - contributed
    largest = int((np.abs(wide).sum(axis=(1, 2)) * 128 + np.abs(biases)).max(initial=0))
    pairs = [factor(float(step) / site.output_scale, largest) for step in steps]
    multipliers, shifts = (np.array(part, np.int32) for part in zip(*pairs, strict=True))
    kept = factors.astype(np.uint8) if is_grouped else np.ones(1, np.uint8)
    return pack(weight), kept, biases.astype(np.int32), multipliers, shifts
