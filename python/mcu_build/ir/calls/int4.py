"""The layer with weights of 4 bits."""

from dataclasses import dataclass

from mcu_build.ir.calls.call import Read, Written
from mcu_build.ir.calls.int16 import BoundsS16
from mcu_build.ir.calls.linear_layer import RowsTimesMatrix
from mcu_build.ir.calls.struct import Struct


@dataclass(frozen=True)
class LinearW4Params(Struct):
    """Parameters of linear_w4.h."""

    rows: int
    inputs: int
    outputs: int
    is_grouped: bool
    zero_point: int
    bounds: BoundsS16


@dataclass(frozen=True)
class LinearW4(RowsTimesMatrix):
    """Rows times a packed matrix [outputs][inputs]."""

    KERNEL, SOURCE = "linear_w4", "linear_w4"

    params: LinearW4Params
    input: Read
    weights: Read
    factors: Read
    bias: Read
    multipliers: Read
    shifts: Read
    output: Written
