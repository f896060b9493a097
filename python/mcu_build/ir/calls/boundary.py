"""The boundary between float and integers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from mcu_build.ir.calls.call import Call, Read, Written, element_distances
from mcu_build.ir.calls.rows import same_rows, share_of_rows
from mcu_build.ir.calls.struct import Struct
from mcu_build.ir.tensor import DType, Tensor


@dataclass(frozen=True)
class QuantizeParams(Struct):
    """Parameters of quantize.h."""

    count: int
    inverse_scale: float
    zero_point: int
    quant_min: int
    quant_max: int


@dataclass(frozen=True)
class DequantizeParams(Struct):
    """Parameters of quantize.h."""

    count: int
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Boundary(Call):
    """Quantize or dequantize: the same elements in another type."""

    SOURCE = "quantize"

    params: QuantizeParams | DequantizeParams
    input: Read
    output: Written
    dtype: DType

    @property
    def _suffix(self) -> str:
        return f"s{8 * self.dtype.size}"

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Element by element.

        Not between float and 16 bits: a compiler may take for granted that the two never meet.
        """
        if self.dtype is not DType.I8:
            return {}
        return element_distances(tensors[self.input], tensors[self.output])

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Row by row."""
        return same_rows(tensors, self.input, self.output, rows)

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Fewer elements."""
        count = share_of_rows(self.params.count, tensors[self.output], rows)
        return replace(self, params=replace(self.params, count=count))


@dataclass(frozen=True)
class Quantize(Boundary):
    """Float to int8 or int16, `dtype`."""

    params: QuantizeParams

    @property
    def kernel(self) -> str:
        """One for each type."""
        return f"quantize_f32_{self._suffix}"


@dataclass(frozen=True)
class Dequantize(Boundary):
    """Int8 or int16, `dtype`, to float."""

    params: DequantizeParams

    @property
    def kernel(self) -> str:
        """One for each type."""
        return f"dequantize_{self._suffix}_f32"
