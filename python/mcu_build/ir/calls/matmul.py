"""Products of int8 matrices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mcu_build.ir.calls.call import Call, Read, Written
from mcu_build.ir.calls.convolution import folded, needed
from mcu_build.ir.calls.linear_layer import RowsTimesMatrix
from mcu_build.ir.calls.rescaled import rescaled, sums_of
from mcu_build.ir.calls.struct import OutputEpilogue, Struct
from mcu_build.ir.channels import Coupling, Cut, Mask, Range, Values, channels_of
from mcu_build.ir.tensor import Tensor


@dataclass(frozen=True)
class LinearParams(Struct):
    """Parameters of linear.h."""

    rows: int
    inputs: int
    outputs: int
    input_offset: int
    filter_offset: int
    multiplier: int
    shift: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class BatchMatmulParams(Struct):
    """Parameters of batch_matmul.h."""

    batch: int
    rows: int
    columns: int
    inner: int
    left_offset: int
    right_offset: int
    multiplier: int
    shift: int
    epilogue: OutputEpilogue


@dataclass(frozen=True)
class Linear(RowsTimesMatrix):
    """Rows times a matrix [outputs][inputs]."""

    KERNEL, SOURCE = "linear_s8", "linear"

    params: LinearParams
    input: Read
    weights: Read
    bias: Read | None
    output: Written

    @property
    def row_distance(self) -> int:
        """How far below the input the output has to start: a row is read until its last output is made."""
        rows, inputs, outputs = self.params.rows, self.params.inputs, self.params.outputs
        return max((row + 1) * outputs - row * inputs for row in (0, rows - 1))

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Each row of the output from the input's row of the same number."""
        return {self.input: self.row_distance}

    def value_range(self, values: Values) -> Range | None:
        """Of the sums of least and of largest products, requantized."""
        params = self.params
        weights, bias = values.constant(self.weights), values.constant(self.bias)
        if weights is None or (bias is None and self.bias is not None):
            return None
        taps = weights + params.filter_offset
        span = values.of(self.input, params.inputs)
        low, high = (taps * (end + params.input_offset) for end in (span.low, span.high))
        sums = sums_of(Range(np.minimum(low, high), np.maximum(low, high)), bias)
        return rescaled(sums, np.full(1, params.multiplier), np.full(1, params.shift), params.epilogue)

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """None: it reads some channels and makes others."""
        fits = (
            channels_of(tensors[self.input]) == self.params.inputs
            and channels_of(tensors[self.output]) == self.params.outputs
            and all(tensors[id].data is not None for id in (self.weights, self.bias) if id is not None)
        )
        return [] if fits else None

    def needed_channels(self, values: Values, written: Mask) -> Mask | None:
        """Those with weights, unless they are constant and their share can go into the bias."""
        weights = values.constant(self.weights)
        if weights is None:
            return None
        taps = (weights + self.params.filter_offset)[written][:, None]
        return needed(values.of(self.input), taps, self.params.input_offset)

    def without_channels(self, cut: Cut) -> Self:
        """What constant channels added goes into the bias."""
        read, written = cut.keep[self.input], cut.keep[self.output]
        weights = cut.array(self.weights)
        taps = weights + self.params.filter_offset
        bias = folded(cut, self.input, self.bias, taps, self.params.input_offset)[written]
        kept = cut.constant(self.weights, weights[written][:, read])
        params = replace(self.params, inputs=int(read.sum()), outputs=int(written.sum()))
        return replace(self, params=params, weights=kept, bias=cut.bias(self.bias, bias))


@dataclass(frozen=True)
class BatchMatmul(Call):
    """Products of batches of matrices, the second with its rows and columns exchanged."""

    KERNEL, SOURCE = "batch_matmul_s8", "batch_matmul"

    params: BatchMatmulParams
    left: Read
    right: Read
    output: Written

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.params.batch * self.params.rows * self.params.columns * self.params.inner
