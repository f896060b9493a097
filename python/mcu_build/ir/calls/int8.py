"""Other operations on int8: tables, softmax, resampling, norms, recurrent layers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from mcu_build.ir.arithmetic import LINE_BITS, TAP_BITS, requantize
from mcu_build.ir.calls.call import Call, Read, Written, element_distances
from mcu_build.ir.calls.images import ByChannel
from mcu_build.ir.calls.resampling import Windows
from mcu_build.ir.calls.rows import images_fit, same_rows, share_of_rows
from mcu_build.ir.calls.struct import ImageSize, Long, Pair, Struct
from mcu_build.ir.channels import Coupling, Cut, Ints, Range, Values, by_channel, channels_of
from mcu_build.ir.tensor import DType, Tensor

# Rows of a table among which bands look for what is like their own.
_MOST_ALIKE = 64


@dataclass(frozen=True)
class LookupParams(Struct):
    """Parameters of lookup.h."""

    count: int


@dataclass(frozen=True)
class SoftmaxParams(Struct):
    """Parameters of softmax.h."""

    outer: int
    axis: int
    inner: int
    zero_point: int
    octaves: int = 0


@dataclass(frozen=True)
class ResampleParams(Struct):
    """Parameters of resample.h."""

    batch: int
    input: ImageSize
    output: ImageSize
    taps: Pair
    input_zero_point: int
    output_zero_point: int
    multiplier: int
    shift: int
    first_row: int = 0
    above: int = 0


@dataclass(frozen=True)
class PreluParams(Struct):
    """Parameters of prelu.h."""

    outer: int
    channels: int
    inner: int
    positive: int
    shift: int
    input_zero_point: int
    output_zero_point: int


@dataclass(frozen=True)
class NormStrides(Struct):
    """Parameters of norm.h."""

    batch: int
    channel: int
    position: int


@dataclass(frozen=True)
class NormParams(Struct):
    """Parameters of norm.h."""

    batches: int
    groups: int
    channels_per_group: int
    positions: int
    strides: NormStrides
    parameter_stride: int
    input_zero_point: int
    output_zero_point: int
    shift: int
    centered: bool
    epsilon: Long


@dataclass(frozen=True)
class MaskedSoftmaxParams(Struct):
    """Parameters of masked_softmax.h."""

    batches: int
    rows: int
    columns: int
    mask_batch_stride: int
    mask_row_stride: int
    octaves: int


@dataclass(frozen=True)
class LogSoftmaxParams(Struct):
    """Parameters of masked_softmax.h."""

    rows: int
    columns: int
    step: int
    octave: int
    shift: int
    output_zero_point: int


@dataclass(frozen=True)
class RecurrentStrides(Struct):
    """Parameters of recurrent.h."""

    step: int
    batch: int


@dataclass(frozen=True)
class RecurrentParams(Struct):
    """Parameters of recurrent.h."""

    steps: int
    batches: int
    inputs: int
    units: int
    strides: RecurrentStrides
    shift: int
    zero_point: int
    output_multiplier: int
    output_shift: int


@dataclass(frozen=True)
class GruParams(Struct):
    """Parameters of recurrent.h."""

    layer: RecurrentParams
    state_bits: int
    state_multiplier: int
    state_shift: int


@dataclass(frozen=True)
class Lookup(Call):
    """A function of one value, by a table of 256 entries."""

    KERNEL, SOURCE = "lookup_s8", "lookup"

    params: LookupParams
    input: Read
    table: Read
    output: Written

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Element by element."""
        return element_distances(tensors[self.input], tensors[self.output])

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Row by row."""
        return same_rows(tensors, self.input, self.output, rows)

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """Fewer elements."""
        return replace(
            self, params=LookupParams(share_of_rows(self.params.count, tensors[self.output], rows))
        )

    def value_range(self, values: Values) -> Range | None:
        """What the table holds for the input's range."""
        table = values.constant(self.table)
        if table is None:
            return None
        span = values.of(self.input, channels_of(values.tensor(self.output)))
        parts = [
            table[low + 128 : high + 129].reshape(-1) for low, high in zip(span.low, span.high, strict=True)
        ]
        return Range(np.array([part.min() for part in parts]), np.array([part.max() for part in parts]))

    def coupled_channels(self, tensors: Mapping[int, Tensor]) -> list[Coupling] | None:
        """Channel by channel."""
        channels = channels_of(tensors[self.output])
        if channels_of(tensors[self.input]) != channels:
            return None
        return [by_channel(self.input, self.output, channels)]

    def without_channels(self, cut: Cut) -> Self:
        """Fewer elements."""
        return replace(self, params=LookupParams(cut.share(self.output, self.params.count)))


