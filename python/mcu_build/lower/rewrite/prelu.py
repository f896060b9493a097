"""PReLU: with one slope a table (as leaky_relu), with a slope for each channel an operator of its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.fx import Node

from mcu_build.lower.builder import Builder, aten, shape
from mcu_build.lower.integer.int8_forms import Int8Form, Site, are_constants, fixed_point

# A difference of 8 bits times a factor of these stays within 31 bits, the rounding included.
_FACTOR_BITS = 22


def one_slope(build: Builder, node: Node) -> Node | None:
    """prelu whose slopes are one number as leaky_relu."""
    slopes = build.value_of(node.args[1])
    if slopes is None or slopes.numel() == 0 or bool((slopes != slopes.reshape(-1)[0]).any()):
        return None
    return build(aten.leaky_relu.default, node.args[0], float(slopes.reshape(-1)[0]))


def _accepts(node: Node) -> bool:
    return are_constants(node.args[1]) and len(shape(node)) >= 2


def _build(site: Site) -> Node:
    slopes = site.value_of(site.node.args[1])
    assert slopes is not None
    ratio = site.input_scale / site.output_scale
    factors = torch.cat([slopes.reshape(-1).to(torch.float64), torch.ones(1, dtype=torch.float64)]) * ratio
    integers, shift = fixed_point(factors, _FACTOR_BITS, (1, 30))
    return site.call(
        "prelu",
        site.source,
        integers[:-1].clone(),
        int(integers[-1]),
        shift,
        site.input_zero_point,
        site.output_zero_point,
    )


FORMS: Mapping[Any, Int8Form] = {aten.prelu.default: Int8Form(_accepts, _build)}