@dataclass(frozen=True)
class Softmax(Call):
    """Softmax along a dimension, by a table of exponentials."""

    KERNEL, SOURCE = "softmax_s8", "softmax"

    params: SoftmaxParams
    input: Read
    table: Read
    output: Written

    def inplace_distances(self, tensors: Mapping[int, Tensor]) -> Mapping[int, int]:
        """Lines of the last dimension: each is read twice before its elements are replaced one by one."""
        return {self.input: 0} if self.params.inner == 1 else {}


@dataclass(frozen=True)
class Resample(Windows, ByChannel):
    """Each row and each column of the output from a few of the input, by tables of starts and weights."""

    KERNEL, SOURCE = "resample_s8", "resample"

    params: ResampleParams
    input: Read
    row_starts: Read
    row_weights: Read
    column_starts: Read
    column_weights: Read
    output: Written

    def needed_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Mapping[int, range] | None:
        """Those of the windows, where none has all of the image."""
        params, starts = self.params, self._row_table(tensors, self.row_starts)
        fits = images_fit(params, tensors[self.input], tensors[self.output])
        fits = fits and (params.input.height > 1 or params.input.width == 1)
        if not fits or starts is None or params.taps.y == params.input.height:
            return None
        here = starts[rows.start : rows.stop]
        return {self.input: range(int(here.min()), int(here.max()) + params.taps.y)}

    def of_rows(self, tensors: Mapping[int, Tensor], rows: range) -> Self:
        """By the first rows of the tables that say the same, so that bands are alike where windows repeat."""
        needed = self.needed_rows(tensors, rows)
        starts, weights = (self._row_table(tensors, id) for id in (self.row_starts, self.row_weights))
        assert needed is not None and starts is not None and weights is not None
        weights = weights.reshape(len(starts), -1)
        own, above = slice(rows.start, rows.stop), needed[self.input].start
        first = rows.start
        for row in range(min(rows.start, _MOST_ALIKE)):
            other = slice(row, row + len(rows))
            shift = starts[rows.start] - starts[row]
            alike = np.array_equal(starts[other] + shift, starts[own])
            if alike and np.array_equal(weights[other], weights[own]):
                first, above = row, above - int(shift)
                break
        params = replace(
            self.params,
            input=replace(self.params.input, height=len(needed[self.input])),
            output=replace(self.params.output, height=len(rows)),
            first_row=first,
            above=above,
        )
        return replace(self, params=params)

    def _row_table(self, tensors: Mapping[int, Tensor], id: int) -> Ints | None:
        """A table's numbers; None where it is no constant of its own."""
        table = tensors[id]
        return None if table.data is None else np.frombuffer(table.data, table.dtype.numpy_name)

    def value_range(self, values: Values) -> Range | None:
        """Averages: weights of one sign keep the order of what they sum."""
        params = self.params
        rows, columns = values.constant(self.row_weights), values.constant(self.column_weights)
        if rows is None or columns is None or rows.min() < 0 or columns.min() < 0:
            return None
        of_rows, of_columns = rows.sum(1), columns.sum(1)
        span = values.of(self.input, channels_of(values.tensor(self.output)))

        def ends(image: Ints) -> Ints:
            """What a whole image of each of the values becomes, [values, places of the output]."""
            lines = np.multiply.outer(image - params.input_zero_point, of_columns)
            rounded = (lines + (1 << (TAP_BITS - LINE_BITS - 1))) >> (TAP_BITS - LINE_BITS)
            sums = np.multiply.outer(rounded, of_rows).reshape(len(image), -1)
            results = requantize(sums, params.multiplier, params.shift) + params.output_zero_point
            return np.clip(results, -128, 127)

        return Range(ends(span.low).min(1), ends(span.high).max(1))


@dataclass(frozen=True)
class Prelu(Call):
    """A slope for the negative values of each channel."""

    KERNEL, SOURCE = "prelu_s8", "prelu"

    params: PreluParams
    input: Read
    slopes: Read
    output: Written


@dataclass(frozen=True)
class Norm(Call):
    """Layer, group and RMS norms."""

    KERNEL, SOURCE = "norm_s8", "norm"

    params: NormParams
    input: Read
    weight: Read
    bias: Read
    output: Written

    @property
    def macs(self) -> int:
        """Two for each element."""
        params = self.params
        return 2 * params.batches * params.groups * params.channels_per_group * params.positions


@dataclass(frozen=True)
class MaskedSoftmax(Call):
    """Softmax over those entries of a row that a mask lets through."""

    KERNEL, SOURCE = "masked_softmax_s8", "masked_softmax"

    params: MaskedSoftmaxParams
    input: Read
    mask: Read
    table: Read
    output: Written


@dataclass(frozen=True)
class LogSoftmax(Call):
    """The logarithm of softmax over rows."""

    KERNEL, SOURCE = "log_softmax_s8", "masked_softmax"

    params: LogSoftmaxParams
    input: Read
    table: Read
    output: Written


@dataclass(frozen=True)
class Recurrent(Call):
    """What recurrent layers have in common: a layer and direction that loops over time, on int8 or int16."""

    LAYER = ""
    GATES = 1

    params: RecurrentParams | GruParams
    dtype: DType
    input: Read

    @property
    def kernel(self) -> str:
        """One for each type."""
        return f"{self.LAYER}_s{8 * self.dtype.size}"

    @property
    def source(self) -> str:
        """Likewise."""
        return "recurrent" if self.dtype is DType.I8 else "recurrent_s16"

    @property
    def layer(self) -> RecurrentParams:
        """Sizes and requantization."""
        return self.params.layer if isinstance(self.params, GruParams) else self.params

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all gates."""
        layer = self.layer
        return self.GATES * layer.steps * layer.batches * layer.units * (layer.inputs + layer.units)


@dataclass(frozen=True)
class Rnn(Recurrent):
    """A plain recurrent layer. Without a table its activation is ReLU."""

    LAYER = "rnn"

    params: RecurrentParams
    hidden: Read | None
    input_weights: Read
    hidden_weights: Read
    multipliers: Read
    biases: Read
    table: Read | None
    output: Written
    scratch: Written | None


@dataclass(frozen=True)
class Lstm(Recurrent):
    """An LSTM layer."""

    LAYER = "lstm"
    GATES = 4

    params: RecurrentParams
    hidden: Read | None
    cell: Read | None
    input_weights: Read
    hidden_weights: Read
    multipliers: Read
    biases: Read
    table: Read | None
    cell_output: Written | None
    output: Written
    scratch: Written | None


@dataclass(frozen=True)
class Gru(Recurrent):
    """A GRU layer."""

    LAYER = "gru"
    GATES = 3

    params: GruParams
    hidden: Read | None
    state: Read | None
    input_weights: Read
    hidden_weights: Read
    multipliers: Read
    biases: Read
    table: Read | None
    state_output: Written | None
    output: Written
    scratch: Written | None
